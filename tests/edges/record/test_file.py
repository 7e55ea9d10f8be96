"""The record's file: whose it is, and what happens to it while the gate runs."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from device.edges.record import opening
from device.errors import JournalBusy
from tests.edges.record.kit import asides, blank_leaf
from tests.entries import Opener, checkin, numbers, settle
from tests.fakes.clock import FakeClock


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
