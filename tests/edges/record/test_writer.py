"""The writer of the record: what goes first, and what it does on a disk that fails, hangs and comes back."""

from __future__ import annotations

import inspect
import logging
import sqlite3
import subprocess
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from device.core.types import ClockReading, Receipt
from device.edges.record import writer
from device.edges.record.journal import SqliteJournal
from device.edges.record.store import Item, Store
from device.edges.record.upkeep import Upkeep
from device.errors import JournalBusy, JournalError
from tests.edges.record.kit import DAY_S, caught_up, facts, record, rows
from tests.entries import FREEZE, Opener, chained, checkin, numbers, section, settle
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


def test_records_that_wait_together_share_a_commit(opener: Opener, clock: FakeClock) -> None:
    """While one commit is on its way to the disk, those that come go into the next one together."""
    disk = FaultyDisk()
    journal = opener(connect=disk)
    with disk.hold_commits():
        futures = [journal.record(checkin(clock, 1))]
        assert disk.held.wait(10)
        futures += [journal.record(checkin(clock, number)) for number in range(2, 101)]
        before = disk.statements.count("COMMIT")
    settle(futures)
    assert disk.statements.count("COMMIT") == before + 1


def test_records_go_before_everything_else(opener: Opener, clock: FakeClock) -> None:
    """A long erasure is broken off between its steps for an event that comes."""
    disk = FaultyDisk()
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in range(200)])
    disk.statements.clear()
    journal.on_news(lambda: disk.statements.append("news"))
    with disk.hold_commits():
        journal.confirm(journal.bounds().epoch, 200)
        assert disk.held.wait(10)
        future = journal.record(checkin(clock, 1000))
    settle([future])
    journal.maintain()
    told = disk.statements.index("news")
    erasures = [place for place, sql in enumerate(disk.statements) if sql.startswith("UPDATE event SET state")]
    assert any(place > told for place in erasures)


def test_a_late_record_counts_as_over_the_budget(opener: Opener, clock: FakeClock) -> None:
    """Nothing is acknowledged before its commit; one that takes longer than the lamp waits is counted, with its time."""
    disk = FaultyDisk()
    journal = opener(connect=disk)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        assert not future.done()
        clock.advance(5)
    settle([future])
    assert journal.stats()["over_budget"] == 1
    assert journal.stats()["commit_max_ms"] == 5000


def unfrozen(journal: SqliteJournal) -> int:
    """How many waiting events have no body."""
    view = journal._writer.view  # noqa: SLF001  whether bodies were made is not asked for elsewhere
    assert view is not None
    return view.tally.unfrozen


def test_upkeep_makes_bodies_while_nobody_asks(opener: Opener, clock: FakeClock) -> None:
    """After months without a province the newest event can go out at once; what may still get a better time is left alone."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 401)])
    journal.maintain()
    assert unfrozen(journal) == 0
    journal.close()
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(401, 411)])
    journal.maintain()
    assert unfrozen(journal) == 10
    assert chained(journal.waiting(0, 1000))


def test_people_who_pass_while_room_is_made_do_not_pile_up_in_the_writer(opener: Opener, clock: FakeClock) -> None:
    """Each step of making room lets records in, which must not begin to make room themselves: that went as deep as people came."""
    before = opener(max_rows=10_000)
    record(before, clock, 2_000)
    before.close()
    journal = opener(max_rows=100)
    futures: list[Future[Receipt]] = []
    depths: list[int] = []
    enough = threading.Event()

    def come(_: object = None) -> None:
        """The next one comes when this one is answered, in the writer's own thread: as fast as the disk, whatever that is."""
        depths.append(len(inspect.stack(0)))
        if len(futures) == 30:
            enough.set()
            return
        futures.append(journal.record(checkin(clock, 2_001 + len(futures))))
        futures[-1].add_done_callback(come)

    come()
    assert enough.wait(50)
    assert max(depths[1:]) - min(depths[1:]) < 20, depths
    assert len(set(settle(futures))) == 30
    journal.maintain()
    assert journal.bounds().waiting <= 100


