"""The record as the gate uses it: what is there after a restart, what may be sent and when, and what an ack releases."""

from __future__ import annotations

import re
import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from device.core.types import Channel, Entry
from device.edges.record.journal import SqliteJournal
from device.errors import JournalError
from device.ports import Bounds, Outgoing
from tests.edges.record.kit import caught_up, rows
from tests.entries import FREEZE, Opener, audit, chained, checkin, numbers, parsed, section, settle, subject
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


def test_a_restart_changes_nothing(opener: Opener, clock: FakeClock) -> None:
    """Epoch, numbers, bodies, dead letters and passages are as they were, and the count goes on."""
    first = opener()
    settle([first.record(checkin(clock, number, passage=True)) for number in range(1, 6)])
    before = first.waiting(0, 10)
    first.confirm(first.bounds().epoch, 2)
    first.bury(3, "quota_exceeded")
    bounds, passages = first.bounds(), first.passages()
    first.close()
    second = opener()
    assert second.bounds() == bounds
    assert [one.body for one in second.waiting(2, 2)] == [one.body for one in before[3:]]
    assert second.passages() == passages
    assert second.stats()["dead"] == 1
    assert settle([second.record(checkin(clock, 7))]) == [7]
    assert second.previous_run == "clean"


def test_the_chain_goes_on_over_restarts_and_deletions(opener: Opener, clock: FakeClock) -> None:
    """Each body names the one before it, though that is erased and the process is another."""
    out: list[Outgoing] = []
    for round_number in range(4):
        journal = opener()
        settle([journal.record(checkin(clock, number)) for number in range(round_number)])
        fresh = journal.waiting(0, 100)
        out += fresh
        journal.confirm(journal.bounds().epoch, journal.bounds().newest)
        journal.close()
    assert len(out) == 6
    assert chained(out)


def test_numbers_never_repeat_after_everything_was_deleted(opener: Opener, path: Path, clock: FakeClock) -> None:
    """With not one row left in the file, the next event still has the next number."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(300)])
    journal.confirm(journal.bounds().epoch, 300)
    journal.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM event")
        connection.commit()
    journal = opener()
    assert settle([journal.record(checkin(clock, 1))]) == [301]


def test_the_record_may_be_opened_again_after_closing(opener: Opener) -> None:
    """Closing gives the lock back."""
    opener().close()
    opener()


def is_alive(journal: SqliteJournal) -> bool:
    """Asked anew each time."""
    return journal.alive


def test_a_hanging_disk_is_no_progress(opener: Opener, clock: FakeClock) -> None:
    """The watchdog sees a writer that hangs in a commit, and that it moves again afterwards."""
    disk = FaultyDisk()
    journal = opener(connect=disk)
    assert is_alive(journal)
    with disk.hold_commits():
        future = journal.record(checkin(clock, 1))
        assert disk.held.wait(10)
        clock.advance(31)
        assert not is_alive(journal)
    settle([future])
    journal.maintain()
    assert is_alive(journal)


def test_many_confirmed_events_are_erased_in_few_commits(opener: Opener, clock: FakeClock) -> None:
    """Acks one by one cost no commit each: the province's word is kept in memory until it is worth one."""
    disk = FaultyDisk()
    journal = opener(connect=disk)
    settle([journal.record(checkin(clock, number)) for number in range(1, 101)])
    journal.maintain()
    disk.statements.clear()
    for seq in range(1, 101):
        assert journal.confirm(journal.bounds().epoch, seq) == 1
    journal.maintain()
    assert journal.stats()["rows"] == 0
    assert disk.statements.count("COMMIT") <= 12


def test_kept_events_are_erased_when_their_time_is_over(opener: Opener, clock: FakeClock) -> None:
    """With a broker that is trusted for some hours, confirmed events stay so long and can be asked for again."""
    journal = opener(keep_confirmed_s=3600)
    settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
    body = journal.waiting(4, 1)[0].body
    journal.confirm(journal.bounds().epoch, 10)
    journal.maintain()
    assert (journal.stats()["confirmed_kept"], journal.bounds().waiting) == (10, 0)
    clock.advance(3599)
    journal.maintain()
    assert journal.resend(5, 6) == 2
    assert [one.seq for one in journal.waiting(0, 10)] == [5, 6]
    assert journal.waiting(4, 1)[0].body == body
    clock.advance(2)
    journal.maintain()
    assert journal.stats()["confirmed_kept"] == 0
    assert journal.resend(1, 10) == 0
    assert journal.bounds().waiting == 2


