"""How an event becomes a row and a row an event: nothing that was changed on the disk is taken for what was written."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from device.core.timeline import Stamp
from device.core.types import Channel, Direction, Passage, Stored
from device.edges.record.journal import SqliteJournal
from device.edges.record.rows import (
    EVENT_COLUMNS,
    SLOT_BYTES,
    Leaf,
    Record,
    RowDamaged,
    RowKind,
    at_values,
    pack_slot,
    reading_of,
    record_of,
    unpack_slot,
    uuid7,
)
from tests.edges.record.kit import AT
from tests.entries import FREEZE, Opener, checkin, numbers, parsed, section, settle
from tests.fakes.clock import FakeClock


def test_a_body_larger_than_its_room_is_kept_all_the_same(path: Path, clock: FakeClock) -> None:
    """The room reserved for a body is a guess; a long signature costs a moved row, not an event."""

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        return FREEZE(stored, stamp, prev) + b" " * 5000

    clock.restart("boot-2")
    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        assert [len(one.body) > 5000 for one in journal.waiting(0, 10)] == [True] * 3
        assert numbers(journal.waiting(0, 10)) == [1, 2, 3]


@pytest.mark.usefixtures("old")
def test_a_flipped_bit_in_a_body_is_not_sent(opener: Opener) -> None:
    """SQLite sees nothing wrong with it; the row's own checksum does, and the event is put aside as damaged."""
    content = opener.path.read_bytes()
    place = content.rindex(b'"n":200,"prev"')
    with opener.path.open("r+b") as file:
        file.seek(place + 5)
        file.write(b"9")
    journal = opener()
    out = journal.waiting(0, 5000)
    assert 200 not in numbers(out)
    assert 900 not in numbers(out)
    letters = [parsed(one)["data"] for one in journal.waiting(0, 5000) if one.channel is Channel.AUDIT]
    assert [(letter["seq"], letter["reason"]) for letter in letters if letter["what"] == "dead_letter"][-1] == (200, "damaged")


def test_a_flipped_bit_in_an_unfrozen_event_is_not_sent(opener: Opener, clock: FakeClock) -> None:
    """The same for what has no body yet."""
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(101, 104)])
    journal.close()
    content = opener.path.read_bytes()
    with opener.path.open("r+b") as file:
        file.seek(content.rindex(b'"n":102') + 4)
        file.write(b"9")
    journal = opener()
    assert numbers(journal.waiting(0, 10)) == [101, 103]
    assert parsed(journal.waiting(0, 10)[-1])["data"]["reason"] == "damaged"


# ------------------------------------------------------------- a record, and the row it becomes

RECORD = Record("id", RowKind.AUDIT, AT, b'{"n":1}')


def test_the_columns_of_an_event_are_the_same_in_every_file() -> None:
    """A row that a gate in the field wrote years ago is read by the same values and the same checksum."""
    assert RECORD.values(7) == (7, "id", 1, "boot-1", 1, 2, 3, 1, 4, b'{"n":1}', b"\x1d/(\xba")
    assert EVENT_COLUMNS == "seq, id, kind, boot_id, mono_ns, boot_ns, wall_ns, trust, doubt_ms, data, crc"
    assert record_of(RECORD.values(7)) == (7, RECORD)


@pytest.mark.parametrize("column", range(11))
@pytest.mark.parametrize("other", ["text", -1, 10**12, None, b"bytes"])
def test_a_row_that_was_changed_is_damaged(column: int, other: object) -> None:
    """Whatever stands in a column instead, the row is no event; only the number of the row is not in the checksum."""
    changed = [*RECORD.values(7)]
    changed[column] = other
    if column == 0 and isinstance(other, int):
        assert record_of(tuple(changed)) == (other, RECORD)
        return
    with pytest.raises(RowDamaged, match=r"impossible values|does not match its checksum|not a reading"):
        record_of(tuple(changed))


@pytest.mark.parametrize("column", [1, 9])
def test_values_of_another_type_are_damage_though_their_checksum_is_good(column: int) -> None:
    """A checksum made over bytes where text belongs is a mistake that must not travel on."""
    wrong = replace(RECORD, id=b"id") if column == 1 else replace(RECORD, data="text")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(RowDamaged, match="does not match"):
        record_of(wrong.values(7))