def test_somebody_who_waits_for_the_writer_holds_up_no_record_while_room_is_made(
    opener: Opener, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that came within a step of making room is written after it, whoever else has asked for something."""
    before = opener(max_rows=10_000)
    record(before, clock, 2_000)
    before.close()
    journal = opener(max_rows=100)
    steps = 0
    make_room = Upkeep.make_room

    def counted(upkeep: Upkeep, now: ClockReading) -> bool:
        nonlocal steps
        steps += 1
        return make_room(upkeep, now)

    monkeypatch.setattr(Upkeep, "make_room", counted)
    answered: list[int] = []
    enough = threading.Event()
    waiting = threading.Thread(target=journal.maintain)

    def come(_: object = None) -> None:
        """The next one, as soon as this one is answered; with the first, somebody else begins to wait."""
        answered.append(steps)
        if len(answered) == 2:
            waiting.start()
        if len(answered) == 25:
            enough.set()
            return
        journal.record(checkin(clock, 2_000 + len(answered))).add_done_callback(come)

    come()
    assert enough.wait(50)
    waiting.join()
    assert max(later - earlier for earlier, later in pairwise(answered)) == 1, answered


def test_who_waits_for_the_writer_has_a_turn_in_the_thickest_crowd(
    opener: Opener, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the next person is there before each commit is over, the minute's upkeep comes after a few commits, not when all are in."""
    journal = opener()
    commits, going_on = 0, True
    append = Store.append

    def and_the_next(store: Store, items: Sequence[Item]) -> list[int]:
        nonlocal commits
        commits += 1
        if going_on and commits < 1_000:
            journal.record(checkin(clock, commits))
        return append(store, items)

    monkeypatch.setattr(Store, "append", and_the_next)
    journal.record(checkin(clock, 0))
    journal.maintain()
    going_on = False
    assert commits < 50


def test_the_wal_is_bounded_under_load(opener: Opener, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where events come without a pause, the WAL is brought in all the same when it is four times its size."""
    monkeypatch.setattr(writer, "WAL_BYTES", 100_000)
    journal = opener()
    futures = [journal.record(checkin(clock, number)) for number in range(3000)]
    largest = 0
    for future in futures:
        future.result(10)
        largest = max(largest, int(str(journal.stats()["wal_bytes"])))
    assert 0 < largest < 2_000_000


def test_upkeep_comes_by_itself_each_minute(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Nobody has to ask: a minute after the start the WAL is empty and old events are gone."""
    journal = opener(retention_days=1, connect=disk)
    record(journal, clock, 5)
    emptied = disk.watch("PRAGMA wal_checkpoint(TRUNCATE)")
    clock.advance(DAY_S + 61)
    assert emptied.wait(10)
    caught_up(journal)
    assert (journal.stats()["dropped"], journal.stats()["wal_bytes"]) == (5, 0)


def refused(journal: SqliteJournal, clock: FakeClock, number: int) -> str:
    """Record, and be told that it is not durable; the reason."""
    with pytest.raises(JournalError) as caught:
        journal.record(checkin(clock, number)).result(10)
    return str(caught.value)


def test_the_disk_is_tried_again_by_itself(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Some seconds after the trouble began, nobody having asked, the journal finds that the disk is back."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    refused(journal, clock, 1)
    disk.mend()
    back = threading.Event()
    journal.on_news(back.set)
    clock.advance(6)
    assert back.wait(10)
    assert journal.stats()["storage_state"] == "ok"
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
    caught_up(journal)
    assert len(list(tmp_path.glob("*.corrupt-?"))) == 1
    settle([journal.record(checkin(clock, 2))])
    caught_up(journal)
    assert journal.stats()["storage_state"] == "degraded"
    assert len(list(tmp_path.glob("*.corrupt-?"))) == 1
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1, 2]


def test_a_new_file_that_cannot_be_written_leaves_the_old_one(opener: Opener, clock: FakeClock, disk: FaultyDisk, tmp_path: Path) -> None:
    """While the replacement fails nothing is set aside, and what memory holds is written when it works."""
    journal = opener(connect=disk)
    disk.break_statements("INSERT INTO event", "damaged", times=1000)
    assert refused(journal, clock, 1) == "the record cannot be written: database disk image is malformed"
    assert list(tmp_path.glob("*.corrupt-?")) == []
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1]


def test_a_callback_that_fails_stops_the_gate_loudly(opener: Opener, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of this program in the writer's thread ends it: everybody who waits is told, and the watchdog sees it."""
    journal = opener()

    def fail() -> None:
        raise RuntimeError("a mistake")

    journal.on_news(fail)
    settle([journal.record(checkin(clock, 1))])
    next(thread for thread in threading.enumerate() if thread.name == "journal").join(10)
    assert not journal.alive
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


# ------------------------------------------------------------- when a file is replaced


def test_acks_for_a_damaged_file_neither_hide_nor_erase_what_is_in_the_new_one(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """The numbers that they named mean other events now: all are there, are given out, and are still there after the upkeep."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in range(1, 6)])
    assert journal.confirm(journal.bounds().epoch, 3) == 3
    assert numbers(journal.waiting(0, 10)) == [4, 5]
    disk.break_statements("INSERT INTO event", "damaged")
    settle([journal.record(checkin(clock, 6))])
    assert numbers(journal.waiting(0, 10)) == [1, 2, 3, 4, 5, 6]
    assert journal.bounds().waiting == 7
    clock.advance(31)
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1, 2, 3, 4, 5, 6]


def test_an_event_whose_commit_met_the_damage_is_in_the_new_file_once(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """It had reached the old file and was carried over; written again it would be counted twice."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, 1))])
    epoch = journal.bounds().epoch
    disk.break_commits("damaged", written=True, times=1)
    assert refused(journal, clock, 2) == "the disk failed while the event was written; it is there now"
    caught_up(journal)
    settle([journal.record(checkin(clock, 3))])
    assert journal.bounds().epoch != epoch
    assert numbers(journal.waiting(0, 10)) == [1, 2, 3]


def test_whoever_sends_is_told_of_a_new_file(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Also where no event came with it."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, 1))])
    news: list[str] = []
    journal.on_news(lambda: news.append(str(journal.stats()["epoch"])))
    epoch = journal.bounds().epoch
    disk.break_statements("SELECT state FROM event", "damaged")
    with pytest.raises(JournalError, match="the record cannot be written: database disk image is malformed"):
        journal.bury(1, "quota_exceeded")
    assert news == [journal.bounds().epoch]
    assert news != [epoch]


@pytest.mark.parametrize(("wait_ns", "files"), [(59_999_999_999, 1), (60_000_000_000, 2)])
def test_a_file_is_replaced_once_in_a_minute(
    opener: Opener, clock: FakeClock, disk: FaultyDisk, tmp_path: Path, wait_ns: int, files: int
) -> None:
    """A second damage within it is the disk's."""
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, 1))])
    for _ in range(2):
        disk.break_statements("SELECT state FROM event", "damaged")
        with pytest.raises(JournalError):
            journal.bury(1, "quota_exceeded")
        clock.advance_ns(wait_ns)
    assert len(list(tmp_path.glob("*.corrupt-?"))) == files
    assert journal.stats()["storage_state"] == ("ok" if files == 2 else "degraded")