def test_an_earlier_boot_is_corrected_bounded_or_synced(opener: Opener, clock: FakeClock) -> None:
    """Three boots, the middle one never synchronised: its events lie between, and no stamp is later than the next boot's."""
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    journal.close()
    clock.restart("boot-2", off_s=100)
    clock.set_wall(0)
    journal = opener()
    settle([journal.record(checkin(clock, 2))])
    clock.advance(50)
    journal.close()
    clock.restart("boot-3")
    journal = opener()
    settle([journal.record(checkin(clock, 3))])
    clock.advance(10)
    clock.set_wall(FakeClock().wall_ns + 1000 * 10**9, trusted=True)
    one, two, three = (parsed(out) for out in journal.waiting(0, 10))
    assert [event["clock"] for event in (one, two, three)] == ["synced", "bounded", "corrected"]
    assert one["time"] < two["earliest"] < two["time"] < two["latest"] < three["time"]


def test_events_of_an_unsynced_boot_wait_for_the_clock_as_long_as_allowed(opener: Opener, clock: FakeClock) -> None:
    """Within the grace they are held back, with all after them; then they go with corrected times, or, too late, without."""
    clock.restart("boot-2")
    journal = opener(unsynced_grace_s=15.0)
    settle([journal.record(checkin(clock, 1))])
    assert list(journal.waiting(0, 10)) == []
    clock.advance(10)
    settle([journal.record(checkin(clock, 2))])
    clock.advance(6)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["unsynced"]
    clock.set_wall(clock.wall_ns + 10**15, trusted=True)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["unsynced", "corrected"]


def test_events_of_an_earlier_boot_wait_for_this_ones_clock_too(opener: Opener, clock: FakeClock) -> None:
    """A broker is often reached before a time server: without the wait what could have bounds would be published without."""
    clock.restart("boot-2")
    journal = opener(unsynced_grace_s=15.0)
    settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
    clock.advance(100)
    journal.close()
    clock.restart("boot-3")
    journal = opener(unsynced_grace_s=15.0)
    assert list(journal.waiting(0, 10)) == []
    clock.advance(10)
    assert list(journal.waiting(0, 10)) == []
    clock.set_wall(clock.wall_ns + 10**15, trusted=True)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["bounded"] * 3


def test_events_of_an_earlier_boot_do_not_wait_for_ever(opener: Opener, clock: FakeClock) -> None:
    """Where no time server is ever heard the record goes out all the same."""
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    journal.close()
    clock.restart("boot-3")
    journal = opener(unsynced_grace_s=15.0)
    clock.advance(15)
    assert [parsed(one)["clock"] for one in journal.waiting(0, 10)] == ["unsynced"]


def test_a_small_window_far_ahead_freezes_all_before_it(opener: Opener, clock: FakeClock) -> None:
    """The live lane asks for two events behind hundreds that have no body yet: they come, chained to those."""
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 501)])
    assert numbers(journal.waiting(490, 2)) == [491, 492]
    assert chained(journal.waiting(0, 500))


def test_the_record_proves_a_time_to_be_past(opener: Opener, clock: FakeClock) -> None:
    """After a restart into 1970 the newest event is the floor below which the clock cannot be right."""
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    wall_ns = clock.wall_ns
    journal.close()
    clock.restart("boot-2")
    clock.set_wall(0)
    assert opener().certainly_past_ns == wall_ns + 10**9


def test_a_reason_of_any_form_becomes_a_code(opener: Opener, clock: FakeClock) -> None:
    """Whatever the broker's reason was called, the dead letter's event is valid."""
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    journal.bury(1, "0x99 Payload format invalid!")
    assert parsed(journal.waiting(0, 1)[0])["data"]["reason"] == "0x99_payload_format_invalid_"


def test_a_passage_that_does_not_fit_its_slot_is_refused(opener: Opener, clock: FakeClock) -> None:
    """Slots have one size, so a subject above 64 bytes is no subject of ours."""
    journal = opener()
    entry = checkin(clock, 1, passage=True)
    assert entry.passage is not None
    long = Entry(Channel.CHECKIN, entry.data, entry.at, type(entry.passage)("x" * 65, entry.passage.direction, entry.at))
    with pytest.raises(JournalError, match="cannot be recorded"):
        journal.record(long).result(10)
    assert journal.stats()["newest"] == 0