def test_an_identifier_of_any_text_has_a_checksum() -> None:
    """Half a surrogate pair, as a damaged row may hold, is no reason to fail."""
    odd = replace(RECORD, id="\ud800")
    assert record_of(odd.values(1)) == (1, odd)


@pytest.mark.parametrize(
    ("kind", "channel"), [(RowKind.CHECKIN, Channel.CHECKIN), (RowKind.AUDIT, Channel.AUDIT), (RowKind.GAP, Channel.AUDIT)]
)
def test_each_kind_has_its_channel(kind: RowKind, channel: Channel) -> None:
    """Check-ins are published as such, all else is about the gate."""
    stored = replace(RECORD, kind=kind).stored("epoch", 7)
    assert stored == Stored("epoch", 7, "id", channel, {"n": 1}, AT)


@pytest.mark.parametrize(
    ("data", "why"), [(b"{", "not JSON"), (b"\xff\xfe\xfd", "not JSON"), (b"[1]", "not a JSON object"), (b"1", "object")]
)
def test_data_that_is_no_object_is_damage(data: bytes, why: str) -> None:
    """Also with a good checksum: nobody could publish it."""
    with pytest.raises(RowDamaged, match=why):
        replace(RECORD, data=data).stored("epoch", 1)


@pytest.mark.parametrize(("trusted", "held_over", "number"), [(False, False, 0), (True, False, 1), (True, True, 2)])
def test_how_far_a_clock_was_trusted_is_one_number(trusted: bool, held_over: bool, number: int) -> None:  # noqa: FBT001  the table above
    """None, synchronised, held over: in that order, so that a later kind of trust can be told from none."""
    at = replace(AT, trusted=trusted, held_over=held_over)
    assert at_values(at) == ("boot-1", 1, 2, 3, number, 4)
    assert reading_of(at_values(at)) == at


@pytest.mark.parametrize("column", range(6))
def test_a_reading_of_other_types_is_damage(column: int) -> None:
    """Numbers where numbers belong, text where text belongs."""
    values = [*at_values(AT)]
    values[column] = 5 if column == 0 else "5"
    with pytest.raises(RowDamaged, match="not a reading of the clocks"):
        reading_of(values)


# ------------------------------------------------------------- the part that is written later

PACKED = b"\x04\x00\x00\x00\xb2\x0b\xa8\xdb\x03\x00\x00\x00\t\x00\x00\x00\x00\x00\x00\x00damaged".ljust(48, b"\0") + b"body"


def test_a_leaf_is_laid_out_the_same_in_every_file() -> None:
    """Length, checksum, boot, moment, reason and body, then zeros to the end of the room."""
    leaf = Leaf(80, b"body", 3, 9, "damaged")
    assert leaf.pack() == PACKED.ljust(80, b"\0")
    assert Leaf.unpack(leaf.pack()) == leaf


def test_a_leaf_is_reserved_with_room_for_the_body_that_will_come() -> None:
    """A thousand bytes more than the data, and its own head: the row does not grow when the body is put in."""
    room = Leaf.reserved(b"x" * 500)
    assert room == Leaf(48 + 500 + 1000)
    assert len(room.pack()) == 1548
    assert len(room.frozen(b"y" * 1500).pack()) == 1548
    assert len(room.frozen(b"y" * 1501).pack()) == 1549
    assert Leaf.unpack(room.pack()).body is None
    assert Leaf.unpack(room.frozen(b"body").pack()).body == b"body"


def test_a_reason_is_cut_to_its_place() -> None:
    """Twenty-eight letters of ASCII, whatever was given."""
    assert Leaf.unpack(Leaf(60, reason="a" * 40).pack()).reason == "a" * 28
    assert Leaf.unpack(Leaf(60, reason="lỗi").pack()).reason == "l?i"
    odd = bytearray(Leaf(60, reason="abc").pack())
    odd[21] = 0xFF
    assert Leaf.unpack(bytes(odd)).reason == "a\ufffdc"


