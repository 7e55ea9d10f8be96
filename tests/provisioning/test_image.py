"""The recipe for the card's image, as far as it can be judged without the tool that builds it."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from provisioning.places.wiring import Door, Fitting, Kit, PowerLoss, config_lines

IMAGE: Final = Path(__file__).parents[2] / "provisioning/image"
LAYER: Final = IMAGE / "layer/gate.yaml"
DOTD: Final = IMAGE / "layer/gate.d"
OVERLAY: Final = DOTD / "customize.overlay"

FIELDS: Final = {"Name", "Version", "Category", "Description", "Requires", "VarPrefix"}
"""Of a layer's metadata, as far as we use them. Source: rpi-image-gen, docs/layer."""

UPSTREAM: Final = {"trixie-minbase", "systemd-timesyncd", "network-manager", "openssh-server", "image-rota", "rpi4", "rpi5"}
"""Layers that rpi-image-gen ships, of those that we name; looked up in its layer reference on 26 November 2026."""

SETS: Final = {"y", "n", "force", "lazy", "immediate", "skip"}
PHASES: Final = re.compile(
    r"(prebuild|setup|extract|essential|customize|cleanup|postbuild|preimage|postimage|finalize|deploy)\d\d-[a-z0-9-]+"
)
CARD_BYTES: Final = 7_600_000_000
"""Of a card sold as 8 GB, less what makers round up."""


def metadata() -> dict[str, str]:
    """The X-Env fields of the layer, by name, their continuation lines joined (DEB822)."""
    text = LAYER.read_text(encoding="utf-8")
    block = text.partition("# METABEGIN\n")[2].partition("# METAEND\n")[0]
    fields: dict[str, str] = {}
    name = ""
    for line in (raw.removeprefix("#").removeprefix(" ") for raw in block.splitlines()):
        if line.startswith(" "):
            fields[name] += " " + line.strip()
        elif line:
            name, _, value = line.partition(":")
            assert name not in fields, name
            fields[name] = value.strip()
    return fields


def test_the_layers_metadata_is_as_the_tool_wants_it() -> None:
    """Known fields, a version of three numbers, requirements that exist, and each variable described, judged and set."""
    fields = metadata()
    known = {name.removeprefix("X-Env-Layer-") for name in fields if name.startswith("X-Env-Layer-")}
    assert known | {"VarPrefix"} == FIELDS
    assert re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", fields["X-Env-Layer-Version"])
    assert set(fields["X-Env-Layer-Requires"].split(",")) <= UPSTREAM
    assert fields["X-Env-VarPrefix"] == "gate"
    variables = {name for name in fields if re.fullmatch(r"X-Env-Var-[a-z_]+", name)}
    assert variables == {"X-Env-Var-package", "X-Env-Var-release_keys"}
    for name in variables:
        assert fields[f"{name}-Description"].endswith(".")
        assert fields[f"{name}-Valid"] == "string"
        assert fields[f"{name}-Set"] in SETS


def test_the_hooks_use_the_variables_that_the_layer_declares() -> None:
    """IGconf_PREFIX_NAME, and no other."""
    text = "".join(path.read_text(encoding="utf-8") for path in (DOTD / "hooks").iterdir())
    declared = {name.removeprefix("X-Env-Var-") for name in metadata() if re.fullmatch(r"X-Env-Var-[a-z_]+", name)}
    assert {name.removeprefix("IGconf_gate_") for name in re.findall(r"IGconf_\w+", text)} == declared


def test_hooks_have_a_phase_and_may_be_run() -> None:
    """A file of another name, or without the right, would be passed over in silence."""
    for path in (DOTD / "hooks").iterdir():
        assert PHASES.fullmatch(path.name), path.name
        assert path.stat().st_mode & stat.S_IXUSR, path.name


def test_the_packages_are_those_that_the_gates_package_names() -> None:
    """What its Depends and Recommends want is there before it is installed, so that nothing is left to chance."""
    body = yaml.safe_load(LAYER.read_text(encoding="utf-8").partition("---\n")[2])
    listed = set(body["mmdebstrap"]["packages"])
    assert {"libzbar0t64", "python3-venv", "python3-numpy", "python3-libcamera", "python3-picamera2", "python3-lgpio"} <= listed


