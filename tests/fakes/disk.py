"""A disk that fails when told, under a real SQLite: handed to the journal as its `connect`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ERRORS = {
    "io_error": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "disk_full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "read_only": (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
    "damaged": (sqlite3.SQLITE_CORRUPT, "database disk image is malformed"),
}
WAIT_S = 10.0


def error(code: str) -> sqlite3.Error:
    """What SQLite raises for it."""
    number, text = ERRORS[code]
    kind = sqlite3.DatabaseError if code == "damaged" else sqlite3.OperationalError
    raised = kind(text)
    raised.sqlite_errorcode = number
    return raised


class FaultyDisk:
    """`Connect` for tests.

    `break_commits` makes each commit fail, and with ``written`` only after it
    has reached the disk all the same, and ``times`` of them alone; `break_opening` makes opening fail;
    `break_statements` makes statements of that beginning fail, ``times`` of
    them; `mend` ends all of these. `hold_commits` is a disk that hangs.
    `watch` tells when a statement was executed.
    `statements` is what was executed on connections that write.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []
        self._commit: tuple[str, bool, int] | None = None
        self._watched: dict[str, threading.Event] = {}
        self._opening: str | None = None
        self._begins: tuple[str, str, int] | None = None
        self._gate = threading.Event()
        self._gate.set()
        self.held = threading.Event()

    def __call__(self, uri: str) -> sqlite3.Connection:
        """Open as the journal does, through this disk."""
        if self._opening is not None:
            raise error(self._opening)
        disk, writes = self, "mode=rw" in uri

        class Connection(sqlite3.Connection):
            """Asks the disk before each statement, and after each commit."""

            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401  as in sqlite3
                """As in sqlite3."""
                disk.before(sql, writes=writes)
                cursor = super().execute(sql, parameters)
                disk.after(sql)
                return cursor

        return sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False, factory=Connection)

    # ------------------------------------------------------------- faults

    def break_commits(self, code: str, *, written: bool = False, times: int = 1_000_000) -> None:
        """Each commit fails from now on, or the next so many."""
        self._commit = (code, written, times)

    def break_opening(self, code: str) -> None:
        """The file cannot be opened from now on."""
        self._opening = code

    def break_statements(self, beginning: str, code: str, times: int = 1) -> None:
        """The next so many statements that begin like this fail."""
        self._begins = (beginning, code, times)

    def mend(self) -> None:
        """The disk is back."""
        self._commit = self._opening = self._begins = None

    def watch(self, beginning: str) -> threading.Event:
        """Set when a statement that begins like this has been executed, from now on."""
        return self._watched.setdefault(beginning, threading.Event())

    @contextmanager
    def hold_commits(self) -> Iterator[None]:
        """Commits hang inside the block. `held` is set when one does."""
        self.held.clear()
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    # ------------------------------------------------------------- how

    def before(self, sql: str, *, writes: bool) -> None:
        """Fail or hang before it is done."""
        if writes:
            self.statements.append(sql)
        if self._begins is not None and sql.startswith(self._begins[0]):
            beginning, code, times = self._begins
            self._begins = (beginning, code, times - 1) if times > 1 else None
            raise error(code)
        if sql == "COMMIT":
            if not self._gate.is_set():
                self.held.set()
                assert self._gate.wait(WAIT_S), "the test left the disk hanging"
            self._fail_commit(written=False)

    def after(self, sql: str) -> None:
        """Fail although it was done; tell who watches."""
        if sql == "COMMIT":
            self._fail_commit(written=True)
        for beginning, seen in tuple(self._watched.items()):
            if sql.startswith(beginning):
                seen.set()

    def _fail_commit(self, *, written: bool) -> None:
        if self._commit is None or self._commit[1] is not written:
            return
        code, _, times = self._commit
        self._commit = (code, written, times - 1) if times > 1 else None
        raise error(code)