# ------------------------------------------------------------- when nobody waits


def look_around(journal: SqliteJournal) -> None:
    """What the writer does by itself after a second in which nobody wants anything."""
    writing = journal._writer  # noqa: SLF001  that second would be spent waiting
    writing._call(writing._look_around)  # noqa: SLF001  the same


def states(journal: SqliteJournal) -> list[int]:
    """Of the rows in the file."""
    return [state for _, state in rows(journal._file.store)]  # noqa: SLF001  what is hidden is seen by nobody else


def test_acks_are_brought_to_the_disk_after_half_a_minute(opener: Opener, clock: FakeClock) -> None:
    """From the first of them on, to the nanosecond."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
    clock.advance(7)
    journal.confirm(journal.bounds().epoch, 1)
    clock.advance(20)
    journal.confirm(journal.bounds().epoch, 2)
    clock.advance_ns(9_999_999_999)
    look_around(journal)
    assert states(journal) == [2, 2, 2]
    clock.advance_ns(1)
    look_around(journal)
    assert states(journal) == [5, 5, 2]
    journal.confirm(journal.bounds().epoch, 3)
    look_around(journal)
    assert states(journal) == [5, 5, 2]


@pytest.mark.parametrize(("count", "left"), [(31, 31), (32, 0), (40, 0)])
def test_many_acks_are_brought_to_the_disk_at_once(opener: Opener, clock: FakeClock, count: int, left: int) -> None:
    """Thirty-two are worth a commit."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 51)])
    journal.confirm(journal.bounds().epoch, count)
    # A job is done after those before it; this one changes nothing.
    assert journal._writer.ask(lambda store: store.tally.waiting) == 50 - count + left  # noqa: SLF001  see above
    assert len(journal._writer.released()) == left  # noqa: SLF001  see above


