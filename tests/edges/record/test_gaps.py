"""What is dropped is told of: by one gap event for each range, which holds nothing that is still to be sent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from device.core.types import Channel, ClockReading
from device.core.wire import Gap, body_digest, time_text
from device.edges.record import statements
from device.edges.record.gaps import Candidate, Cause, gap_in, record_gap
from device.edges.record.rows import EVENT_COLUMNS, RowKind, RowState, record_of
from device.edges.record.store import Store
from device.ports import Outgoing
from tests.edges.record.kit import AT, DAY_S, Province, an_event, opened, record, rows
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


# ------------------------------------------------------------- one step of it


def gaps_of(store: Store) -> list[Gap]:
    """All that is told of."""
    found = rows(store, "state, kind, data")
    return [Gap.model_validate_json(data) for state, kind, data in found if (state, kind) == (RowState.WAITING, RowKind.GAP)]


def candidates(store: Store, first: int, last: int) -> list[Candidate]:
    """Rows that have to go."""
    return [Candidate.of(row) for row in store.connection.execute(statements.ALL_BETWEEN, (first, last))]


def drop(store: Store, first: int, last: int, clock: FakeClock, cause: Cause = "full", *, oldest: bool = True) -> None:
    """As the upkeep does it."""
    lost = candidates(store, first, last)
    with store.transaction():
        for row in lost:
            store.erase(row.seq)
        record_gap(store, lost, cause, clock.reading(), oldest=oldest)


def test_a_candidate_has_all_that_stands_in_its_row(path: Path, clock: FakeClock) -> None:
    """And its body, where it has one that is whole."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        (row,) = candidates(store, 1, 1)
        assert (row.seq, row.state, row.kind, row.at, row.data) == (1, RowState.WAITING, RowKind.CHECKIN, AT, b'{"n":1}')
        assert row.body is not None
        assert body_digest(row.body) == store.tally.chain
        assert replace(row, sheet=b"x").body is None


@pytest.mark.parametrize("change", ["state = 9", "kind = 9", "boot_id = 'x', mono_ns = -1"])
def test_a_damaged_row_has_to_go_some_day_too(path: Path, clock: FakeClock, change: str) -> None:
    """It is taken for an old check-in without content; impossible numbers of the clocks are none of the upkeep's business."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        store.connection.execute(f"UPDATE event SET {change}")  # noqa: S608  the parameter above
        (row,) = candidates(store, 1, 1)
        if "mono_ns" in change:
            assert row.at.boot_id == "x"
            return
        assert row == Candidate(1, RowState.WAITING, RowKind.CHECKIN, ClockReading(0, 0, 0, "", trusted=False), b"", b"")


def test_a_gap_names_range_number_times_and_last_body(path: Path, clock: FakeClock) -> None:
    """The times of the first and the last, as far as they are known, and by which digest the chain goes on."""
    with opened(path, clock) as store:
        start_ns = clock.wall_ns
        for number in range(1, 4):
            store.append([an_event(number, at=clock.reading())])
            clock.advance(1)
        digest = store.tally.chain
        drop(store, 1, 3, clock)
        times = [time_text(start_ns + second * 10**9) for second in (0, 2)]
        assert gaps_of(store) == [Gap(first=1, last=3, count=3, cause="full", oldest=times[0], newest=times[1], digest=digest)]
        assert store.tally.dropped == 3


def test_a_gap_of_events_without_a_time_names_none(path: Path, clock: FakeClock) -> None:
    """Nor a digest, where none of them had a body and nothing before them either."""
    clock.trusted = False
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        drop(store, 1, 1, clock)
        assert gaps_of(store) == [Gap(first=1, last=1, count=1, cause="full")]


@pytest.mark.parametrize("oldest", [True, False])
def test_events_without_bodies_are_followed_by_the_chain_as_it_is(path: Path, clock: FakeClock, oldest: bool) -> None:  # noqa: FBT001  a column
    """Where they were the oldest that wait; else others are frozen between, and nobody can say yet."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        store.append([an_event(2, at=replace(AT, trusted=False))])
        drop(store, 2, 2, clock, oldest=oldest)
        assert [gap.digest for gap in gaps_of(store)] == [store.tally.chain if oldest else None]


