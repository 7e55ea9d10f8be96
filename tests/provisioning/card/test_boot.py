"""A boot partition: known by what lies on it, written whole, swept of our own leftovers alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provisioning.card import boot
from provisioning.card.boot import HALF, BootPartition
from provisioning.common.errors import Refused
from tests.provisioning.card.pi_card import pi_card


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """As Imager leaves it."""
    return pi_card(tmp_path / "bootfs")


def test_a_folder_that_lacks_several_things_names_them_all(card: Path) -> None:
    """E160: nobody has to try again for each."""
    for name in ("config.txt", "kernel8.img", "bcm2711-rpi-4-b.dtb"):
        (card / name).unlink()
    with pytest.raises(Refused) as refused:
        BootPartition.at(card, 0)
    assert (refused.value.code, refused.value.facts["missing"]) == ("E160", "config.txt, kernel8.img, bcm27….dtb")


def test_a_pi_5s_kernel_alone_will_do(card: Path) -> None:
    """It has another name."""
    (card / "kernel8.img").rename(card / "kernel_2712.img")
    assert BootPartition.at(card, 0).path == card


def test_what_is_needed_has_to_fit_with_some_room_to_spare(card: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte; E162."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, boot.LEAST_FREE_BYTES + 100))  # noqa: SLF001 - the type of the answer
    assert BootPartition.at(card, 100).path == card
    with pytest.raises(Refused, match="E162"):
        BootPartition.at(card, 101)


def test_a_file_is_written_into_a_folder_that_is_made(card: Path) -> None:
    """And replaces the one before; no half is left."""
    partition = BootPartition.at(card, 0)
    for content in (b"one", b"two"):
        partition.write("gate/file", content)
    assert [(one.name, one.read_bytes()) for one in (card / "gate").iterdir()] == [("file", b"two")]


def test_what_is_replaced_or_swept_is_overwritten_where_it_lies(card: Path) -> None:
    """Whoever held on to the old file, as a card's free space does, finds nothing."""
    partition = BootPartition.at(card, 0)
    (card / "gate").mkdir()
    for name in ("user-data", "gate/claim.key.pem"):
        (card / name).write_bytes(b"SECRET")
    with (card / "user-data").open("rb") as seed, (card / "gate/claim.key.pem").open("rb") as key:
        partition.blank("user-data")
        partition.write("user-data", b"#cloud-config\n")
        partition.sweep("gate")
        assert (seed.read(), key.read()) == (b"\0" * 6, b"\0" * 6)
    assert (card / "user-data").read_bytes() == b"#cloud-config\n"
    partition.blank("nowhere")


def test_a_sweep_takes_halves_and_our_folders_files_and_nothing_else(card: Path) -> None:
    """The Pi's own files stay."""
    before = sorted(one.name for one in card.iterdir())
    (card / f"user-data{HALF}").write_text("half")
    (card / "gate" / "kept").mkdir(parents=True)
    (card / "gate" / "claim.key.pem").write_text("old")
    BootPartition.at(card, 0).sweep("gate")
    assert sorted(one.name for one in card.iterdir() if one.is_file()) == before
    assert [one.name for one in (card / "gate").iterdir()] == ["kept"]
