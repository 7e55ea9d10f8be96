"""How an event becomes a row of the journal, and a row an event.

What a row says later (its body, its fate) goes into a room that is reserved
when it is written, so that no row ever grows, and with it none ever moves:
see ``schema``. Every row carries a checksum of its own, because SQLite
has none: a flipped bit in a card's flash must not travel on as a different
passage.
"""

from __future__ import annotations

import json
import os
import struct
import uuid
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final, TypeAlias

from device.core.types import Channel, ClockReading, Direction, JsonObject, Passage, Stored

Row: TypeAlias = "tuple[Any, ...]"

CLOCK_COLUMNS: Final = "boot_id, mono_ns, boot_ns, wall_ns, trust, doubt_ms"
"""A reading of the clocks, as ``at_values`` makes it and ``reading_of`` reads it."""
EVENT_COLUMNS: Final = f"seq, id, kind, {CLOCK_COLUMNS}, data, crc"
"""An event as it was recorded, as ``Record.values`` makes it and ``record_of`` reads it."""


class RowState(IntEnum):
    """What has become of an event. None is 0 or 1, which SQLite stores shorter: a change of state must not change a row's size."""

    WAITING = 2
    CONFIRMED = 3
    DEAD = 4
    ERASED = 5


class RowKind(IntEnum):
    """What a row is; those above 0 are few and have an index."""

    CHECKIN = 0
    AUDIT = 1
    GAP = 2

    @property
    def channel(self) -> Channel:
        """The channel on which rows of this kind are published."""
        return Channel.CHECKIN if self is RowKind.CHECKIN else Channel.AUDIT


class RowDamaged(ValueError):
    """A row is there and can be read, but is not what was written."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an event when it is handed in, and never changes. ``data`` is its JSON object in UTF-8."""

    id: str
    kind: RowKind
    at: ClockReading
    data: bytes

    @property
    def crc(self) -> bytes:
        """Checksum over all of it."""
        return _crc(repr((self.id, int(self.kind), at_values(self.at), self.data)).encode("utf-8", "surrogatepass"))

    def values(self, seq: int) -> Row:
        """In the order of ``EVENT_COLUMNS``."""
        return (seq, self.id, int(self.kind), *at_values(self.at), self.data, self.crc)

    def stored(self, epoch: str, seq: int) -> Stored:
        """For whoever makes the body. Raises RowDamaged where the data is no JSON object."""
        return Stored(epoch, seq, self.id, self.kind.channel, parse_object(self.data), self.at)


def record_of(row: Row) -> tuple[int, Record]:
    """The sequence number and the record in a row of ``EVENT_COLUMNS``. Raises RowDamaged."""
    seq, ident, kind, *at, data, crc = row
    try:
        record = Record(ident, RowKind(kind), reading_of(at), data)
    except ValueError as error:
        raise RowDamaged("a row of the journal has impossible values") from error
    if not isinstance(seq, int) or not isinstance(ident, str) or not isinstance(data, bytes) or record.crc != crc:
        raise RowDamaged("a row of the journal does not match its checksum")
    return seq, record


_SHEET: Final = struct.Struct("<I4siq28s")
_ENVELOPE_BYTES: Final = 1000
"""Of a body, what is not its data: attributes, chain and signature take about 850."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The part of a row that is written later, in a room reserved for it: the body, and what became of the event.

    ``boot`` and ``boot_ns`` say when it was confirmed or buried (``boot`` is
    the number of the boot in this file), ``reason`` why it was buried.
    """

    room: int
    body: bytes | None = None
    boot: int = 0
    boot_ns: int = 0
    reason: str = ""

    @classmethod
    def reserved(cls, data: bytes) -> Leaf:
        """Empty, with room for the body that is likely to come of this data."""
        return cls(_SHEET.size + len(data) + _ENVELOPE_BYTES)

    def pack(self) -> bytes:
        """As it stands in the row; longer than the room only where the body does not fit."""
        body = self.body or b""
        head = _SHEET.pack(len(body), _crc(body), self.boot, self.boot_ns, self.reason.encode("ascii", "replace")[:28])
        return (head + body).ljust(self.room, b"\0")

    @classmethod
    def unpack(cls, packed: bytes) -> Leaf:
        """What stands in a row. Raises RowDamaged."""
        try:
            length, crc, boot, boot_ns, reason = _SHEET.unpack_from(packed)
        except (struct.error, TypeError) as error:
            raise RowDamaged("a row of the journal is cut off") from error
        body = packed[_SHEET.size : _SHEET.size + length]
        if length and (len(body) != length or _crc(body) != crc):
            raise RowDamaged("a published body does not match its checksum")
        return cls(len(packed), body or None, boot, boot_ns, reason.rstrip(b"\0").decode("ascii", "replace"))

    def frozen(self, body: bytes) -> Leaf:
        """With the body in it."""
        return replace(self, body=body)