def test_an_ack_is_new_once_and_for_its_own_epoch(opener: Opener, clock: FakeClock) -> None:
    """How many of them were."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 6)])
    writing = journal._writer  # noqa: SLF001  the journal asks the file first
    assert writing.release("another", [1, 2]) == 0
    assert writing.release(journal.bounds().epoch, [1, 2]) == 2
    assert writing.release(journal.bounds().epoch, [2, 3]) == 1
    assert writing.released() == {1, 2, 3}


def test_the_upkeep_comes_each_minute(opener: Opener, clock: FakeClock) -> None:
    """To the nanosecond, from the start on and from each on; the event that tells of a gap grows old like all others."""
    journal = opener(retention_days=1e-9)
    dropped = []
    for number in (1, 2):
        settle([journal.record(checkin(clock, number))])
        clock.advance_ns(59_999_999_999)
        look_around(journal)
        dropped.append(journal.stats()["dropped"])
        clock.advance_ns(1)
        look_around(journal)
        dropped.append(journal.stats()["dropped"])
    assert dropped == [0, 1, 1, 3]


def test_the_upkeep_tells_of_nothing_that_the_province_has(opener: Opener, clock: FakeClock) -> None:
    """What was confirmed and has not been erased yet is no loss when its retention is over."""
    journal = opener(retention_days=1)
    settle([journal.record(checkin(clock, number)) for number in (1, 2)])
    journal.confirm(journal.bounds().epoch, 1)
    clock.advance(86_401)
    journal.maintain()
    assert journal.stats()["dropped"] == 1
    assert [(fact["first"], fact["last"]) for fact in facts(journal, "gap")] == [(2, 2)]


def test_the_upkeep_notes_where_this_boot_has_come_to(opener: Opener, clock: FakeClock) -> None:
    """After a restart it is known how long the gate was running at least."""
    journal = opener()
    clock.advance(5_000)
    journal.maintain()
    with closing(sqlite3.connect(opener.path)) as connection:
        assert connection.execute("SELECT last_boot_ns FROM boot").fetchone() == (clock.boot_ns,)


@pytest.mark.parametrize("more", [0, 1])
def test_a_wal_above_its_size_is_brought_in_when_nobody_waits(
    opener: Opener, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """By one byte."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 20)])
    size = int(str(journal.stats()["wal_bytes"]))
    monkeypatch.setattr(writer, "WAL_BYTES", size - more)
    look_around(journal)
    assert journal.stats()["wal_bytes"] == (0 if more else size)


