"""Cards: on a folder that looks like a boot partition, and on a real FAT file system; pulled half way at every file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from device.edges.certificate.enrol import Places, read_bundle
from provisioning.card import boot
from provisioning.card.boot import BootPartition
from provisioning.card.writer import FIRST_BOOT, Card, steps
from provisioning.common.errors import Refused
from provisioning.enrolment.claims import Enrolment
from provisioning.registry.tables import Gate, GateState, Site
from tests.provisioning.card.pi_card import CMDLINE, pi_card
from tests.provisioning.enrolment_kit import PHRASE, Province, province

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMadeUpForATestAndGoodForNothingElse0000000 tech@laptop"
PASSWORD = "mật khẩu \\ wifi"  # noqa: S105 - of a network that does not exist


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Province]:
    """A province."""
    (tmp_path / "town").mkdir()
    one = province(tmp_path / "town")
    yield one
    one.registry.close()


def write(town: Province, gate: Gate, path: Path, **changes: Any) -> None:  # noqa: ANN401 - the card's own fields
    """All steps."""
    card = Card(gate, path, Enrolment("enrol.example.org", 8884), **{"ssh_keys": (KEY,), **changes})
    for step in steps(card, town.registry, town.authority, PHRASE):
        step.do()


def wifi(town: Province, gate: Gate) -> None:
    """The gate's site gets Wi-Fi."""
    with town.registry.change() as session:
        site = session.get(Site, gate.site)
        assert site is not None
        site.network = {"kind": "wifi", "ssid": "Xưởng gỗ"}


@pytest.mark.parametrize("form", ["cloud-init", "firstrun"])
def test_a_card_carries_a_whole_bundle(town: Province, tmp_path: Path, form: str) -> None:
    """The gate's own reader takes it, and the registry knows."""
    gate, path = town.gate(GateState.PLANNED), pi_card(tmp_path / "bootfs")
    write(town, gate, path, form=form)
    found = read_bundle(Places(path / "gate", tmp_path / "etc", tmp_path / "store"))
    assert (found.gate, found.enrol_host, found.enrol_port) == (gate.id, "enrol.example.org", 8884)
    assert town.registry.gate(gate.id).state == GateState.WRITTEN
    assert (path / "gate" / "first-boot.sh").read_bytes() == FIRST_BOOT.read_bytes()
    assert not list(path.rglob(f"*{boot.HALF}"))