def test_a_thousand_events_reopen_with_the_right_counts(opener: Opener, path: Path, clock: FakeClock) -> None:
    """Counts survive a process that ended without closing: they are written down now and then, and the rest is counted."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1000)])
    journal.confirm(journal.bounds().epoch, 100)
    journal.maintain()
    settle([journal.record(audit(clock, number)) for number in range(50)])
    copy = path.with_name("copy.sqlite")
    for ending in ("", "-wal"):
        copy.with_name(copy.name + ending).write_bytes(path.with_name(path.name + ending).read_bytes())
    with closing(SqliteJournal(copy, section(), clock, FREEZE)) as other:
        assert other.bounds() == journal.bounds()
        assert other.previous_run == "unclean"
        assert other.waiting(0, 2000) == journal.waiting(0, 2000)
        settle([other.record(checkin(clock, 1))])
        assert chained(other.waiting(1045, 10), start=other_digest(other, 1045))


def other_digest(journal: SqliteJournal, seq: int) -> str:
    """The digest of the body at a number."""
    prev = parsed(journal.waiting(seq, 1)[0])["data"]["prev"]
    assert isinstance(prev, str)
    return prev


def test_subjects_are_hexadecimal_text(clock: FakeClock) -> None:
    """The keyed hashes of these tests look like those of the gate."""
    assert re.fullmatch(r"[0-9a-f]{64}", subject(5))
    assert checkin(clock, 5).data["subject"] == subject(5)


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


# ------------------------------------------------------------- what is said of it


def test_the_figures_of_an_empty_record(opener: Opener) -> None:
    """By name, as health, `gate status` and the demonstration read them."""
    journal = opener()
    stats = dict(journal.stats())
    assert stats.pop("epoch") == journal.bounds().epoch
    assert int(str(stats.pop("bytes"))) > 4096
    assert stats.pop("wal_bytes") == 0
    assert stats.pop("commit_ms") == {"p50": None, "p95": None, "p99": None}
    assert stats == {
        "newest": 0,
        "waiting": 0,
        "rows": 0,
        "recorded": 0,
        "confirmed_kept": 0,
        "dead": 0,
        "dropped": 0,
        "in_memory": 0,
        "commit_max_ms": None,
        "over_budget": 0,
        "storage_state": "ok",
        "storage_error": None,
        "last_error": None,
    }


def test_the_figures_of_a_record_in_use(opener: Opener, clock: FakeClock) -> None:
    """What is hidden no longer waits, though its row is there; the dead and the kept are rows too."""
    journal = opener(keep_confirmed_s=3600)
    settle([journal.record(checkin(clock, number)) for number in range(1, 8)])
    journal.waiting(0, 10)
    journal.confirm(journal.bounds().epoch, 2)
    journal.maintain()
    journal.bury(3, "quota_exceeded")
    journal.confirm(journal.bounds().epoch, 4)
    stats = journal.stats()
    names = ("newest", "waiting", "rows", "recorded", "confirmed_kept", "dead", "dropped", "in_memory")
    assert [stats[name] for name in names] == [8, 4, 8, 7, 2, 1, 0, 0]
    assert int(str(stats["wal_bytes"])) > 0
    assert journal.bounds() == Bounds(str(stats["epoch"]), 5, 8, 4)


def test_what_cannot_be_recorded_is_said_at_once(opener: Opener, clock: FakeClock) -> None:
    """Data that is not JSON, numbers that are none: the kind of mistake is named, its content is not."""
    journal = opener()
    values: list[tuple[Any, str]] = [(float("nan"), "ValueError"), (object(), "TypeError")]
    for value, kind in values:
        entry = replace(checkin(clock, 1), data={"n": value})
        with pytest.raises(JournalError, match=f"the entry cannot be recorded: {kind}$"):
            journal.record(entry).result(0)
    assert journal.stats()["newest"] == 0


def test_data_is_written_as_short_as_json_can_be_and_in_ascii(opener: Opener, clock: FakeClock) -> None:
    """So that any name has its room, and every reader reads it."""
    journal = opener()
    settle([journal.record(Entry(Channel.AUDIT, {"a": "ế", "b": [1, 2]}, clock.reading()))])
    ((kind, data, ident),) = rows(journal._file.store, "kind, data, id")  # noqa: SLF001  the bytes in the file
    assert (kind, data) == (1, b'{"a":"\\u1ebf","b":[1,2]}')
    assert uuid.UUID(ident).int >> 80 == clock.wall_ns // 10**6


def test_the_limits_of_the_range_leave_out_what_is_hidden(opener: Opener, clock: FakeClock) -> None:
    """The oldest and the newest that still wait, and how many; 0 for both when all are confirmed."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
    epoch = journal.bounds().epoch
    assert journal.bounds() == Bounds(epoch, 1, 10, 10)
    assert journal.confirm(epoch, 3, [(9, 10), (6, 6)]) == 6
    assert journal.bounds() == Bounds(epoch, 4, 8, 4)
    assert [one.seq for one in journal.waiting(0, 10)] == [4, 5, 7, 8]
    assert [one.seq for one in journal.waiting(0, 3)] == [4, 5, 7]
    assert [one.seq for one in journal.waiting(5, 10)] == [7, 8]
    assert journal.confirm(epoch, 10) == 4
    assert journal.bounds() == Bounds(epoch, 0, 0, 0)


