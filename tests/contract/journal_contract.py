"""What every record does, on a disk or in memory: the promises of `ports.Journal` and `ports.Outbox`.

A class that inherits from `JournalContract` gives a `journal` fixture and runs
all of these.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import pytest

from device.core.types import Channel, Direction, Entry, Json, Passage
from device.errors import JournalError
from device.ports import Bounds, Journal, Outbox
from tests.entries import audit, chained, checkin, numbers, parsed, settle, subject
from tests.fakes.clock import FakeClock


class Both(Journal, Outbox, Protocol):
    """The record from both sides."""


class JournalContract:
    """Tests to inherit."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """A synchronised clock."""
        return FakeClock()

    def test_an_empty_record_holds_nothing(self, journal: Both) -> None:
        """Bounds of zero, nothing waiting, nobody remembered."""
        bounds = journal.bounds()
        assert (bounds.oldest, bounds.newest, bounds.waiting) == (0, 0, 0)
        assert list(journal.waiting(0, 10)) == []
        assert list(journal.passages()) == []
        assert journal.live_from(60) == 0

    def test_receipts_count_up_from_one(self, journal: Both, clock: FakeClock) -> None:
        """Each event has the next place in one epoch."""
        receipts = [journal.record(checkin(clock, number)).result(10) for number in range(3)]
        assert [receipt.seq for receipt in receipts] == [1, 2, 3]
        assert {receipt.epoch for receipt in receipts} == {journal.bounds().epoch}

    def test_what_was_recorded_waits_in_order(self, journal: Both, clock: FakeClock) -> None:
        """Events come back in order of recording, each with its channel, and in windows as asked."""
        settle([journal.record(checkin(clock, 1)), journal.record(audit(clock, 2)), journal.record(checkin(clock, 3))])
        out = journal.waiting(0, 10)
        assert numbers(out) == [1, 2, 3]
        assert [one.channel for one in out] == [Channel.CHECKIN, Channel.AUDIT, Channel.CHECKIN]
        assert [one.seq for one in journal.waiting(1, 1)] == [2]
        assert list(journal.waiting(3, 10)) == []
        assert journal.bounds() == Bounds(journal.bounds().epoch, 1, 3, 3)

    def test_a_body_says_what_was_recorded_and_where_it_stands(self, journal: Both, clock: FakeClock) -> None:
        """Epoch, sequence, time and data are in the published body."""
        settle([journal.record(checkin(clock, 7))])
        body = parsed(journal.waiting(0, 1)[0])
        assert (body["epoch"], int(body["sequence"]), body["clock"]) == (journal.bounds().epoch, 1, "synced")
        assert body["data"]["subject"] == subject(7)
        assert body["time"] == "2026-09-21T14:13:20.000Z"

    def test_bodies_are_frozen(self, journal: Both, clock: FakeClock) -> None:
        """Whatever the clock learns, a body once given out is the same byte for byte."""
        settle([journal.record(checkin(clock, 1))])
        first = journal.waiting(0, 1)[0].body
        clock.advance(3600)
        clock.set_wall(clock.wall_ns + 10**12)
        settle([journal.record(checkin(clock, 2))])
        assert journal.waiting(0, 1)[0].body == first

    def test_bodies_are_chained(self, journal: Both, clock: FakeClock) -> None:
        """Each names the digest of the one before, the first none, also where the one before is confirmed and gone."""
        settle([journal.record(checkin(clock, number)) for number in range(5)])
        out = journal.waiting(0, 10)
        assert chained(out)
        journal.confirm(journal.bounds().epoch, 5)
        settle([journal.record(checkin(clock, 6))])
        assert chained([*out, *journal.waiting(0, 10)])

    def test_confirmed_events_are_gone(self, journal: Both, clock: FakeClock) -> None:
        """An ack releases everything up to a number and closed ranges above it, once."""
        settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
        journal.waiting(0, 10)
        epoch = journal.bounds().epoch
        assert journal.confirm(epoch, 3, [(5, 6), (9, 9)]) == 6
        assert [one.seq for one in journal.waiting(0, 20)] == [4, 7, 8, 10]
        assert journal.bounds() == Bounds(epoch, 4, 10, 4)
        assert journal.confirm(epoch, 3, [(5, 6)]) == 0
        assert journal.confirm(epoch, 10) == 4
        assert (journal.bounds().oldest, journal.bounds().newest, journal.bounds().waiting) == (0, 0, 0)

    @pytest.mark.parametrize(("upto", "ranges"), [(11, []), (0, [(9, 11)]), (-1, []), (0, [(7, 6)]), (0, [])])
    def test_an_ack_of_what_never_was_releases_nothing(
        self, journal: Both, clock: FakeClock, upto: int, ranges: list[tuple[int, int]]
    ) -> None:
        """Above the newest, below the first or inside out: nothing is forgotten for it."""
        settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
        journal.waiting(0, 10)
        assert journal.confirm(journal.bounds().epoch, upto, ranges) == 0
        assert journal.bounds().waiting == 10

    def test_an_ack_for_another_epoch_releases_nothing(self, journal: Both, clock: FakeClock) -> None:
        """Numbers mean nothing without their epoch."""
        settle([journal.record(checkin(clock, 1))])
        journal.waiting(0, 1)
        assert journal.confirm("00000000-0000-4000-8000-000000000000", 1) == 0
        assert journal.bounds().waiting == 1

    def test_what_was_never_ready_to_be_sent_cannot_be_confirmed(self, journal: Both, clock: FakeClock) -> None:
        """An ack that covers events without a body is wrong about them."""
        clock.trusted = False
        settle([journal.record(checkin(clock, number)) for number in range(1, 6)])
        journal.waiting(0, 2)
        assert journal.confirm(journal.bounds().epoch, 5) == 2
        assert numbers(journal.waiting(0, 10)) == [3, 4, 5]

    def test_numbers_are_never_used_again(self, journal: Both, clock: FakeClock) -> None:
        """After everything was confirmed the count goes on."""
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        journal.waiting(0, 3)
        journal.confirm(journal.bounds().epoch, 3)
        assert settle([journal.record(checkin(clock, 4))]) == [4]

    def test_a_dead_letter_is_put_aside_and_told_of(self, journal: Both, clock: FakeClock) -> None:
        """It waits no more, it is counted, and an audit event names it and the reason."""
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        journal.waiting(0, 3)
        journal.bury(2, "payload_format_invalid")
        out = journal.waiting(0, 10)
        assert [one.seq for one in out] == [1, 3, 4]
        data = parsed(out[-1])["data"]
        assert (data["what"], data["seq"], data["reason"], data["channel"]) == ("dead_letter", 2, "payload_format_invalid", "checkin")
        assert journal.stats()["dead"] == 1

    def test_burying_what_does_not_wait_does_nothing(self, journal: Both, clock: FakeClock) -> None:
        """A number that is confirmed, buried already or was never given changes nothing."""
        settle([journal.record(checkin(clock, 1))])
        journal.waiting(0, 1)
        journal.confirm(journal.bounds().epoch, 1)
        journal.bury(1, "quota_exceeded")
        journal.bury(9, "quota_exceeded")
        assert journal.bounds().waiting == 0
        assert journal.stats()["dead"] == 0

    def test_live_events_are_above_the_mark(self, journal: Both, clock: FakeClock) -> None:
        """The mark parts what is older than a minute from what is not."""
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        clock.advance(100)
        settle([journal.record(checkin(clock, number)) for number in range(4, 6)])
        clock.advance(20)
        assert journal.live_from(60) == 3
        assert journal.live_from(1000) == 0
        assert journal.live_from(10) == 5

    def test_age_is_counted_from_recording(self, journal: Both, clock: FakeClock) -> None:
        """The age is what CLOCK_BOOTTIME says, whatever happens to the wall clock."""
        settle([journal.record(checkin(clock, 1))])
        clock.advance(90)
        clock.set_wall(0)
        assert journal.waiting(0, 1)[0].age_s == pytest.approx(90)

    def test_the_last_passage_of_each_person_is_remembered(self, journal: Both, clock: FakeClock) -> None:
        """One for each person, the newest passage last, with its direction and time."""
        settle([journal.record(checkin(clock, number, passage=True)) for number in (1, 2)])
        clock.advance(5)
        again = Passage(subject(1), Direction.OUT, clock.reading())
        settle([journal.record(replace(checkin(clock, 1), passage=again))])
        assert [passage.subject for passage in journal.passages()] == [subject(2), subject(1)]
        assert journal.passages()[-1] == again

    def test_an_event_before_synchronisation_is_corrected_after_it(self, journal: Both, clock: FakeClock) -> None:
        """What waits when the clock becomes right is published with the time at which it happened."""
        now_ns = clock.wall_ns
        clock.restart("boot-2")
        clock.set_wall(0)
        settle([journal.record(checkin(clock, 1))])
        clock.advance(3600)
        clock.set_wall(now_ns + 3600 * 10**9, trusted=True)
        settle([journal.record(checkin(clock, 2))])
        first, second = (parsed(one) for one in journal.waiting(0, 2))
        assert (first["clock"], first["time"]) == ("corrected", "2026-09-21T14:13:20.000Z")
        assert (second["clock"], second["time"]) == ("synced", "2026-09-21T15:13:20.000Z")

    def test_an_event_that_must_go_without_the_time_says_so(self, journal: Both, clock: FakeClock) -> None:
        """Asked for while nobody knows the time, it is frozen as unsynced, and stays so."""
        clock.restart("boot-2")
        settle([journal.record(checkin(clock, 1))])
        body = journal.waiting(0, 1)[0].body
        clock.set_wall(10**18, trusted=True)
        out = journal.waiting(0, 1)[0]
        assert parsed(out)["clock"] == "unsynced"
        assert out.body == body

    def test_news_is_told_after_each_commit(self, journal: Both, clock: FakeClock) -> None:
        """Whoever drains the record is woken when there is something."""
        heard = threading.Event()
        journal.on_news(heard.set)
        settle([journal.record(checkin(clock, 1))])
        assert heard.wait(10)

    def test_data_that_is_no_json_is_refused_and_harms_nothing(self, journal: Both, clock: FakeClock) -> None:
        """The future holds the error; the next event is recorded."""
        bad: dict[str, Json] = {"value": float("nan")}
        with pytest.raises(JournalError):
            journal.record(Entry(Channel.CHECKIN, bad, clock.reading())).result(10)
        assert settle([journal.record(checkin(clock, 1))]) == [1]

    def test_text_of_any_kind_comes_through(self, journal: Both, clock: FakeClock) -> None:
        """Vietnamese, quotes, control characters and emoji are data like any other."""
        text = "Nguyễn Thị H'Blui \"\u0000\t\n\u2028😀"
        settle([journal.record(Entry(Channel.AUDIT, {"what": "start", "text": text}, clock.reading()))])
        assert parsed(journal.waiting(0, 1)[0])["data"]["text"] == text

    def test_the_figures_that_others_read_are_there(self, journal: Both, clock: FakeClock) -> None:
        """Counts and state, under stable names."""
        settle([journal.record(checkin(clock, 1))])
        stats: Mapping[str, Json] = journal.stats()
        assert {"waiting", "newest", "dead", "dropped", "in_memory", "commit_ms", "storage_state"} <= set(stats)
        assert (stats["waiting"], stats["newest"], stats["storage_state"]) == (1, 1, "ok")
        percentiles = stats["commit_ms"]
        assert isinstance(percentiles, dict)
        assert set(percentiles) == {"p50", "p95", "p99"}

    def test_many_threads_record_at_once(self, journal: Both, clock: FakeClock) -> None:
        """No number is given twice and nothing is lost between threads."""
        seqs: list[int] = []
        lock = threading.Lock()

        def work(start: int) -> None:
            mine = settle([journal.record(checkin(clock, start + number)) for number in range(25)])
            with lock:
                seqs.extend(mine)

        threads = [threading.Thread(target=work, args=(100 * number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seqs) == list(range(1, 101))
        out = journal.waiting(0, 200)
        assert chained(out)
        assert sorted(numbers(out)) == sorted(100 * block + number for block in range(4) for number in range(25))

    def test_after_closing_nothing_is_taken_and_nothing_given(self, journal: Both, clock: FakeClock) -> None:
        """Each call says so with a JournalError; closing again does no harm."""
        journal.close()
        with pytest.raises(JournalError):
            journal.record(checkin(clock, 1)).result(10)
        with pytest.raises(JournalError):
            journal.waiting(0, 1)
        journal.close()
