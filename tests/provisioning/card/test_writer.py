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

from device.edges.certificate.enrol import Places, read_bundle
from provisioning.card import boot
from provisioning.card.boot import BootPartition
from provisioning.card.package_set import read_set
from provisioning.card.writer import FIRST_BOOT, Card, steps
from provisioning.common.errors import Refused
from provisioning.enrolment.claims import Enrolment
from provisioning.registry.tables import Gate, GateState, Site
from tests.provisioning.card.pi_card import CMDLINE, IMAGE, a_set, pi_card
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
    folder = town.folder / "packages"
    packages = read_set(folder, "arm64") if folder.exists() else a_set(folder)
    card = Card(gate, path, Enrolment("enrol.example.org", 8884), **{"packages": packages, "ssh_keys": (KEY,), **changes})
    for step in steps(card, town.registry, town.authority, PHRASE):
        step.do()


def wifi(town: Province, gate: Gate) -> None:
    """The gate's site gets Wi-Fi."""
    with town.registry.change() as session:
        site = session.get(Site, gate.site)
        assert site is not None
        site.network = {"kind": "wifi", "ssid": "Xưởng gỗ"}


def test_a_card_carries_a_whole_bundle_and_all_that_the_gate_needs(town: Province, tmp_path: Path) -> None:
    """The gate's own reader takes it, the registry knows, and the signed bundle vouches for what is set up first."""
    gate, path = town.gate(GateState.PLANNED), pi_card(tmp_path / "bootfs")
    write(town, gate, path)
    found = read_bundle(Places(path / "gate", tmp_path / "etc", tmp_path / "store"))
    assert (found.gate, found.enrol_host, found.enrol_port) == (gate.id, "enrol.example.org", 8884)
    assert town.registry.gate(gate.id).state == GateState.WRITTEN
    assert (path / "gate" / "first_boot.py").read_bytes() == FIRST_BOOT.read_bytes()
    assert {name: hashlib.sha256((path / "gate" / name).read_bytes()).hexdigest() for name in found.setup} == found.setup
    assert found.setup.keys() == {"first-boot.json", "first_boot.py", "packages/SHA256SUMS"}
    assert read_set(path / "gate" / "packages", "arm64").about.image == IMAGE
    assert not list(path.rglob(f"*{boot.HALF}"))


def test_the_password_stands_in_one_file_that_the_first_boot_takes_away(town: Province, tmp_path: Path) -> None:
    """And in nothing that cloud-init reads and keeps copies of; a card that is written again has no file of the time before."""
    gate, path = town.gate(), pi_card(tmp_path / "bootfs")
    wifi(town, gate)
    (path / "gate" / "packages").mkdir(parents=True)
    (path / "gate" / "packages" / "older_1_arm64.deb").write_text("old")
    write(town, gate, path, wifi_password=PASSWORD)
    escaped = PASSWORD.replace("\\", "\\\\").encode()
    holding = [one.name for one in path.rglob("*") if one.is_file() and escaped in one.read_bytes()]
    assert holding == ["gate.nmconnection"]
    assert not (path / "gate" / "packages" / "older_1_arm64.deb").exists()


def test_imagers_own_secrets_are_overwritten_where_they_lie(town: Province, tmp_path: Path) -> None:
    """A customised card has a password's digest and a network's key on it."""
    path = pi_card(tmp_path / "bootfs")
    for name in ("user-data", "network-config"):
        (path / name).write_bytes(b"SECRET")
    with (path / "user-data").open("rb") as user, (path / "network-config").open("rb") as network:
        write(town, town.gate(), path)
        assert (user.read(), network.read()) == (b"\0" * 6, b"\0" * 6)


