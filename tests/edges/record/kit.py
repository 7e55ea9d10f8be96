"""What several tests of the record share: a province that takes everything, and looks at a record from outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from device.edges.record import opening
from device.edges.record.journal import SqliteJournal
from device.ports import Outgoing
from tests.entries import checkin, parsed, settle
from tests.fakes.clock import FakeClock

DAY_S = 86_400


@dataclass
class Province:
    """Takes everything, checks the chain over gaps, and says at the end what it holds."""

    seqs: set[int] = field(default_factory=set)
    gaps: list[dict[str, object]] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)

    def take(self, out: Sequence[Outgoing]) -> None:
        """Keep these."""
        for one in out:
            assert self.bodies.setdefault(one.seq, one.body) == one.body
            self.seqs.add(one.seq)
            data = parsed(one)["data"]
            if data.get("what") == "gap" and one.seq not in {gap["seq"] for gap in self.gaps}:
                self.gaps.append({**data, "seq": one.seq})

    def drain(self, journal: SqliteJournal) -> None:
        """Take and confirm until nothing waits."""
        while out := journal.waiting(0, 100):
            self.take(out)
            journal.confirm(journal.bounds().epoch, out[-1].seq)

    @property
    def told(self) -> set[int]:
        """What gap events say was dropped."""
        return {seq for gap in self.gaps for seq in range(int(str(gap["first"])), int(str(gap["last"])) + 1)} - self.seqs


def record(journal: SqliteJournal, clock: FakeClock, count: int, start: int = 1) -> list[int]:
    """Record so many check-ins, a second apart."""
    futures = []
    for number in range(start, start + count):
        clock.advance(1)
        futures.append(journal.record(checkin(clock, number)))
    return settle(futures)


def traces(path: Path) -> set[str]:
    """All keyed hashes that stand anywhere in the file or its WAL, as text."""
    raw = b"".join(file.read_bytes() for file in (path, path.with_name(f"{path.name}-wal")) if file.exists())
    return {match.decode() for match in re.findall(rb"0{56}[0-9a-f]{8}", raw)}


def facts(journal: SqliteJournal, what: str) -> list[dict[str, object]]:
    """The data of the waiting audit events of one sort."""
    return [data for data in (parsed(one)["data"] for one in journal.waiting(0, 20_000)) if data.get("what") == what]


EVENTS = 300
"""In the record that the fixture `old` makes."""


def replaced(journal: SqliteJournal) -> list[dict[str, object]]:
    """What the audit events say of replaced files."""
    return facts(journal, "journal_replaced")


def caught_up(journal: SqliteJournal) -> None:
    """Wait until the writer has done all that it had begun, also while the disk fails: it is asked to erase nothing."""
    journal._writer.flush()  # noqa: SLF001  a step that changes nothing is no business of the gate's


def asides(path: Path) -> list[str]:
    """Names of what was set aside."""
    return [aside.name for aside in opening.asides(path)]
