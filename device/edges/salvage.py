"""Opening the journal's file, whatever is found in its place.

A file that cannot be used is set aside as ``.corrupt-N`` (the two newest are
kept), and what can be read of it is carried into a new file with a new epoch:
the events keep their ids and times, get new numbers, and are sent again,
because nobody can say any more which of them the province has. The new file
is made whole under another name first, so a power cut at any moment leaves
the old file or the new one.

A disk that does not let itself be read or written is no reason to set a file
aside: those errors are the caller's.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from device.core.timeline import Timeline
from device.core.wire import JournalReplaced
from device.edges import journal_schema
from device.edges.files import sync_folder
from device.edges.journal_gaps import told
from device.edges.journal_rows import SLOT_BYTES, Row, RowDamaged, RowKind, Sheet, State, record_of
from device.edges.journal_schema import Connect
from device.edges.journal_store import Tally

ASIDE_KEPT: Final = 2
CHECK_BYTES: Final = 32 * 1024 * 1024
"""A file up to this size is checked whole before it is used; a larger one afterwards, beside the work, for it takes seconds."""
LOOKUPS: Final = 200_000
"""Places that are tried one by one where a stretch of the file cannot be read in order."""

_BATCH: Final = 500
_NOT_USABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
log = logging.getLogger(__name__)


class Unusable(Exception):
    """The file is there and readable, and is no journal that this program can use. The message is the cause as a code."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An open journal file. ``replaced`` says what was there before, where that could not be used."""

    connection: sqlite3.Connection
    first: bool
    replaced: JournalReplaced | None = None


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is broken, rather than the disk or the moment."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _NOT_USABLE


def open_journal(path: Path, connect: Connect, *, suspect: str | None = None) -> Opening:
    """Open the file, make it where there is none, replace it where it cannot be used.

    ``suspect`` is a cause for which the file is replaced in any case.
    Raises sqlite3.Error and OSError for a disk that does not answer.
    """
    fresh = path.with_name(f"{path.name}.new")
    if not path.exists() and _whole(fresh, connect):
        fresh.replace(path)
        _unlink(path, "-wal", "-shm")
        sync_folder(path.parent)
    if not path.exists():
        return Opening(_begin(path, fresh, connect), first=True)
    if suspect is not None:
        return _replace(path, fresh, connect, suspect)
    wal_missing = not _beside(path, "-wal").exists()
    try:
        return Opening(_open_checked(path, connect, wal_missing=wal_missing), first=False)
    except Unusable as error:
        cause = str(error)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        cause = "garbage" if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB else "damaged"
    return _replace(path, fresh, connect, cause)


def check(connection: sqlite3.Connection) -> bool:
    """Whether the file's structure is whole. Reads all of it."""
    return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")


def asides(path: Path) -> list[Path]:
    """Files set aside, oldest first."""
    pattern = re.compile(re.escape(path.name) + r"\.corrupt-(\d+)")
    found = [(int(match[1]), other) for other in path.parent.iterdir() if (match := pattern.fullmatch(other.name))]
    return [other for _, other in sorted(found)]


def remove_aside(aside: Path) -> None:
    """Delete a file that was set aside, and its WAL. Raises OSError."""
    aside.unlink(missing_ok=True)
    _unlink(aside, "-wal", "-shm")
    sync_folder(aside.parent)


def restore(path: Path, connection: sqlite3.Connection, connect: Connect) -> None:
    """Write a file anew that was deleted or replaced while ``connection`` had it open. What lies there now is set aside.

    Raises sqlite3.Error and OSError.
    """
    rescued = path.with_name(f"{path.name}.new")
    journal_schema.finish(rescued, _copied(connection, journal_schema.create(rescued, connect, str(uuid.uuid4()))))
    if path.exists():
        _set_aside(path)
    _unlink(path, "-wal", "-shm")
    rescued.replace(path)
    sync_folder(path.parent)


def _copied(source: sqlite3.Connection, target: sqlite3.Connection) -> sqlite3.Connection:
    try:
        source.backup(target)
    except BaseException:
        target.close()
        raise
    return target


# ----------------------------------------------------------------- opening


