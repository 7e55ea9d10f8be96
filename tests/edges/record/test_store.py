"""The steps that the record's writer is made of, each of them one transaction."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from device.core.timeline import Anchor, Boot, ClockState, Stamp
from device.core.types import Channel, Stored
from device.core.wire import Gap, Storage
from device.edges.record.journal import SqliteJournal
from device.edges.record.rows import Leaf, Record, RowKind, RowState
from device.edges.record.schema import open_for_reading, open_for_writing, read_meta, read_timeline, sqlite_connect, write_boots
from device.edges.record.store import Item, Store, fact_record
from device.errors import JournalError
from tests.edges.record.kit import AT, an_event, make_file, opened, rows
from tests.entries import FREEZE, chained, checkin, numbers, parsed, section, settle
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


def test_a_broken_freezer_loses_nothing(path: Path, clock: FakeClock) -> None:
    """With the signing key gone nothing can be sent, everything is recorded, and nothing is called a dead letter."""
    broken = True

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        if broken:
            raise OSError("the secure element does not answer")
        return FREEZE(stored, stamp, prev)

    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        with pytest.raises(JournalError, match="cannot be made ready"):
            journal.waiting(0, 10)
        broken = False
        assert numbers(journal.waiting(0, 10)) == [1, 2, 3]
        assert journal.stats()["dead"] == 0


def test_an_event_that_cannot_be_published_does_not_hold_up_the_rest(path: Path, clock: FakeClock) -> None:
    """One bad event is put aside as a dead letter, told of, and the chain goes on without it."""

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        if stored.data.get("n") == 2:
            raise ValueError("no")
        return FREEZE(stored, stamp, prev)

    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        out = journal.waiting(0, 10)
        assert numbers(out) == [1, 3]
        assert chained(journal.waiting(0, 10))
        assert parsed(journal.waiting(3, 1)[0])["data"]["reason"] == "unfreezable"


# ------------------------------------------------------------- one step, one transaction


def test_a_step_that_fails_leaves_nothing_behind(path: Path, clock: FakeClock) -> None:
    """Neither in the file nor in what memory knows of it."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        tally, line = replace(store.tally), store.line

        def half_a_step() -> None:
            with store.transaction():
                store.append_fact(Storage(state="ok"), replace(AT, boot_id="boot-9", boot_ns=77))
                store.erase(1)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            half_a_step()
        assert (store.tally, store.line) == (tally, line)
        assert rows(store) == [(1, RowState.WAITING)]
        assert not store.connection.in_transaction


def test_events_of_one_step_have_numbers_in_order(path: Path, clock: FakeClock) -> None:
    """From one on, and on from the newest."""
    with opened(path, clock) as store:
        assert store.append([an_event(1), an_event(2)]) == [1, 2]
        assert store.append([an_event(3)]) == [3]
        assert rows(store, "seq, id, state") == [(1, "id-1", 2), (2, "id-2", 2), (3, "id-3", 2)]
        assert (store.tally.newest, store.tally.waiting) == (3, 3)


def test_a_fact_of_the_records_own_is_an_audit_event(clock: FakeClock) -> None:
    """Made by the contract's models, as short as JSON can be; a gap with blanks behind it, to grow into."""
    fact = fact_record(Storage(state="degraded", error="io_error"), clock.reading())
    assert (fact.kind, fact.at) == (RowKind.AUDIT, clock.reading())
    assert fact.data == b'{"what":"storage","state":"degraded","error":"io_error"}'
    gap = fact_record(Gap(first=1, last=2, count=2, cause="full"), clock.reading())
    assert (gap.kind, len(gap.data)) == (RowKind.GAP, 640)
    assert gap.data.rstrip(b" ") == b'{"what":"gap","first":1,"last":2,"count":2,"cause":"full"}'
    assert uuid.UUID(gap.id).int >> 80 == clock.wall_ns // 10**6


