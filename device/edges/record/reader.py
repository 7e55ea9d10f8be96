"""Reading the journal beside its writer: connections of their own that cannot write."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from device.core.timeline import Stamp, stamp
from device.core.types import Channel, ClockReading, Stored
from device.edges.record import statements
from device.edges.record.rows import Leaf, Row, RowDamaged, RowKind, RowState, reading_of, record_of
from device.edges.record.schema import Connect, open_for_reading, read_meta, read_timeline, sqlite_connect
from device.errors import JournalError


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row as the uplink needs it. ``body`` is None where it is not frozen; ``damaged`` where it is not what was written."""

    seq: int
    channel: Channel
    at: ClockReading
    body: bytes | None
    damaged: bool = False


class Readers:
    """Connections for reading one journal file, as many as threads read at the same time."""

    def __init__(self, path: Path, connect: Connect) -> None:
        self._path = path
        self._connect = connect
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one thread, for a moment. Raises JournalError for whatever SQLite says."""
        try:
            connection = self._check_out()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
        except sqlite3.Error as error:
            raise JournalError(f"{self._path.name} cannot be read: {error}") from error

    def close(self) -> None:
        """Close what is idle now, and the others when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _check_out(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise JournalError(f"{self._path.name} is closed")
            if self._idle:
                return self._idle.pop()
        return open_for_reading(self._path, self._connect)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def read_waiting(connection: sqlite3.Connection, after: int, limit: int) -> list[Waiting]:
    """The next waiting rows above ``after``, in order."""
    rows = connection.execute(statements.WAITING_AFTER, (after, limit)).fetchall()
    return [_waiting(seq, kind, reading_of(at), sheet) for seq, kind, *at, sheet in rows]


def read_waiting_seqs(connection: sqlite3.Connection, first: int, last: int, limit: int) -> list[int]:
    """The numbers of waiting rows between two, both counted in."""
    return [seq for (seq,) in connection.execute(statements.WAITING_BETWEEN, (first, last, limit)).fetchall()]


def read_newest_waiting_seqs(connection: sqlite3.Connection, limit: int) -> list[int]:
    """The numbers of the newest waiting rows, newest first."""
    return [seq for (seq,) in connection.execute(statements.NEWEST_WAITING, (limit,)).fetchall()]


def read_newest_moments(connection: sqlite3.Connection) -> Iterator[tuple[int, ClockReading]]:
    """Number and time of all rows, newest first. To be read to the end or closed."""
    with closing(connection.execute(statements.MOMENTS_BACKWARDS)) as rows:
        for seq, *at in rows:
            yield seq, reading_of(at)


def _waiting(seq: int, kind: int, at: ClockReading, sheet: bytes) -> Waiting:
    channel = Channel.CHECKIN if kind == RowKind.CHECKIN else Channel.AUDIT
    try:
        return Waiting(seq, channel, at, Leaf.unpack(sheet).body)
    except RowDamaged:
        return Waiting(seq, channel, at, None, damaged=True)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event as it stands in the journal: ``state`` is `waiting`, `confirmed` or `dead` (with ``reason``); ``body`` once frozen."""

    stored: Stored
    stamp: Stamp
    state: str
    body: bytes | None
    reason: str = ""


class JournalReader:
    """The journal for a person at a terminal, while the gate runs or not. A context manager.

    Raises JournalError where the file is missing or cannot be read.
    """

    def __init__(self, path: Path, connect: Connect = sqlite_connect) -> None:
        self._path = path
        try:
            with ExitStack() as stack:
                self._connection = stack.enter_context(closing(_open_any(path, connect)))
                self.epoch = read_meta(self._connection)["epoch"]
                self._line = read_timeline(self._connection)
                stack.pop_all()
        except (sqlite3.Error, KeyError) as error:
            raise JournalError(f"{path}: the record cannot be read: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def events(self, newest: int | None = None) -> Iterator[Recorded]:
        """The events that are still there, oldest first; with ``newest`` only so many of the newest. Damaged rows are left out."""
        try:
            for state, sheet, *row in self._connection.execute(statements.READABLE_FROM, (self._from(newest),)):
                with suppress(RowDamaged):
                    seq, record = record_of(tuple(row))
                    later = Leaf.unpack(sheet)
                    known = stamp(record.at, self._line)
                    yield Recorded(record.stored(self.epoch, seq), known, RowState(state).name.lower(), later.body, later.reason)
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: the record cannot be read: {error}") from error

    def bodies(self) -> Iterator[tuple[int, bytes | None]]:
        """Number and body of each event that was made ready to be sent and is still there, in order.

        The body is None for a row that is not what was written: its checksums
        say so, or it has no body although a later one has.
        """
        bare: list[int] = []
        for state, seq, row, sheet in self._rows():
            body = _body(row, sheet)
            if body == b"":
                # A dead letter may never have had one.
                bare += [] if state == RowState.DEAD else [seq]
                continue
            yield from ((other, None) for other in bare)
            bare.clear()
            yield seq, body

    def _rows(self) -> Iterator[tuple[int, int, Row, bytes]]:
        try:
            for state, sheet, *row in self._connection.execute(statements.READABLE):
                yield state, row[0], tuple(row), sheet
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: the record cannot be read: {error}") from error

    def _from(self, newest: int | None) -> int:
        if newest is None:
            return 0
        seqs = [seq for (seq,) in self._connection.execute(statements.NEWEST_READABLE, (newest,))]
        return seqs[-1] if seqs else 0


def _body(row: Row, sheet: bytes) -> bytes | None:
    """The body of a row: empty where it has none yet, None where the row is not what was written."""
    try:
        record_of(row)
        return Leaf.unpack(sheet).body or b""
    except RowDamaged:
        return None


def _open_any(path: Path, connect: Connect) -> sqlite3.Connection:
    """Beside the running gate through its WAL; a closed journal, or one on a read-only disk, as it lies there."""
    if path.with_name(f"{path.name}-wal").exists():
        with suppress(sqlite3.Error):
            return _readable(open_for_reading(path, connect))
    return open_for_reading(path, connect, still=True)


def _readable(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, when a first look at the file succeeds; closed when it does not. Raises sqlite3.Error."""
    try:
        read_meta(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