def configurations() -> list[Path]:
    """Every board's."""
    return sorted((IMAGE / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", configurations(), ids=lambda path: path.stem)
def test_two_slots_and_the_record_fit_a_card_of_8_gb(path: Path) -> None:
    """Boot and system twice, data once; layers that exist; a name that is the file's."""
    config: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    image = config["image"]
    total = 2 * size(image["boot_part_size"]) + 2 * size(image["system_part_size"]) + size(image["data_part_size"])
    assert total + (64 << 20) < CARD_BYTES
    assert size(image["data_part_size"]) >= 1 << 30
    assert image["name"] == path.stem
    assert image["rootfs_type"] == "ext4"
    assert {config["device"]["layer"], image["layer"], config["layer"]["base"]} <= UPSTREAM
    assert config["layer"]["app"] == metadata()["X-Env-Layer-Name"]


def size(text: str) -> int:
    """Bytes of a size such as 128M."""
    number, unit = re.fullmatch(r"(\d+)([MG])", text).groups()  # type: ignore[union-attr]  # another form is an error
    return int(number) << {"M": 20, "G": 30}[unit]


def test_every_pin_of_the_gate_is_at_rest_from_power_on() -> None:
    """The lines of the wiring table, of a gate that has everything, and no others about pins."""
    lines = (OVERLAY / "boot/firmware/gate.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if line.startswith(("gpio=", "dtparam=strict"))]
    assert listed == list(config_lines(Fitting(Kit.FULL, Door.RELAY, PowerLoss.OPEN)))
    assert "dtparam=watchdog=on" in lines


def test_only_debians_security_updates_come_by_themselves() -> None:
    """What Debian's own file allows is cleared first; the Raspberry Pi archive is nowhere named."""
    text = (OVERLAY / "etc/apt/apt.conf.d/52gate-unattended-upgrades").read_text(encoding="utf-8")
    rules = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
    assert rules.count("origin=") == 1
    assert "label=Debian-Security" in rules
    assert rules.count("#clear") == 2
    assert "aspberry" not in rules


def test_nobody_comes_in_by_password() -> None:
    """Neither over the network nor by a default that the image sets."""
    text = (OVERLAY / "etc/ssh/sshd_config.d/50-gate.conf").read_text(encoding="utf-8")
    assert "PasswordAuthentication no" in text
    assert not any("pass" in name for name in metadata())


def test_a_broken_superblock_is_mended_at_boot() -> None:
    """One fragment of the command line, one line."""
    assert (DOTD / "cmdline.d/60-gate").read_text(encoding="utf-8") == "fsck.repair=yes\n"


def persistent(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the binding script over a folder in the place of the root, with mount and mountpoint pretended."""
    text = (OVERLAY / "usr/lib/gate/gate-persistent").read_text(encoding="utf-8")
    for path in ("/persistent", "/var/lib/gate", "/etc/gate", "/etc/credstore"):
        text = text.replace(path, f"{root}{path}")
    tools = root / "tools"
    tools.mkdir(exist_ok=True)
    for name, body in {"mount": f'echo "$*" >>{root}/mounts', "mountpoint": "exit 1", "sync": ":"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    return subprocess.run(["sh", "-c", text], check=True, capture_output=True, text=True, env={"PATH": f"{tools}:/usr/bin:/bin"})


def test_record_settings_and_keys_are_taken_over_once_and_are_then_the_same_in_both_slots(tmp_path: Path) -> None:
    """The first boot takes what the image brought; a later one leaves what is there, also after a cut in the middle."""
    for name in ("var/lib/gate", "etc/gate", "etc/credstore", "etc/credstore.encrypted"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/gate/gate.toml").write_text("of the image")
    (tmp_path / "persistent/gate/settings.new").mkdir(parents=True)
    persistent(tmp_path)
    assert (tmp_path / "persistent/gate/settings/gate.toml").read_text() == "of the image"
    (tmp_path / "persistent/gate/settings/gate.toml").write_text("of the technician")
    persistent(tmp_path)
    assert (tmp_path / "persistent/gate/settings/gate.toml").read_text() == "of the technician"
    mounts = (tmp_path / "mounts").read_text().splitlines()
    assert [line.split()[1].removeprefix(str(tmp_path)) for line in mounts[:4]] == [
        f"/persistent/gate/{name}" for name in ("record", "settings", "credstore", "credstore.encrypted")
    ]
