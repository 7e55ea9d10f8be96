"""Who passed last, in slots that are overwritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from device.core.types import Direction, Passage
from device.edges.record import statements
from device.edges.record.passages import Passages, read_passages
from device.edges.record.rows import unpack_slot
from tests.edges.record.kit import AT, DAY_S
from tests.entries import Opener, checkin, settle, subject
from tests.fakes.clock import FakeClock


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


# ------------------------------------------------------------- the slots


@pytest.fixture
def slots() -> Iterator[sqlite3.Connection]:
    """An empty table of them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(statements.SCHEMA)
        yield connection


def passed(person: int, direction: Direction = Direction.IN) -> Passage:
    """A passage of one person."""
    return Passage(subject(person), direction, AT)


def held(slots: sqlite3.Connection) -> list[str | None]:
    """Who stands in which slot, from the first on; None for an empty one."""
    found = [unpack_slot(content) for (content,) in slots.execute("SELECT content FROM passage ORDER BY slot")]
    return [None if each is None else each[1].subject for each in found]


def test_a_person_has_one_slot_in_which_the_newest_passage_stands(slots: sqlite3.Connection) -> None:
    """Coming again overwrites; the order is that of the last passage."""
    passages = Passages(slots)
    for seq, person in enumerate((1, 2, 3), 1):
        passages.remember(seq, passed(person))
    passages.remember(4, passed(1, Direction.OUT))
    assert len(passages) == 3
    assert held(slots) == [subject(1), subject(2), subject(3)]
    assert read_passages(slots) == [passed(2), passed(3), passed(1, Direction.OUT)]


def test_who_is_forgotten_leaves_an_empty_slot_for_the_next(slots: sqlite3.Connection) -> None:
    """The oldest first, as long as they are old, at most so many; their slots are overwritten with zeros and used again."""
    passages = Passages(slots)
    for seq, person in enumerate((1, 2, 3, 4), 1):
        passages.remember(seq, passed(person))
    assert passages.forget(lambda passage: passage.subject != subject(3), 1) == 1
    assert passages.forget(lambda passage: passage.subject != subject(3), 10) == 1
    assert passages.forget(lambda passage: passage.subject != subject(3), 10) == 0
    assert (held(slots), len(passages)) == ([None, None, subject(3), subject(4)], 2)
    for seq, person in enumerate((5, 6, 7), 5):
        passages.remember(seq, passed(person))
    assert sorted(str(each) for each in held(slots)) == [subject(person) for person in (3, 4, 5, 6, 7)]
    assert [each.subject for each in read_passages(slots)] == [subject(person) for person in (3, 4, 5, 6, 7)]


def test_slots_are_found_again_after_a_restart(slots: sqlite3.Connection) -> None:
    """Who stands where, which are empty, and in which order people passed."""
    before = Passages(slots)
    for seq, person in enumerate((1, 2, 3), 1):
        before.remember(seq, passed(person))
    before.forget(lambda _: True, 1)
    before.remember(4, passed(2))
    after = Passages(slots)
    assert len(after) == 2
    after.remember(5, passed(8))
    after.remember(6, passed(9))
    assert held(slots) == [subject(8), subject(2), subject(3), subject(9)]
    assert after.forget(lambda _: True, 1) == 1
    assert held(slots) == [subject(8), subject(2), None, subject(9)]


def test_beyond_the_bound_who_passed_longest_ago_gives_the_slot(slots: sqlite3.Connection) -> None:
    """Not one person more than the bound, and not one fewer."""
    passages = Passages(slots, limit=3)
    for seq, person in enumerate((1, 2, 3), 1):
        passages.remember(seq, passed(person))
    passages.remember(4, passed(1))
    passages.remember(5, passed(4))
    assert held(slots) == [subject(1), subject(4), subject(3)]


def test_a_damaged_slot_is_nobodys_and_is_used_again(slots: sqlite3.Connection, caplog: pytest.LogCaptureFixture) -> None:
    """The others are remembered all the same."""
    before = Passages(slots)
    for seq, person in enumerate((1, 2), 1):
        before.remember(seq, passed(person))
    slots.execute("UPDATE passage SET content = x'010203' WHERE slot = 1")
    assert read_passages(slots) == [passed(2)]
    assert "a remembered passage is lost: a remembered passage does not match its checksum" in caplog.text
    after = Passages(slots)
    assert len(after) == 1
    after.remember(3, passed(3))
    assert held(slots) == [subject(3), subject(2)]


def test_a_slot_that_is_damaged_meanwhile_is_forgotten_first(slots: sqlite3.Connection) -> None:
    """Whether it is old can no longer be said, and what cannot be read must not stay for ever; so for one that is gone."""
    passages = Passages(slots)
    for seq, person in enumerate((1, 2, 3), 1):
        passages.remember(seq, passed(person))
    slots.execute("UPDATE passage SET content = x'01' WHERE slot = 1")
    slots.execute("DELETE FROM passage WHERE slot = 2")
    assert passages.forget(lambda _: False, 10) == 2
    assert held(slots) == [None, None, subject(3)]
