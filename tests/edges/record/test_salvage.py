"""Of a file that cannot be used nothing readable is thrown away."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from device.edges.record import schema
from device.edges.record.journal import SqliteJournal
from device.edges.record.reader import JournalReader
from tests.edges.record.kit import EVENTS, replaced
from tests.entries import Opener, chained, checkin, parsed, settle
from tests.fakes.clock import FakeClock


def ids(journal: SqliteJournal) -> dict[str, int]:
    """Which event each id belongs to, by its `n`."""
    bodies = [parsed(one) for one in journal.waiting(0, 5000)]
    return {body["id"]: body["data"]["n"] for body in bodies if "n" in body["data"]}


def test_a_newer_schema_is_carried_over_as_far_as_it_is_understood(opener: Opener, old: str) -> None:
    """After going back to an older program, events of the newer one still reach the province."""
    with closing(sqlite3.connect(opener.path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
        connection.execute("ALTER TABLE event ADD COLUMN later TEXT")
        connection.commit()
    journal = opener()
    assert set(ids(journal).values()) == set(range(51, EVENTS + 1))
    assert [(fact["cause"], fact["old_epoch"]) for fact in replaced(journal)] == [("newer", old)]


def test_what_is_carried_over_keeps_ids_times_and_passages(opener: Opener, clock: FakeClock, old: str) -> None:
    """In the new epoch the events have new numbers from one and a new chain, and are otherwise the same."""
    journal = opener()
    before, passages = ids(journal), journal.passages()
    times = [parsed(one)["time"] for one in journal.waiting(0, 5000)]
    journal.close()
    with closing(sqlite3.connect(opener.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    clock.advance(1000)
    journal = opener()
    assert set(before.items()) <= set(ids(journal).items())
    assert set(times) <= {parsed(one)["time"] for one in journal.waiting(0, 5000)}
    assert journal.passages() == passages
    out = journal.waiting(0, 5000)
    assert [one.seq for one in out] == list(range(1, len(out) + 1))
    assert chained(out)
    assert {parsed(one)["epoch"] for one in out} == {journal.bounds().epoch} != {old}


def test_events_of_an_unsynced_boot_keep_their_boot(opener: Opener, clock: FakeClock) -> None:
    """What is known of the boots is carried over, so times can still be corrected."""
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    right_ns = clock.wall_ns + 10**15
    clock.advance(10)
    clock.set_wall(right_ns + 10 * 10**9, trusted=True)
    journal.maintain()
    journal.close()
    with closing(sqlite3.connect(opener.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    clock.restart("boot-3")
    first = parsed(opener().waiting(0, 1)[0])
    assert (first["clock"], first["bootid"]) == ("corrected", "boot-2")


def test_gaps_of_the_old_epoch_are_summed_up(opener: Opener, clock: FakeClock) -> None:
    """Their spans would mean other events in the new epoch, so only the count goes on."""
    journal = opener(max_rows=100)
    settle([journal.record(checkin(clock, number)) for number in range(1, 161)])
    journal.maintain()
    dropped = journal.stats()["dropped"]
    journal.close()
    with closing(sqlite3.connect(opener.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    journal = opener()
    assert [fact["dropped"] for fact in replaced(journal)] == [dropped]
    assert not [one for one in journal.waiting(0, 500) if parsed(one)["data"].get("what") == "gap"]


def truncate(path: Path, chance: random.Random) -> None:
    """Cut off anywhere."""
    with path.open("r+b") as file:
        file.truncate(chance.randrange(1, path.stat().st_size))


def flip(path: Path, chance: random.Random) -> None:
    """Some bits of one page are others."""
    page = chance.randrange(path.stat().st_size // 4096)
    with path.open("r+b") as file:
        file.seek(page * 4096)
        content = bytearray(file.read(4096))
        for _ in range(chance.choice([1, 8, 200])):
            content[chance.randrange(4096)] ^= 1 << chance.randrange(8)
        file.seek(page * 4096)
        file.write(content)


def blank(path: Path, chance: random.Random) -> None:
    """A page reads as zeros, or as ones, as after a write that never happened."""
    page = chance.randrange(path.stat().st_size // 4096)
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(chance.choice([b"\0", b"\xff"]) * 4096)


def swap(path: Path, chance: random.Random) -> None:
    """Two pages stand in each other's place."""
    pages = path.stat().st_size // 4096
    one, other = chance.randrange(pages), chance.randrange(pages)
    content = path.read_bytes()
    with path.open("r+b") as file:
        for place, source in ((one, other), (other, one)):
            file.seek(place * 4096)
            file.write(content[source * 4096 : source * 4096 + 4096])


@pytest.mark.parametrize("damage", [truncate, flip, blank, swap])
@pytest.mark.parametrize("seed", range(12))
def test_any_damage_is_survived(
    opener: Opener, clock: FakeClock, old: str, damage: Callable[[Path, random.Random], None], seed: int
) -> None:
    """The gate starts, records, and gives out nothing that was not recorded; all that is missing is told of."""
    chance = random.Random(f"{damage.__name__}{seed}")  # noqa: S311  damage that can be repeated, nothing secret
    with JournalReader(opener.path) as reader:
        before = {one.stored.id: one.stored.data["n"] for one in reader.events() if "n" in one.stored.data}
    damage(opener.path, chance)
    journal = opener()
    settle([journal.record(checkin(clock, 1000))])
    journal.maintain()
    after = {ident: number for ident, number in ids(journal).items() if number != 1000}
    assert set(after.items()) <= set(before.items())
    missing = len(before) - len(after) - int(str(journal.stats()["dead"]))
    told = replaced(journal)
    if told:
        assert journal.bounds().epoch != old
        assert told[0]["cause"] == "garbage" or int(str(told[0]["unreadable"])) >= missing
    else:
        assert missing <= 0
    settle([journal.record(checkin(clock, 1001))])


@pytest.mark.usefixtures("old")
def test_one_bad_page_costs_only_what_was_on_it(opener: Opener) -> None:
    """Of three hundred events those on other pages are all carried over."""
    with closing(sqlite3.connect(opener.path)) as connection:
        page = connection.execute("SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' LIMIT 1 OFFSET 30").fetchone()
    with opener.path.open("r+b") as file:
        file.seek((page[0] - 1) * 4096)
        file.write(bytes(4096))
    journal = opener()
    assert len(ids(journal)) >= EVENTS - 50 - 5
    assert replaced(journal)[0]["cause"] == "damaged"
