"""What is remembered of people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from device.core.memory import USED_PERIODS, Memory
from device.core.rules import Remembered
from device.core.types import ClockReading, Direction, Passage, SignedTerms

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
START_S = 1_800_000_000
LIVE = SignedTerms(START_S - 30, START_S + 60, period_s=30, once=b"first")


def at(seconds: float, boot: str = "b1", *, trusted: bool = True) -> ClockReading:
    """All clocks so long after the start."""
    ns = int(seconds * SECOND)
    return ClockReading(ns, ns, START_S * SECOND + ns, boot, trusted)


def who(number: int) -> str:
    """A person."""
    return f"{number:064x}"


def test_people_inside_are_counted_by_their_last_passage() -> None:
    """In twice is one person; out is out; another gate's passages count like one's own."""
    memory = Memory(16 * HOUR)
    for number, direction in ((1, Direction.IN), (2, Direction.IN), (1, Direction.IN), (3, Direction.OUT), (2, Direction.OUT)):
        memory.remember(Passage(who(number), direction, at(number)))
    assert memory.inside(at(10)) == 1
    assert memory.recall(who(1), None, at(10)).inside == 1


def test_the_count_survives_a_restart_because_it_is_no_counter() -> None:
    """It is made of the passages that the record remembers."""
    passages = [Passage(who(1), Direction.IN, at(1)), Passage(who(2), Direction.IN, at(2))]
    assert Memory(16 * HOUR, passages).inside(at(5, "b2")) == 2


def test_nobody_is_inside_for_ever() -> None:
    """Whose way out was never seen is taken to have left; whose time nobody can tell stays."""
    memory = Memory(16 * HOUR, [Passage(who(1), Direction.IN, at(0)), Passage(who(2), Direction.IN, at(3600))])
    assert memory.inside(at(16 * 3600 - 1)) == 2
    assert memory.inside(at(16 * 3600)) == 1
    unknown = Memory(16 * HOUR, [Passage(who(1), Direction.IN, at(0, trusted=False))])
    assert unknown.inside(at(10**6, "b2")) == 1


def test_a_code_of_the_moment_lets_one_person_pass_once() -> None:
    """Another code of the same person counts; what was spent long ago is forgotten."""
    memory = Memory(16 * HOUR)
    assert not memory.recall(who(1), LIVE, at(0)).used
    memory.remember(Passage(who(1), Direction.IN, at(0)))
    memory.spend(LIVE, at(0))
    assert memory.recall(who(1), LIVE, at(20)).used
    second = replace(LIVE, once=b"second")
    assert not memory.recall(who(1), second, at(20)).used
    memory.spend(second, at(25))
    assert memory.recall(who(1), LIVE, at(30)).used
    memory.spend(second, at(USED_PERIODS * 30 + 1))
    assert not memory.recall(who(1), LIVE, at(USED_PERIODS * 30 + 2)).used


def test_a_code_used_before_a_restart_is_known_as_used() -> None:
    """By the person's passage, which the record keeps: a code made before it is spent, one made after it is not."""
    memory = Memory(16 * HOUR, [Passage(who(1), Direction.IN, at(10))])
    assert memory.recall(who(1), LIVE, at(20, "b2")).used
    later = SignedTerms(START_S, START_S + 90, period_s=30, once=b"later")
    assert not memory.recall(who(1), later, at(31, "b2")).used
    assert not memory.recall(who(2), LIVE, at(20, "b2")).used
    memory.remember(Passage(who(1), Direction.OUT, at(31, "b2")))
    assert not memory.recall(who(1), replace(LIVE, once=b"other"), at(32, "b2")).used


def test_a_badge_is_not_spent() -> None:
    """Only codes of the moment are."""
    memory = Memory(16 * HOUR)
    badge = SignedTerms(START_S, START_S + 90)
    memory.spend(badge, at(0))
    assert not memory.recall(who(1), badge, at(1)).used


def test_what_is_recalled_is_the_persons_own_passage_and_what_the_gate_knows() -> None:
    """The last one, how many are in, whether another gate is silent."""
    memory = Memory(16 * HOUR)
    came = Passage(who(1), Direction.IN, at(1))
    memory.remember(came)
    memory.remember(Passage(who(2), Direction.IN, at(2)))
    assert memory.recall(who(1), None, at(3)) == Remembered(came, 2, used=False, blind=False)
    memory.blind = True
    assert memory.recall(who(3), None, at(3)) == Remembered(None, 2, used=False, blind=True)
    assert (memory.last(who(1)), memory.last(who(3))) == (came, None)


def test_whoever_was_seen_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not counted as inside any more; the limit itself is kept."""
    monkeypatch.setattr("device.core.memory.REMEMBERED_LIMIT", 3)
    memory = Memory(16 * HOUR)
    for number in (1, 2, 3):
        memory.remember(Passage(who(number), Direction.IN, at(number)))
    assert memory.inside(at(4)) == 3
    memory.remember(Passage(who(1), Direction.IN, at(5)))
    memory.remember(Passage(who(4), Direction.IN, at(6)))
    assert [memory.last(who(number)) is None for number in (1, 2, 3, 4)] == [False, True, False, False]
    assert memory.inside(at(7)) == 3


@pytest.mark.parametrize(("passed_s", "doubt_ms", "used"), [(0, 0, True), (-0.001, 0, False), (-0.5, 500, True), (-0.501, 500, False)])
def test_a_code_that_was_made_by_the_time_of_a_passage_before_the_restart_is_used(passed_s: float, doubt_ms: int, *, used: bool) -> None:
    """To the millisecond, with the doubt of the clock; a passage by a clock that was not known says nothing."""
    made = SignedTerms(START_S - 30, START_S + 60, period_s=30, once=b"code")
    passage = Passage(who(1), Direction.IN, replace(at(passed_s), uncertainty_ms=doubt_ms))
    assert Memory(16 * HOUR, [passage]).recall(who(1), made, at(50, "b2")).used is used
    unknown = Passage(who(1), Direction.IN, at(10, trusted=False))
    assert not Memory(16 * HOUR, [unknown]).recall(who(1), made, at(50, "b2")).used
    assert not Memory(16 * HOUR, [passage]).recall(who(1), replace(made, not_before_s=None), at(50, "b2")).used


def test_whoever_is_forgotten_may_have_gone_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is not among those inside either."""
    monkeypatch.setattr("device.core.memory.REMEMBERED_LIMIT", 1)
    memory = Memory(16 * HOUR)
    memory.remember(Passage(who(1), Direction.OUT, at(1)))
    memory.remember(Passage(who(2), Direction.IN, at(2)))
    assert (memory.last(who(1)), memory.inside(at(3))) == (None, 1)
