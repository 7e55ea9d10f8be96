"""The oracle sees each fault when there is one, and none where there is none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.oracle import Findings, Held, Shown, judge, replaced_in

SIGNS = ["accept_in", "accept_out", "reject", "already"]


def shown(count: int = 20) -> list[Shown]:
    """Answers, one a second."""
    return [Shown(SIGNS[number % 3], 1000.0 + number) for number in range(count)]


def held(count: int = 20) -> list[Held]:
    """Their events, each a little before its answer."""
    return [Held("e", number + 1, f"id-{number}", "b", one.at_s - 0.1, one.sign, None) for number, one in enumerate(shown(count))]


def test_a_complete_record_is_found_complete() -> None:
    """Nothing lost, doubled, reordered, unexplained, unseen."""
    assert judge(shown(), held()) == Findings(20, 20, 0, 0, 0, 0, 0, 0, 0, 1)


@pytest.mark.parametrize("place", [0, 7, 19])
def test_a_missing_event_is_lost(place: int) -> None:
    """Wherever it is; where its number is missing too, nothing explains it."""
    events = held()
    del events[place]
    found = judge(shown(), events)
    assert (found.lost, found.unexplained) == (1, 1 if place < 19 else 0)


def test_a_missing_event_is_found_although_the_same_sign_comes_again_later() -> None:
    """Numbered anew, as a gate might that hides its loss."""
    events = held()
    del events[6]
    events = [replace(event, seq=number + 1) for number, event in enumerate(events)]
    found = judge([*shown(), *[Shown("reject", 2000.0)]], [*events, replace(events[-1], seq=20, ident="x", at_s=2000.0, sign="reject")])
    assert (found.lost, found.unexplained) == (1, 0)


def test_what_the_gate_declares_dropped_is_not_lost() -> None:
    """A gap event covers the numbers and so many answers."""
    events = [*held()[5:], Held("e", 21, "gap", "b", 1020.0, None, (1, 5))]
    assert judge(shown(), events) == Findings(20, 15, 0, 0, 0, 5, 0, 0, 0, 1)


def test_a_gap_that_hides_more_than_it_covers_does_not_hold() -> None:
    """Five declared, six gone."""
    events = [*held()[6:], Held("e", 21, "gap", "b", 1020.0, None, (1, 5))]
    found = judge(shown(), events)
    assert (found.lost, found.unexplained) == (1, 1)


@pytest.mark.parametrize("change", [{"seq": 21}, {"ident": "other"}], ids=["same id", "same number"])
def test_the_same_event_twice_is_doubled(change: dict[str, int | str]) -> None:
    """By its number or by its id."""
    events = held()
    found = judge(shown(), [*events, replace(events[-1], **change)])  # type: ignore[arg-type]  # one key each
    assert found.doubled == 1
    assert found.unseen == 1


def test_numbers_against_time_are_reordered() -> None:
    """Two neighbours of one boot, unless the clock was wrong on purpose."""
    events = held()
    events[3], events[4] = replace(events[4], seq=4), replace(events[3], seq=5)
    assert judge(shown(), events).reordered == 1
    assert judge(shown(), events, near_s=math.inf).reordered == 0


def test_an_answer_that_the_gate_says_nobody_saw_is_not_unseen_but_told(tmp_path: Path) -> None:
    """Two answers within milliseconds: only the second reaches the pins, and the gate counts the first. Each start counts anew."""
    log = tmp_path / "log"
    assert replaced_in(log) == 0
    line = "a sign was not shown, because a newer one took its place (%d so far)\n"
    log.write_text(line % 1 + "something else\n" + line % 3 + line % 1)
    assert replaced_in(log) == 4
    found = judge(shown()[:-1], held(), replaced=1)
    assert (found.unseen, found.replaced, found.faults) == (0, 1, (0, 0, 0, 0))


def test_an_event_whose_lamp_a_kill_prevented_is_unseen_and_no_fault() -> None:
    """The record comes before the lamp."""
    found = judge(shown()[:-1], held())
    assert (found.unseen, found.faults) == (1, (0, 0, 0, 0))
