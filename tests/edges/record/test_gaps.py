"""What is dropped is told of: by one gap event for each range, which holds nothing that is still to be sent."""

from __future__ import annotations

import json

from device.core.types import Channel
from device.core.wire import body_digest
from device.ports import Outgoing
from tests.edges.record.kit import DAY_S, Province, record
from tests.entries import Opener, audit, chained, parsed, settle
from tests.fakes.clock import FakeClock


def test_a_full_record_drops_the_oldest_and_tells_of_all_of_it_in_one_event(opener: Opener, clock: FakeClock) -> None:
    """A bound of 1,000 and 5,000 offered: delivered and dropped make up what was produced, and one gap event tells of the range."""
    journal = opener(max_rows=1000)
    record(journal, clock, 5000)
    journal.maintain()
    assert 950 <= int(str(journal.stats()["rows"])) <= 1000
    newest = int(str(journal.stats()["newest"]))
    province = Province()
    province.drain(journal)
    assert len(province.gaps) == 1
    gap = province.gaps[0]
    assert province.seqs | province.told == set(range(1, newest + 1))
    assert len(province.seqs) + int(str(gap["count"])) == newest
    assert (gap["first"], gap["last"], gap["cause"]) == (1, min(province.seqs) - 1, "full")
    kept = json.loads(province.bodies[min(province.seqs)])["time"]
    assert gap["oldest"] == "2026-09-21T14:13:21.000Z"
    assert "2026-09-21T15" < str(gap["newest"]) < kept
    assert journal.stats()["dropped"] == gap["count"]


def test_the_chain_can_be_followed_over_a_gap(opener: Opener, clock: FakeClock) -> None:
    """The gap event names the digest of the last dropped body, which the next event names as the one before it."""
    journal = opener(max_rows=100)
    record(journal, clock, 90)
    last_dropped = {one.seq: one.body for one in journal.waiting(0, 100)}
    record(journal, clock, 30, start=91)
    journal.maintain()
    province = Province()
    province.drain(journal)
    gap = province.gaps[0]
    kept = [Outgoing(seq, Channel.CHECKIN, province.bodies[seq], 0.0) for seq in sorted(province.seqs)]
    assert gap["digest"] == body_digest(last_dropped[int(str(gap["last"]))])
    assert chained(kept, start=str(gap["digest"]))


def test_no_gap_event_spans_what_is_still_to_be_sent(opener: Opener, clock: FakeClock) -> None:
    """Ranges dropped apart from each other are told of apart: a province that trusts the span must not miss what lies between."""
    journal = opener(max_rows=200)
    record(journal, clock, 100)
    settle([journal.record(audit(clock, number)) for number in range(60)])
    record(journal, clock, 180, start=200)
    journal.maintain()
    out = journal.waiting(0, 1000)
    gaps = [data for data in (parsed(one)["data"] for one in out) if data.get("what") == "gap"]
    assert len(gaps) == 2
    for gap in gaps:
        assert not [one.seq for one in out if gap["first"] <= one.seq <= gap["last"]]


def test_a_gate_without_a_province_keeps_one_gap_event(opener: Opener, clock: FakeClock) -> None:
    """A year of retention without anybody to tell leaves the events of three weeks and one gap, which tells of all the rest."""
    journal = opener(retention_days=21)
    total = 0
    for _ in range(60):
        clock.advance(6 * DAY_S)
        record(journal, clock, 10, start=total)
        total += 10
        journal.maintain()
    assert int(str(journal.stats()["rows"])) <= 42
    newest = int(str(journal.stats()["newest"]))
    province = Province()
    province.drain(journal)
    assert len(province.gaps) == 1
    assert province.seqs | province.told == set(range(1, newest + 1))


def test_a_gap_that_was_published_is_not_changed_any_more(opener: Opener, clock: FakeClock) -> None:
    """Once it is frozen, the next range has an event of its own."""
    journal = opener(max_rows=100)
    record(journal, clock, 160)
    journal.maintain()
    province = Province()
    province.take(journal.waiting(0, 500))
    record(journal, clock, 100, start=200)
    journal.maintain()
    province.drain(journal)
    newest = int(str(journal.stats()["newest"]))
    assert len(province.gaps) == 2
    assert province.seqs | province.told == set(range(1, newest + 1))
