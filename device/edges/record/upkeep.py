"""Keeping the journal within its bounds: what has to go, and in which order.

When the journal is full, these go first: events that the broker has taken and
that are only kept in case the province asks again; then long unbroken runs of
audit events, so that a flapping link cannot push check-ins out; then the
oldest, whatever they are. A few audit events between check-ins stay in their
turn, because the gap event in their place would take as much room.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Final

from device.core.timeline import least_age_ns
from device.core.types import ClockReading
from device.edges.record import statements
from device.edges.record.gaps import Candidate, Cause, record_gap
from device.edges.record.rows import Leaf, RowDamaged, RowState
from device.edges.record.schema import PAGE_BYTES
from device.edges.record.store import Store

BATCH: Final = 50
"""Rows erased or taken out in one transaction: a record that comes meanwhile waits for no more than this."""
AUDIT_RUN: Final = 20
"""So many audit events in a row, with no check-in between, go before any check-in does."""
MARGIN_BYTES: Final = 4 * PAGE_BYTES
"""Erased rows of so many bytes stay beside a row in use: SQLite moves rows between neighbouring pages when one is taken out."""
PURGE_FROM: Final = 64
"""Erased rows that are worth an attempt to take them out."""
RUN_LIMIT: Final = 2_000
"""Rows looked at in one attempt."""
FREE_PAGES_KEPT: Final = 64
"""Empty pages that stay in the file for the next events."""

log = logging.getLogger(__name__)


class Upkeep:
    """The bounds of one store. ``keep_ns`` is how long a confirmed event is kept, 0 where they are erased at once."""

    def __init__(self, store: Store, *, max_rows: int, max_bytes: int, retention_ns: int, keep_ns: int = 0) -> None:
        self._store = store
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._retention_ns = retention_ns
        self._keep_ns = keep_ns
        self._purge_from = PURGE_FROM

    def over(self) -> bool:
        """Whether there are too many events, or the file is too large."""
        store = self._store
        kept = store.tally.waiting + store.count(RowState.CONFIRMED) + store.count(RowState.DEAD)
        return kept > self._max_rows or store.used_bytes() > self._max_bytes

    def make_room(self, now: ClockReading) -> bool:
        """Drop one batch. False where there is nothing that could go. Raises sqlite3.Error."""
        # The broker has these, and only a province that lost something would ask again: nobody has to be told that they go.
        confirmed = self._confirmed()
        if confirmed:
            self._store.release([row.seq for row in confirmed], now, keep=False)
            return True
        # A link or a lamp that flaps for a night writes more audit events than a day has people. They are worth less than one of those.
        run = self._audit_run()
        return self._drop(run, "full", now, oldest=False) if run else self._drop(self._oldest(), "full", now)

    def expire(self, now: ClockReading) -> bool:
        """Drop one batch of events older than is allowed, delivered or not. False when none is left. Raises sqlite3.Error."""
        old = list(takewhile(lambda row: self._age(row.at, now) > self._retention_ns, self._oldest()))
        return self._drop(old, "retention", now)

    def forget(self, now: ClockReading) -> bool:
        """Erase one batch of confirmed events and of passages whose time is over. False when none is left. Raises sqlite3.Error."""
        store = self._store
        over = [row.seq for row in self._confirmed() if self._age(self._confirmed_at(row), now) > self._keep_ns]
        if over:
            store.release(over, now, keep=False)
        with store.transaction():
            forgotten = store.passages.forget(lambda passage: self._age(passage.at, now) > self._retention_ns, BATCH)
        return bool(over) or forgotten == BATCH

    def purge(self) -> bool:
        """Take out one batch of erased rows, where no row in use is near. False when there is none. Raises sqlite3.Error."""
        store = self._store
        erased = store.count(RowState.ERASED)
        # An attempt reads up to RUN_LIMIT rows. What it had to leave beside rows in use will mostly be left the next time too, so it is
        # worth another only when as many have been erased again.
        if erased < self._purge_from:
            return False
        # By itself an empty row costs bytes and betrays nothing. Taking it out is what could: SQLite then evens out neighbouring pages,
        # and copies rows that are in use from one to another; the copy that is left behind is overwritten by nobody.
        with store.transaction() as connection:
            seqs = _removable(connection)[:BATCH]
            connection.executemany(statements.DELETE, [(seq,) for seq in seqs])
        self._purge_from = PURGE_FROM if len(seqs) == BATCH else erased - len(seqs) + PURGE_FROM
        return len(seqs) == BATCH

    def shrink(self) -> None:
        """Give empty pages back to the file system. Raises sqlite3.Error."""
        connection = self._store.connection
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        if free > FREE_PAGES_KEPT:
            # As a script, because execute() stops after the first page.
            connection.executescript(f"PRAGMA incremental_vacuum({free - FREE_PAGES_KEPT})")

    def _drop(self, rows: Sequence[Candidate], cause: Cause, now: ClockReading, *, oldest: bool = True) -> bool:
        """Erase these, which follow each other, and record_gap of what was not delivered."""
        store = self._store
        if not rows:
            return False
        lost = [row for row in rows if row.state is not RowState.CONFIRMED]
        with store.transaction():
            for row in rows:
                store.erase(row.seq)
            if lost:
                record_gap(store, lost, cause, now, oldest=oldest)
            store.write_tally()
        log.info("%s events dropped: %s", len(lost), cause)
        return True

    def _age(self, at: ClockReading, now: ClockReading) -> int:
        return least_age_ns(at, now, self._store.line)

    def _oldest(self) -> list[Candidate]:
        return self._rows(statements.OLDEST, BATCH)

    def _confirmed(self) -> list[Candidate]:
        return self._rows(statements.OLDEST_CONFIRMED, BATCH)

    def _audit_run(self) -> list[Candidate]:
        """The oldest long run of audit events, as far as one batch goes."""
        seqs = [seq for (seq,) in self._store.connection.execute(statements.WAITING_AUDITS, (RUN_LIMIT,))]
        for run in _runs(seqs):
            if len(run) >= AUDIT_RUN:
                return self._rows(statements.ALL_BETWEEN, run[0], run[:BATCH][-1])
        return []

    def _rows(self, query: str, *values: int) -> list[Candidate]:
        return [Candidate.of(row) for row in self._store.connection.execute(query, values)]

    def _confirmed_at(self, row: Candidate) -> ClockReading:
        """When it was confirmed; when it was recorded, where that cannot be read."""
        try:
            sheet = Leaf.unpack(row.sheet)
        except RowDamaged:
            return row.at
        boot = self._store.connection.execute(statements.BOOT_ID, (sheet.boot,)).fetchone()
        return ClockReading(0, sheet.boot_ns, 0, boot[0], trusted=False) if boot else row.at


def _removable(connection: sqlite3.Connection) -> list[int]:
    """Erased rows that have only erased rows on the pages around them."""
    seqs = [seq for (seq,) in connection.execute(statements.ERASED, (RUN_LIMIT,))]

    # Numbers between two erased ones may be gone already; then no row in use lies there, and the pages still belong together.
    def follow(one: int, next_one: int) -> bool:
        return next_one == one + 1 or connection.execute(statements.ANY_INSIDE, (one, next_one)).fetchone() is None

    return [seq for run in _runs(seqs, follow) for seq in _inner(connection, run)]


def _inner(connection: sqlite3.Connection, run: list[int]) -> list[int]:
    """A run without its margins; the oldest rows of all need none before them."""
    leads = connection.execute(statements.ANY_BEFORE, (run[0],)).fetchone() is None
    left = 0 if leads else _margin(connection, run)
    right = _margin(connection, run[::-1])
    return run[left : len(run) - right]


def _margin(connection: sqlite3.Connection, run: list[int]) -> int:
    """How many rows from the start of the run make up the margin."""
    taken = 0
    for count, seq in enumerate(run):
        if taken >= MARGIN_BYTES:
            return count
        taken += connection.execute(statements.CONTENT_BYTES_OF, (seq,)).fetchone()[0]
    return len(run)


def _runs(seqs: Iterable[int], follow: Callable[[int, int], bool] = lambda one, next_one: next_one == one + 1) -> Iterator[list[int]]:
    """The numbers in groups that follow each other."""
    run: list[int] = []
    for seq in seqs:
        if run and not follow(run[-1], seq):
            yield run
            run = []
        run.append(seq)
    if run:
        yield run