def test_an_ack_counts_for_its_own_epoch_up_to_the_newest_number(opener: Opener, clock: FakeClock) -> None:
    """Neither for another nor beyond, in any of its ranges; again confirmed is not new."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
    epoch = journal.bounds().epoch
    assert journal.confirm("another", 1) == 0
    assert journal.confirm(epoch, 4) == 0
    assert journal.confirm(epoch, 1, [(2, 4)]) == 0
    assert journal.bounds().waiting == 3
    assert journal.confirm(epoch, 3) == 3
    assert journal.confirm(epoch, 3) == 0


def test_an_event_that_was_never_made_ready_is_not_confirmed(opener: Opener, clock: FakeClock) -> None:
    """Nobody can have it."""
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
    assert journal.confirm(journal.bounds().epoch, 3) == 0
    journal.waiting(0, 1)
    assert journal.confirm(journal.bounds().epoch, 3) == 1
    journal.waiting(0, 3)
    assert journal.confirm(journal.bounds().epoch, 3) == 2


def test_any_number_of_events_is_confirmed_by_one_ack(opener: Opener, clock: FakeClock) -> None:
    """More than are hidden at one time: the disk keeps up, and each is counted once."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 701)])
    assert journal.confirm(journal.bounds().epoch, 700, [(1, 700)]) == 700
    assert journal.bounds().waiting == 0


def test_live_is_what_was_recorded_a_little_while_ago(opener: Opener, clock: FakeClock) -> None:
    """Above the number given, all are as young as that, to the nanosecond; in a record that is all young, from its first on."""
    journal = opener()
    assert journal.live_from(10) == 0
    for number in range(1, 6):
        settle([journal.record(checkin(clock, number))])
        clock.advance(10)
    assert journal.live_from(1000) == 0
    assert journal.live_from(30) == 2
    clock.advance_ns(1)
    assert journal.live_from(30) == 3
    clock.advance(100)
    assert journal.live_from(30) == 5


def test_an_event_says_how_old_it_is(opener: Opener, clock: FakeClock) -> None:
    """In seconds, with its number, its channel and its body."""
    journal = opener()
    settle([journal.record(audit(clock)), journal.record(checkin(clock, 1))])
    clock.advance(2.5)
    first, second = journal.waiting(0, 10)
    assert (first.seq, first.channel, first.age_s) == (1, Channel.AUDIT, 2.5)
    assert (second.seq, second.channel, second.age_s) == (2, Channel.CHECKIN, 2.5)


def test_an_event_is_put_aside_once_and_not_when_the_province_has_it(opener: Opener, clock: FakeClock) -> None:
    """Whoever is told of news is told then."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in (1, 2, 3)])
    news: list[None] = []
    journal.on_news(lambda: news.append(None))
    journal.confirm(journal.bounds().epoch, 1)
    journal.bury(1, "quota_exceeded")
    assert (journal.stats()["dead"], news) == (0, [])
    journal.bury(2, "quota_exceeded")
    journal.bury(2, "quota_exceeded")
    assert journal.stats()["dead"] == 1
    assert len(news) == 2


@pytest.mark.parametrize(("reason", "code"), [("", "unknown"), ("!", "_"), ("A" * 80, "a" * 64)])
def test_a_reason_without_a_letter_or_without_an_end_is_a_code_too(opener: Opener, clock: FakeClock, reason: str, code: str) -> None:
    """Sixty-four letters at most, and never nothing."""
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    journal.bury(1, reason)
    assert parsed(journal.waiting(0, 1)[0])["data"]["reason"] == code


def test_a_damaged_body_is_put_aside_and_the_rest_is_given_out(opener: Opener, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """In the same answer."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in (1, 2, 3)])
    with closing(sqlite3.connect(opener.path)) as connection:
        connection.execute("UPDATE event SET sheet = x'00' WHERE seq = 2")
        connection.commit()
    assert numbers(journal.waiting(0, 10)) == [1, 3]
    assert "event 2 does not match its checksum; it is put aside" in caplog.text
    assert journal.stats()["dead"] == 1