def test_cloud_init_believes_what_it_reads(town: Province, tmp_path: Path) -> None:
    """By its own schema, where Debian's cloud-init is installed; and by the traps known beforehand."""
    gate, path = town.gate(), pi_card(tmp_path / "bootfs")
    wifi(town, gate)
    write(town, gate, path, wifi_password=PASSWORD)
    told = yaml.safe_load((path / "user-data").read_text())
    assert "users" not in told
    assert "packages" not in told
    assert "rpi" not in told
    assert told["user"]["lock_passwd"] is True
    assert told["ssh_pwauth"] is False
    first = yaml.safe_load((path / "meta-data").read_text())["instance-id"]
    write(town, gate, path, wifi_password=PASSWORD)
    assert yaml.safe_load((path / "meta-data").read_text())["instance-id"] != first
    if shutil.which("cloud-init") is None:
        pytest.skip("cloud-init is not installed (Debian: cloud-init)")
    done = subprocess.run(["cloud-init", "schema", "--config-file", str(path / "user-data")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


@pytest.mark.parametrize("missing", ["config.txt", "cmdline.txt", "kernel8.img", "bcm2711-rpi-4-b.dtb", "everything"])
def test_what_is_no_pis_card_is_refused_and_untouched(town: Province, tmp_path: Path, missing: str) -> None:
    """A holiday's photographs, a 32-bit card, a disk."""
    path = pi_card(tmp_path / "bootfs")
    for one in list(path.iterdir()):
        if missing in {one.name, "everything"}:
            one.unlink()
    before = sorted(one.name for one in path.iterdir())
    with pytest.raises(Refused) as refused:
        write(town, town.gate(), path)
    assert refused.value.code == "E160"
    assert missing == "everything" or missing in str(refused.value.facts["missing"]) or missing.startswith("bcm")
    assert sorted(one.name for one in path.iterdir()) == before


@pytest.mark.parametrize("form", ["cloud-init", "firstrun"])
def test_a_card_pulled_half_way_starts_nothing_and_is_mended(
    town: Province, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """At every file; then the same command again."""
    gate, real = town.gate(GateState.PLANNED), BootPartition.write
    written: list[str] = []
    pull_at: list[int] = []

    def pulled(self: BootPartition, name: str, content: bytes) -> None:
        written.append(name)
        if pull_at == [len(written)]:
            target = self.path / (name + boot.HALF)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content[: len(content) // 2])
            raise Refused("E163", path=name, why="pulled")
        real(self, name, content)

    monkeypatch.setattr(BootPartition, "write", pulled)
    write(town, town.gate(), pi_card(tmp_path / "whole"), form=form)
    total = len(written)
    assert total > 8
    for place in range(1, total + 1):
        written.clear()
        pull_at[:] = [place]
        path = pi_card(tmp_path / f"card{place}")
        with pytest.raises(Refused, match="E163"):
            write(town, gate, path, form=form)
        assert "gate" not in (path / "user-data").read_text()
        assert (path / "cmdline.txt").read_text() == CMDLINE
        pull_at.clear()
        write(town, gate, path, form=form)
        assert read_bundle(Places(path / "gate", tmp_path / "etc", tmp_path / "store")).gate == gate.id
        assert not list(path.rglob(f"*{boot.HALF}"))


def test_a_card_that_lies_is_found_out(town: Province, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read back differs."""
    path = pi_card(tmp_path / "bootfs")
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"?" if self.name.endswith(boot.HALF) else read(self))
    with pytest.raises(Refused, match="E163"):
        write(town, town.gate(), path)


def test_a_full_card_is_refused_before_anything_is_written(town: Province, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is free."""
    path = pi_card(tmp_path / "bootfs")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))  # noqa: SLF001 - the type of the answer
    with pytest.raises(Refused, match="E162"):
        write(town, town.gate(), path)
    assert not (path / "gate").exists()


@pytest.mark.parametrize("key", ["-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519 AAAA\nrm -rf", ""])
def test_what_is_no_public_key_is_refused(town: Province, tmp_path: Path, key: str) -> None:
    """Above all a private one."""
    with pytest.raises(Refused, match="E152"):
        write(town, town.gate(), pi_card(tmp_path / "bootfs"), ssh_keys=(key,))


def test_nothing_secret_stays_after_the_first_boot(town: Province, tmp_path: Path) -> None:
    """The script as it runs on the Pi, in a folder: cloud-init's copies and the card's own hold neither password nor key afterwards."""
    gate, root = town.gate(), tmp_path / "root"
    wifi(town, gate)
    (root / "boot").mkdir(parents=True)
    path = pi_card(root / "boot" / "firmware")
    write(town, gate, path, wifi_password=PASSWORD)
    (path / "gate" / "gate_1.0_arm64.deb").write_text("!<arch>\n")
    copies = root / "var/lib/cloud/instances/i"
    copies.mkdir(parents=True)
    for name in ("user-data.txt", "user-data.txt.i", "cloud-config.txt", "obj.pkl"):
        shutil.copy(path / "user-data", copies / name)
    (copies / "sem").mkdir()
    (copies / "sem" / "config_runcmd").write_text("done")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("apt-get", "systemctl"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/said\n')
        (tools / name).chmod(0o755)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "GATE_ROOT": str(root)}
    for _ in range(2):
        subprocess.run(["sh", str(path / "gate" / "first-boot.sh")], check=True, env=environment)
    said = (tmp_path / "said").read_text().splitlines()
    assert sum("apt-get install" in line for line in said) == 1
    assert sum("enable --now --no-block gate-enrol.service" in line for line in said) == 2
    left = {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}
    assert [name for name, content in left.items() if PASSWORD.encode() in content or b"wpa-psk" in content] == []
    assert [name for name, content in left.items() if b"PRIVATE KEY" in content] == ["boot/firmware/gate/claim.key.pem"]
    assert "var/lib/cloud/instances/i/sem/config_runcmd" in left
    assert yaml.safe_load((path / "user-data").read_text()) == {}


def test_the_claims_key_goes_when_the_gate_has_enrolled(town: Province, tmp_path: Path) -> None:
    """The rest of the same story: see the tests of enrolment."""
    from device.edges.certificate.enrol import shred  # noqa: PLC0415 - only here

    path = pi_card(tmp_path / "bootfs")
    write(town, town.gate(), path)
    shred(path / "gate")
    assert [one.name for one in (path / "gate").iterdir()] == ["first-boot.sh"]


@pytest.mark.skipif(shutil.which("mcopy") is None or shutil.which("mkfs.vfat") is None, reason="needs mtools and dosfstools")
def test_every_file_survives_a_real_fat(town: Province, tmp_path: Path) -> None:
    """Names and bytes, through a FAT32 image as a card has it."""
    path, image = pi_card(tmp_path / "bootfs"), tmp_path / "card.img"
    write(town, town.gate(), path)
    with image.open("wb") as file:
        file.truncate(64 << 20)
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(["mkfs.vfat", "-F", "32", "-n", "bootfs", str(image)], check=True, capture_output=True)
    subprocess.run(["mcopy", "-s", "-i", str(image), *map(str, path.iterdir()), "::"], check=True, env=environment)
    back = tmp_path / "back"
    back.mkdir()
    subprocess.run(["mcopy", "-s", "-i", str(image), "::*", str(back)], check=True, env=environment)
    digests = [
        {str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.rglob("*") if one.is_file()}
        for folder in (path, back)
    ]
    assert digests[0] == digests[1]
