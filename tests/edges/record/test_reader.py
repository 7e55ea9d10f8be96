"""Reading the record beside its writer, and after it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from device.core.timeline import ClockState, Stamp
from device.core.types import Channel, Stored
from device.edges.record.reader import (
    JournalReader,
    Readers,
    Recorded,
    read_newest_moments,
    read_newest_waiting_seqs,
    read_waiting,
    read_waiting_seqs,
)
from device.edges.record.rows import Leaf, RowKind
from device.edges.record.schema import read_meta
from device.errors import JournalError
from tests.edges.record.kit import AT, Counting, an_event, blank_leaf, make_file, opened, rows
from tests.entries import Opener, checkin, settle
from tests.fakes.clock import FakeClock


def test_a_person_at_a_terminal_reads_beside_the_gate_and_after_it(opener: Opener, path: Path, clock: FakeClock) -> None:
    """`JournalReader` shows states, bodies and times while the gate runs, and the same when it does not."""
    journal = opener(keep_confirmed_s=3600)
    settle([journal.record(checkin(clock, number)) for number in range(1, 5)])
    journal.waiting(0, 10)
    journal.confirm(journal.bounds().epoch, 1)
    journal.bury(2, "quota_exceeded")
    journal.maintain()

    def look(newest: int | None = None) -> list[tuple[int, str, str, bool]]:
        with JournalReader(path) as reader:
            assert reader.epoch == journal.stats()["epoch"]
            return [(one.stored.seq, one.state, one.reason, one.body is not None) for one in reader.events(newest)]

    running = look()
    assert running == [
        (1, "confirmed", "", True),
        (2, "dead", "quota_exceeded", True),
        (3, "waiting", "", True),
        (4, "waiting", "", True),
        (5, "waiting", "", True),
    ]
    assert look(2) == running[3:]
    journal.close()
    files = sorted(path.parent.iterdir())
    assert look() == running
    assert sorted(path.parent.iterdir()) == files


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    """A missing or foreign file is a JournalError that names it."""
    with pytest.raises(JournalError, match=re.escape(str(tmp_path / "none.sqlite"))):
        JournalReader(tmp_path / "none.sqlite")
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(JournalError, match="cannot be read"):
        JournalReader(tmp_path / "text")


# ------------------------------------------------------------- beside the writer


def test_connections_for_reading_are_used_again(path: Path, clock: FakeClock) -> None:
    """One for each that reads at the same time, and no more; closed when they come back after the end."""
    made = Counting()
    with opened(path, clock):
        readers = Readers(path, made)
        for _ in range(3):
            with readers.connection():
                pass
        assert len(made.made) == 1
        with readers.connection(), readers.connection():
            pass
        assert len(made.made) == 2
        with readers.connection() as late:
            readers.close()
            read_meta(late)
        assert made.all_closed()
        with pytest.raises(JournalError, match=r"journal\.sqlite is closed"), readers.connection():
            pass


def test_a_connection_in_whose_use_something_failed_is_not_used_again(path: Path, clock: FakeClock) -> None:
    """Whatever it was: nobody knows in which state it is. What SQLite says becomes an error of the record."""
    made = Counting()

    def fail(error: Exception) -> None:
        with readers.connection():
            raise error

    with opened(path, clock):
        readers = Readers(path, made)
        with pytest.raises(JournalError, match=r"journal\.sqlite cannot be read: no such page"):
            fail(sqlite3.DatabaseError("no such page"))
        with pytest.raises(ZeroDivisionError):
            fail(ZeroDivisionError())
        assert len(made.made) == 2
        assert made.all_closed()
        readers.close()


def test_what_waits_is_read_in_order_with_its_body(path: Path, clock: FakeClock) -> None:
    """Above a number, so many; without a body where there is none yet, and named as damaged where it is not what was written."""
    with opened(path, clock) as store:
        store.append([an_event(1), an_event(2, RowKind.AUDIT), an_event(3), an_event(4), an_event(5, at=replace(AT, trusted=False))])
        store.release([3], clock.reading(), keep=True)
        store.connection.execute("UPDATE event SET sheet = x'00' WHERE seq = 4")
        found = read_waiting(store.connection, 1, 10)
        assert [(row.seq, row.channel, row.damaged) for row in found] == [
            (2, Channel.AUDIT, False),
            (4, Channel.CHECKIN, True),
            (5, Channel.CHECKIN, False),
        ]
        assert [row.body is None for row in found] == [False, True, True]
        assert found[0].at == AT
        assert [row.seq for row in read_waiting(store.connection, 0, 2)] == [1, 2]


def test_numbers_of_what_waits_are_read_from_both_ends(path: Path, clock: FakeClock) -> None:
    """Both ends counted in, so many at most, and nothing that no longer waits."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 8)])
        store.release([4], clock.reading(), keep=True)
        assert read_waiting_seqs(store.connection, 2, 6, 10) == [2, 3, 5, 6]
        assert read_waiting_seqs(store.connection, 2, 6, 3) == [2, 3, 5]
        assert read_newest_waiting_seqs(store.connection, 4) == [7, 6, 5, 3]


