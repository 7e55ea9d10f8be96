"""The journal's file as a whole: owned by one process, opened, checked, closed, and written anew when it was deleted."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from device.config import JournalSection
from device.core.timeline import least_age_ns
from device.core.types import ClockReading
from device.edges.record import opening
from device.edges.record.reader import Readers
from device.edges.record.schema import Connect, open_for_reading, read_meta, write_meta
from device.edges.record.store import Freezer, Store
from device.edges.record.upkeep import Upkeep
from device.errors import JournalBusy, JournalError

PreviousRun = Literal["first", "clean", "unclean"]

_DAY_NS: Final = 86_400 * 1_000_000_000
log = logging.getLogger(__name__)


class JournalFile:
    """One journal file. Used by the writer's thread alone, but for ``readers``.

    ``on_damage`` is called by a thread of its own when reading a large file
    through, beside the work, has shown that it is damaged.
    """

    def __init__(
        self, path: Path, section: JournalSection, freeze: Freezer, connect: Connect, *, keep_ns: int = 0, floor_ns: int = 0
    ) -> None:
        self.path = path
        self.readers = Readers(path, connect)
        self.previous_run: PreviousRun | None = None
        self.on_damage: Callable[[], None] = lambda: None
        self._section = section
        self._freeze = freeze
        self._connect = connect
        self._keep_ns = keep_ns
        self._floor_ns = floor_ns
        self._retention_ns = round(section.retention_days * _DAY_NS)
        self._wal = path.with_name(f"{path.name}-wal")
        self._lock: int | None = None
        self._inode = 0
        self._store: Store | None = None
        self._upkeep: Upkeep | None = None
        self._checker: tuple[threading.Thread, sqlite3.Connection] | None = None

    @property
    def store(self) -> Store:
        """The open file. Raises JournalError while it is not open."""
        if self._store is None:
            raise JournalError("the record's file is not open")
        return self._store

    @property
    def upkeep(self) -> Upkeep:
        """The bounds of the open file. Raises JournalError while it is not open."""
        if self._upkeep is None:
            raise JournalError("the record's file is not open")
        return self._upkeep

    @property
    def is_open(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    def open(self, now: ClockReading, *, suspect: str | None = None) -> None:
        """Own the file and open it, whatever is found in its place. Raises sqlite3.Error, OSError and JournalBusy.

        Readers that have a connection keep what they see until they give it back.
        """
        self.close()
        try:
            self._own()
            opened = opening.open_journal(self.path, self._connect, now, suspect=suspect)
            try:
                self._store = self._begin(opened, now)
            except BaseException:
                self._close_in_use(opened.connection)
                raise
        finally:
            self.readers = Readers(self.path, self._connect)
        self._upkeep = Upkeep(
            self._store,
            max_rows=self._section.max_rows,
            max_bytes=self._section.max_mib * 1024 * 1024,
            retention_ns=self._retention_ns,
            keep_ns=self._keep_ns,
        )
        self._look_through()

    def close(self) -> None:
        """Close the file as it is, for another try or after ``finish``."""
        self.readers.close()
        checker, self._checker = self._checker, None
        if checker is not None:
            thread, connection = checker
            connection.interrupt()
            thread.join()
            connection.close()
        store, self._store, self._upkeep = self._store, None, None
        if store is not None:
            self._close_in_use(store.connection)

    def finish(self) -> None:
        """Close the file in order, so that the next start finds all of it in one place. Raises sqlite3.Error."""
        try:
            if self._store is not None:
                self.readers.close()
                self._store.finish()
                self._store.connection.close()
                self._store = None
        finally:
            self.close()

    def disown(self) -> None:
        """Let another process have the file."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def is_same(self) -> bool:
        """Whether the file that is open is still the one that its name stands for."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def rescue(self, now: ClockReading) -> None:
        """Write the file anew after somebody deleted or replaced it, from what is still open. Raises sqlite3.Error, OSError."""
        log.error("%s was deleted or replaced while in use; it is written anew", self.path.name)
        opening.restore(self.path, self.store.connection, self._connect)
        self.open(now)

    def tidy(self, now: ClockReading) -> None:
        """Delete files set aside when the retention of what they hold is over. Raises sqlite3.Error, OSError."""
        connection = self.store.connection
        noted = json.loads(read_meta(connection).get("asides", "{}"))
        kept: dict[str, tuple[str, int]] = {}
        for aside in opening.asides(self.path):
            boot_id, boot_ns = noted.get(aside.name, (now.boot_id, now.boot_ns))
            since = ClockReading(0, boot_ns, 0, boot_id, trusted=False)
            if least_age_ns(since, now, self.store.line) > self._retention_ns:
                opening.remove_aside(aside)
            else:
                kept[aside.name] = (boot_id, boot_ns)
        with self.store.transaction():
            write_meta(connection, "asides", json.dumps(kept))

    @property
    def wal_bytes(self) -> int:
        """Size of the WAL."""
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def _close_in_use(self, connection: sqlite3.Connection) -> None:
        """Close a file that says of itself that it is in use, without an end to its run.

        SQLite may take the WAL away with it. That it is gone must not look as if it had been lost.
        """
        with suppress(sqlite3.Error):
            connection.close()
        with suppress(OSError):
            self._wal.touch(mode=0o600)

    def _begin(self, opened: opening.Opening, now: ClockReading) -> Store:
        store = Store(opened.connection, self._freeze, now, self._floor_ns)
        if self.previous_run is None:
            self.previous_run = "first" if opened.first else "clean" if store.clean else "unclean"
        store.begin_running()
        self._inode = self.path.stat().st_ino
        return store

    def _look_through(self) -> None:
        """Read a large file through beside the work; a small one was, before it was opened."""
        if self.path.stat().st_size > opening.CHECK_BYTES:
            connection = open_for_reading(self.path, self._connect)
            thread = threading.Thread(target=self._check, args=(connection,), name="journal-check", daemon=True)
            self._checker = (thread, connection)
            thread.start()

    def _check(self, connection: sqlite3.Connection) -> None:
        try:
            whole = opening.check(connection)
        except sqlite3.Error as error:
            if not opening.is_damage(error):
                log.info("%s was not read through: %s", self.path.name, error)
                return
            whole = False
        if not whole:
            log.error("%s is damaged", self.path.name)
            self.on_damage()

    def _own(self) -> None:
        if self._lock is not None:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = self.path.with_name(f"{self.path.name}.lock")
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise JournalBusy(f"{self.path} is in use by process {owner or 'unknown'}") from None
        self._lock = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
