"""The record's file: whose it is, and what happens to it while the gate runs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device.edges.record import opening
from device.edges.record.file import JournalFile
from device.edges.record.rows import Record, RowKind
from device.edges.record.schema import read_meta, sqlite_connect
from device.edges.record.store import Item
from device.errors import JournalBusy, JournalError
from tests.edges.record.kit import an_event, asides, blank_leaf, make_file, rows
from tests.entries import FREEZE, Opener, checkin, numbers, section, settle
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


def test_the_file_and_its_folder_are_the_owners_alone(tmp_path: Path, clock: FakeClock) -> None:
    """0600 for the file, its WAL, its index and its lock, 0700 for the folder, whatever the umask."""
    path = tmp_path / "state" / "journal.sqlite"
    before = os.umask(0)
    try:
        with closing(Opener(path, clock)) as opener:
            settle([opener().record(checkin(clock, 1))])
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys((path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.lock"), 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(opener: Opener, path: Path) -> None:
    """Permissions that went wrong, in a restored copy for example, are mended when it is opened."""
    opener().close()
    path.chmod(0o644)
    opener()
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_one_process_owns_the_record(opener: Opener, path: Path) -> None:
    """A second gate on the same file is told which process has it, and touches nothing."""
    opener()
    code = (
        "import sys; from pathlib import Path; from device.config import JournalSection;"
        "from device.edges.machine.clock import SystemClock;"
        "from device.edges.record.journal import SqliteJournal; from device.errors import JournalBusy\n"
        "try: SqliteJournal(Path(sys.argv[1]), JournalSection(), SystemClock(), lambda *_: b'')\n"
        "except JournalBusy as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30, check=True).stdout
    assert told == f"{path} is in use by process {os.getpid()}\n"
    with pytest.raises(JournalBusy):
        opener()


def test_a_file_deleted_under_the_running_gate_is_written_anew(opener: Opener, clock: FakeClock) -> None:
    """Whoever tidied up too much: within a minute the file is there again with everything in it, in the same epoch."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in (1, 2)])
    bounds = journal.bounds()
    for file in opener.path.parent.glob("journal.sqlite*"):
        file.unlink()
    journal.maintain()
    assert journal.bounds() == bounds
    settle([journal.record(checkin(clock, 3))])
    journal.close()
    assert numbers(opener().waiting(0, 10)) == [1, 2, 3]


def test_a_file_replaced_under_the_running_gate_is_set_aside(opener: Opener, clock: FakeClock) -> None:
    """What somebody put in the place of the open file is kept beside it; the gate goes on with its own."""
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    opener.path.unlink()
    opener.path.write_bytes(b"a restored backup")
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1]
    assert opener.path.with_name("journal.sqlite.corrupt-1").read_bytes() == b"a restored backup"


def test_a_file_set_aside_goes_when_its_retention_is_over(opener: Opener, clock: FakeClock) -> None:
    """It holds what the journal held, so it may not stay longer; a day counts only as far as it is certain."""
    opener.path.write_bytes(b"rubbish" * 1000)
    journal = opener(retention_days=21)
    journal.maintain()
    clock.advance(20 * 86_400)
    journal.maintain()
    assert len(asides(opener.path)) == 1
    clock.advance(2 * 86_400)
    journal.maintain()
    assert asides(opener.path) == []


