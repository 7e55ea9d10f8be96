"""Of a file that cannot be used nothing readable is thrown away."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from device.core.types import Direction, Passage
from device.core.wire import Gap
from device.edges.record import salvage, schema
from device.edges.record.journal import SqliteJournal
from device.edges.record.passages import read_passages
from device.edges.record.reader import JournalReader
from device.edges.record.rows import Leaf, RowKind, RowState
from device.edges.record.salvage import Salvaged, carry_over
from tests.edges.record.kit import EVENTS, Counting, an_event, blank_leaf, opened, replaced
from tests.entries import Opener, chained, checkin, parsed, settle, subject
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
    blank_leaf(opener.path, 30)
    journal = opener()
    assert len(ids(journal)) >= EVENTS - 50 - 5
    assert replaced(journal)[0]["cause"] == "damaged"


# ------------------------------------------------------------- one step of it


@contextmanager
def carried(path: Path, connect: schema.Connect = schema.sqlite_connect) -> Iterator[tuple[Salvaged, sqlite3.Connection]]:
    """What came of a file, and the new one."""
    with closing(schema.create(path.with_name("target"), schema.sqlite_connect, "11111111-1111-4111-8111-111111111111")) as target:
        target.execute("BEGIN")
        yield carry_over(path, connect, target), target


def spoil(path: Path, *changes: str) -> None:
    """Change what stands in a closed file."""
    with closing(sqlite3.connect(path)) as connection:
        for change in changes:
            connection.execute(change)
        connection.commit()


def test_all_that_has_content_waits_again_under_new_numbers(path: Path, clock: FakeClock) -> None:
    """Confirmed events and dead letters too, since nobody can say what the province has; erased ones and gaps do not."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 6)])
        store.append([an_event(6, RowKind.GAP)])
        store.release([1], clock.reading(), keep=False)
        store.release([2], clock.reading(), keep=True)
        store.bury(3, "quota_exceeded", clock.reading())
        epoch = store.epoch
    with carried(path) as (found, target):
        assert (found.epoch, found.rows, found.unreadable, found.dropped) == (epoch, 5, 0, 0)
        assert found.waiting == 4
        written = target.execute("SELECT seq, state, id FROM event ORDER BY seq").fetchall()
        assert [(seq, state) for seq, state, _ in written] == [(seq, RowState.WAITING) for seq in range(1, 6)]
        assert [ident for *_, ident in written[:4]] == ["id-2", "id-3", "id-4", "id-5"]
        sheets = [Leaf.unpack(sheet) for (sheet,) in target.execute("SELECT sheet FROM event ORDER BY seq")]
        assert sheets[0] == Leaf.reserved(b'{"n":2}')


def test_rows_that_are_missing_without_an_error_are_counted(path: Path, clock: FakeClock) -> None:
    """The file's own counts tell, and what was appended since they were written down."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 11)])
        store.finish()
        store.append([an_event(number) for number in range(11, 14)])
    spoil(path, "DELETE FROM event WHERE seq IN (2, 3, 12)")
    with carried(path) as (found, _):
        assert (found.rows, found.waiting, found.unreadable) == (10, 10, 3)


@pytest.mark.parametrize("tally", ["no JSON", "[1]", '{"other": 1}'])
def test_counts_that_cannot_be_read_tell_nothing(path: Path, clock: FakeClock, tally: str) -> None:
    """What is there is carried over all the same."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        store.finish()
        store.connection.execute("UPDATE meta SET value = ? WHERE name = 'tally'", (tally,))
    with carried(path) as (found, _):
        assert (found.rows, found.unreadable) == (1, 0)


def test_the_newest_number_counts_where_the_file_keeps_it(path: Path, clock: FakeClock) -> None:
    """Without it, the counts as they were written down."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 6)])
        store.finish()
    spoil(path, "DELETE FROM event WHERE seq = 2", "DELETE FROM sqlite_sequence")
    with carried(path) as (found, _):
        assert (found.rows, found.unreadable) == (4, 1)


def test_a_row_that_is_not_what_was_written_is_left_out_and_counted(path: Path, clock: FakeClock) -> None:
    """The others are not."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 4)])
        store.connection.execute("UPDATE event SET id = 'x' WHERE seq = 2")
    with carried(path) as (found, target):
        assert (found.rows, found.unreadable) == (2, 1)
        assert target.execute("SELECT id FROM event ORDER BY seq").fetchall() == [("id-1",), ("id-3",)]


