"""A process that records as fast as it can and says what was acknowledged: to be killed by `test_journal_kills`.

Arguments: the journal, the first number, how many events go together. Writes a
line `seq number` for each receipt, after the receipt. Now and then it confirms
what is oldest, says so with `upto seq`, and does the minute's upkeep.
"""

from __future__ import annotations

import sys
from pathlib import Path

from device.edges.machine.clock import SystemClock
from device.edges.record.journal import SqliteJournal
from tests.entries import FREEZE, checkin, section


def main() -> None:
    """Record until killed."""
    path, number, group = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    clock = SystemClock()
    journal = SqliteJournal(path, section(max_rows=1_000_000), clock, FREEZE)
    while True:
        futures = [(number + step, journal.record(checkin(clock, number + step, passage=True))) for step in range(group)]
        for each, future in futures:
            say(f"{future.result(30).seq} {each}")
        number += group
        if number % 40 < group:
            out = journal.waiting(0, 30)
            if out:
                say(f"upto {out[-1].seq}")
                journal.confirm(journal.bounds().epoch, out[-1].seq)
                journal.maintain()


def say(text: str) -> None:
    """One line, out of this process at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


main()
