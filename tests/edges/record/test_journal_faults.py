"""The record on a disk that fails, hangs and comes back."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from device.edges.record import writer
from device.edges.record.journal import SqliteJournal
from device.errors import JournalError
from tests.entries import FREEZE, Opener, checkin, numbers, parsed, section, settle
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


@pytest.fixture
def clock() -> FakeClock:
    """A synchronised clock."""
    return FakeClock()


@pytest.fixture
def disk() -> FaultyDisk:
    """A disk that fails when told."""
    return FaultyDisk()


@pytest.fixture
def opener(tmp_path: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens journals on one file."""
    with closing(Opener(tmp_path / "journal.sqlite", clock)) as opener:
        yield opener


def refused(journal: SqliteJournal, clock: FakeClock, number: int) -> str:
    """Record, and be told that it is not durable; the reason."""
    with pytest.raises(JournalError) as caught:
        journal.record(checkin(clock, number)).result(10)
    return str(caught.value)


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def facts(journal: SqliteJournal, what: str) -> list[dict[str, object]]:
    """The data of the waiting audit events of one sort."""
    return [data for data in (parsed(one)["data"] for one in journal.waiting(0, 20_000)) if data.get("what") == what]


def test_the_disk_is_tried_again_by_itself(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Some seconds after the trouble began, nobody having asked, the journal finds that the disk is back."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    refused(journal, clock, 1)
    disk.mend()
    clock.advance(6)
    until(lambda: journal.stats()["storage_state"] == "ok")
    assert numbers(journal.waiting(0, 20)) == [1]


@pytest.mark.parametrize("code", ["io_error", "disk_full", "read_only"])
def test_a_failing_disk_is_told_and_nothing_is_lost(opener: Opener, clock: FakeClock, disk: FaultyDisk, code: str) -> None:
    """The future says that the event is not durable, the state says degraded, and when the disk is back all is written in order."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, 1))])
    disk.break_commits(code)
    disk.break_opening(code)
    for number in (2, 3, 4):
        assert "cannot be written" in refused(journal, clock, number) or number > 2
    stats = journal.stats()
    assert (stats["storage_state"], stats["storage_error"], stats["in_memory"]) == ("degraded", code, 4)
    disk.mend()
    journal.maintain()
    settle([journal.record(checkin(clock, 5))])
    assert numbers(journal.waiting(0, 20)) == [1, 2, 3, 4, 5]
    assert [(fact["state"], fact["error"]) for fact in facts(journal, "storage")] == [("degraded", code), ("ok", code)]
    assert journal.stats()["in_memory"] == 0


def test_what_is_not_to_be_kept_is_dropped_by_a_failing_disk(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Neither the event in which the disk fails nor one after it comes later; what is to be kept does."""
    journal = opener(connect=disk)
    disk.break_commits("disk_full")
    disk.break_opening("disk_full")
    for number in (1, 2):
        with pytest.raises(JournalError):
            journal.record(replace(checkin(clock, number), kept=False)).result(10)
    refused(journal, clock, 3)
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 20)) == [3]


def test_an_error_after_the_commit_reached_the_disk_doubles_nothing(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """A sync that fails leaves open whether the event is there; the journal looks, and writes it at most once."""
    journal = opener(connect=disk)
    disk.break_commits("io_error", written=True)
    refused(journal, clock, 1)
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 20)) == [1]


def test_each_try_that_fails_adds_no_event(opener: Opener, clock: FakeClock, disk: FaultyDisk, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that stays full for hours is one line in the log and one event, however often it is tried."""
    journal = opener(connect=disk)
    disk.break_commits("disk_full")
    refused(journal, clock, 1)
    caplog.clear()
    for _ in range(5):
        with pytest.raises(JournalError):
            journal.maintain()
    assert journal.stats()["in_memory"] == 2
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    disk.mend()
    journal.maintain()
    assert [fact["state"] for fact in facts(journal, "storage")] == ["degraded", "ok"]


def test_the_disk_is_tried_only_now_and_then(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Events that come meanwhile do not make the journal hammer on a dying card."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    refused(journal, clock, 1)
    tried = len(disk.statements)
    for number in range(2, 50):
        refused(journal, clock, number)
    assert len(disk.statements) == tried


def test_memory_is_bounded_and_what_it_cannot_hold_is_counted(
    opener: Opener, clock: FakeClock, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the ring's size the oldest are lost, and the event that ends the trouble says how many."""
    monkeypatch.setattr(writer, "RING_LIMIT", 10)
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    for number in range(1, 31):
        refused(journal, clock, number)
    assert journal.stats()["in_memory"] == 10
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 100)) == list(range(21, 31))
    assert [fact.get("lost") for fact in facts(journal, "storage")] == [21]
    assert journal.stats()["dropped"] == 21