def test_cloud_init_believes_what_it_reads(town: Province, tmp_path: Path) -> None:
    """By its own schema, where Debian's cloud-init is installed; the laboratory's stock card runs it."""
    gate, path = town.gate(), pi_card(tmp_path / "bootfs")
    write(town, gate, path)
    if shutil.which("cloud-init") is None:
        pytest.skip("cloud-init is not installed (Debian: cloud-init)")
    done = subprocess.run(["cloud-init", "schema", "--config-file", str(path / "user-data")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid" in done.stdout


@pytest.mark.parametrize("newer", [True, False])
def test_a_card_without_cloud_init_is_told_from_one_with_it(town: Province, tmp_path: Path, *, newer: bool) -> None:
    """E161: nothing would start the setup, so nothing is written."""
    path = pi_card(tmp_path / "bootfs")
    (path / "user-data").unlink()
    if newer:
        (path / "rpi-preseed.toml").write_text("")
    before = sorted(one.name for one in path.iterdir())
    with pytest.raises(Refused, match="E161") as refused:
        write(town, town.gate(), path)
    assert ("rpi-preseed" in str(refused.value.facts["why"])) is newer
    assert sorted(one.name for one in path.iterdir()) == before


@pytest.mark.parametrize("fault", ["another image", "no modem"])
def test_a_set_that_does_not_fit_is_refused(town: Province, tmp_path: Path, fault: str) -> None:
    """E168: of another image, or without what a mobile network needs; a card that does not say its image is taken."""
    gate, path = town.gate(), pi_card(tmp_path / "bootfs")
    if fault == "another image":
        (path / "issue.txt").write_text("Raspberry Pi reference 2027-01-01\nGenerated using pi-gen, other, stage2\n")
    else:
        with town.registry.change() as session:
            session.get_one(Site, gate.site).network = {"kind": "4g"}
    with pytest.raises(Refused, match="E168"):
        write(town, gate, path)
    assert not (path / "gate").exists()
    (path / "issue.txt").unlink()
    write(town, gate, path, packages=a_set(tmp_path / "with modem", modemmanager="1.24"))


@pytest.mark.parametrize("wrong", ["192.168.1.20", "192.168.1.0/24", "192.168.1.255/24", "192.168.1.300/24", "x"])
def test_an_address_has_a_prefix_and_is_a_machines(town: Province, tmp_path: Path, wrong: str) -> None:
    """E133."""
    path = pi_card(tmp_path / "bootfs")
    with pytest.raises(Refused, match="E133"):
        write(town, town.gate(), path, address=wrong)
    write(town, town.gate(), path, address="192.168.1.20/24")
    assert "address1=192.168.1.20/24\n" in (path / "gate" / "gate.nmconnection").read_text()


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


def test_a_card_pulled_half_way_starts_nothing_and_is_mended(town: Province, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every file; then the same command again."""
    gate, real = town.gate(GateState.PLANNED), BootPartition.write
    written: list[str] = []
    pull_at: list[int] = []

    def pulled(self: BootPartition, name: str, content: bytes) -> None:
        written.append(name)
        if pull_at == [len(written)]:
            target = self.path / (name + boot.HALF)
            target.parent.mkdir(exist_ok=True, parents=True)
            target.write_bytes(content[: len(content) // 2])
            raise Refused("E163", path=name, why="pulled")
        real(self, name, content)

    monkeypatch.setattr(BootPartition, "write", pulled)
    write(town, town.gate(), pi_card(tmp_path / "whole"))
    total = len(written)
    assert total > 8
    for place in range(1, total + 1):
        written.clear()
        pull_at[:] = [place]
        path = pi_card(tmp_path / f"card{place}")
        with pytest.raises(Refused, match="E163"):
            write(town, gate, path)
        assert "gate" not in (path / "user-data").read_text()
        assert (path / "cmdline.txt").read_text() == CMDLINE or written[-1] in {"meta-data", "network-config", "user-data"}
        pull_at.clear()
        write(town, gate, path)
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


def test_the_claims_key_goes_when_the_gate_has_enrolled(town: Province, tmp_path: Path) -> None:
    """The rest of the same story: see the tests of enrolment."""
    from device.edges.certificate.enrol import shred  # noqa: PLC0415 - only here

    path = pi_card(tmp_path / "bootfs")
    write(town, town.gate(), path)
    shred(path / "gate")
    left = {one.name for one in (path / "gate").iterdir()}
    assert left == {"packages", "first-boot.json", "first_boot.py", "gate.nmconnection"}


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