def test_counts_are_written_down_now_and_then(path: Path, clock: FakeClock) -> None:
    """With every 256th event, and by no other: each costs a page of the WAL."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(255)])
        assert "tally" not in read_meta(store.connection)
        store.append([an_event(256)])
        assert json.loads(read_meta(store.connection)["tally"])["newest"] == 256
        store.append([an_event(257)])
        assert json.loads(read_meta(store.connection)["tally"])["newest"] == 256


def test_counts_are_found_again_without_having_been_written_down(path: Path, clock: FakeClock) -> None:
    """What was appended since is counted from the rows: how many wait, how many have no body, and where the chain ends."""
    untrusted = replace(AT, trusted=False)
    with opened(path, clock) as store:
        store.append([an_event(1), an_event(2), an_event(3, at=untrusted), an_event(4)])
        before = replace(store.tally)
        assert (before.newest, before.waiting, before.unfrozen, before.frozen) == (4, 4, 2, 2)
    with opened(path, clock) as store:
        assert store.tally == before
        store.connection.execute("UPDATE event SET sheet = x'00' WHERE seq = 2")
    with opened(path, clock) as store:
        assert (store.tally.waiting, store.tally.unfrozen, store.tally.frozen) == (4, 3, 1)


def test_a_file_says_whether_its_run_was_ended(path: Path, clock: FakeClock) -> None:
    """In the file itself, with its counts and boots, and not only in its WAL."""
    with opened(path, clock) as store:
        store.begin_running()
        assert path.with_name("journal.sqlite-wal").stat().st_size == 0
        store.append([an_event(1)])
    with opened(path, clock) as store:
        assert not store.clean
        store.finish()
        assert path.with_name("journal.sqlite-wal").stat().st_size == 0
        assert json.loads(read_meta(store.connection)["tally"])["waiting"] == 1
        assert [boot.boot_id for boot in read_timeline(store.connection).boots] == ["boot-1"]
    with opened(path, clock) as store:
        assert store.clean


def test_the_wal_is_not_emptied_under_a_reader(path: Path, clock: FakeClock, disk: FaultyDisk) -> None:
    """Nor is that waited for: the writer has people to record. Afterwards it waits again where it has to."""
    with opened(path, clock, connect=disk) as store, closing(open_for_reading(path, sqlite_connect)) as reader:
        store.append([an_event(1)])
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchone()
        store.append([an_event(2)])
        disk.statements.clear()
        assert store.checkpoint() is False
        assert disk.statements[0] == "PRAGMA busy_timeout = 0"
        reader.execute("COMMIT")
        assert store.checkpoint() is True
        assert store.connection.execute("PRAGMA busy_timeout").fetchone() == (5000,)


# ------------------------------------------------------------- bodies


def test_the_body_is_there_at_once_where_time_and_predecessor_are_known(path: Path, clock: FakeClock) -> None:
    """Then the row is written once; else with room for the body, and so with all after it."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        assert Leaf.unpack(rows(store, "sheet")[0][0]).body is not None
        store.append([an_event(2, kind=RowKind.GAP), an_event(3)])
        assert [Leaf.unpack(sheet).body is None for (sheet,) in rows(store, "sheet")] == [False, True, True]
        assert (store.tally.frozen, store.tally.unfrozen) == (1, 2)


def test_bodies_are_made_in_order_a_hundred_in_one_step(path: Path, clock: FakeClock) -> None:
    """Up to the number asked for and no further; a record that comes meanwhile waits for no more than a hundred."""
    untrusted = replace(AT, trusted=False)
    with opened(path, clock) as store:
        store.append([an_event(number, at=untrusted) for number in range(1, 121)])
        store.freeze(110, clock.reading())
        assert (store.tally.frozen, store.tally.unfrozen) == (100, 20)
        store.freeze(110, clock.reading())
        assert (store.tally.frozen, store.tally.unfrozen) == (110, 10)
        sheets = [Leaf.unpack(sheet) for (sheet,) in rows(store, "sheet")]
        assert [leaf.body is not None for leaf in sheets] == [True] * 110 + [False] * 10
        assert {leaf.room for leaf in sheets} == {Leaf.reserved(b'{"n":1}').room + extra for extra in (0, 1, 2)}


def test_a_body_is_made_by_its_event_its_time_and_the_body_before(path: Path, clock: FakeClock) -> None:
    """What the freezer is given, and that an epoch's first has nothing before it."""
    given: list[tuple[Stored, Stamp, bytes | None]] = []

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        given.append((stored, stamp, prev))
        return b"body %d" % stored.seq

    at = replace(clock.reading(), uncertainty_ms=5)
    with opened(path, clock, freeze) as store:
        store.append([an_event(1, at=at), an_event(2, at=at)])
    assert [stored for stored, _, _ in given] == [
        Stored(store.epoch, number, f"id-{number}", Channel.CHECKIN, {"n": number}, at) for number in (1, 2)
    ]
    assert {stamp for _, stamp, _ in given} == {Stamp(at.wall_ns, ClockState.SYNCED, 5)}
    assert [prev for _, _, prev in given] == [None, hashlib.sha256(b"body 1").digest()]
    assert store.tally.chain == hashlib.sha256(b"body 2").hexdigest()


