"""Opening the journal's file, whatever is found in its place.

A file that cannot be used is set aside as ``.corrupt-N`` (the two newest are
kept), and what can be read of it is carried into a new file with a new epoch
(see ``salvage``). The new file is made whole under another name first, so a
power cut at any moment leaves the old file or the new one.

A disk that does not let itself be read or written is no reason to set a file
aside: those errors are the caller's.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import uuid
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from device.core.types import ClockReading
from device.core.wire import JournalReplaced
from device.edges.machine.files import replace_durably, sync_folder
from device.edges.record import schema, wal
from device.edges.record.salvage import Salvaged, carry_over, insert
from device.edges.record.schema import Connect
from device.edges.record.store import RowCounts, fact_record

ASIDE_KEPT: Final = 2
CHECK_BYTES: Final = 32 * 1024 * 1024
"""A file up to this size is checked whole before it is used; a larger one afterwards, beside the work, for it takes seconds."""

_MENDED: Final = "-wal.mended"
_NOT_USABLE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
log = logging.getLogger(__name__)


class Unusable(Exception):
    """The file is there and readable, and is no journal that this program can use. The message is the cause as a code."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An open journal file, and whether it is the first one in its place."""

    connection: sqlite3.Connection
    first: bool


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is broken, rather than the disk or the moment."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _NOT_USABLE


def open_journal(path: Path, connect: Connect, now: ClockReading, *, suspect: str | None = None) -> Opening:
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
    fresh.unlink(missing_ok=True)
    if _beside(path, _MENDED).exists():
        # Its mending was interrupted, and SQLite may have taken the rotten one away.
        _install_mended(path)
        return _replace(path, fresh, connect, "wal_damaged", now)
    if suspect is not None:
        return _replace(path, fresh, connect, suspect, now)
    try:
        return Opening(_open_checked(path, connect), first=False)
    except Unusable as error:
        cause = str(error)
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        cause = "garbage" if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB else "damaged"
    return _replace(path, fresh, connect, cause, now)


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
    schema.finish(rescued, _copied(connection, schema.create(rescued, connect, str(uuid.uuid4()))))
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
    schema.finish(fresh, schema.create(fresh, connect, str(uuid.uuid4())))
    fresh.replace(path)
    sync_folder(path.parent)
    return schema.open_for_writing(path, connect)


def _whole(path: Path, connect: Connect) -> bool:
    """Whether a new file was finished before its making was interrupted."""
    try:
        with closing(connect(f"{path.absolute().as_uri()}?mode=ro")) as connection:
            _examine(connection)
            return check(connection)
    except (sqlite3.Error, Unusable):
        return False


def _open_checked(path: Path, connect: Connect) -> sqlite3.Connection:
    _look_at_header(path)
    path.chmod(0o600)
    found = _beside(path, "-wal")
    log = found.read_bytes() if found.exists() else None
    connection = schema.open_for_writing(path, connect)
    try:
        _accept(path, connection, log)
    except BaseException:
        connection.close()
        if _beside(path, _MENDED).exists():
            _install_mended(path)
        raise
    return connection


def _look_at_header(path: Path) -> None:
    """Raises Unusable for what is no journal, before SQLite changes the first byte of somebody else's file."""
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        raise Unusable("empty")
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):  # noqa: PLR2004  the header's length
        raise Unusable("garbage")
    if int.from_bytes(header[68:72], "big") != schema.APPLICATION_ID:
        raise Unusable("foreign")


