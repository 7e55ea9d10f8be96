"""Lists on the card: verified, replaced whole, old versions known."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from device.core import wire
from device.core.hash_lists import delta, snapshot
from device.core.rules import Standing
from device.core.types import ClockReading
from device.edges.keys.trust_files import Province
from device.edges.lists import installed
from device.edges.lists.installed import MANIFEST, GateList
from tests.desk import Desk

HOUR_NS = 3_600_000_000_000
ISSUED = "2026-11-23T00:00:00Z"
ISSUED_NS = wire.seconds_of(ISSUED) * 1_000_000_000
ANNA, BERTA = b"a" * 32, b"b" * 32


def manifest(desk: Desk, entries: bytes, version: int = 1, **changes: object) -> bytes:
    """Of a list with these entries, signed."""
    blob = {"sha256": hashlib.sha256(entries).hexdigest(), "bytes": len(entries)}
    told = {"type": "vn.gate.list.v1", "gate": "all", "issued": ISSUED, "name": "staff", "version": version, "snapshot": blob}
    return desk.sign({**told, "expires": "2026-12-23T00:00:00Z", **changes})


def reading(after_h: float, *, trusted: bool = True) -> ClockReading:
    """So many hours after the list was issued."""
    return ClockReading(1, 1, ISSUED_NS + int(after_h * HOUR_NS), "b", trusted)


def a_list(folder: Path) -> GateList:
    """A list that ages after a day and is stale after a week."""
    one = GateList("staff", folder, ageing_ns=24 * HOUR_NS, stale_ns=168 * HOUR_NS)
    one.folder.mkdir(parents=True, exist_ok=True)
    return one


def install(one: GateList, desk: Desk, *subjects: bytes, version: int = 1) -> None:
    """Put a list in force."""
    entries = snapshot(subjects)
    body = manifest(desk, entries, version)
    found = desk.province.read(wire.ListManifest, body)
    assert isinstance(found, wire.ListManifest)
    one.install(found, body, [entries])


def test_a_list_outlives_the_program(tmp_path: Path) -> None:
    """What was installed is there at the next start, and tells its version and age."""
    desk = Desk()
    install(a_list(tmp_path), desk, ANNA, version=7)
    again = a_list(tmp_path)
    assert again.load(desk.province) is None
    assert again.members is not None
    assert (ANNA in again.members, BERTA in again.members, len(again.members)) == (True, False, 1)
    assert again.use(reading(2)) == wire.ListInUse(name="staff", version="7", age_s=7200)
    assert again.use(reading(2, trusted=False)).age_s is None


def test_an_empty_list_is_a_list(tmp_path: Path) -> None:
    """An allow list of nobody admits nobody; it is not the same as none."""
    desk = Desk()
    install(a_list(tmp_path), desk)
    again = a_list(tmp_path)
    assert again.load(desk.province) is None
    assert again.members is not None
    assert ANNA not in again.members


@pytest.mark.parametrize(
    ("after_h", "standing"),
    [(-5, Standing.FRESH), (0, Standing.FRESH), (24, Standing.AGEING), (168, Standing.STALE), (30 * 24, Standing.EXPIRED)],
)
def test_the_ladder_of_ages(tmp_path: Path, after_h: float, standing: Standing) -> None:
    """A list ages by the date that was signed; without the time it counts as stale."""
    one = a_list(tmp_path)
    assert one.standing(reading(after_h)) is Standing.MISSING
    install(one, Desk(), ANNA)
    assert one.standing(reading(after_h)) is standing
    assert one.standing(reading(after_h, trusted=False)) is Standing.STALE


@pytest.mark.parametrize("damage", ["entries", "cut", "gone", "manifest", "foreign", "name", "no key"])
def test_whatever_is_wrong_on_the_card_is_said_and_there_is_no_list(tmp_path: Path, damage: str) -> None:
    """Rather none than half a deny list; the version is still known, so that no older one comes in its place."""
    desk = Desk()
    one = a_list(tmp_path)
    install(one, desk, ANNA, BERTA, version=3)
    (entries,) = one.folder.glob("*.hashes")
    province = desk.province
    if damage == "entries":
        entries.write_bytes(entries.read_bytes()[:-1] + b"x")
    elif damage == "cut":
        entries.write_bytes(entries.read_bytes()[:-16])
    elif damage == "gone":
        entries.unlink()
    elif damage == "manifest":
        (one.folder / MANIFEST).write_bytes(b"{}")
    elif damage == "foreign":
        province = Desk().province
    elif damage == "name":
        (one.folder / MANIFEST).write_bytes(manifest(desk, snapshot([ANNA]), name="deny"))
    else:
        province = Province()
    again = a_list(tmp_path)
    assert again.load(province)
    assert again.members is None
    assert again.floor == (3 if damage in {"entries", "cut", "gone"} else 0)


def test_entries_that_were_not_signed_or_not_sorted_leave_the_old_list_in_force(tmp_path: Path) -> None:
    """On the card and in memory, with nothing left behind."""
    desk, one = Desk(), a_list(tmp_path)
    install(one, desk, ANNA)
    for entries, signed in ((snapshot([BERTA]), snapshot([ANNA, BERTA])), (BERTA[:16] + ANNA[:16], BERTA[:16] + ANNA[:16])):
        body = manifest(desk, signed, 2)
        found = desk.province.read(wire.ListManifest, body)
        assert isinstance(found, wire.ListManifest)
        with pytest.raises(ValueError, match="the entries are not"):
            one.install(found, body, [entries])
        again = a_list(tmp_path)
        assert again.load(desk.province) is None
        for held in (one, again):
            assert held.members is not None
            assert (ANNA in held.members, BERTA in held.members) == (True, False)
        assert len(list(one.folder.iterdir())) == 2


def test_a_full_card_leaves_the_old_list_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is replaced before everything is there."""
    desk, one = Desk(), a_list(tmp_path)
    install(one, desk, ANNA)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace_durably", "_write"):
        with monkeypatch.context() as patch:
            patch.setattr(installed, name, full)
            with pytest.raises(OSError, match="No space"):
                install(one, desk, BERTA, version=2)
        assert one.members is not None
        assert ANNA in one.members
        again = a_list(tmp_path)
        assert again.load(desk.province) is None
        assert again.members is not None
        assert ANNA in again.members


def test_a_change_is_made_of_the_list_in_force(tmp_path: Path) -> None:
    """The new list is made of the old one without holding both in memory."""
    desk, one = Desk(), a_list(tmp_path)
    install(one, desk, ANNA)
    old, new = snapshot([ANNA]), snapshot([BERTA])
    body = manifest(desk, new, 2)
    found = desk.province.read(wire.ListManifest, body)
    assert isinstance(found, wire.ListManifest)
    one.install(found, body, one.changed(delta(old, new)))
    assert one.members is not None
    assert (ANNA in one.members, BERTA in one.members, one.floor) == (False, True, 2)
    with pytest.raises(ValueError, match="there is no list to change"):
        list(GateList("other", tmp_path, ageing_ns=1, stale_ns=1).changed(delta(old, new)))