@pytest.mark.parametrize(("age_ns", "made"), [(999, False), (1000, True)])
def test_an_event_without_a_time_waits_as_long_as_it_is_allowed(path: Path, clock: FakeClock, age_ns: int, made: bool) -> None:  # noqa: FBT001  a column
    """With all after it, also one that has waited long enough, and to the nanosecond: the chain allows no leap."""
    clock.trusted = False
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading()), an_event(2, at=replace(clock.reading(), boot_ns=clock.boot_ns - 5000))])
        clock.advance_ns(age_ns)
        store.freeze(2, clock.reading(), 1000)
        assert (store.tally.unfrozen, store.tally.frozen) == ((0, 2) if made else (2, 0))


def test_what_an_earlier_boot_left_waits_from_the_opening_on(path: Path, clock: FakeClock) -> None:
    """However old it is; but not for the clock of a boot that is over itself."""
    clock.trusted = False
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
    clock.restart("boot-2")
    clock.advance(1000)
    with opened(path, clock) as store:
        clock.advance_ns(999)
        store.freeze(1, clock.reading(), 1000)
        assert store.tally.unfrozen == 1
        store.freeze(1, replace(clock.reading(), boot_id="boot-3"), 1000)
        assert store.tally.unfrozen == 0


def test_a_step_that_makes_no_body_is_not_written_down(path: Path, clock: FakeClock) -> None:
    """The uplink asks again and again while times are not known."""
    clock.trusted = False
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        wal = path.with_name("journal.sqlite-wal")
        size = wal.stat().st_size
        for _ in range(3):
            store.freeze(1, clock.reading(), 1000)
        assert wal.stat().st_size == size
        store.freeze(1, clock.reading())
        assert json.loads(read_meta(store.connection)["tally"])["unfrozen"] == 0


def test_a_gap_that_may_still_grow_is_left_alone(path: Path, clock: FakeClock) -> None:
    """The newest number before it; the newest of all where there is none, and gaps that have a body do not count."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in (1, 2)])
        assert store.before_gap() == 2
        store.append([an_event(3, kind=RowKind.GAP), an_event(4), an_event(5, kind=RowKind.GAP)])
        assert store.before_gap() == 2
        store.freeze(4, clock.reading())
        assert store.before_gap() == 4


def test_a_damaged_row_is_put_aside_and_the_next_follows(path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Row or leaf, or data that is no object with a good checksum: each is a dead letter of its own."""
    untrusted = replace(AT, trusted=False)
    with opened(path, clock) as store:
        bad = Item(Record("id-3", RowKind.CHECKIN, untrusted, b"[]"))
        store.append([an_event(1, at=untrusted), an_event(2, at=untrusted), bad, an_event(4, at=untrusted)])
        store.connection.execute("UPDATE event SET id = 'other' WHERE seq = 1")
        store.connection.execute("UPDATE event SET sheet = x'00' WHERE seq = 2")
        store.freeze(4, clock.reading())
        assert [state for _, state in rows(store)][:4] == [RowState.DEAD] * 3 + [RowState.WAITING]
        assert store.tally.frozen == 4
        told = [json.loads(data) for (data,) in rows(store, "data")[4:]]
        assert told == [{"what": "dead_letter", "seq": seq, "reason": "damaged", "channel": "checkin"} for seq in (1, 2, 3)]
        assert store.tally.waiting == 4
    assert "event 1 is put aside: a row of the journal does not match its checksum" in caplog.text


def test_a_freezer_that_works_for_nothing_is_told_from_a_bad_event(path: Path, clock: FakeClock) -> None:
    """It is tried with an event that cannot be wrong, above the newest number; nothing is put aside then."""
    asked: list[Stored] = []

    def freeze(stored: Stored, *_: object) -> bytes:
        asked.append(stored)
        raise OSError

    with opened(path, clock, freeze) as store:
        store.append([an_event(1)])
        asked.clear()
        with pytest.raises(JournalError, match="events cannot be made ready for publishing"):
            store.freeze(1, clock.reading())
        assert rows(store) == [(1, RowState.WAITING)]
    assert [stored.seq for stored in asked] == [1, 2]
    assert (asked[1].data, asked[1].channel, asked[1].at) == ({"what": "stop"}, Channel.AUDIT, clock.reading())


