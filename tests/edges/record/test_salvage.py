"""Whatever is found in the journal's place: the gate starts, says so, and throws nothing readable away."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device.core.types import Channel
from device.core.wire import Storage, audit_data
from device.edges.record import opening, schema
from device.edges.record.journal import SqliteJournal
from device.edges.record.reader import JournalReader
from tests.entries import FREEZE, Opener, chained, checkin, numbers, parsed, settle
from tests.fakes.clock import FakeClock

EVENTS = 300


@pytest.fixture
def clock() -> FakeClock:
    """A synchronised clock."""
    return FakeClock()


@pytest.fixture
def opener(tmp_path: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens journals on one file."""
    with closing(Opener(tmp_path / "journal.sqlite", clock)) as opener:
        yield opener


@pytest.fixture
def old(opener: Opener, clock: FakeClock) -> str:
    """A closed journal of three hundred events, some of them confirmed, one a dead letter. Returns its epoch."""
    journal = opener()
    settle([journal.record(checkin(clock, number, passage=True)) for number in range(1, EVENTS + 1)])
    epoch = journal.bounds().epoch
    journal.confirm(epoch, 50)
    journal.bury(60, "quota_exceeded")
    journal.close()
    return epoch


def replaced(journal: SqliteJournal) -> list[dict[str, object]]:
    """What the audit events say of replaced files."""
    found = [parsed(one)["data"] for one in journal.waiting(0, 5000) if one.channel is Channel.AUDIT]
    return [data for data in found if data["what"] == "journal_replaced"]


def ids(journal: SqliteJournal) -> dict[str, int]:
    """Which event each id belongs to, by its `n`."""
    bodies = [parsed(one) for one in journal.waiting(0, 5000)]
    return {body["id"]: body["data"]["n"] for body in bodies if "n" in body["data"]}


def asides(path: Path) -> list[str]:
    """Names of what was set aside."""
    return [aside.name for aside in opening.asides(path)]


def test_no_file_is_a_first_start(opener: Opener) -> None:
    """A new file is made, and nothing is said of it."""
    journal = opener()
    assert journal.previous_run == "first"
    assert replaced(journal) == []


@pytest.mark.parametrize(
    ("cause", "content"),
    [
        ("garbage", b"\x8f\x01garbage" * 1000),
        ("garbage", b"SQLite format 3\x01" + bytes(5000)),
        ("empty", b""),
        ("foreign", None),
    ],
    ids=["noise", "header-only", "empty", "foreign"],
)
def test_what_is_no_journal_is_set_aside(opener: Opener, clock: FakeClock, cause: str, content: bytes | None) -> None:
    """Noise, another program's database or nothing at all: kept as it was, told of, and the gate records."""
    if content is None:
        with closing(sqlite3.connect(opener.path)) as connection:
            connection.execute("CREATE TABLE other (x)")
            connection.commit()
        content = opener.path.read_bytes()
    else:
        opener.path.write_bytes(content)
    journal = opener()
    assert settle([journal.record(checkin(clock, 1))]) == [2]
    assert [(fact["cause"], fact.get("kept_as")) for fact in replaced(journal)] == [
        (cause, "journal.sqlite.corrupt-1" if content else None)
    ]
    assert asides(opener.path) == (["journal.sqlite.corrupt-1"] if content else [])
    if content:
        assert opener.path.with_name("journal.sqlite.corrupt-1").read_bytes() == content