@pytest.mark.parametrize("more", [0, 1])
def test_a_wal_of_four_times_its_size_is_brought_in_between_events(
    opener: Opener, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    """Where they come without a pause."""
    journal = opener()
    caught_up(journal)
    settle([journal.record(checkin(clock, 1))])
    caught_up(journal)
    before = int(str(journal.stats()["wal_bytes"]))
    settle([journal.record(checkin(clock, 2))])
    caught_up(journal)
    after = int(str(journal.stats()["wal_bytes"]))
    step = after - before
    monkeypatch.setattr(writer, "WAL_BYTES", (after + step) / 4 - more)
    settle([journal.record(checkin(clock, 3))])
    caught_up(journal)
    assert journal.stats()["wal_bytes"] == (0 if more else after + step)


# ------------------------------------------------------------- how long an event waits


@pytest.mark.parametrize(("took_ns", "late"), [(150_000_000, 0), (150_000_001, 1)])
def test_an_event_is_late_by_a_nanosecond(opener: Opener, clock: FakeClock, disk: FaultyDisk, took_ns: int, late: int) -> None:
    """From its handing in to its commit, against what the lamp waits for."""
    journal = opener(connect=disk)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        clock.advance_ns(took_ns)
    settle([future])
    stats = journal.stats()
    assert (stats["over_budget"], stats["recorded"]) == (late, 1)
    assert stats["commit_max_ms"] == took_ns / 1e6


@pytest.mark.parametrize(("took_ns", "state"), [(1_000_000_000, "ok"), (1_000_000_001, "slow")])
def test_a_card_is_slow_above_a_second(opener: Opener, clock: FakeClock, disk: FaultyDisk, took_ns: int, state: str) -> None:
    """While it writes and for a minute after, to the nanosecond."""
    journal = opener(connect=disk)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        clock.advance_ns(took_ns)
        assert journal.stats()["storage_state"] == state
    settle([future])
    assert journal.stats()["storage_state"] == state
    clock.advance_ns(59_999_999_999)
    assert journal.stats()["storage_state"] == state
    clock.advance_ns(1)
    assert journal.stats()["storage_state"] == "ok"


def test_a_card_that_was_slow_and_failed_is_not_slow_for_ever(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """A commit that ended in an error is over as well."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    refused(journal, clock, 1)
    disk.mend()
    journal.maintain()
    clock.advance(100)
    assert journal.stats()["storage_state"] == "ok"


def test_two_hundred_and_fifty_six_events_share_a_commit(opener: Opener, clock: FakeClock) -> None:
    """And no more: a commit has an end."""
    disk = FaultyDisk()
    journal = opener(connect=disk)
    with disk.hold_commits():
        futures = [journal.record(checkin(clock, 0))]
        assert disk.held.wait(10)
        futures += [journal.record(checkin(clock, number)) for number in range(1, 258)]
        before = disk.statements.count("COMMIT")
    settle(futures)
    caught_up(journal)
    assert disk.statements.count("COMMIT") == before + 2


def test_ten_thousand_events_are_held_while_a_disk_hangs(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """One more, and the oldest is lost."""
    journal = opener(connect=disk)
    with disk.hold_commits():
        futures = [journal.record(checkin(clock, 0))]
        assert disk.held.wait(10)
        futures += [journal.record(checkin(clock, number)) for number in range(1, 10_001)]
        assert (journal.stats()["in_memory"], journal.stats()["dropped"]) == (10_000, 0)
        assert not futures[1].done()
        futures.append(journal.record(checkin(clock, 10_001)))
        assert (journal.stats()["in_memory"], journal.stats()["dropped"]) == (10_000, 1)
        with pytest.raises(JournalError, match=r"^the disk does not answer and memory is full: the event is lost$"):
            futures.pop(1).result(0)
    settle(futures)


# ------------------------------------------------------------- a disk that fails


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(5, "no"), "io_error"),
        (OSError(28, "no"), "disk_full"),
        (OSError(30, "no"), "read_only"),
        (OSError(13, "no"), "cannot_open"),
        (OSError("no"), "cannot_open"),
        (sqlite3.OperationalError("no"), "cannot_open"),
    ],
)
def test_what_a_disk_says_has_a_code(error: sqlite3.Error | OSError, code: str) -> None:
    """By the number of the error, where it has one."""
    assert writer.describe(error) == writer.DiskTrouble(code, str(error))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (sqlite3.SQLITE_FULL, "disk_full"),
        (sqlite3.SQLITE_IOERR, "io_error"),
        (sqlite3.SQLITE_IOERR_FSYNC, "io_error"),
        (sqlite3.SQLITE_READONLY, "read_only"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read_only"),
        (sqlite3.SQLITE_BUSY, "busy"),
        (sqlite3.SQLITE_CANTOPEN, "cannot_open"),
    ],
)
def test_what_sqlite_says_has_a_code(number: int, code: str) -> None:
    """The extended number says more than is needed."""
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = number
    assert writer.describe(error) == writer.DiskTrouble(code, "no")


@pytest.mark.parametrize(("wait_ns", "state"), [(4_999_999_999, "degraded"), (5_000_000_000, "ok")])
def test_a_failing_disk_is_tried_every_five_seconds(opener: Opener, clock: FakeClock, disk: FaultyDisk, wait_ns: int, state: str) -> None:
    """From the first trouble on, and from each try on."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    refused(journal, clock, 1)
    clock.advance(5)
    with pytest.raises(JournalError):
        look_around(journal)
    disk.mend()
    clock.advance_ns(wait_ns)
    look_around(journal)
    assert journal.stats()["storage_state"] == state


def test_nobody_is_told_of_an_event_that_was_refused_before(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """It was said that it is not durable; it is recorded later all the same, and counted as recorded in memory only."""
    journal = opener(connect=disk)
    disk.break_commits("io_error")
    assert refused(journal, clock, 1) == "the record cannot be written: disk I/O error"
    assert refused(journal, clock, 2) == "disk I/O error"
    assert journal.stats()["last_error"] == "disk I/O error"
    disk.mend()
    journal.maintain()
    assert numbers(journal.waiting(0, 10)) == [1, 2]
    assert journal.stats()["last_error"] == "disk I/O error"


def test_an_event_in_memory_that_had_reached_the_disk_is_not_written_again(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Among several that share a commit, and with others that had not."""
    journal = opener(connect=disk)
    disk.break_commits("io_error", written=True, times=1)
    disk.break_opening("io_error")
    refused(journal, clock, 1)
    refused(journal, clock, 2)
    disk.mend()
    journal.maintain()
    settle([journal.record(checkin(clock, 3))])
    assert numbers(journal.waiting(0, 10)) == [1, 2, 3]


def test_events_are_written_in_groups_when_the_disk_is_back_and_none_twice(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Also when it fails again between two of them: what was not written stays in memory, in order."""
    journal = opener(connect=disk)
    disk.break_opening("io_error")
    disk.break_commits("io_error")
    for number in range(1, 401):
        refused(journal, clock, number)
    disk.mend()
    disk.break_statements("INSERT INTO event", "disk_full")
    with pytest.raises(JournalError, match="the record cannot be written: database or disk is full"):
        journal.maintain()
    assert (journal.stats()["in_memory"], journal.stats()["storage_error"]) == (401, "disk_full")
    news: list[object] = []
    journal.on_news(lambda: news.append(journal.stats()["newest"]))
    journal.maintain()
    assert news == [402]
    assert numbers(journal.waiting(0, 1000)) == list(range(1, 401))
    assert [(fact["state"], fact["error"], fact.get("lost", 0)) for fact in facts(journal, "storage")] == [
        ("degraded", "io_error", 0),
        ("ok", "disk_full", 0),
    ]


# ------------------------------------------------------------- asking, starting and ending


def test_whoever_asks_gets_an_answer_or_a_reason(opener: Opener, disk: FaultyDisk) -> None:
    """What the work gives back; the error of the work; or what the disk says."""
    journal = opener(connect=disk)
    writing = journal._writer  # noqa: SLF001  the journal asks for a few things only
    assert writing.ask(lambda store: store.tally.newest) == 0

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(JournalError, match=r"^a reason$"):
        writing.ask(lambda _: fail(JournalError("a reason")))
    with pytest.raises(JournalError, match=r"^the record cannot be written: a reason$"):
        writing.ask(lambda _: fail(OSError("a reason")))
    assert journal.stats()["storage_state"] == "degraded"


def test_a_mistake_in_what_is_asked_for_ends_the_writer(opener: Opener, caplog: pytest.LogCaptureFixture) -> None:
    """The one who asked and all others are told, and the file is free."""
    journal = opener()

    def fail(_: Store) -> None:
        raise ZeroDivisionError

    with pytest.raises(JournalError, match="the record's writer failed"):
        journal._writer.ask(fail)  # noqa: SLF001  nothing that the journal asks for fails so
    journal._writer._thread.join(10)  # noqa: SLF001  to wait for its end
    assert journal.stats()["last_error"] == "the writer failed"
    assert "ZeroDivisionError" in caplog.text
    with pytest.raises(JournalError, match="the record is closed"):
        journal.maintain()
    assert opener().bounds().waiting == 0


def test_a_disk_that_hangs_is_waited_for_only_so_long(
    opener: Opener, clock: FakeClock, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By whoever asks, and by whoever closes; what is in memory only is in the log."""
    journal = opener(connect=disk)
    monkeypatch.setattr(writer, "PATIENCE_S", 0.05)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        with pytest.raises(JournalError, match="the disk under the record does not answer"):
            journal.maintain()
        other = journal.record(checkin(clock, 2))
        journal.close()
        assert "the disk does not let the record be closed; 1 events are in memory only" in caplog.text
        with pytest.raises(JournalError, match="the record is closed"):
            journal.record(checkin(clock, 3)).result(0)
    monkeypatch.undo()
    settle([future, other])
    journal.close()
    assert numbers(opener().waiting(0, 10)) == [1, 2]


def test_a_disk_that_hangs_is_waited_for_half_a_minute(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card may take seconds over a sync; but nobody waits for ever, neither who asks nor who closes."""
    journal = opener()
    waited: list[float | None] = []

    def hang(_: object, timeout: float | None = None) -> None:
        waited.append(timeout)
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(Future, "result", hang)
        with pytest.raises(JournalError, match="the disk under the record does not answer"):
            journal.maintain()
        patched.setattr(threading.Thread, "join", hang)
        with pytest.raises(TimeoutError):
            journal.close()
    assert waited == [30.0, 30.0]


def test_what_is_asked_for_before_the_end_is_done_or_refused(opener: Opener, clock: FakeClock, disk: FaultyDisk) -> None:
    """Nobody waits for a writer that is gone."""
    journal = opener(connect=disk)
    answers: list[str] = []

    def ask() -> None:
        try:
            journal.maintain()
            answers.append("done")
        except JournalError as error:
            answers.append(str(error))

    asking = threading.Thread(target=ask)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        asking.start()
        closing_thread = threading.Thread(target=journal.close)
        closing_thread.start()
    closing_thread.join(10)
    asking.join(10)
    settle([future])
    assert answers in (["done"], ["the record is closed"])


def test_confirmed_events_are_erased_before_the_end(opener: Opener, clock: FakeClock) -> None:
    """An orderly stop leaves nothing to be sent again, and one file."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in (1, 2)])
    journal.confirm(journal.bounds().epoch, 1)
    journal.close()
    journal = opener()
    assert journal.previous_run == "clean"
    assert numbers(journal.waiting(0, 10)) == [2]


def test_a_second_gate_is_refused_before_it_has_a_thread(opener: Opener) -> None:
    """And the first one goes on."""
    journal = opener()
    threads = threading.active_count()
    with pytest.raises(JournalBusy):
        opener()
    assert threading.active_count() == threads
    assert journal.alive


def test_the_writer_does_not_keep_the_process_from_ending(opener: Opener) -> None:
    """A disk that hangs for ever must not; its thread has a name by which one finds it."""
    opener()
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "journal"]
    assert thread.daemon


def test_damage_that_is_found_beside_the_work_replaces_the_file(opener: Opener, clock: FakeClock) -> None:
    """In the writer's thread, whoever found it."""
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    epoch = journal.bounds().epoch
    journal._file.on_damage()  # noqa: SLF001  as the thread that reads the file through
    caught_up(journal)
    assert journal.bounds().epoch != epoch
    assert numbers(journal.waiting(0, 10)) == [1]
    assert [fact["cause"] for fact in facts(journal, "journal_replaced")] == ["damaged"]