_SLOT: Final = struct.Struct("<q64s3s64sqqqBI")
SLOT_BYTES: Final = _SLOT.size + 4


def pack_slot(seq: int, passage: Passage) -> bytes:
    """A passage in a slot's fixed size. Raises ValueError for a subject or boot id above 64 bytes."""
    boot_id, mono_ns, boot_ns, wall_ns, trust, doubt_ms = at_values(passage.at)
    subject, boot = passage.subject.encode(), boot_id.encode()
    if len(subject) > 64 or len(boot) > 64:  # noqa: PLR2004  the sizes in _SLOT
        raise ValueError("the subject or boot id of a passage is longer than 64 bytes")
    content = _SLOT.pack(seq, subject, passage.direction.value.encode(), boot, mono_ns, boot_ns, wall_ns, trust, min(doubt_ms, 2**32 - 1))
    return content + _crc(content)


def unpack_slot(packed: bytes) -> tuple[int, Passage] | None:
    """The sequence number of the event and the passage in a slot; None for an empty one. Raises RowDamaged."""
    if not any(packed):
        return None
    if len(packed) != SLOT_BYTES or _crc(packed[:-4]) != packed[-4:]:
        raise RowDamaged("a remembered passage does not match its checksum")
    seq, subject, direction, boot, mono_ns, boot_ns, wall_ns, trust, doubt_ms = _SLOT.unpack_from(packed)
    at = reading_of((_text(boot), mono_ns, boot_ns, wall_ns, trust, doubt_ms))
    return seq, Passage(_text(subject), Direction(_text(direction)), at)


def _text(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode()


def _crc(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def at_values(at: ClockReading) -> Row:
    """A reading in the order of ``CLOCK_COLUMNS``; trust is 0 for none, 1 for synchronised, 2 for held over."""
    trust = (2 if at.held_over else 1) if at.trusted else 0
    return (at.boot_id, at.monotonic_ns, at.boot_ns, at.wall_ns, trust, at.uncertainty_ms)


def reading_of(values: Row | list[Any]) -> ClockReading:
    """The reading in ``CLOCK_COLUMNS``. Raises ValueError for anything else."""
    boot_id, mono_ns, boot_ns, wall_ns, trust, doubt_ms = values
    if not isinstance(boot_id, str) or not all(isinstance(number, int) for number in (mono_ns, boot_ns, wall_ns, trust, doubt_ms)):
        raise RowDamaged("not a reading of the clocks")
    return ClockReading(mono_ns, boot_ns, wall_ns, boot_id, trust > 0, trust > 1, doubt_ms)


def parse_object(data: bytes) -> JsonObject:
    """A JSON object. Raises RowDamaged for anything else."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise RowDamaged("the data of a row is not JSON") from error
    if not isinstance(found, dict):
        raise RowDamaged("the data of a row is not a JSON object")
    return found


def uuid7(wall_ns: int) -> str:
    """A UUIDv7 (RFC 9562): milliseconds of the wall clock, right or wrong, and 74 random bits."""
    milliseconds = min(max(0, wall_ns // 1_000_000), 2**48 - 1)
    noise = int.from_bytes(os.urandom(10), "big") & (2**74 - 1)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | (noise >> 62) << 64 | 2 << 62 | noise & (2**62 - 1)))