def _accept(path: Path, connection: sqlite3.Connection, log: bytes | None) -> None:
    """Raises Unusable and sqlite3.Error unless the file can be used as it is. ``log`` is the WAL as it was found."""
    # SQLite reads a rotten WAL up to the rot and forgets the rest without an error. So how far it came is compared with the WAL as it
    # was before SQLite first saw it. PASSIVE says how far and cuts nothing off.
    taken = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    if log and wal.is_rotten(log, schema.PAGE_BYTES, max(0, taken)):
        replace_durably(_beside(path, _MENDED), wal.mended(log, schema.PAGE_BYTES))
        raise Unusable("wal_damaged")
    # A gate that is killed leaves its WAL. Opened without it, the file would give numbers that were sent already to other events. An
    # empty one counts: ``JournalFile`` leaves that where SQLite has brought the WAL in and taken it away.
    if _examine(connection).get("running") == "1" and log is None:
        raise Unusable("wal_missing")
    # Only now that the WAL is known to be whole may it be cut to nothing.
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    size = path.stat().st_size
    if size < connection.execute("PRAGMA page_count").fetchone()[0] * schema.PAGE_BYTES:
        raise Unusable("truncated")
    # Last, because it reads all of the file; what it would find at the first page is found above without it.
    if size <= CHECK_BYTES and not check(connection):
        raise Unusable("damaged")


def _examine(connection: sqlite3.Connection) -> dict[str, str]:
    """What the file says of itself. Raises Unusable unless it is a journal of this version, and sqlite3.Error."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION_ID:
        raise Unusable("foreign")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > schema.SCHEMA_VERSION:
        raise Unusable("newer")
    if version < schema.SCHEMA_VERSION:
        raise Unusable("unfinished")
    try:
        meta = schema.read_meta(connection)
        RowCounts(**json.loads(meta.get("tally", "{}")))
        uuid.UUID(meta["epoch"])
        schema.read_timeline(connection)
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable("damaged") from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise Unusable("damaged") from error
    return meta


# ----------------------------------------------------------------- replacing


def _replace(path: Path, fresh: Path, connect: Connect, cause: str, now: ClockReading) -> Opening:
    """Begin a new file with what can be read of this one, and with an event that says so, before this one is touched."""
    log.error("%s cannot be used (%s): a new journal is begun", path.name, cause)
    kept_as = None if cause == "empty" else _next_aside(path).name
    target = schema.create(fresh, connect, str(uuid.uuid4()))
    try:
        target.execute("BEGIN")
        found = Salvaged() if cause in {"empty", "garbage", "foreign"} else carry_over(path, connect, target)
        fact = JournalReplaced(
            cause=cause, old_epoch=found.epoch, salvaged=found.rows, unreadable=found.unreadable, dropped=found.dropped, kept_as=kept_as
        )
        rows = found.rows + 1
        insert(target, rows, fact_record(fact, now))
        schema.write_meta(target, "tally", json.dumps(asdict(RowCounts(newest=rows, waiting=rows, unfrozen=rows))))
        target.execute("COMMIT")
    except BaseException:
        target.close()
        raise
    schema.finish(fresh, target)
    _set_aside(path)
    fresh.replace(path)
    sync_folder(path.parent)
    log.error("%s events were carried over, %s places could not be read; the old file is kept as %s", found.rows, found.unreadable, kept_as)
    return Opening(schema.open_for_writing(path, connect), first=False)


# ----------------------------------------------------------------- files


def _next_aside(path: Path) -> Path:
    old = asides(path)
    number = int(old[-1].name.rpartition("-")[2]) + 1 if old else 1
    return path.with_name(f"{path.name}.corrupt-{number}")


def _set_aside(path: Path) -> None:
    """Give the file and its WAL another name; nothing is kept of an empty one. The oldest goes."""
    _unlink(path, "-shm")
    if path.stat().st_size == 0:
        path.unlink()
        _unlink(path, "-wal")
        return
    old = asides(path)
    aside = _next_aside(path)
    for other in old[: len(old) + 1 - ASIDE_KEPT]:
        remove_aside(other)
    path.replace(aside)
    with suppress(FileNotFoundError):
        _beside(path, "-wal").replace(_beside(aside, "-wal"))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _install_mended(path: Path) -> None:
    """Put a mended WAL in the place of the rotten one, which is gone or of no use any more."""
    _unlink(path, "-shm")
    _beside(path, _MENDED).replace(_beside(path, "-wal"))
    sync_folder(path.parent)


def _unlink(path: Path, *endings: str) -> None:
    for ending in endings:
        _beside(path, ending).unlink(missing_ok=True)