def test_all_that_is_kept_waits_again_when_it_is_asked_for(opener: Opener, clock: FakeClock) -> None:
    """More than one step's worth, also what was confirmed a moment ago; and whoever sends is told of it."""
    journal = opener(keep_confirmed_s=3600)
    settle([journal.record(checkin(clock, number)) for number in range(1, 601)])
    journal.confirm(journal.bounds().epoch, 600)
    news: list[None] = []
    journal.on_news(lambda: news.append(None))
    assert journal.resend(1, 599) == 599
    assert len(news) == 1
    assert journal.bounds() == Bounds(journal.bounds().epoch, 1, 599, 599)


def test_progress_is_a_number_that_rises(opener: Opener, clock: FakeClock) -> None:
    """With each turn of the writer; half a minute without one is too long."""
    journal = opener()
    before = journal.progress
    settle([journal.record(checkin(clock, 1))])
    caught_up(journal)
    assert journal.progress > before
    turned_ns = journal._writer.turned_ns  # noqa: SLF001  to the nanosecond
    clock.advance_ns(turned_ns + 30 * 10**9 - 1 - clock.now_ns)
    assert is_alive(journal)


def test_a_record_that_cannot_be_read_remembers_nobody(opener: Opener, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does it stop the gate."""
    journal = opener()
    settle([journal.record(checkin(clock, 1, passage=True))])
    journal.close()
    assert list(journal.passages()) == []
    assert "nobody is remembered: journal.sqlite is closed" in caplog.text


def test_where_nothing_is_known_nothing_is_certainly_past(opener: Opener, disk: FaultyDisk) -> None:
    """A record that could not be opened proves no time, and has no figures but those of memory."""
    disk.break_opening("io_error")
    journal = opener(connect=disk)
    assert journal.certainly_past_ns == 0
    assert journal.previous_run is None
    stats = journal.stats()
    assert [stats[name] for name in ("epoch", "newest", "waiting", "rows", "bytes", "dead")] == [None, 0, 0, 0, 0, 0]
    assert (stats["storage_state"], stats["storage_error"]) == ("degraded", "io_error")
    with pytest.raises(JournalError, match="the record's file could not be opened yet"):
        journal.bounds()


def test_how_long_a_confirmed_event_is_kept_is_seconds(path: Path, clock: FakeClock) -> None:
    """So are what a clock that is not right is waited for, and how often a failing disk is tried; by default none, none and five."""
    with closing(SqliteJournal(path, section(), clock, FREEZE)) as journal:
        settle([journal.record(checkin(clock, 1))])
        journal.confirm(journal.bounds().epoch, 1)
        journal.maintain()
        assert (journal.stats()["confirmed_kept"], journal.stats()["rows"]) == (0, 0)
    with closing(SqliteJournal(path, section(), clock, FREEZE, keep_confirmed_s=1.5)) as journal:
        settle([journal.record(checkin(clock, 2))])
        journal.confirm(journal.bounds().epoch, 2)
        journal.maintain()
        clock.advance(1.5)
        journal.maintain()
        assert journal.stats()["confirmed_kept"] == 1
        clock.advance_ns(1)
        journal.maintain()
        assert journal.stats()["confirmed_kept"] == 0
    clock.restart("boot-2")
    with closing(SqliteJournal(path, section(), clock, FREEZE, unsynced_grace_s=1.5)) as journal:
        settle([journal.record(checkin(clock, 3))])
        clock.advance_ns(1_499_999_999)
        assert list(journal.waiting(0, 10)) == []
        clock.advance_ns(1)
        assert numbers(journal.waiting(0, 10)) == [3]


def test_each_turn_of_the_writer_counts(opener: Opener, clock: FakeClock) -> None:
    """By it the watchdog sees that the record goes on."""
    journal = opener()
    seen = []
    for number in range(4):
        settle([journal.record(checkin(clock, number))])
        seen.append(journal.progress)
    assert all(earlier < later for earlier, later in pairwise(seen))
