"""Runs in the guest: records into the gate's real journal, confirms and tidies, and marks each promise in the disk's log.

``python -m tests.lab.cuts.write_journal EVENTS [normal]``. With ``normal``
SQLite is told not to wait for the disk at each commit: the control, which
must lose events.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from device.edges.machine.clock import SystemClock
from device.edges.record.journal import SqliteJournal
from device.edges.record.schema import Connect, sqlite_connect
from tests.entries import FREEZE, checkin, section
from tests.lab.cuts.mark import mark

JOURNAL = Path("/mnt/journal.sqlite")
GROUP = 3
CONFIRM_EVERY = 30
CONFIRMED = 25


class Hasty(sqlite3.Connection):
    """Never waits for the disk at a commit."""

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
        """As asked, but for the one pragma."""
        return super().execute(sql.replace("synchronous = FULL", "synchronous = NORMAL"), *arguments)  # type: ignore[arg-type]  # passed on


def hasty_connect(uri: str) -> sqlite3.Connection:
    """As ``sqlite_connect``, with a connection that is hasty."""
    return sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False, factory=Hasty)


def main(events: int, connect: Connect) -> None:
    """Record in groups, as two people at once make them; confirm the oldest now and then."""
    clock = SystemClock()
    journal = SqliteJournal(JOURNAL, section(max_rows=100_000), clock, FREEZE, connect=connect)
    for number in range(0, events, GROUP):
        futures = [journal.record(checkin(clock, number + step, passage=True)) for step in range(GROUP)]
        newest = max(future.result(30).seq for future in futures)
        mark(f"shown {newest}")
        if number % CONFIRM_EVERY == 0:
            confirm(journal)
    journal.close()


def confirm(journal: SqliteJournal) -> None:
    """The province has the oldest: said before they are let go, since from then on they may be missing."""
    out = journal.waiting(0, CONFIRMED)
    if out:
        mark(f"upto {out[-1].seq}")
        journal.confirm(journal.bounds().epoch, out[-1].seq)
        journal.maintain()


if __name__ == "__main__":
    main(int(sys.argv[1]), hasty_connect if "normal" in sys.argv else sqlite_connect)