def test_a_large_file_is_checked_beside_the_work(opener: Opener, clock: FakeClock, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit the start does not wait; the damage is found a little later, and mended."""
    monkeypatch.setattr(opening, "CHECK_BYTES", 4096)
    blank_leaf(opener.path, 30)
    journal = opener()
    checker = journal._file._checker  # noqa: SLF001  to wait for it
    if checker is not None:
        checker[0].join(10)
    journal.maintain()
    assert journal.bounds().epoch != old
    assert settle([journal.record(checkin(clock, 1))])


def test_closing_does_not_wait_for_a_check(opener: Opener, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a large file is broken off."""
    monkeypatch.setattr(opening, "CHECK_BYTES", 4096)
    opener().close()
    assert opener().bounds().epoch == old


# ------------------------------------------------------------- one file, opened and closed

SECTION = section(max_rows=100)


@pytest.fixture
def journal_file(path: Path) -> Iterator[JournalFile]:
    """A file, not opened yet."""
    file = JournalFile(path, SECTION, FREEZE, sqlite_connect, keep_ns=5, floor_ns=7)
    yield file
    file.close()
    file.disown()


def asked(file: JournalFile) -> list[str]:
    """What is said where the store and its bounds are asked for."""
    said = []
    for ask in (lambda: file.store, lambda: file.upkeep):
        try:
            ask()
        except JournalError as error:
            said.append(str(error))
    return said


def test_a_file_that_is_not_open_has_no_store(journal_file: JournalFile, clock: FakeClock) -> None:
    """Whoever asks is told, before it is opened and after it was closed."""
    for _ in range(2):
        assert (journal_file.is_open, asked(journal_file)) == (False, ["the record's file is not open"] * 2)
        journal_file.open(clock.reading())
        assert (journal_file.is_open, asked(journal_file)) == (True, [])
        assert journal_file.store.line.boots[-1].floor_ns == 7
        journal_file.close()


def test_how_the_run_before_ended_is_known_from_the_first_opening(path: Path, clock: FakeClock) -> None:
    """And is not forgotten when the file has to be opened again."""
    said: list[object] = []
    for orderly in (True, False, True):
        file = JournalFile(path, SECTION, FREEZE, sqlite_connect)
        assert file.previous_run is None
        file.open(clock.reading())
        file.open(clock.reading())
        said.append(file.previous_run)
        if orderly:
            file.finish()
        else:
            file.close()
        file.disown()
    assert said == ["first", "clean", "unclean"]


def test_a_file_that_was_closed_in_order_is_one_file(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """Its WAL is brought in and gone, and it says itself that its run has ended; nobody reads it any more."""
    journal_file.open(clock.reading())
    journal_file.store.append([an_event(1)])
    readers = journal_file.readers
    journal_file.finish()
    assert [file.name for file in path.parent.iterdir() if file.name.startswith("journal")] == ["journal.sqlite", "journal.sqlite.lock"]
    assert not journal_file.is_open
    with pytest.raises(JournalError), readers.connection():
        pass
    journal_file.finish()


def test_a_file_that_was_only_closed_has_not_lost_its_wal(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """SQLite takes it away with the last connection; an empty one, of the owner alone, says that this was no loss."""
    before = os.umask(0)
    try:
        journal_file.open(clock.reading())
        journal_file.store.append([an_event(1)])
        epoch = journal_file.store.epoch
        journal_file.close()
    finally:
        os.umask(before)
    wal = path.with_name("journal.sqlite-wal")
    assert (wal.stat().st_size, wal.stat().st_mode & 0o777) == (0, 0o600)
    journal_file.open(clock.reading())
    assert journal_file.store.epoch == epoch
    assert [row[0] for row in rows(journal_file.store)] == [1]


def test_an_opening_that_fails_half_way_can_be_repeated(journal_file: JournalFile, path: Path, clock: FakeClock, disk: FaultyDisk) -> None:
    """No connection is left open, the lock is kept, and the WAL does not look lost."""
    journal_file.open(clock.reading())
    epoch = journal_file.store.epoch
    journal_file.finish()
    journal_file.disown()
    file = JournalFile(path, SECTION, FREEZE, disk)
    disk.break_statements("BEGIN IMMEDIATE", "io_error")
    with pytest.raises(sqlite3.OperationalError):
        file.open(clock.reading())
    assert not file.is_open
    assert path.with_name("journal.sqlite-wal").exists()
    with pytest.raises(JournalBusy):
        journal_file.open(clock.reading())
    file.open(clock.reading())
    assert file.store.epoch == epoch
    file.close()
    file.disown()


def test_a_lock_names_its_owner_and_is_given_back(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """The number of the process and no rest of a longer one; a lock that says nothing belongs to nobody known."""
    lock = path.with_name("journal.sqlite.lock")
    lock.write_text("123456789012345678901234567890\n")
    journal_file.open(clock.reading())
    assert lock.read_text() == f"{os.getpid()}\n"
    assert lock.stat().st_mode & 0o777 == 0o644
    other = JournalFile(path, SECTION, FREEZE, sqlite_connect)
    with pytest.raises(JournalBusy, match=f"is in use by process {os.getpid()}$"):
        other.open(clock.reading())
    lock.write_text("")
    with pytest.raises(JournalBusy, match=r"is in use by process unknown$"):
        other.open(clock.reading())
    journal_file.close()
    journal_file.disown()
    journal_file.disown()
    other.open(clock.reading())
    other.close()
    other.disown()


def test_a_lock_that_is_a_link_is_not_followed(journal_file: JournalFile, path: Path, clock: FakeClock, tmp_path: Path) -> None:
    """Whoever may write into the folder must not have another file emptied."""
    precious = tmp_path / "precious"
    precious.write_text("text")
    path.with_name("journal.sqlite.lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic"):
        journal_file.open(clock.reading())
    assert precious.read_text() == "text"


def test_asking_for_a_lock_uses_up_nothing(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """Each refusal gives its descriptor back, and a file that is opened again keeps the one it has."""
    journal_file.open(clock.reading())
    other = JournalFile(path, SECTION, FREEZE, sqlite_connect)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(JournalBusy):
            other.open(clock.reading())
        journal_file.open(clock.reading())
    assert len(list(Path("/proc/self/fd").iterdir())) == open_now


def test_a_file_knows_whether_its_name_still_stands_for_it(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """Not when it was deleted, nor when another lies in its place."""
    journal_file.open(clock.reading())
    assert journal_file.is_same()
    path.rename(path.with_name("moved"))
    assert not journal_file.is_same()
    path.touch()
    assert not journal_file.is_same()


def test_a_file_that_was_deleted_is_written_anew_and_goes_on(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """With the same events and epoch, under its own name."""
    journal_file.open(clock.reading())
    journal_file.store.append([an_event(1)])
    epoch = journal_file.store.epoch
    path.unlink()
    journal_file.rescue(clock.reading())
    assert journal_file.is_same()
    assert journal_file.store.epoch == epoch
    assert journal_file.store.append([an_event(2)]) == [2]


def test_the_wals_size_is_told_and_is_nothing_where_there_is_none(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """In bytes."""
    assert journal_file.wal_bytes == 0
    journal_file.open(clock.reading())
    journal_file.store.append([an_event(1)])
    assert journal_file.wal_bytes == path.with_name("journal.sqlite-wal").stat().st_size > 0


def test_bounds_are_those_of_the_settings(path: Path, clock: FakeClock) -> None:
    """Rows, mebibytes, days and what is kept after the broker's word: a day has 86,400 seconds."""
    wide = section(max_rows=1000, max_mib=4, retention_days=2)
    file = JournalFile(path, wide, FREEZE, sqlite_connect, keep_ns=10**9)
    file.open(clock.reading())
    file.store.append([an_event(number, at=clock.reading()) for number in range(1, 1001)])
    file.store.release([1], clock.reading(), keep=True)
    assert not file.upkeep.over()
    file.store.append([an_event(1001, at=clock.reading())])
    assert file.upkeep.over()
    clock.advance(1)
    assert not file.upkeep.forget(clock.reading())
    clock.advance_ns(1)
    assert file.upkeep.forget(clock.reading())
    clock.advance_ns(2 * 86_400 * 10**9 - 10**9 - 1)
    assert not file.upkeep.expire(clock.reading())
    clock.advance_ns(1)
    assert file.upkeep.expire(clock.reading())
    used = file.store.used_bytes()
    file.store.release(range(2, 1002), clock.reading(), keep=False)
    while not file.upkeep.over():
        used = file.store.used_bytes()
        file.store.append([Item(Record("big", RowKind.CHECKIN, replace(clock.reading(), trusted=False), bytes(50_000)))])
    assert used <= 4 * 1024 * 1024 < file.store.used_bytes()
    file.close()
    file.disown()


def test_what_was_set_aside_is_noted_when_it_is_first_seen(journal_file: JournalFile, path: Path, clock: FakeClock) -> None:
    """And goes when the retention is certainly over since, also after a restart; the note goes with it."""
    path.write_bytes(b"rubbish" * 1000)
    journal_file.open(clock.reading())
    aside = path.with_name("journal.sqlite.corrupt-1")
    journal_file.tidy(clock.reading())
    noted = json.loads(read_meta(journal_file.store.connection)["asides"])
    assert noted == {aside.name: [clock.boot_id, clock.boot_ns]}
    clock.advance(round(SECTION.retention_days * 86_400))
    journal_file.tidy(clock.reading())
    assert aside.exists()
    assert json.loads(read_meta(journal_file.store.connection)["asides"]) == noted
    journal_file.finish()
    clock.restart("boot-2", trusted=True)
    journal_file.open(clock.reading())
    journal_file.tidy(clock.reading())
    assert aside.exists()
    clock.advance(1)
    journal_file.tidy(clock.reading())
    assert not aside.exists()
    assert json.loads(read_meta(journal_file.store.connection)["asides"]) == {}


# ------------------------------------------------------------- a large file is read through beside the work


def checked() -> None:
    """Wait until the file was read through."""
    for thread in threading.enumerate():
        if thread.name == "journal-check":
            thread.join(10)


@pytest.mark.parametrize("limit", [0, 1])
def test_a_file_above_the_limit_is_read_through_afterwards(
    journal_file: JournalFile, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """By one byte: at the limit it was read through before it was opened, and is not read again."""
    make_file(path)
    monkeypatch.setattr(opening, "CHECK_BYTES", path.stat().st_size - limit)
    started: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread.name))
    monkeypatch.setattr(threading.Thread, "join", lambda _thread: None)
    journal_file.open(clock.reading())
    assert started == ["journal-check"] * limit
    journal_file.close()


@pytest.mark.parametrize("damaged", [False, True])
def test_damage_that_is_found_beside_the_work_is_told(
    journal_file: JournalFile,
    path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    damaged: bool,  # noqa: FBT001  a column
) -> None:
    """Once; and nothing is told of a file that is whole."""
    journal_file.open(clock.reading())
    journal_file.store.append([an_event(number) for number in range(1, 301)])
    journal_file.finish()
    if damaged:
        blank_leaf(path, 30)
    monkeypatch.setattr(opening, "CHECK_BYTES", 4096)
    told: list[None] = []
    journal_file.on_damage = lambda: told.append(None)
    journal_file.open(clock.reading())
    checked()
    assert len(told) == damaged


def test_a_disk_that_fails_while_a_file_is_read_through_is_no_damage(
    path: Path, clock: FakeClock, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever writes will meet it too; damage that SQLite names is one."""
    make_file(path)
    monkeypatch.setattr(opening, "CHECK_BYTES", 4096)
    file = JournalFile(path, SECTION, FREEZE, disk)
    told: list[None] = []
    file.on_damage = lambda: told.append(None)
    for code, count in (("io_error", 0), ("damaged", 1)):
        disk.break_statements("PRAGMA quick_check", code)
        with caplog.at_level("INFO"):
            file.open(clock.reading())
            checked()
        assert len(told) == count
    assert "journal.sqlite was not read through: disk I/O error" in caplog.text
    file.close()
    file.disown()


LONG = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000000) SELECT count(*) FROM n"


class Reading(sqlite3.Connection):
    """Takes half a minute to read a file through."""

    begun = threading.Event()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401  as in sqlite3
        """As in sqlite3."""
        if not sql.startswith("PRAGMA quick_check"):
            return super().execute(sql, parameters)
        # Set from within the statement: one that has not begun cannot be interrupted.
        self.set_progress_handler(self.begun.set, 1000)
        return super().execute(LONG)


def test_a_check_that_takes_long_is_broken_off(path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for it, and leaves neither its thread nor its connection behind; nothing is called damaged."""
    make_file(path)
    monkeypatch.setattr(opening, "CHECK_BYTES", 4096)
    made: list[sqlite3.Connection] = []

    def connect(uri: str) -> sqlite3.Connection:
        made.append(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Reading))
        return made[-1]

    file = JournalFile(path, SECTION, FREEZE, connect)
    told: list[None] = []
    file.on_damage = lambda: told.append(None)
    file.open(clock.reading())
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "journal-check"]
    assert thread.daemon
    assert Reading.begun.wait(10)
    file.close()
    assert not thread.is_alive()
    assert told == []
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[-1].total_changes  # noqa: B018  asking is the test
    file.disown()
