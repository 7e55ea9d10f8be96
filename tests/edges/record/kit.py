"""What several tests of the record share: a province that takes everything, and looks at a record from outside."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from device.core.types import ClockReading, Passage
from device.edges.record import opening, schema
from device.edges.record.journal import SqliteJournal
from device.edges.record.rows import Record, RowKind
from device.edges.record.store import Freezer, Item, Store
from device.ports import Outgoing
from tests.entries import FREEZE, checkin, parsed, settle
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


AT: Final = ClockReading(1, 2, 3, "boot-1", trusted=True, held_over=False, uncertainty_ms=4)
"""A moment in which each clock says something else."""


def an_event(number: int = 1, kind: RowKind = RowKind.CHECKIN, at: ClockReading = AT, *, passage: Passage | None = None) -> Item:
    """An event for a store, with an id that can be told from those of others."""
    return Item(Record(f"id-{number}", kind, at, f'{{"n":{number}}}'.encode()), passage)


def make_file(path: Path, epoch: str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301") -> None:
    """A new, empty file."""
    schema.finish(path, schema.create(path, schema.sqlite_connect, epoch))


@contextmanager
def opened(path: Path, clock: FakeClock, freeze: Freezer = FREEZE, connect: schema.Connect = schema.sqlite_connect) -> Iterator[Store]:
    """A store on the file, which is made where there is none."""
    if not path.exists():
        make_file(path)
    with closing(schema.open_for_writing(path, connect)) as connection:
        store = Store(connection, freeze, clock.reading())
        store.begin_running()
        yield store


def rows(store: Store, columns: str = "seq, state") -> list[tuple[Any, ...]]:
    """What stands in the file, in order."""
    return store.connection.execute(f"SELECT {columns} FROM event ORDER BY seq").fetchall()  # noqa: S608  a test's own words


@dataclass
class Counting:
    """`Connect` that remembers its connections; ``fails`` is the beginning of a statement that is refused."""

    fails: str = "never"
    made: list[sqlite3.Connection] = field(default_factory=list)

    def __call__(self, uri: str) -> sqlite3.Connection:
        """Open it."""
        counting = self

        class Connection(sqlite3.Connection):
            """Refuses one statement."""

            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401  as in sqlite3
                """As in sqlite3."""
                if sql.startswith(counting.fails):
                    raise sqlite3.OperationalError("no")
                return super().execute(sql, parameters)

        connection = sqlite3.connect(uri, uri=True, isolation_level=None, factory=Connection)
        self.made.append(connection)
        return connection

    def all_closed(self) -> bool:
        """Whether none is open any more."""
        for connection in self.made:
            with suppress(sqlite3.ProgrammingError):
                sqlite3.Connection.execute(connection, "SELECT 1")
                return False
        return True


def blank_leaf(path: Path, place: int) -> None:
    """One page of events reads as zeros."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' LIMIT 1 OFFSET ?"
        (page,) = connection.execute(query, (place,)).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))
