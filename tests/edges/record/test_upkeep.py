"""The bounds of the record: what is dropped first, and that nothing of it can be found again."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from device.core.types import Direction, Entry, Passage
from device.edges.record import upkeep
from device.edges.record.gaps import gap_in
from device.edges.record.rows import RowKind, RowState
from device.edges.record.schema import read_meta
from device.edges.record.store import Store
from device.edges.record.upkeep import Upkeep
from tests.edges.record.kit import AT, DAY_S, Province, an_event, opened, record, rows, traces
from tests.entries import Opener, audit, checkin, parsed, settle, subject
from tests.fakes.clock import FakeClock


def test_a_flapping_link_cannot_push_check_ins_out(opener: Opener, clock: FakeClock) -> None:
    """Of a full record a long run of audit events goes first, so that every check-in is still there."""
    journal = opener(max_rows=200)
    checkins = record(journal, clock, 100)
    settle([journal.record(audit(clock, number)) for number in range(90)])
    checkins += record(journal, clock, 60, start=200)
    journal.maintain()
    province = Province()
    province.drain(journal)
    assert set(checkins) <= province.seqs
    assert province.told <= set(range(101, 191))
    assert province.seqs | province.told == set(range(1, max(province.seqs) + 1))


def test_what_the_broker_has_taken_goes_before_anything_else(opener: Opener, clock: FakeClock) -> None:
    """Events that are only kept for a second asking make room without a gap."""
    journal = opener(max_rows=200, keep_confirmed_s=DAY_S)
    record(journal, clock, 120)
    journal.waiting(0, 200)
    journal.confirm(journal.bounds().epoch, 100)
    journal.maintain()
    record(journal, clock, 150, start=200)
    journal.maintain()
    assert (journal.stats()["dropped"], journal.bounds().waiting) == (0, 170)


def test_room_is_bounded_in_bytes_too(opener: Opener, clock: FakeClock, tmp_path: Path) -> None:
    """With 4 MiB allowed, the file stays near that, and what had to go is told of."""
    journal = opener(max_mib=4)
    record(journal, clock, 6000)
    journal.maintain()
    assert (tmp_path / "journal.sqlite").stat().st_size <= 4.5 * 1024 * 1024
    newest = int(str(journal.stats()["newest"]))
    province = Province()
    province.drain(journal)
    assert len(province.seqs) > 2000
    assert province.seqs | province.told == set(range(1, newest + 1))


def test_retention_deletes_delivered_or_not_and_tells_of_it(opener: Opener, clock: FakeClock) -> None:
    """After the days that are allowed an event goes, and what the province never had stands in a gap event of its own cause."""
    journal = opener(retention_days=21)
    record(journal, clock, 30)
    clock.advance(20 * DAY_S)
    record(journal, clock, 10, start=31)
    journal.maintain()
    assert journal.bounds().waiting == 40
    clock.advance(2 * DAY_S)
    journal.maintain()
    province = Province()
    province.drain(journal)
    assert [(gap["first"], gap["last"], gap["count"], gap["cause"]) for gap in province.gaps] == [(1, 30, 30, "retention")]
    assert province.seqs == set(range(31, 42))


def test_retention_over_restarts_uses_what_is_known_of_the_time(opener: Opener, clock: FakeClock) -> None:
    """Three weeks switched off count as soon as the clock is right, and not before: no event is deleted early."""
    journal = opener(retention_days=21)
    record(journal, clock, 5)
    journal.close()
    clock.restart("boot-2", off_s=22 * DAY_S)
    right_ns = clock.wall_ns
    clock.set_wall(0)
    journal = opener(retention_days=21)
    journal.maintain()
    assert journal.bounds().waiting == 5
    clock.set_wall(right_ns, trusted=True)
    journal.maintain()
    assert [parsed(one)["data"]["cause"] for one in journal.waiting(0, 10)] == ["retention"]


def padded(clock: FakeClock, number: int, chance: random.Random, *, passage: bool = False) -> Entry:
    """A check-in of any size, as sealed identities make them."""
    entry = checkin(clock, number, passage=passage)
    return replace(entry, data={**entry.data, "sealed": "A" * chance.randrange(20, 900)})


@pytest.mark.parametrize("seed", range(3))
def test_nothing_of_a_deleted_person_is_left_in_the_file(opener: Opener, clock: FakeClock, seed: int) -> None:
    """After any mix of recording, freezing, acks in and out of order and retention, a search of the raw bytes finds only the living.

    Overwriting deletes is not enough for that: SQLite leaves copies where it
    moves rows between pages.
    """
    chance = random.Random(seed)  # noqa: S311  a mix that can be repeated, nothing secret
    journal = opener(retention_days=10, max_rows=400)
    number = 0
    living: dict[int, int] = {}
    alive: set[str] = set()
    for _ in range(18):
        if chance.random() < 0.3:
            clock.restart(f"boot-{number}", trusted=chance.random() < 0.5, off_s=3600)
        count = chance.choice([1, 5, 40, 120])
        batch = range(number + 1, number + count + 1)
        seqs = settle([journal.record(padded(clock, each, chance, passage=chance.random() < 0.5)) for each in batch])
        living.update(zip(seqs, batch, strict=True))
        number += count
        waiting = [one.seq for one in journal.waiting(0, chance.choice([10, 500]))]
        if waiting:
            acked = chance.sample(waiting, len(waiting) // 2)
            journal.confirm(journal.bounds().epoch, chance.choice([0, waiting[len(waiting) // 3]]), [(seq, seq) for seq in acked])
        clock.advance(chance.choice([1, DAY_S]))
        journal.maintain()
        alive = {subject(living[one.seq]) for one in journal.waiting(0, 1000) if one.seq in living}
        alive |= {passage.subject for passage in journal.passages()}
        journal.maintain()
        assert traces(opener.path) - alive == set()
    journal.close()
    assert traces(opener.path) - alive == set()


def test_erased_rows_are_taken_out_and_the_file_shrinks(opener: Opener, clock: FakeClock) -> None:
    """When a backlog has been delivered, the file goes back to a few pages, with only a margin of empty rows left."""
    journal = opener()
    record(journal, clock, 3000)
    journal.maintain()
    large = opener.path.stat().st_size
    Province().drain(journal)
    journal.maintain()
    store = journal._file.store  # noqa: SLF001  rows without content are nobody else's business
    assert store.connection.execute("SELECT count(*) FROM event").fetchone()[0] < 2 * upkeep.PURGE_FROM
    assert opener.path.stat().st_size < large / 4


def test_the_wal_is_emptied(opener: Opener, clock: FakeClock) -> None:
    """After the minute's upkeep the WAL has no bytes, so nothing deleted lives on in it."""
    journal = opener()
    record(journal, clock, 50)
    wal = opener.path.with_name("journal.sqlite-wal")
    assert wal.stat().st_size > 0
    journal.maintain()
    assert wal.stat().st_size == 0