def test_a_newer_schema_is_carried_over_as_far_as_it_is_understood(opener: Opener, old: str) -> None:
    """After going back to an older program, events of the newer one still reach the province."""
    with closing(sqlite3.connect(opener.path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION + 1}")
        connection.execute("ALTER TABLE event ADD COLUMN later TEXT")
        connection.commit()
    journal = opener()
    assert set(ids(journal).values()) == set(range(51, EVENTS + 1))
    assert [(fact["cause"], fact["old_epoch"]) for fact in replaced(journal)] == [("newer", old)]


def test_a_lost_wal_is_noticed(opener: Opener, clock: FakeClock) -> None:
    """A file copied or restored without its WAL may have numbers that were given to other events: it gets a new epoch."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
    journal.maintain()
    settle([journal.record(checkin(clock, number)) for number in range(11, 21)])
    content, epoch = opener.path.read_bytes(), journal.bounds().epoch
    journal.close()
    opener.path.write_bytes(content)
    journal = opener()
    assert journal.bounds().epoch != epoch
    assert [(fact["cause"], fact["salvaged"]) for fact in replaced(journal)] == [("wal_missing", 10)]
    assert numbers(journal.waiting(0, 100)) == list(range(1, 11))


def test_a_killed_gate_loses_no_wal(opener: Opener, clock: FakeClock, tmp_path: Path) -> None:
    """With its WAL beside it, the file of a gate that was killed is opened as it is."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
    other = tmp_path / "other"
    other.mkdir()
    for file in tmp_path.glob("journal.sqlite*"):
        (other / file.name).write_bytes(file.read_bytes())
    with closing(Opener(other / "journal.sqlite", clock)) as second:
        again = second()
        assert again.bounds() == journal.bounds()
        assert replaced(again) == []


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


@pytest.mark.usefixtures("old")
def test_a_flipped_bit_in_a_body_is_not_sent(opener: Opener) -> None:
    """SQLite sees nothing wrong with it; the row's own checksum does, and the event is put aside as damaged."""
    content = opener.path.read_bytes()
    place = content.rindex(b'"n":200,"prev"')
    with opener.path.open("r+b") as file:
        file.seek(place + 5)
        file.write(b"9")
    journal = opener()
    out = journal.waiting(0, 5000)
    assert 200 not in numbers(out)
    assert 900 not in numbers(out)
    letters = [parsed(one)["data"] for one in journal.waiting(0, 5000) if one.channel is Channel.AUDIT]
    assert [(letter["seq"], letter["reason"]) for letter in letters if letter["what"] == "dead_letter"][-1] == (200, "damaged")


def test_a_flipped_bit_in_an_unfrozen_event_is_not_sent(opener: Opener, clock: FakeClock) -> None:
    """The same for what has no body yet."""
    clock.restart("boot-2")
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(101, 104)])
    journal.close()
    content = opener.path.read_bytes()
    with opener.path.open("r+b") as file:
        file.seek(content.rindex(b'"n":102') + 4)
        file.write(b"9")
    journal = opener()
    assert numbers(journal.waiting(0, 10)) == [101, 103]
    assert parsed(journal.waiting(0, 10)[-1])["data"]["reason"] == "damaged"


def test_two_files_are_kept_aside_and_the_oldest_goes(opener: Opener) -> None:
    """The names count up, so a newer one is never taken for an older."""
    for number in range(1, 5):
        opener.path.write_bytes(b"rubbish %d " % number * 1000)
        opener().close()
    assert asides(opener.path) == ["journal.sqlite.corrupt-3", "journal.sqlite.corrupt-4"]


def test_a_file_set_aside_goes_when_its_retention_is_over(opener: Opener, clock: FakeClock) -> None:
    """It holds what the journal held, so it may not stay longer; a day counts only as far as it is certain."""
    opener.path.write_bytes(b"rubbish" * 1000)
    journal = opener(retention_days=21)
    journal.maintain()
    clock.advance(20 * 86_400)
    journal.maintain()
    assert len(asides(opener.path)) == 1
    clock.advance(2 * 86_400)
    journal.maintain()
    assert asides(opener.path) == []


def test_an_interrupted_replacement_is_finished_or_begun_again(opener: Opener, old: str) -> None:
    """A power cut between the two renames leaves the new file under its first name: it is taken, whole, or not at all."""
    fresh = opener.path.with_name("journal.sqlite.new")
    content = opener.path.read_bytes()
    opener.path.replace(fresh)
    journal = opener()
    assert journal.bounds().epoch == old
    journal.close()
    opener.path.unlink()
    fresh.write_bytes(content[: len(content) // 2])
    journal = opener()
    assert journal.bounds().epoch != old
    assert not fresh.exists()
    journal.close()
    fresh.write_bytes(content)
    assert opener().bounds().epoch == journal.stats()["epoch"]
    assert not fresh.exists()


def test_a_wal_without_its_file_is_not_taken_for_the_new_ones(opener: Opener, clock: FakeClock) -> None:
    """An old WAL beside a missing file would be played into the new one."""
    opener.path.with_name("journal.sqlite-wal").write_bytes(b"7\x7f\x06\x82" + bytes(100))
    journal = opener()
    assert settle([journal.record(checkin(clock, 1))]) == [1]


def test_a_large_file_is_checked_beside_the_work(opener: Opener, clock: FakeClock, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit the start does not wait; the damage is found a little later, and mended."""
    monkeypatch.setattr(opening, "CHECK_BYTES", 4096)
    with closing(sqlite3.connect(opener.path)) as connection:
        page = connection.execute("SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' LIMIT 1 OFFSET 30").fetchone()
    with opener.path.open("r+b") as file:
        file.seek((page[0] - 1) * 4096)
        file.write(bytes(4096))
    journal = opener()
    checker = journal._file._checker  # noqa: SLF001  to wait for it
    if checker is not None:
        checker[0].join(10)
    journal.maintain()
    assert journal.bounds().epoch != old
    assert settle([journal.record(checkin(clock, 1))])


def test_closing_does_not_wait_for_a_check(opener: Opener, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of a large file is broken off."""
    monkeypatch.setattr(opening, "CHECK_BYTES", 4096)
    opener().close()
    assert opener().bounds().epoch == old


def test_the_facts_told_are_of_the_contract() -> None:
    """The journal's own events are made by the contract's models."""
    assert audit_data(Storage(state="degraded", error="io_error")) == {"what": "storage", "state": "degraded", "error": "io_error"}
    assert FREEZE.keywords["gate"] == "gate-01"
