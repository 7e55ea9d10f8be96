"""The log that the kernel's dm-log-writes keeps of a disk, and the disk as a power cut would leave it.

The log holds every write in the order in which it was completed, with the
flushes between them and the marks that the workload set. A disk that loses
power keeps all that was flushed or was written through its cache, and of the
rest any part: a write is there, is not there, or is torn at a sector.
Source: Documentation/admin-guide/device-mapper/log-writes.rst of the kernel.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAGIC: Final = 0x6A736677736872
SECTOR: Final = 512
LOST: Final = 0.5
"""Part of the unflushed writes that is lost whole."""
TORN: Final = 0.1
"""Part of them that is cut off in the middle."""

_SUPER: Final = struct.Struct("<QQQI")
_ENTRY: Final = struct.Struct("<QQQQ")
_FLUSH: Final = 1
_FUA: Final = 2
_DISCARD: Final = 4
_MARK: Final = 8


class BadLogError(Exception):
    """The file is no log of dm-log-writes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the log: data written at ``place`` (in bytes), a flush, or a mark of the workload."""

    place: int = 0
    data: bytes = b""
    flush: bool = False
    through: bool = False
    mark: str | None = None


def read_log(path: Path) -> list[Entry]:
    """All entries, in order. Raises BadLogError."""
    with path.open("rb") as file:
        magic, _version, count, sector = _SUPER.unpack(file.read(_SUPER.size))
        if magic != MAGIC:
            raise BadLogError(f"{path}: magic {magic:#x}")
        place = sector
        found = []
        for _ in range(count):
            file.seek(place)
            header = file.read(sector)
            start, sectors, flags, length = _ENTRY.unpack_from(header)
            place += sector
            if flags & _MARK:
                found.append(Entry(mark=header[_ENTRY.size : _ENTRY.size + length].rstrip(b"\0").decode()))
                continue
            data = b"" if flags & _DISCARD else file.read(sectors * sector)
            place += 0 if flags & _DISCARD else sectors * sector
            found.append(Entry(start * sector, data, bool(flags & _FLUSH), bool(flags & _FUA)))
    return found


def cut(entries: Sequence[Entry], at: int, chance: random.Random) -> Iterator[tuple[int, bytes]]:
    """What reached the disk of the first ``at`` entries, as places and data in order.

    ``entries`` before the last flush are there; of those after it each has
    its own luck, but for what was written through the cache.
    """
    flushed = last_flush(entries, at)
    for number, entry in enumerate(entries[:at]):
        data = entry.data
        if not data:
            continue
        if number > flushed and not entry.through:
            data = _survives(data, chance)
        if data:
            yield entry.place, data


def last_flush(entries: Sequence[Entry], at: int) -> int:
    """Number of the last flush among the first ``at`` entries, -1 where there is none."""
    return next((number for number in range(at - 1, -1, -1) if entries[number].flush), -1)


def _survives(data: bytes, chance: random.Random) -> bytes:
    luck = chance.random()
    if luck < LOST:
        return b""
    if luck < LOST + TORN:
        return data[: chance.randrange(len(data) // SECTOR) * SECTOR]
    return data


class Disk:
    """A disk's image at one cut after another, in rising order: what is settled is written once."""

    def __init__(self, entries: Sequence[Entry], size: int, folder: Path) -> None:
        self._entries = entries
        self._settled = folder / "settled.img"
        self._done = 0
        with self._settled.open("wb") as file:
            file.truncate(size)

    def image(self, at: int, chance: random.Random, path: Path) -> None:
        """Write the disk as it is after a cut at ``at`` to ``path``."""
        flushed = last_flush(self._entries, at) + 1
        with self._settled.open("r+b") as file:
            for entry in self._entries[self._done : flushed]:
                if entry.data:
                    file.seek(entry.place)
                    file.write(entry.data)
        self._done = max(self._done, flushed)
        _copy_sparse(self._settled, path)
        with path.open("r+b") as file:
            for place, data in cut(self._entries[flushed:], at - flushed, chance):
                file.seek(place)
                file.write(data)


def _copy_sparse(origin: Path, target: Path, block: int = 1 << 16) -> None:
    """Copy without the holes, which are most of a young disk."""
    nothing = bytes(block)
    with origin.open("rb") as old, target.open("wb") as new:
        while data := old.read(block):
            if data == nothing[: len(data)]:
                new.seek(len(data), 1)
            else:
                new.write(data)
        new.truncate(old.tell())


def marks(entries: Sequence[Entry], at: int) -> list[str]:
    """What the workload had said before the cut, in words as it was said."""
    return [entry.mark.replace(":", " ") for entry in entries[:at] if entry.mark is not None]