def test_a_disk_that_hangs_fails_nobody_until_memory_is_full(
    opener: Opener, clock: FakeClock, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Futures stay open while a sync takes long; beyond the ring's size the oldest are told that they are lost."""
    monkeypatch.setattr(writer, "RING_LIMIT", 10)
    journal = opener(connect=disk)
    with disk.hold_commits():
        first = journal.record(checkin(clock, 0))
        assert disk.held.wait(10)
        futures = [journal.record(checkin(clock, number)) for number in range(1, 13)]
        for future in futures[:2]:
            with pytest.raises(JournalError, match="is lost"):
                future.result(10)
        assert not any(future.done() for future in futures[2:])
    settle([first, *futures[2:]])
    assert numbers(journal.waiting(0, 100)) == [0, *range(3, 13)]


def test_a_slow_card_is_told_while_it_hangs_and_for_a_while_after(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """No error comes from a card that takes seconds: the state says it all the same, and is well again after a quiet minute."""
    journal = opener(connect=disk)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        assert journal.stats()["storage_state"] == "ok"
        clock.advance(1.5)
        assert journal.stats()["storage_state"] == "slow"
    settle([future])
    assert journal.stats()["storage_state"] == "slow"
    clock.advance(59)
    settle([journal.record(checkin(clock, 2))])
    assert journal.stats()["storage_state"] == "slow"
    clock.advance(2)
    assert journal.stats()["storage_state"] == "ok"


def test_reading_goes_on_while_writing_fails(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """On a full disk what is recorded can still be sent and confirmed; the province's word is kept until it can be written."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in (1, 2, 3)])
    disk.break_commits("disk_full")
    refused(journal, clock, 4)
    assert numbers(journal.waiting(0, 10)) == [1, 2, 3]
    assert journal.confirm(journal.bounds().epoch, 2) == 2
    assert numbers(journal.waiting(0, 10)) == [3]
    with pytest.raises(JournalError):
        journal.bury(3, "quota_exceeded")
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [3, 4]


def test_a_gate_starts_on_a_disk_that_fails(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Without any file it records into memory, says so to whoever wants to send, and catches up."""
    disk.break_opening("io_error")
    journal = opener(connect=disk)
    refused(journal, clock, 1)
    assert journal.stats()["storage_state"] == "degraded"
    assert list(journal.passages()) == []
    for ask in (journal.bounds, lambda: journal.waiting(0, 1), lambda: journal.live_from(1), lambda: journal.confirm("", 1)):
        with pytest.raises(JournalError):
            ask()
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1]
    assert journal.previous_run == "first"


def test_closing_on_a_disk_that_stays_away_says_what_is_lost(
    opener: Opener, clock: FakeClock, disk: FaultyDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """The end is orderly and the number of events that were only in memory is in the log."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    refused(journal, clock, 1)
    journal.close()
    assert "2 events are lost" in caplog.text
    disk.mend()
    assert opener(connect=disk).bounds().waiting == 0


def test_closing_tries_once_more(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """A disk that is back just then takes what memory held."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    refused(journal, clock, 1)
    disk.mend()
    journal.close()
    assert numbers(opener(connect=disk).waiting(0, 10)) == [1]


def test_what_is_handed_in_before_closing_is_written(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Closing waits for the queue."""
    journal = opener(connect=disk)
    futures = [journal.record(checkin(clock, number)) for number in range(500)]
    journal.close()
    assert settle(futures) == list(range(1, 501))


def test_damage_found_at_work_is_mended_at_once(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """The file is replaced, the event that met the damage is durable in the new one, and the epoch is another."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in (1, 2)])
    epoch = journal.bounds().epoch
    disk.break_statements("INSERT INTO event", "damaged")
    receipt = journal.record(checkin(clock, 3)).result(10)
    assert receipt.epoch == journal.bounds().epoch != epoch
    assert numbers(journal.waiting(0, 10)) == [1, 2, 3]
    assert [(fact["cause"], fact["old_epoch"], fact["salvaged"]) for fact in facts(journal, "journal_replaced")] == [("damaged", epoch, 2)]


def test_damage_that_comes_back_at_once_is_the_disks(opener: Opener, clock: FakeClock, disk: FaultyDisk, tmp_path: Path) -> None:
    """A second file that is damaged within a minute is not replaced again: the journal waits for a better disk."""
    journal = opener(connect=disk)
    disk.break_statements("PRAGMA freelist_count", "damaged", times=1000)
    settle([journal.record(checkin(clock, 1))])
    until(lambda: len(list(tmp_path.glob("*.corrupt-?"))) == 1)
    settle([journal.record(checkin(clock, 2))])
    until(lambda: journal.stats()["storage_state"] == "degraded")
    assert len(list(tmp_path.glob("*.corrupt-?"))) == 1
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1, 2]


def test_a_new_file_that_cannot_be_written_leaves_the_old_one(opener: Opener, clock: FakeClock, disk: FaultyDisk, tmp_path: Path) -> None:
    """While the replacement fails nothing is set aside, and what memory holds is written when it works."""
    journal = opener(connect=disk)
    disk.break_statements("INSERT INTO event", "damaged", times=1000)
    refused(journal, clock, 1)
    assert list(tmp_path.glob("*.corrupt-?")) == []
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1]


def test_an_ack_for_the_epoch_before_touches_nothing_of_the_new_one(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """The same numbers mean other events after the file was replaced."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in (1, 2)])
    epoch = journal.bounds().epoch
    disk.break_statements("INSERT INTO event", "damaged")
    settle([journal.record(checkin(clock, 3))])
    assert journal.confirm(epoch, 2) == 0
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1, 2, 3]


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


def test_a_callback_that_fails_stops_the_gate_loudly(opener: Opener, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of this program in the writer's thread ends it: everybody who waits is told, and the watchdog sees it."""
    journal = opener()

    def fail() -> None:
        raise RuntimeError("a mistake")

    journal.on_news(fail)
    settle([journal.record(checkin(clock, 1))])
    until(lambda: not journal.alive)
    with pytest.raises(JournalError, match="closed"):
        journal.record(checkin(clock, 2)).result(10)
    with pytest.raises(JournalError):
        journal.maintain()
    assert "the record's writer failed" in caplog.text


def fill(file: Path) -> None:
    """Write until there is no room for another page."""
    with file.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))


def mount_tmpfs(folder: Path, size: str) -> bool:
    """A small file system of its own, where this machine lets us."""
    folder.mkdir()
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False).returncode
        == 0
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB."""
    folder = tmp_path / "small"
    if not mount_tmpfs(folder, "2m"):
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full_and_then_is_not(small_disk: Path, clock: FakeClock) -> None:
    """ENOSPC from the kernel: events go to memory, and to the disk as soon as somebody has made room."""
    with closing(SqliteJournal(small_disk / "journal.sqlite", section(), clock, FREEZE)) as journal:
        settle([journal.record(checkin(clock, 1))])
        ballast = small_disk / "ballast"
        fill(ballast)
        failed = 0
        for number in range(2, 400):
            failed += journal.record(checkin(clock, number)).exception(10) is not None
        assert failed > 0
        assert journal.stats()["storage_error"] == "disk_full"
        ballast.unlink()
        journal.maintain()
        assert numbers(journal.waiting(0, 1000)) == list(range(1, 400))


def test_a_disk_that_is_really_read_only_and_then_is_not(small_disk: Path, clock: FakeClock) -> None:
    """A remount by the kernel after errors: events go to memory, and to the disk after it is writable again."""
    with closing(SqliteJournal(small_disk / "journal.sqlite", section(), clock, FREEZE)) as journal:
        settle([journal.record(checkin(clock, 1))])
        journal.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with closing(SqliteJournal(small_disk / "journal.sqlite", section(), clock, FREEZE)) as journal:
        refused(journal, clock, 2)
        assert journal.stats()["storage_state"] == "degraded"
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        journal.maintain()
        assert numbers(journal.waiting(0, 10)) == [1, 2]