def test_gaps_are_summed_up_and_one_that_cannot_be_read_counts_nothing(path: Path, clock: FakeClock) -> None:
    """How many events the old file had dropped and not told of."""
    with opened(path, clock) as store:
        for first in (1, 10):
            with store.transaction():
                store.append_fact(Gap(first=first, last=first + 4, count=5, cause="full"), clock.reading())
        store.append([an_event(3, RowKind.GAP)])
    with carried(path) as (found, target):
        assert (found.rows, found.dropped) == (0, 10)
        assert target.execute("SELECT count(*) FROM event").fetchone() == (0,)


@pytest.mark.parametrize("change", ["DELETE FROM meta", "UPDATE meta SET value = 'x' WHERE name = 'epoch'", "DROP TABLE meta"])
def test_an_epoch_that_cannot_be_read_is_none(path: Path, clock: FakeClock, change: str) -> None:
    """The events are carried over."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
    spoil(path, change)
    with carried(path) as (found, _):
        assert (found.epoch, found.rows) == (None, 1)


@pytest.mark.parametrize("change", ["DROP TABLE boot", "UPDATE boot SET anchor_boot_ns = NULL", ""])
def test_boots_are_carried_over_as_far_as_they_can_be_read(path: Path, clock: FakeClock, change: str) -> None:
    """Without them times cannot be corrected, which is no reason to lose events."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        line = store.line
    if change:
        spoil(path, change)
    with carried(path) as (found, target):
        assert found.rows == 1
        known = schema.read_timeline(target).boots
        assert len(known) == (0 if "DROP" in change else 1)
        assert (known == line.boots) is (not change)


def test_passages_are_carried_over_slot_by_slot(path: Path, clock: FakeClock) -> None:
    """What has not the size of one is none; a slot that was changed is seen when it is read."""
    with opened(path, clock) as store:
        at = clock.reading()
        store.append([an_event(number, passage=Passage(subject(number), Direction.IN, at)) for number in (1, 2, 3)])
        store.connection.execute("UPDATE passage SET content = x'00' WHERE slot = 2")
        before = read_passages(store.connection)
    with carried(path) as (_, target):
        assert [slot for (slot,) in target.execute("SELECT slot FROM passage")] == [1, 3]
        assert read_passages(target) == before


def test_a_stretch_that_cannot_be_read_is_gone_round(path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the front as far as it goes, one by one through the stretch, and from its end on again: each event once and in order.

    Only so many are tried one by one: of a large file that would take hours.
    """
    monkeypatch.setattr(salvage, "LOOKUPS", 20)
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 301)])
        store.finish()
    blank_leaf(path, 30)
    with carried(path) as (found, target):
        idents = [int(ident[3:]) for (ident,) in target.execute("SELECT id FROM event ORDER BY seq")]
        assert idents == sorted(set(idents))
        missing = sorted(set(range(1, 301)) - set(idents))
        assert missing == [*range(missing[0], missing[-1] + 1)]
        assert 0 < len(missing) <= 15
        assert (found.rows, found.unreadable) == (len(idents), len(missing))


def test_where_the_end_cannot_be_read_each_number_is_tried(path: Path, clock: FakeClock) -> None:
    """Up to the newest that was ever given, which the file keeps elsewhere."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 301)])
        store.finish()
        leaves = store.connection.execute("SELECT count(*) FROM dbstat WHERE name = 'event' AND pagetype = 'leaf'").fetchone()[0]
    blank_leaf(path, leaves - 1)
    blank_leaf(path, 20)
    with carried(path) as (found, target):
        idents = [int(ident[3:]) for (ident,) in target.execute("SELECT id FROM event ORDER BY seq")]
        assert idents == sorted(set(idents))
        assert found.rows + found.unreadable == 300
        assert found.rows >= 270


def test_a_failing_new_file_is_no_damage_of_the_old_one(path: Path, clock: FakeClock) -> None:
    """What the disk under the new file says is the caller's."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
    with closing(schema.create(path.with_name("target"), schema.sqlite_connect, "11111111-1111-4111-8111-111111111111")) as target:
        target.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            carry_over(path, schema.sqlite_connect, target)


def test_a_file_that_cannot_be_read_with_its_wal_is_read_without(path: Path, clock: FakeClock) -> None:
    """As it lies there, and no connection is left open."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        store.checkpoint()
    refusing = Counting("SELECT count(*) FROM meta")
    with carried(path, refusing) as (found, _):
        assert found.rows == 1
    assert len(refusing.made) == 2
    assert refusing.all_closed()