# ------------------------------------------------------------- one step of it

MIB = 1024 * 1024
UNTRUSTED = replace(AT, trusted=False)


def bounds(store: Store, **changes: int) -> Upkeep:
    """Wide ones, but for what is changed."""
    return Upkeep(store, **{"max_rows": 10_000, "max_bytes": 100 * MIB, "retention_ns": 10**18, **changes})


def states(store: Store) -> list[RowState]:
    """Of all rows, in order."""
    return [RowState(state) for _, state in rows(store)]


def test_a_record_is_over_its_bounds_by_one_row_or_one_byte(path: Path, clock: FakeClock) -> None:
    """What waits, what is kept and what is dead counts; what was erased does not."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 5)])
        store.release([1], clock.reading(), keep=False)
        store.release([2], clock.reading(), keep=True)
        with store.transaction():
            store._mark(3, RowState.DEAD, clock.reading())  # noqa: SLF001  a dead letter without the event that tells of it
        assert not bounds(store, max_rows=3).over()
        assert bounds(store, max_rows=2).over()
        used = store.used_bytes()
        assert not bounds(store, max_bytes=used).over()
        assert bounds(store, max_bytes=used - 1).over()


def test_room_is_made_of_what_is_kept_then_of_audits_then_of_the_oldest(path: Path, clock: FakeClock) -> None:
    """One batch each time, and in that order; at last there is nothing left to go but the gaps that tell of it."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 4)])
        store.append([an_event(number, RowKind.AUDIT) for number in range(4, 24)])
        store.append([an_event(24)])
        store.release([2], clock.reading(), keep=True)
        upkeep = bounds(store)
        assert upkeep.make_room(clock.reading())
        assert [seq for seq, state in rows(store) if state == RowState.ERASED] == [2]
        assert upkeep.make_room(clock.reading())
        assert [seq for seq, state in rows(store) if state == RowState.ERASED] == [2, *range(4, 24)]
        assert upkeep.make_room(clock.reading())
        assert {seq for seq, state in rows(store) if state == RowState.ERASED} >= {*range(1, 25)}
        assert store.tally.dropped == 20 + 3 + 1


def test_nothing_to_go_is_no_room(path: Path, clock: FakeClock) -> None:
    """In an empty record; whoever asks must not ask for ever."""
    with opened(path, clock) as store:
        assert not bounds(store).make_room(clock.reading())
        assert not bounds(store).expire(clock.reading())
        assert rows(store) == []


