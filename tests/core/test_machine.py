"""The gate as a literal table."""

from __future__ import annotations

import itertools

from device.core.machine import TABLE, Action, Input, State, diagram, step

LIVING = [state for state in State if state is not State.STOPPED]

WITHOUT_ROW: dict[tuple[State, Input], str] = {
    (State.STARTING, Input.UNREADABLE): "a glimpse is a sign of life: the gate is ready before it can ask",
    (State.STARTING, Input.CLEAR): "nothing was asked yet",
    (State.READY, Input.EYE_ALIVE): "it is the normal state",
    (State.READY, Input.CLEAR): "nothing was asked",
    (State.ASKING, Input.EYE_ALIVE): "it is the normal state",
    (State.ASKING, Input.UNREADABLE): "it is asking already",
    (State.OUT_OF_SERVICE, Input.EYE_SILENT): "it is out of service already",
    (State.OUT_OF_SERVICE, Input.UNREADABLE): "a glimpse is a sign of life: the gate is ready before it can ask",
    (State.OUT_OF_SERVICE, Input.CLEAR): "nothing was asked",
    (State.STARTING, Input.WINDOW_OPEN): "it is asked again at each turn: once the gate is ready, the window is seen",
    (State.OUT_OF_SERVICE, Input.WINDOW_OPEN): "without an eye there is nobody to read an order",
    (State.COMMISSIONING, Input.WINDOW_OPEN): "it is open already",
    (State.COMMISSIONING, Input.EYE_ALIVE): "it is the normal state",
    (State.COMMISSIONING, Input.UNREADABLE): "the technician sees what the lamps wait for",
    (State.COMMISSIONING, Input.CLEAR): "nothing was asked",
    **{(state, Input.WINDOW_SHUT): "it was not open" for state in LIVING if state is not State.COMMISSIONING},
    **{
        (state, event): "no order is looked at while the window is shut"
        for state in LIVING
        for event in (Input.ORDER_TAKEN, Input.ORDER_REFUSED)
        if state is not State.COMMISSIONING
    },
}


def test_every_pair_has_a_row_or_a_reason_why_not() -> None:
    """No combination was forgotten."""
    pairs = set(itertools.product(LIVING, Input))
    assert pairs - set(TABLE) == set(WITHOUT_ROW)


def test_a_stopped_gate_does_nothing_more() -> None:
    """Stopped is the end."""
    assert all(step(State.STOPPED, event) == (State.STOPPED, ()) for event in Input)


def test_a_pair_without_a_row_changes_nothing() -> None:
    """And does nothing."""
    for state, event in WITHOUT_ROW:
        assert step(state, event) == (state, ())


def test_no_decision_is_ever_dropped() -> None:
    """In every living state a decision is recorded first and shown second."""
    for state, event in itertools.product(LIVING, (Input.PASSED, Input.ANSWERED)):
        _, actions = step(state, event)
        assert actions[:2] == (Action.RECORD, Action.SHOW)


def test_the_door_opens_only_for_a_person_who_may_pass() -> None:
    """And always after the record."""
    for (_, event), (_, actions) in TABLE.items():
        assert (Action.OPEN in actions) is (event is Input.PASSED)
        assert Action.OPEN not in actions or actions.index(Action.RECORD) < actions.index(Action.OPEN)


def test_whatever_changes_what_people_see_shows_it() -> None:
    """Each change of state but the stop sets a standing sign, and the one that belongs to the new state."""
    standing = {
        State.READY: Action.STAND_READY,
        State.ASKING: Action.STAND_UNREADABLE,
        State.COMMISSIONING: Action.STAND_COMMISSIONING,
        State.OUT_OF_SERVICE: Action.STAND_OUT,
    }
    for (before, _), (after, actions) in TABLE.items():
        if after not in (before, State.STOPPED):
            assert standing[after] in actions


def test_every_living_state_can_be_reached_and_left() -> None:
    """No dead end but the stop."""
    reached = {after for after, _ in TABLE.values()}
    assert reached == set(State) - {State.STARTING}
    assert all(step(state, Input.STOP)[0] is State.STOPPED for state in LIVING)


def test_the_diagram_holds_every_row() -> None:
    """One arrow for each row of the table, besides start and end."""
    arrows = [line for line in diagram().splitlines() if "-->" in line]
    assert len(arrows) == len(TABLE) + 2


def test_the_diagram_draws_each_row_of_the_table() -> None:
    """As Mermaid reads it: where it begins, states of several words by a name, what is done, and where it ends."""
    lines = diagram().split("\n")
    assert lines[:4] == ["stateDiagram-v2", "    [*] --> starting", '    state "out of service" as out_of_service', lines[3]]
    assert lines[3].startswith("    starting --> ")
    assert lines[-2:] == ["    stopped --> [*]", ""]
    assert len(lines) == 3 + len(TABLE) + 2
    assert "    starting --> ready: the eye is alive / stand ready" in lines
    assert "    out_of_service --> ready: the eye is alive / stand ready; record eye back" in lines
    assert not any("XX" in line or line.endswith(("/", "/ ")) for line in lines)
