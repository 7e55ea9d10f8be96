"""The bounds of the record: what is dropped, how it is told of, and that nothing of it can be found again."""

from __future__ import annotations

import inspect
import json
import random
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from device.core.types import Channel, ClockReading, Entry, Receipt
from device.core.wire import body_digest
from device.edges.record import upkeep, writer
from device.edges.record.journal import SqliteJournal
from device.edges.record.store import Item, Store
from device.edges.record.upkeep import Upkeep
from device.ports import Outgoing
from tests.entries import Opener, audit, chained, checkin, parsed, settle, subject
from tests.fakes.clock import FakeClock

DAY_S = 86_400


@pytest.fixture
def clock() -> FakeClock:
    """A synchronised clock."""
    return FakeClock()


@pytest.fixture
def opener(tmp_path: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens journals on one file."""
    with closing(Opener(tmp_path / "journal.sqlite", clock)) as opener:
        yield opener


@dataclass
class Province:
    """Takes everything, checks the chain over gaps, and says at the end what it holds."""

    seqs: set[int] = field(default_factory=set)
    gaps: list[dict[str, object]] = field(default_factory=list)
    bodies: dict[int, bytes] = field(default_factory=dict)

    def take(self, out: Sequence[Outgoing]) -> None:
        """Keep these."""
        for one in out:
            assert self.bodies.setdefault(one.seq, one.body) == one.body
            self.seqs.add(one.seq)
            data = parsed(one)["data"]
            if data.get("what") == "gap" and one.seq not in {gap["seq"] for gap in self.gaps}:
                self.gaps.append({**data, "seq": one.seq})

    def drain(self, journal: SqliteJournal) -> None:
        """Take and confirm until nothing waits."""
        while out := journal.waiting(0, 100):
            self.take(out)
            journal.confirm(journal.bounds().epoch, out[-1].seq)

    @property
    def told(self) -> set[int]:
        """What gap events say was dropped."""
        return {seq for gap in self.gaps for seq in range(int(str(gap["first"])), int(str(gap["last"])) + 1)} - self.seqs


def record(journal: SqliteJournal, clock: FakeClock, count: int, start: int = 1) -> list[int]:
    """Record so many check-ins, a second apart."""
    futures = []
    for number in range(start, start + count):
        clock.advance(1)
        futures.append(journal.record(checkin(clock, number)))
    return settle(futures)


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


def test_passages_are_forgotten_after_the_retention(opener: Opener, clock: FakeClock) -> None:
    """Who passed longer ago than is allowed is unknown again; who passed since is remembered."""
    journal = opener(retention_days=1)
    settle([journal.record(checkin(clock, number, passage=True)) for number in range(1, 121)])
    clock.advance(DAY_S - 1)
    settle([journal.record(checkin(clock, 5, passage=True))])
    clock.advance(2)
    journal.maintain()
    assert [passage.subject for passage in journal.passages()] == [subject(5)]


def test_only_so_many_passages_are_remembered(opener: Opener, clock: FakeClock) -> None:
    """Beyond the bound, who passed longest ago is forgotten, over a restart too."""
    journal = opener()
    journal._file.store.passages._limit = 50  # noqa: SLF001  the bound is 100,000 and filling it takes minutes
    settle([journal.record(checkin(clock, number, passage=True)) for number in range(1, 101)])
    settle([journal.record(checkin(clock, 60, passage=True))])
    expected = [subject(number) for number in [*range(51, 60), *range(61, 101), 60]]
    assert [passage.subject for passage in journal.passages()] == expected
    journal.close()
    assert [passage.subject for passage in opener().passages()] == expected


# ------------------------------------------------------------- deleted is deleted


def traces(path: Path) -> set[str]:
    """All keyed hashes that stand anywhere in the file or its WAL, as text."""
    raw = b"".join(file.read_bytes() for file in (path, path.with_name(f"{path.name}-wal")) if file.exists())
    return {match.decode() for match in re.findall(rb"0{56}[0-9a-f]{8}", raw)}


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


def test_plain_deletes_would_leave_traces(tmp_path: Path) -> None:
    """The reason for the layout, kept as a test: in a table written as usual, deleted persons can be found in the raw bytes.

    Should this fail one day, SQLite has learned to overwrite what it moves.
    """
    chance, path = random.Random(1), tmp_path / "plain.sqlite"  # noqa: S311  as above
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, data TEXT, body BLOB)")
        living: list[int] = []
        for block in range(12):
            new = range(100 * block + 1, 100 * block + 101)
            living += new
            connection.executemany(
                "INSERT INTO event (seq, data) VALUES (?, ?)", [(n, subject(n) + "x" * chance.randrange(100, 600)) for n in new]
            )
            connection.executemany("UPDATE event SET body = ? WHERE seq = ?", [(b"y" * chance.randrange(200, 1200), n) for n in new])
            dead = [living.pop(chance.randrange(len(living))) for _ in range(70)]
            connection.executemany("DELETE FROM event WHERE seq = ?", [(n,) for n in dead])
    assert traces(path) - {subject(n) for n in living} != set()


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


def test_upkeep_comes_by_itself_each_minute(opener: Opener, clock: FakeClock) -> None:
    """Nobody has to ask: a minute after the start the WAL is empty and old events are gone."""
    journal = opener(retention_days=1)
    record(journal, clock, 5)
    clock.advance(DAY_S + 61)
    deadline = time.monotonic() + 10
    while (journal.stats()["dropped"], journal.stats()["wal_bytes"]) != (5, 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)