@pytest.mark.parametrize(("count", "first"), [(19, RowState.WAITING), (20, RowState.ERASED)])
def test_a_run_of_audit_events_is_twenty(path: Path, clock: FakeClock, count: int, first: RowState) -> None:
    """With a check-in between, or one fewer, they stay in their turn."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 60)])
        store.append([an_event(number, RowKind.AUDIT) for number in range(60, 70)])
        store.append([an_event(70)])
        store.append([an_event(number, RowKind.AUDIT) for number in range(71, 71 + count)])
        bounds(store).make_room(clock.reading())
        assert states(store)[70] is first
        assert states(store)[60] is RowState.WAITING


def test_a_long_run_goes_in_batches_and_is_not_told_of_as_the_oldest(path: Path, clock: FakeClock) -> None:
    """Fifty in one step. What was never made ready has no digest then, for others are still frozen before the chain goes on."""
    with opened(path, clock) as store:
        store.append([an_event(1), an_event(2, at=UNTRUSTED)])
        store.append([an_event(number, RowKind.AUDIT, UNTRUSTED) for number in range(3, 73)])
        bounds(store).make_room(clock.reading())
        assert states(store)[:2] == [RowState.WAITING] * 2
        assert states(store)[2:72] == [RowState.ERASED] * 50 + [RowState.WAITING] * 20
        gap = gap_in(rows(store, "data")[-1][0])
        assert gap is not None
        assert (gap.first, gap.last, gap.count, gap.cause, gap.digest) == (3, 52, 50, "full", None)


def test_the_oldest_go_in_batches_with_the_digest_of_the_chain(path: Path, clock: FakeClock) -> None:
    """Fifty in one step, erased ones not counted."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 71)])
        store.release([1], clock.reading(), keep=False)
        bounds(store).make_room(clock.reading())
        assert states(store)[:70] == [RowState.ERASED] * 51 + [RowState.WAITING] * 19
        assert json.loads(read_meta(store.connection)["tally"])["dropped"] == 50


