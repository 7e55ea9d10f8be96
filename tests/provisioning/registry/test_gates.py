"""Gates as the desk plans and moves them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, checked
from provisioning.registry import gates
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Acceptance, Gate, GateState
from tests.provisioning.registry.rows import a_gate, a_site


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Registry]:
    """A registry with one site."""
    made = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    made.add(a_site())
    yield made
    made.close()


def gate(kept: Registry, state: GateState) -> Gate:
    """One that has come so far."""
    made = a_gate(kept.sites()[0], state)
    kept.add(made)
    return made


def test_a_planned_gate_has_an_id_of_its_own_and_no_card(kept: Registry) -> None:
    """And stands where it was said."""
    made = gates.planned(kept.sites()[0], "a-1", "both", "pi5")
    assert checked(made.id, GATE) == made.id
    assert (made.lane, made.direction, made.board, made.state) == ("a-1", "both", "pi5", GateState.PLANNED)


@pytest.mark.parametrize(
    ("lane", "direction", "board"),
    [("A", "in", "pi4"), ("", "in", "pi4"), ("1" * 17, "in", "pi4"), ("1\n", "in", "pi4"), ("1", "up", "pi4"), ("1", "in", "pi1")],
)
def test_what_a_gates_configuration_would_not_take_is_refused(kept: Registry, lane: str, direction: str, board: str) -> None:
    """E133, before it stands on a card."""
    with pytest.raises(Refused, match="E133"):
        gates.planned(kept.sites()[0], lane, direction, board)
    assert gates.checked_lane("1" * 16) == "1" * 16


def test_a_gate_that_is_placed_anew_stands_there(kept: Registry) -> None:
    """Lane, direction and site."""
    moved, other = gate(kept, GateState.ENROLLED), a_site("Trạm Y tế")
    kept.add(other)
    gates.place(kept, moved.id, "7", "out", other.id)
    found = kept.gate(moved.id)
    assert (found.lane, found.direction, found.site) == ("7", "out", other.id)


def test_a_gate_moves_only_where_it_is_not_yet_and_may_go(kept: Registry) -> None:
    """E115 names from where to where."""
    one = gate(kept, GateState.ACCEPTED)
    assert gates.has_to_move(one, GateState.IN_SERVICE)
    assert not gates.has_to_move(one, GateState.ACCEPTED)
    with pytest.raises(Refused) as refused:
        gates.has_to_move(gate(kept, GateState.PLANNED), GateState.REVOKED)
    assert (refused.value.code, refused.value.facts["state"], refused.value.facts["wanted"]) == ("E115", "planned", GateState.REVOKED)


@pytest.mark.parametrize(
    ("verdicts", "begins"), [((), True), ((True,), True), ((False,), False), ((False, True), True), ((True, False), False)]
)
def test_the_last_acceptance_counts(kept: Registry, verdicts: tuple[bool, ...], begins: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """E185 where it was not good, however the ones before it were."""
    one = gate(kept, GateState.ACCEPTED)
    for well in verdicts:
        kept.accept(Acceptance(gate=one.id, at=datetime.now(UTC), who="Thử", well=well, document="{}"))
    if begins:
        assert gates.has_to_begin(kept, one)
    else:
        with pytest.raises(Refused, match="E185"):
            gates.has_to_begin(kept, one)
