"""The bounds of the record: what is dropped first, and that nothing of it can be found again."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from device.core.types import Entry
from device.edges.record import upkeep
from tests.edges.record.kit import DAY_S, Province, record, traces
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