def _begin(path: Path, fresh: Path, connect: Connect) -> sqlite3.Connection:
    """A new file. A WAL without its file is of no use to anybody, and would be taken for the new one's."""
    _unlink(path, "-wal", "-shm")
    journal_schema.finish(fresh, journal_schema.create(fresh, connect, str(uuid.uuid4())))
    fresh.replace(path)
    sync_folder(path.parent)
    return journal_schema.open_for_writing(path, connect)


def _whole(path: Path, connect: Connect) -> bool:
    """Whether a new file was finished before its making was interrupted."""
    try:
        with closing(connect(f"{path.absolute().as_uri()}?mode=ro")) as connection:
            _examine(connection)
            return check(connection)
    except (sqlite3.Error, Unusable):
        return False


def _open_checked(path: Path, connect: Connect, *, wal_missing: bool) -> sqlite3.Connection:
    path.chmod(0o600)
    connection = journal_schema.open_for_writing(path, connect)
    try:
        _accept(path, connection, wal_missing=wal_missing)
    except BaseException:
        connection.close()
        raise
    return connection


def _accept(path: Path, connection: sqlite3.Connection, *, wal_missing: bool) -> None:
    """Raises Unusable and sqlite3.Error unless the file can be used as it is."""
    if path.stat().st_size == 0:
        raise Unusable("empty")
    if _examine(connection).get("running") == "1" and wal_missing:
        raise Unusable("wal_missing")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    size = path.stat().st_size
    if size < connection.execute("PRAGMA page_count").fetchone()[0] * journal_schema.PAGE_BYTES:
        raise Unusable("truncated")
    if size <= CHECK_BYTES and not check(connection):
        raise Unusable("damaged")


