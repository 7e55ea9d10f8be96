"""Lists of persons as bytes: sorted entries of 16 bytes, the first half of each person's keyed hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ENTRY_BYTES: Final = 16
COUNT_BYTES: Final = 4

Entries = bytes | memoryview
"""Whole entries, one after the other."""


def snapshot(subjects: Iterable[bytes]) -> bytes:
    """The entries of some subjects (32 bytes each, or their first half): sorted, none twice."""
    return b"".join(sorted({subject[:ENTRY_BYTES] for subject in subjects}))


def is_snapshot(entries: Entries) -> bool:
    """Whether entries are whole, sorted and none of them twice."""
    if len(entries) % ENTRY_BYTES:
        return False
    before = b""
    for entry in _each(entries):
        if entry <= before:
            return False
        before = entry
    return True


def position(entries: Entries, entry: bytes) -> int:
    """At which place an entry stands, or would stand: a binary search."""
    low, high = 0, len(entries) // ENTRY_BYTES
    while low < high:
        middle = (low + high) // 2
        if bytes(entries[middle * ENTRY_BYTES : (middle + 1) * ENTRY_BYTES]) < entry:
            low = middle + 1
        else:
            high = middle
    return low


def holds(entries: Entries, subject: bytes) -> bool:
    """Whether a subject (32 bytes) is among sorted entries."""
    start = position(entries, entry := subject[:ENTRY_BYTES]) * ENTRY_BYTES
    return bytes(entries[start : start + ENTRY_BYTES]) == entry


def delta(old: bytes, new: bytes) -> bytes:
    """What leads from one snapshot to another: how many go (four bytes, big-endian), those, then those that come; both sorted."""
    before, after = set(_each(old)), set(_each(new))
    gone = sorted(before - after)
    return len(gone).to_bytes(COUNT_BYTES, "big") + b"".join(gone) + b"".join(sorted(after - before))


def applied(old: Entries, change: bytes) -> Iterator[Entries]:
    """The snapshot after a change, in pieces. What lies between two changes is handed on whole.

    Raises ValueError where the change does not fit: something goes that is not there, or comes that is.
    """
    gone_count = int.from_bytes(change[:COUNT_BYTES], "big")
    split = COUNT_BYTES + gone_count * ENTRY_BYTES
    gone, come = change[COUNT_BYTES:split], change[split:]
    if len(change) < split or not (is_snapshot(gone) and is_snapshot(come)):
        raise ValueError("not a change of a list")
    changes = sorted([(entry, False) for entry in _each(gone)] + [(entry, True) for entry in _each(come)])
    at = 0
    for entry, comes in changes:
        place = position(old, entry) * ENTRY_BYTES
        there = bytes(old[place : place + ENTRY_BYTES]) == entry
        if there is comes:
            raise ValueError("the change is of another list")
        yield old[at:place]
        at = place if comes else place + ENTRY_BYTES
        if comes:
            yield entry
    yield old[at:]


def _each(entries: Entries) -> Iterator[bytes]:
    for start in range(0, len(entries), ENTRY_BYTES):
        yield bytes(entries[start : start + ENTRY_BYTES])
