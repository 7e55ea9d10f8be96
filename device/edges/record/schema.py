"""The journal's file: how it is laid out, made and opened.

**Deleting for good.** ``secure_delete`` overwrites what is deleted where it
stands, but not the copies that SQLite leaves behind when it moves rows from
page to page to keep its trees balanced. So here nothing personal ever moves:
events are only appended, room for the later parts of a row is reserved when
it is written, content is erased by overwriting it with as many zero bytes, and
erased rows are taken out only where no row on the nearest pages is still in
use. Passages live in slots of one fixed size.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from device.core.timeline import Anchor, Boot, Timeline
from device.edges.record import statements
from device.edges.record.rows import Row

APPLICATION_ID: Final = 0x47415445
"""``GATE`` in the file's header: told from any other SQLite file by it."""
SCHEMA_VERSION: Final = 1
PAGE_BYTES: Final = 4096

Connect: TypeAlias = Callable[[str], sqlite3.Connection]
"""Opens the SQLite URI given. The one place through which every statement and commit of the journal goes."""


def sqlite_connect(uri: str) -> sqlite3.Connection:
    """SQLite as it is: transactions begun and ended by hand, one connection used by several threads in turn."""
    return sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)


def open_for_writing(path: Path, connect: Connect) -> sqlite3.Connection:
    """The connection that writes: each commit is on the disk when it returns. Raises sqlite3.Error."""
    return _opened(
        connect(f"{path.absolute().as_uri()}?mode=rw"),
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "temp_store = MEMORY",
        "cache_size = -1024",
        # The writer makes checkpoints itself, when nobody waits for a lamp.
        "wal_autocheckpoint = 0",
        # A damaged file must give errors, not endless loops or wrong rows.
        "cell_size_check = ON",
        "trusted_schema = OFF",
    )


_READING: Final = (
    "query_only = ON",
    "trusted_schema = OFF",
    "temp_store = MEMORY",
    # KiB. Each of several connections would else fill two megabytes in the course of hours; the system keeps the file's pages anyway.
    "cache_size = -256",
)


def open_for_reading(path: Path, connect: Connect, *, still: bool = False, damaged: bool = False) -> sqlite3.Connection:
    """A connection that cannot write, beside the one that does. Raises sqlite3.Error.

    ``still`` reads a file that nobody is writing, as it lies there, without
    its WAL and without making any file beside it. ``damaged`` reads what is
    left of a file that is shorter than it should be, instead of nothing.
    """
    mode = "mode=ro&immutable=1" if still else "mode=ro"
    return _opened(connect(f"{path.absolute().as_uri()}?{mode}"), *(["writable_schema = ON"] if damaged else []), *_READING)


def create(path: Path, connect: Connect, epoch: str) -> sqlite3.Connection:
    """A new, empty journal file, readable by its owner alone. Not durable before ``finish``. Raises OSError, sqlite3.Error."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = _opened(
        connect(f"{path.absolute().as_uri()}?mode=rw"),
        f"page_size = {PAGE_BYTES}",
        "auto_vacuum = INCREMENTAL",
        "journal_mode = MEMORY",
        "synchronous = OFF",
    )
    try:
        connection.executescript(statements.SCHEMA)
        write_meta(connection, "epoch", epoch)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        connection.close()
        raise
    return connection


def finish(path: Path, connection: sqlite3.Connection) -> None:
    """Call a file made by ``create`` whole, close it and make its content durable; its name is the caller's business."""
    try:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    finally:
        connection.close()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_timeline(connection: sqlite3.Connection) -> Timeline:
    """The boots remembered in the file, oldest first."""
    return Timeline(tuple(_boot(row) for row in connection.execute(statements.BOOTS).fetchall()))


def write_boots(connection: sqlite3.Connection, boots: tuple[Boot, ...]) -> None:
    """Add these boots or bring them up to date."""
    connection.executemany(statements.SET_BOOT, [_boot_row(boot) for boot in boots])


def read_meta(connection: sqlite3.Connection) -> dict[str, str]:
    """What the file says of itself: ``epoch``, ``chain``, ``running`` and so on."""
    return dict(connection.execute(statements.META))


def write_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Set one of the things that the file says of itself."""
    connection.execute(statements.SET_META, (name, value))


def _boot(row: Row) -> Boot:
    boot_id, last_boot_ns, floor_ns, *anchor = row
    return Boot(boot_id, last_boot_ns, floor_ns, None if None in anchor else Anchor(*anchor))


def _boot_row(boot: Boot) -> Row:
    anchor = (None, None, None) if boot.anchor is None else (boot.anchor.boot_ns, boot.anchor.wall_ns, boot.anchor.uncertainty_ms)
    return (boot.boot_id, boot.last_boot_ns, boot.floor_ns, *anchor)


def _opened(connection: sqlite3.Connection, *pragmas: str) -> sqlite3.Connection:
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection
