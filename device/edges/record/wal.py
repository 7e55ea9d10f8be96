"""Bits that rotted in the record's write-ahead log: seen, and mended as far as that can be done.

SQLite reads a log up to the first frame whose checksum is wrong and forgets
the rest without a word. After a power cut that is right: the rest was never
promised. But where whole transactions follow the wrong frame, each of which
was on the disk before the next began, the disk has changed what was promised.
Then all frames but that one are still good, so the checksums are made anew
and the log is read whole; what stands in the wrong frame is left to the
checksums of the rows.

Pure. Source: SQLite's "WAL-mode File Format", sections 2 to 4.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import mul
from typing import Final

HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
_BASE_MAGIC: Final = 0x377F0682
"""With little-endian checksums; the next number is the one with big-endian ones."""
_FORMAT: Final = 3_007_000
_WORD: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a frame begins, its page and salts, and after a commit the pages of the file, else 0."""

    at: int
    page: int
    commit: int
    salts: tuple[int, int]


def is_rotten(log: bytes, page_bytes: int, taken: int) -> bool:
    """Whether whole transactions follow the ``taken`` frames that SQLite reads: the disk has lost what it had kept."""
    frames = list(_frames(log, page_bytes))
    salts = _salts(log, frames)
    return sum(frame.salts == salts and frame.commit > 0 for frame in frames[taken:]) > 1


def mended(log: bytes, page_bytes: int) -> bytes:
    """The same log with a good header and good checksums, to the last frame that belongs to it."""
    frames = list(_frames(log, page_bytes))
    salts = _salts(log, frames)
    if salts is None:
        return b""
    belonging = max(place for place, frame in enumerate(frames) if frame.salts == salts) + 1
    order, out = _order(log), bytearray()
    out += struct.pack(">4I", _BASE_MAGIC + (order == ">"), _FORMAT, page_bytes, struct.unpack(">I", log[12:16])[0])
    out += struct.pack(">2I", *salts)
    state = _checksum(out, order, (0, 0))
    out += struct.pack(">2I", *state)
    for frame in frames[:belonging]:
        head = struct.pack(">2I", frame.page, frame.commit)
        content = log[frame.at + FRAME_HEADER_BYTES : frame.at + FRAME_HEADER_BYTES + page_bytes]
        state = _checksum(head + content, order, state)
        out += head + struct.pack(">4I", *salts, *state) + content
    return bytes(out)


def _frames(log: bytes, page_bytes: int) -> Iterator[_Frame]:
    """The whole frames of a log, whatever they hold."""
    step = FRAME_HEADER_BYTES + page_bytes
    for at in range(HEADER_BYTES, len(log) - step + 1, step):
        page, commit, *salts = struct.unpack(">4I", log[at : at + 16])
        yield _Frame(at, page, commit, (salts[0], salts[1]))


def _salts(log: bytes, frames: Sequence[_Frame]) -> tuple[int, int] | None:
    """What the frames of this log have in common, by the header, or by the first frames where the header has rotted."""
    if len(log) < HEADER_BYTES or not frames:
        return None
    said = struct.unpack(">2I", log[16:24])
    if frames[0].salts == said:
        return frames[0].salts
    # A log that was begun anew has the frames of the one before it behind its own, so the most common of the first few is asked for.
    common, count = Counter(frame.salts for frame in frames[:5]).most_common(1)[0]
    return common if count > 1 else (said[0], said[1])


def _order(log: bytes) -> str:
    """The byte order of the checksums, for ``struct``."""
    return ">" if struct.unpack(">I", log[:4])[0] == _BASE_MAGIC + 1 else "<"


def _checksum(data: bytes | bytearray, order: str, state: tuple[int, int]) -> tuple[int, int]:
    """SQLite's running checksum over pairs of words: ``s0 += x0 + s1; s1 += x1 + s0``.

    Each result is a sum of all words with fixed factors, which Python adds up
    much faster than it goes round a loop.
    """
    count = len(data) // 4
    words = struct.unpack(f"{order}{count}I", data)
    of_s0, of_s1 = _factors(count)
    first, second = state
    s0 = sum(map(mul, of_s0[2:], words)) + of_s0[0] * first + of_s0[1] * second
    s1 = sum(map(mul, of_s1[2:], words)) + of_s1[0] * first + of_s1[1] * second
    return s0 % _WORD, s1 % _WORD


@cache
def _factors(count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """By what the two sums before, and then each of ``count`` words, count in the two sums after."""
    # Backwards: how a change of (s0, s1) before the last k pairs shows after them, as (to s0, to s1) for each.
    by_s0, by_s1 = (1, 0), (0, 1)
    factors: list[tuple[int, int]] = []
    for _ in range(count // 2):
        # x1 goes into s1; x0 into s0, and by s0 into s1.
        factors += [by_s1, ((by_s0[0] + by_s1[0]) % _WORD, (by_s0[1] + by_s1[1]) % _WORD)]
        by_s0, by_s1 = (
            ((by_s0[0] + by_s1[0]) % _WORD, (by_s0[1] + by_s1[1]) % _WORD),
            ((by_s0[0] + 2 * by_s1[0]) % _WORD, (by_s0[1] + 2 * by_s1[1]) % _WORD),
        )
    ordered = [by_s0, by_s1, *reversed(factors)]
    return tuple(pair[0] for pair in ordered), tuple(pair[1] for pair in ordered)