# ------------------------------------------------------------- what becomes of events


def test_what_is_released_is_overwritten_in_its_place(path: Path, clock: FakeClock) -> None:
    """With as many zeros, so that no row moves; the others stay, and the counts are written down."""
    with opened(path, clock) as store:
        store.append([an_event(1), an_event(2)])
        before = rows(store, "seq, length(data), length(sheet)")
        store.release([1], clock.reading(), keep=False)
        assert rows(store) == [(1, RowState.ERASED), (2, RowState.WAITING)]
        assert rows(store, "seq, length(data), length(sheet)") == before
        assert rows(store, "data, sheet")[0] == (bytes(before[0][1]), bytes(before[0][2]))
        assert json.loads(read_meta(store.connection)["tally"])["waiting"] == 1
        store.release([1, 99], clock.reading(), keep=False)
        assert store.tally.waiting == 1


def test_what_is_kept_knows_when_it_was_confirmed(path: Path, clock: FakeClock) -> None:
    """By the number of the boot in this file and its clock; its body stays. Twice confirmed counts once."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        body = Leaf.unpack(rows(store, "sheet")[0][0]).body
        clock.advance(5)
        store.release([1], clock.reading(), keep=True)
        assert Leaf.unpack(rows(store, "sheet")[0][0]) == Leaf(len(rows(store, "sheet")[0][0]), body, 1, clock.boot_ns)
        assert rows(store) == [(1, RowState.CONFIRMED)]
        moment = clock.boot_ns
        clock.advance(5)
        store.release([1, 99], clock.reading(), keep=True)
        assert Leaf.unpack(rows(store, "sheet")[0][0]).boot_ns == moment
        assert store.tally.waiting == 0
        assert store.count(RowState.CONFIRMED) == 1


def test_an_event_confirmed_in_a_boot_that_is_not_known_names_none(path: Path, clock: FakeClock) -> None:
    """Number 0, which no boot has."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        store.release([1], replace(clock.reading(), boot_id="another"), keep=True)
        assert Leaf.unpack(rows(store, "sheet")[0][0]).boot == 0


def test_a_row_with_a_damaged_leaf_can_be_confirmed_all_the_same(path: Path, clock: FakeClock) -> None:
    """What cannot be noted in it is not noted."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        store.connection.execute("UPDATE event SET sheet = x'00'")
        store.release([1], clock.reading(), keep=True)
        assert rows(store, "seq, state, sheet") == [(1, RowState.CONFIRMED, b"\0")]


@pytest.mark.parametrize(("kind", "channel"), [(RowKind.CHECKIN, "checkin"), (RowKind.AUDIT, "audit")])
def test_a_dead_letter_is_told_of_in_the_same_step(path: Path, clock: FakeClock, kind: RowKind, channel: str) -> None:
    """Once: what does not wait is no dead letter any more."""
    with opened(path, clock) as store:
        store.append([an_event(1, kind)])
        assert store.bury(1, "quota_exceeded", clock.reading()) is True
        assert store.bury(1, "quota_exceeded", clock.reading()) is False
        assert store.bury(99, "quota_exceeded", clock.reading()) is False
        assert rows(store) == [(1, RowState.DEAD), (2, RowState.WAITING)]
        assert json.loads(rows(store, "data")[1][0]) == {
            "what": "dead_letter",
            "seq": 1,
            "reason": "quota_exceeded",
            "channel": channel,
        }
        assert Leaf.unpack(rows(store, "sheet")[0][0]).reason == "quota_exceeded"
        assert store.count(RowState.DEAD) == 1
        assert json.loads(read_meta(store.connection)["tally"])["waiting"] == 1


def test_events_wait_again_when_the_province_asks(path: Path, clock: FakeClock) -> None:
    """Those that are kept, within the range, at most so many; they are counted and written down."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 7)])
        store.release([1, 2, 3, 4, 5], clock.reading(), keep=True)
        assert store.resend(2, 4, 2) == 2
        assert [state for _, state in rows(store)] == [3, 2, 2, 3, 3, 2]
        assert store.resend(2, 4, 2) == 1
        assert store.resend(2, 4, 2) == 0
        assert store.tally.waiting == 4
        assert json.loads(read_meta(store.connection)["tally"])["waiting"] == 4