def _examine(connection: sqlite3.Connection) -> dict[str, str]:
    """What the file says of itself. Raises Unusable unless it is a journal of this version, and sqlite3.Error."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != journal_schema.APPLICATION_ID:
        raise Unusable("foreign")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > journal_schema.SCHEMA_VERSION:
        raise Unusable("newer")
    if version < journal_schema.SCHEMA_VERSION:
        raise Unusable("unfinished")
    try:
        meta = journal_schema.read_meta(connection)
        Tally(**json.loads(meta.get("tally", "{}")))
        uuid.UUID(meta["epoch"])
        journal_schema.read_timeline(connection)
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable("damaged") from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise Unusable("damaged") from error
    return meta


# ----------------------------------------------------------------- replacing


def _replace(path: Path, fresh: Path, connect: Connect, cause: str) -> Opening:
    log.error("%s cannot be used (%s): a new journal is begun", path.name, cause)
    found = _Salvaged()
    target = journal_schema.create(fresh, connect, str(uuid.uuid4()))
    try:
        if cause not in {"empty", "garbage", "foreign"}:
            _carry_over(path, connect, target, found)
    except BaseException:
        target.close()
        raise
    journal_schema.finish(fresh, target)
    kept = _set_aside(path)
    fresh.replace(path)
    sync_folder(path.parent)
    log.error(
        "%s was set aside as %s; %s events were carried over, %s places could not be read", path.name, kept, found.rows, found.unreadable
    )
    replaced = JournalReplaced(
        cause=cause, old_epoch=found.epoch, salvaged=found.rows, unreadable=found.unreadable, dropped=found.dropped, kept_as=kept
    )
    return Opening(journal_schema.open_for_writing(path, connect), first=False, replaced=replaced)


@dataclass(slots=True)
class _Salvaged:
    """What came of reading a file that is damaged."""

    epoch: str | None = None
    rows: int = 0
    unreadable: int = 0
    dropped: int = 0


def _carry_over(path: Path, connect: Connect, target: sqlite3.Connection, found: _Salvaged) -> None:
    """Copy what can be read. Errors of the damaged file are counted; those of the new one are raised."""
    with closing(_open_damaged(path, connect)) as source:
        with suppress(sqlite3.Error, KeyError, ValueError):
            found.epoch = str(uuid.UUID(journal_schema.read_meta(source)["epoch"]))
        line = Timeline()
        with suppress(sqlite3.Error, TypeError):
            line = journal_schema.read_timeline(source)
        target.execute("BEGIN")
        journal_schema.write_boots(target, line.boots)
        for slot, content in _slots(source):
            target.execute("INSERT INTO passage (slot, content) VALUES (?, ?)", (slot, content))
        for row in _events(source, found):
            _take(row, target, found)
        tally = Tally(newest=found.rows, waiting=found.rows, unfrozen=found.rows)
        journal_schema.write_meta(target, "tally", json.dumps(asdict(tally)))
        target.execute("COMMIT")


def _open_damaged(path: Path, connect: Connect) -> sqlite3.Connection:
    """With its WAL where that is possible, as it lies there otherwise."""
    try:
        connection = journal_schema.open_for_reading(path, connect)
        try:
            connection.execute("SELECT count(*) FROM meta").fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error:
        return journal_schema.open_for_reading(path, connect, still=True)
    return connection


def _take(row: Row, target: sqlite3.Connection, found: _Salvaged) -> None:
    """Record one event again under a new number. What a gap event told of concerns the old epoch, and is summed up."""
    try:
        record = record_of(row)[1]
    except RowDamaged:
        found.unreadable += 1
        return
    if record.kind is RowKind.GAP:
        gap = told(record.data)
        found.dropped += gap.count if gap else 0
        return
    found.rows += 1
    target.execute(
        "INSERT INTO event (seq, id, kind, boot_id, mono_ns, boot_ns, wall_ns, trust, doubt_ms, data, crc, state, sheet) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*record.values(found.rows), State.WAITING, Sheet.reserved(record.data).pack()),
    )


def _events(source: sqlite3.Connection, found: _Salvaged) -> Iterator[Row]:
    """All rows that can be read, in order: from the front, then one by one where that fails, then the rest."""
    last = 0
    for row in _from(source, 0):
        yield row
        last = row[0]
    tail = _readable_tail(source, last)
    newest = _newest(source, last)
    stop = tail if tail is not None else newest + 1
    for seq in range(last + 1, min(stop, last + 1 + LOOKUPS)):
        yield from _one(source, seq, found)
    if tail is not None:
        yield from _from(source, tail - 1)


def _from(source: sqlite3.Connection, after: int) -> Iterator[Row]:
    query = (
        "SELECT seq, id, kind, boot_id, mono_ns, boot_ns, wall_ns, trust, doubt_ms, data, crc FROM event "
        "WHERE seq > ? AND state < 5 ORDER BY seq"
    )
    with suppress(sqlite3.Error):
        yield from source.execute(query, (after,))


def _readable_tail(source: sqlite3.Connection, after: int) -> int | None:
    """The first of the rows that can be read from the end backwards, None where there is none above ``after``."""
    first = None
    with suppress(sqlite3.Error):
        for seq, _ in source.execute("SELECT seq, sheet FROM event WHERE seq > ? ORDER BY seq DESC", (after,)):
            first = seq
    return first


def _newest(source: sqlite3.Connection, after: int) -> int:
    with suppress(sqlite3.Error, TypeError):
        return int(source.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()[0])
    return after + LOOKUPS


def _one(source: sqlite3.Connection, seq: int, found: _Salvaged) -> list[Row]:
    query = "SELECT seq, id, kind, boot_id, mono_ns, boot_ns, wall_ns, trust, doubt_ms, data, crc FROM event WHERE seq = ? AND state < 5"
    try:
        return source.execute(query, (seq,)).fetchall()
    except sqlite3.Error:
        found.unreadable += 1
        return []


def _slots(source: sqlite3.Connection) -> Iterator[Row]:
    with suppress(sqlite3.Error):
        for slot, content in source.execute("SELECT slot, content FROM passage ORDER BY slot"):
            if isinstance(content, bytes) and len(content) == SLOT_BYTES:
                yield slot, content


# ----------------------------------------------------------------- files


def _set_aside(path: Path) -> str | None:
    """Give the file and its WAL another name. Returns it; None where there was nothing worth keeping."""
    _unlink(path, "-shm")
    if path.stat().st_size == 0 and not _beside(path, "-wal").exists():
        path.unlink()
        return None
    old = asides(path)
    number = int(old[-1].name.rpartition("-")[2]) + 1 if old else 1
    for other in old[: len(old) + 1 - ASIDE_KEPT]:
        remove_aside(other)
    aside = path.with_name(f"{path.name}.corrupt-{number}")
    path.replace(aside)
    with suppress(FileNotFoundError):
        _beside(path, "-wal").replace(_beside(aside, "-wal"))
    return aside.name


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _unlink(path: Path, *endings: str) -> None:
    for ending in endings:
        _beside(path, ending).unlink(missing_ok=True)