def test_moments_are_read_newest_first(path: Path, clock: FakeClock) -> None:
    """Of all rows, whatever has become of them."""
    with opened(path, clock) as store:
        store.append([an_event(1), an_event(2, at=replace(AT, boot_ns=99))])
        store.release([1], clock.reading(), keep=False)
        assert list(read_newest_moments(store.connection)) == [(2, replace(AT, boot_ns=99)), (1, AT)]


# ------------------------------------------------------------- for a person at a terminal


def test_an_event_is_shown_with_all_that_is_known_of_it(path: Path, clock: FakeClock) -> None:
    """As it was recorded, its time as it is known now, and what became of it. Damaged and erased rows are left out."""
    with opened(path, clock) as store:
        store.append([an_event(number, at=clock.reading()) for number in range(1, 6)])
        store.bury(2, "quota_exceeded", clock.reading())
        store.release([3], clock.reading(), keep=False)
        store.connection.execute("UPDATE event SET id = 'x' WHERE seq = 4")
        store.connection.execute("UPDATE event SET sheet = x'00' WHERE seq = 5")
        body = Leaf.unpack(rows(store, "sheet")[0][0]).body
        with JournalReader(path) as reader:
            first, dead, fact = reader.events()
            assert first == Recorded(
                Stored(store.epoch, 1, "id-1", Channel.CHECKIN, {"n": 1}, clock.reading()),
                Stamp(clock.wall_ns, ClockState.SYNCED, 0),
                "waiting",
                body,
            )
            assert first.reason == ""
            assert (dead.stored.seq, dead.state, dead.reason) == (2, "dead", "quota_exceeded")
            assert (fact.stored.seq, fact.stored.channel) == (6, Channel.AUDIT)
            assert [event.stored.seq for event in reader.events(1)] == [6]
            assert [event.stored.seq for event in reader.events(0)] == [1, 2, 6]


def test_the_newest_of_an_empty_record_are_none(path: Path, clock: FakeClock) -> None:
    """Nothing is there to be shown."""
    with opened(path, clock), JournalReader(path) as reader:
        assert list(reader.events(5)) == []


def test_bodies_are_given_in_order_and_what_is_not_as_written_is_named(path: Path, clock: FakeClock) -> None:
    """A row that lies before one with a body should have one itself; the newest may have none yet, and a dead letter never."""
    untrusted = replace(AT, trusted=False)
    with opened(path, clock) as store:
        store.append([an_event(number, at=untrusted) for number in range(1, 8)])
        store.bury(2, "unfreezable", clock.reading())
        store.freeze(5, clock.reading())
        store.connection.execute("UPDATE event SET sheet = zeroblob(length(sheet)) WHERE seq = 3")
        store.connection.execute("UPDATE event SET crc = x'00' WHERE seq = 4")
        with JournalReader(path) as reader:
            found = [(seq, body is not None) for seq, body in reader.bodies()]
            assert found == [(1, True), (3, False), (4, False), (5, True)]


def test_reading_that_fails_half_way_says_so(path: Path, clock: FakeClock) -> None:
    """With the file's name; also when the file is damaged behind its first rows."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 300)])
        store.checkpoint()
    blank_leaf(path, 20)
    with JournalReader(path) as reader:
        for read in (reader.events, reader.bodies):
            with pytest.raises(JournalError, match=re.escape(f"{path}: the record cannot be read: ")):
                list(read())


def test_a_reader_that_cannot_open_leaves_no_connection(path: Path) -> None:
    """Nor does one that is left."""
    make_file(path)
    failing = Counting("SELECT name, value FROM meta")
    with pytest.raises(JournalError):
        JournalReader(path, failing)
    path.with_name("journal.sqlite-wal").touch()
    with pytest.raises(JournalError):
        JournalReader(path, failing)
    assert len(failing.made) == 3
    assert failing.all_closed()
    working = Counting()
    with JournalReader(path, working):
        assert not working.all_closed()
    assert working.all_closed()


def test_a_file_without_an_epoch_is_no_record(path: Path) -> None:
    """Whatever else it holds."""
    make_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM meta")
        connection.commit()
    with pytest.raises(JournalError, match="epoch"):
        JournalReader(path)


def test_an_event_from_before_the_clock_was_known_is_read_with_the_time_that_is_known_now(
    opener: Opener, path: Path, clock: FakeClock
) -> None:
    """As it will be sent: corrected by what the same boot learned later."""
    right_ns = clock.wall_ns
    clock.set_wall(7 * 10**9, trusted=False)
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    clock.advance(60)
    clock.set_wall(right_ns, trusted=True)
    settle([journal.record(checkin(clock, 2))])
    journal.maintain()
    with JournalReader(path) as reader:
        found = {one.stored.seq: one.stamp for one in reader.events() if one.stored.channel is Channel.CHECKIN}
    first, second = (found[seq] for seq in sorted(found)[:2])
    assert (second.clock, second.time_ns) == (ClockState.SYNCED, right_ns)
    assert (first.clock, first.time_ns) == (ClockState.CORRECTED, right_ns - 60 * 10**9)