def test_erasing_what_has_no_body_yet_is_counted_so(path: Path, clock: FakeClock) -> None:
    """Else the first event with a known time would never get its body at once again."""
    untrusted = replace(AT, trusted=False)
    with opened(path, clock) as store:
        store.append([an_event(1), an_event(2, at=untrusted), an_event(3, at=untrusted)])
        store.release([1, 2], clock.reading(), keep=False)
        assert (store.tally.waiting, store.tally.unfrozen) == (1, 1)


# ------------------------------------------------------------- what memory knows


def test_boots_are_kept_as_many_as_are_worth_it(path: Path, clock: FakeClock) -> None:
    """The newest 256, in the file as in memory."""
    make_file(path)
    with closing(open_for_writing(path, sqlite_connect)) as connection:
        write_boots(connection, tuple(Boot(f"old-{number}", 10) for number in range(300)))
    with opened(path, clock) as store:
        store.begin_running()
        known = [boot.boot_id for boot in read_timeline(store.connection).boots]
        assert known == [f"old-{number}" for number in range(45, 300)] + ["boot-1"]


def test_a_boot_is_written_down_when_it_begins_and_when_its_clock_is_trusted(path: Path, clock: FakeClock) -> None:
    """A power cut must not take that; where it has come to can wait for the minute's upkeep."""
    clock.trusted = False
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        store.see(clock.reading())
        first = read_timeline(store.connection).boots[-1]
        assert first == Boot("boot-1", clock.boot_ns, first.floor_ns, None)
        clock.advance(1)
        store.append([an_event(2, at=clock.reading())])
        assert read_timeline(store.connection).boots[-1] == first
        clock.trusted = True
        store.append([an_event(3, at=clock.reading())])
        assert read_timeline(store.connection).boots[-1].anchor == Anchor(clock.boot_ns, clock.wall_ns, 0)
        clock.advance(1)
        with store.transaction():
            store.see(clock.reading())
        assert read_timeline(store.connection).boots[-1].last_boot_ns == clock.boot_ns


def test_an_event_of_an_earlier_boot_does_not_bring_that_boot_up_again(path: Path, clock: FakeClock) -> None:
    """It was in memory while the disk failed, and the boot has not gone on since."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
    early = clock.reading()
    clock.restart("boot-2")
    with opened(path, clock) as store:
        store.append([an_event(2, at=clock.reading())])
        line = store.line
        store.append([an_event(3, at=replace(early, boot_ns=early.boot_ns + 10**12))])
        assert store.line == line


def test_the_end_of_a_boot_is_known_by_its_newest_event(path: Path, clock: FakeClock) -> None:
    """A boot whose end was not written down was running at least until then."""
    with opened(path, clock) as store:
        store.append([an_event(1, at=clock.reading())])
        clock.advance(100)
        store.append([an_event(2, at=clock.reading())])
        ended = clock.boot_ns
    clock.restart("boot-2")
    with opened(path, clock) as store:
        boot = store.line.find("boot-1")
        assert boot is not None
        assert boot.last_boot_ns == ended
        store.connection.execute("UPDATE event SET boot_id = 'x', mono_ns = 0 WHERE seq = 2")
    with opened(path, clock) as store:
        assert store.line.find("x") is None


def test_a_floor_is_known_of_a_boot_from_its_beginning(path: Path, clock: FakeClock) -> None:
    """A wall time that is certainly past, such as that of the program's making."""
    make_file(path)
    clock.restart("boot-2")
    with closing(open_for_writing(path, sqlite_connect)) as connection:
        store = Store(connection, FREEZE, clock.reading(), 12345)
        assert store.line.boots[-1].floor_ns == 12345


def test_the_newest_ids_are_those_of_the_newest_events(path: Path, clock: FakeClock) -> None:
    """So many of them: what a commit that failed may have written."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 6)])
        assert store.ids(2) == {"id-4", "id-5"}


def test_free_pages_are_not_counted_as_used(path: Path, clock: FakeClock) -> None:
    """In bytes of whole pages."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(200)])
        full = store.used_bytes()
        store.checkpoint()
        assert full == path.stat().st_size
        store.connection.execute("DELETE FROM event")
        store.checkpoint()
        assert store.used_bytes() < full == path.stat().st_size