def test_events_older_than_allowed_go_and_not_a_nanosecond_before(path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """From the oldest on, as far as they are old, delivered or not; what was delivered is not told of as lost."""
    with caplog.at_level("INFO"), opened(path, clock) as store:
        store.append([an_event(number, at=clock.reading()) for number in (1, 2)])
        store.release([1], clock.reading(), keep=True)
        clock.advance(10)
        store.append([an_event(3, at=clock.reading())])
        upkeep = bounds(store, retention_ns=20 * 10**9)
        clock.advance(10)
        assert not upkeep.expire(clock.reading())
        clock.advance_ns(1)
        assert upkeep.expire(clock.reading())
        assert not upkeep.expire(clock.reading())
        assert states(store)[:3] == [RowState.ERASED, RowState.ERASED, RowState.WAITING]
        gap = gap_in(rows(store, "data")[-1][0])
        assert gap is not None
        assert (gap.first, gap.last, gap.count, gap.cause) == (2, 2, 1, "retention")
    assert "1 events dropped: retention" in caplog.text


def test_what_was_delivered_is_dropped_without_a_word(path: Path, clock: FakeClock) -> None:
    """No gap event where nothing was lost."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        store.release([1], clock.reading(), keep=True)
        clock.advance(21)
        assert bounds(store, retention_ns=20 * 10**9).expire(clock.reading())
        assert states(store) == [RowState.ERASED]


def test_a_confirmed_event_is_kept_from_its_confirmation_on(path: Path, clock: FakeClock) -> None:
    """To the nanosecond, and whether its batch was full or not there may be more."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        clock.advance(100)
        store.release([1], clock.reading(), keep=True)
        upkeep = bounds(store, keep_ns=10 * 10**9)
        clock.advance(10)
        assert not upkeep.forget(clock.reading())
        clock.advance_ns(1)
        assert upkeep.forget(clock.reading())
        assert states(store) == [RowState.ERASED]
        assert not upkeep.forget(clock.reading())


@pytest.mark.parametrize("damage", ["sheet = x'00'", "boot"])
def test_where_the_confirmation_cannot_be_read_the_recording_counts(path: Path, clock: FakeClock, damage: str) -> None:
    """The event goes earlier than it might, rather than never."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        clock.advance(100)
        reading = clock.reading()
        store.release([1], replace(reading, boot_id="unknown") if damage == "boot" else reading, keep=True)
        if damage != "boot":
            store.connection.execute(f"UPDATE event SET {damage}")  # noqa: S608  the parameter above
        assert bounds(store, keep_ns=99 * 10**9).forget(clock.reading())


def test_passages_are_forgotten_fifty_in_one_step(path: Path, clock: FakeClock) -> None:
    """And there may be more after a full batch."""
    with opened(path, clock) as store:
        at = clock.reading()
        store.append([an_event(number, passage=Passage(subject(number), Direction.IN, at)) for number in range(1, 76)])
        upkeep = bounds(store, retention_ns=10**9)
        clock.advance(1)
        assert not upkeep.forget(clock.reading())
        clock.advance(1)
        assert upkeep.forget(clock.reading())
        assert len(store.passages) == 25
        assert not upkeep.forget(clock.reading())
        assert len(store.passages) == 0


# ------------------------------------------------------------- what is taken out


def erased(store: Store, clock: FakeClock, *seqs: int) -> None:
    """As if the province had them."""
    store.release(seqs, clock.reading(), keep=False)


def left(store: Store) -> list[int]:
    """The numbers of the rows that are there."""
    return [seq for (seq,) in rows(store, "seq")]


def test_erased_rows_are_taken_out_when_there_are_enough(path: Path, clock: FakeClock) -> None:
    """Sixty-four are worth an attempt, in steps of fifty; what lies beside a row in use stays, four pages of it."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 202)])
        upkeep = bounds(store)
        erased(store, clock, *range(1, 64))
        assert not upkeep.purge()
        erased(store, clock, 64)
        per_row = rows(store, "length(data) + length(sheet)")
        margin = next(count for count in range(200) if sum(row[0] for row in per_row[64 - count : 64]) >= 4 * 4096)
        assert 10 < margin < 64
        assert upkeep.purge() is (64 - margin >= 50)
        assert left(store) == [*range(1 + min(50, 64 - margin), 202)]


def test_a_full_batch_is_followed_by_another(path: Path, clock: FakeClock) -> None:
    """Until less than a batch can go; then as many more must be erased first."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 402)])
        upkeep = bounds(store)
        erased(store, clock, *range(1, 332))
        steps = 0
        while upkeep.purge():
            steps += 1
        assert steps == len(range(1, left(store)[0])) // 50
        remaining = store.count(RowState.ERASED)
        before = left(store)
        erased(store, clock, *range(332, 395))
        assert not upkeep.purge()
        assert left(store) == before
        erased(store, clock, 395)
        assert upkeep.purge()
        assert left(store)[0] == before[0] + 50
        assert store.count(RowState.ERASED) == remaining + 64 - 50


def test_a_row_in_use_keeps_its_neighbours(path: Path, clock: FakeClock) -> None:
    """Before it and behind it; the erased rows at the very beginning need no margin before them."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 402)])
        erased(store, clock, *range(1, 200), *range(201, 400))
        upkeep = bounds(store)
        while upkeep.purge():
            pass
        kept = left(store)
        front, back = [seq for seq in kept if seq < 200], [seq for seq in kept if 200 < seq < 400]
        sizes = dict(rows(store, "seq, length(data) + length(sheet)"))
        assert front == [*range(front[0], 200)]
        assert sum(sizes[seq] for seq in front) >= 4 * 4096 > sum(sizes[seq] for seq in front[1:])
        holes = [(one, other) for one, other in pairwise(back) if other != one + 1]
        assert len(holes) == 1
        (before, after) = holes[0]
        assert 4 * 4096 <= sum(sizes[seq] for seq in back if seq <= before) < 5 * 4096
        assert 4 * 4096 <= sum(sizes[seq] for seq in back if seq >= after) < 5 * 4096


def test_numbers_that_are_gone_do_not_part_erased_rows(path: Path, clock: FakeClock) -> None:
    """Where an earlier attempt has taken rows out, what is left on both sides belongs together."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 302)])
        erased(store, clock, *range(1, 301))
        store.connection.execute("DELETE FROM event WHERE seq BETWEEN 20 AND 200")
        upkeep = bounds(store)
        while upkeep.purge():
            pass
        assert left(store)[0] > 201


def test_a_small_erased_stretch_stays_whole(path: Path, clock: FakeClock) -> None:
    """Its margins meet."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 302)])
        for start in range(2, 300, 3):
            erased(store, clock, start, start + 1)
        assert not bounds(store).purge()
        assert len(left(store)) == 301


def test_empty_pages_are_given_back_but_for_a_few(path: Path, clock: FakeClock) -> None:
    """Sixty-four stay for the next events."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 1001)])
        store.connection.execute("DELETE FROM event")
        free = store.connection.execute("PRAGMA freelist_count").fetchone()[0]
        assert free > 64
        bounds(store).shrink()
        assert store.connection.execute("PRAGMA freelist_count").fetchone()[0] == 64
        bounds(store).shrink()
        assert store.connection.execute("PRAGMA freelist_count").fetchone()[0] == 64
