"""Reading what can be read of a journal that is damaged, or was made by a newer program.

The events keep their ids and times and get new numbers in a new epoch. They
are all sent again, those that were confirmed or dead letters too, because
nobody can say any more what the province has.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device.core.timeline import Timeline
from device.edges.record import statements
from device.edges.record.gaps import gap_in
from device.edges.record.rows import SLOT_BYTES, Leaf, Record, Row, RowDamaged, RowKind, RowState, record_of
from device.edges.record.schema import Connect, open_for_reading, read_meta, read_timeline, write_boots
from device.edges.record.store import RowCounts

LOOKUPS: Final = 200_000
"""Places that are tried one by one where a stretch of the file cannot be read in order."""
BLIND_LOOKUPS: Final = 1_000
"""The same where not even the newest number can be read."""


@dataclass(slots=True)
class Salvaged:
    """What came of reading a damaged file. ``rows`` were carried over, ``waiting`` of all that was read were still to be sent."""

    epoch: str | None = None
    rows: int = 0
    waiting: int = 0
    unreadable: int = 0
    dropped: int = 0

    def compare(self, expected: int) -> None:
        """Where rows are missing without an error, the counts that the file kept tell."""
        self.unreadable = max(self.unreadable, expected - self.waiting)


def carry_over(path: Path, connect: Connect, target: sqlite3.Connection) -> Salvaged:
    """Copy what can be read into a new file, within its open transaction.

    Errors of the damaged file are counted; those of the new one are raised.
    """
    found = Salvaged()
    with closing(_open_damaged(path, connect)) as source:
        with suppress(sqlite3.Error, KeyError, ValueError):
            found.epoch = str(uuid.UUID(read_meta(source)["epoch"]))
        line = Timeline()
        with suppress(sqlite3.Error):
            line = read_timeline(source)
        write_boots(target, line.boots)
        for slot, content in _slots(source):
            target.execute(statements.SET_PASSAGE, (slot, content))
        for row in _events(source, found):
            _copy_row(row, target, found)
        found.compare(_expected(source))
    return found


def _open_damaged(path: Path, connect: Connect) -> sqlite3.Connection:
    """With its WAL where that is possible, as it lies there otherwise."""
    try:
        connection = open_for_reading(path, connect, damaged=True)
        try:
            connection.execute(statements.ANY_META).fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error:
        return open_for_reading(path, connect, still=True, damaged=True)
    return connection


def _copy_row(row: Row, target: sqlite3.Connection, found: Salvaged) -> None:
    """Record one event again under a new number. What a gap event told of concerns the old epoch, and is summed up."""
    state, *recorded = row
    try:
        record = record_of(tuple(recorded))[1]
    except RowDamaged:
        found.unreadable += 1
        return
    found.waiting += state == RowState.WAITING
    if record.kind is RowKind.GAP:
        gap = gap_in(record.data)
        found.dropped += gap.count if gap else 0
        return
    found.rows += 1
    insert(target, found.rows, record)


def insert(target: sqlite3.Connection, seq: int, record: Record) -> None:
    """One waiting event into a new file."""
    target.execute(statements.INSERT_EVENT, (*record.values(seq), RowState.WAITING, Leaf.reserved(record.data).pack()))


def _events(source: sqlite3.Connection, found: Salvaged) -> Iterator[Row]:
    """All rows that can be read, in order: from the front, then one by one where that fails, then the rest."""
    last = 0
    for row in _from(source, 0):
        yield row
        last = row[1]
    tail = _readable_tail(source, last)
    stop = tail if tail is not None else (_newest(source) or last + BLIND_LOOKUPS) + 1
    for seq in range(last + 1, min(stop, last + 1 + LOOKUPS)):
        yield from _one(source, seq, found)
    if tail is not None:
        yield from _from(source, tail - 1)


def _from(source: sqlite3.Connection, after: int) -> Iterator[Row]:
    with suppress(sqlite3.Error):
        yield from source.execute(statements.READABLE_AFTER, (after,))


def _readable_tail(source: sqlite3.Connection, after: int) -> int | None:
    """The first of the rows that can be read from the end backwards, None where there is none above ``after``."""
    first = None
    with suppress(sqlite3.Error):
        for seq, _ in source.execute(statements.SHEETS_BACKWARDS, (after,)):
            first = seq
    return first


def _newest(source: sqlite3.Connection) -> int | None:
    """The newest number ever given, None where that cannot be read."""
    with suppress(sqlite3.Error, TypeError, ValueError):
        return int(source.execute(statements.NEWEST_EVER).fetchone()[0])
    return None


def _expected(source: sqlite3.Connection) -> int:
    """How many events were waiting, by the file's own counts; 0 where they cannot be read."""
    with suppress(sqlite3.Error, ValueError, TypeError):
        tally = RowCounts(**json.loads(read_meta(source).get("tally", "{}")))
        return tally.waiting + (_newest(source) or tally.newest) - tally.newest
    return 0


def _one(source: sqlite3.Connection, seq: int, found: Salvaged) -> list[Row]:
    try:
        return source.execute(statements.READABLE_ONE, (seq,)).fetchall()
    except sqlite3.Error:
        found.unreadable += 1
        return []


def _slots(source: sqlite3.Connection) -> Iterator[Row]:
    with suppress(sqlite3.Error):
        for slot, content in source.execute(statements.PASSAGES):
            if isinstance(content, bytes) and len(content) == SLOT_BYTES:
                yield slot, content