@pytest.mark.parametrize("packed", [b"", PACKED[:47], "text", None], ids=["nothing", "short", "text", "none"])
def test_a_leaf_that_is_cut_off_is_damage(packed: bytes) -> None:
    """Less than its head cannot be read."""
    with pytest.raises(RowDamaged, match="cut off"):
        Leaf.unpack(packed)


@pytest.mark.parametrize("change", [(0, 5), (0, 3), (4, 0), (48, 0), (51, 0)])
def test_a_body_that_was_changed_is_damage(change: tuple[int, int]) -> None:
    """Its length, its checksum or one of its bytes."""
    packed = bytearray(PACKED)
    packed[change[0]] = change[1]
    with pytest.raises(RowDamaged, match="published body"):
        Leaf.unpack(bytes(packed))


# ------------------------------------------------------------- a passage in its slot

SLOT = (
    (5).to_bytes(8, "little") + b"ab".ljust(64, b"\0") + b"in\0" + b"boot-1".ljust(64, b"\0")
    + b"".join(number.to_bytes(8, "little") for number in (1, 2, 3)) + b"\x01" + (4).to_bytes(4, "little") + bytes.fromhex("a955068f")
)  # fmt: skip


def test_a_slot_is_laid_out_the_same_in_every_file() -> None:
    """Number, subject, direction, moment and checksum, each in its place."""
    passage = Passage("ab", Direction.IN, AT)
    assert pack_slot(5, passage) == SLOT
    assert len(SLOT) == SLOT_BYTES
    assert unpack_slot(SLOT) == (5, passage)


def test_an_empty_slot_holds_nobody() -> None:
    """Zeros, of which a file is full."""
    assert unpack_slot(bytes(SLOT_BYTES)) is None


@pytest.mark.parametrize("packed", [SLOT[:-1], SLOT + b"\0", b"\x01" + SLOT[1:], SLOT[:-1] + b"\0", b"x"])
def test_a_slot_that_was_changed_is_damage(packed: bytes) -> None:
    """Any byte of it."""
    with pytest.raises(RowDamaged, match="remembered passage"):
        unpack_slot(packed)


def test_what_fits_a_slot_exactly_is_taken_and_a_byte_more_is_not() -> None:
    """Sixty-four bytes of a subject, and of the name of a boot; a doubt beyond what four bytes hold is as good as the largest."""
    at = replace(AT, boot_id="b" * 64, uncertainty_ms=2**40)
    seq, passage = unpack_slot(pack_slot(1, Passage("s" * 64, Direction.OUT, at))) or (0, None)
    assert (seq, passage) == (1, Passage("s" * 64, Direction.OUT, replace(at, uncertainty_ms=2**32 - 1)))
    for long in (Passage("s" * 65, Direction.IN, AT), Passage("s", Direction.IN, replace(AT, boot_id="b" * 65))):
        with pytest.raises(ValueError, match="longer than 64 bytes"):
            pack_slot(1, long)


# ------------------------------------------------------------- ids


@pytest.mark.parametrize(
    ("wall_ns", "milliseconds"), [(1_790_000_000_123_999_999, 1_790_000_000_123), (-5, 0), (0, 0), (2**80, 2**48 - 1), (10**6, 1)]
)
def test_an_id_begins_with_the_time(wall_ns: int, milliseconds: int) -> None:
    """Version 7 of RFC 9562: 48 bits of milliseconds, and a clock that is far off is as near as that can say."""
    made = uuid.UUID(uuid7(wall_ns))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == milliseconds


def test_ids_of_one_moment_are_all_different() -> None:
    """Each bit that is left is chance: among a thousand, every one of the 74 is sometimes 0 and sometimes 1."""
    made = [uuid.UUID(uuid7(0)).int for _ in range(1000)]
    assert len(set(made)) == 1000
    always, ever = 2**128 - 1, 0
    for number in made:
        always, ever = always & number, ever | number
    fixed = 7 << 76 | 2 << 62
    assert always == fixed
    assert ever == fixed | (2**12 - 1) << 64 | (2**62 - 1)