def test_a_gap_that_is_dropped_hands_its_range_on(path: Path, clock: FakeClock) -> None:
    """With what it told of and itself; its beginning is the older one's."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        began = time_text(clock.wall_ns)
        drop(store, 1, 1, clock)
        clock.advance(10)
        store.append([an_event(3, at=clock.reading())])
        store.freeze(3, clock.reading())
        drop(store, 2, 3, clock)
        (gap,) = gaps_of(store)
        assert (gap.first, gap.last, gap.count, gap.oldest, gap.newest) == (1, 3, 3, began, time_text(clock.wall_ns))


def test_a_gap_that_was_not_sent_yet_grows_in_its_place(path: Path, clock: FakeClock) -> None:
    """With the same id and moment, a good checksum and no other length: no row moves."""
    with opened(path, clock) as store:
        store.append([an_event(number, at=clock.reading()) for number in range(1, 5)])
        drop(store, 1, 2, clock)
        before = rows(store, "id, boot_ns, length(data)")[-1]
        clock.advance(5)
        drop(store, 3, 4, clock)
        assert rows(store, "id, boot_ns, length(data)")[-1] == before
        assert [(gap.first, gap.last, gap.count) for gap in gaps_of(store)] == [(1, 4, 4)]
        row = store.connection.execute(f"SELECT {EVENT_COLUMNS} FROM event WHERE kind = 2").fetchone()  # noqa: S608  our own words
        assert record_of(row)[1].kind is RowKind.GAP


def test_gaps_of_another_cause_or_with_something_between_stay_apart(path: Path, clock: FakeClock) -> None:
    """What was dropped for its age is not told of as dropped for room, and no span may hold what is still to come."""
    with opened(path, clock) as store:
        store.append([an_event(number, at=clock.reading()) for number in range(1, 8)])
        drop(store, 1, 2, clock)
        drop(store, 3, 3, clock, "retention")
        drop(store, 5, 5, clock, oldest=False)
        drop(store, 6, 6, clock, oldest=False)
        assert [(gap.first, gap.last, gap.count, gap.cause) for gap in gaps_of(store)] == [
            (1, 2, 2, "full"),
            (3, 3, 1, "retention"),
            (5, 6, 2, "full"),
        ]


def test_a_gap_grows_to_the_front_as_well(path: Path, clock: FakeClock) -> None:
    """An older range is joined to a newer one: the beginning is that of the older, the end and the digest those of the newer."""
    with opened(path, clock) as store:
        times = []
        for number in range(1, 5):
            store.append([an_event(number, at=clock.reading())])
            times.append(time_text(clock.wall_ns))
            clock.advance(1)
        drop(store, 3, 4, clock, oldest=False)
        newest = gaps_of(store)[0]
        drop(store, 1, 2, clock)
        assert gaps_of(store) == [Gap(first=1, last=4, count=4, cause="full", oldest=times[0], newest=times[3], digest=newest.digest)]


def test_what_cannot_be_read_is_no_gap(path: Path, clock: FakeClock) -> None:
    """It does not grow, and another is written."""
    assert gap_in(b"{}") is None
    assert gap_in(b'{"what":"gap","first":1,"last":2,"count":2,"cause":"full"}   ') == Gap(first=1, last=2, count=2, cause="full")
    with opened(path, clock) as store:
        store.append([an_event(1), an_event(2, kind=RowKind.GAP), an_event(3)])
        drop(store, 1, 1, clock)
        gaps = [data for kind, data in rows(store, "kind, data") if kind == RowKind.GAP]
        assert (len(gaps), gaps[0]) == (2, b'{"n":2}')
        drop(store, 2, 3, clock)
        assert [gap.count for gap in gaps_of(store)] == [3]
