"""Gates as the desk plans and moves them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, checked
from provisioning.places.wiring import Door, Fitting, Kit, PowerLoss
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
    made = gates.planned(kept.sites()[0], "a-1", "both", "pi5", Fitting(Kit.BASIC, Door.RELAY, PowerLoss.OPEN))
    assert checked(made.id, GATE) == made.id
    assert (made.lane, made.direction, made.board, made.state) == ("a-1", "both", "pi5", GateState.PLANNED)
    assert (made.kit, made.door, made.power_loss) == ("basic", "relay", "open")


@pytest.mark.parametrize(
    ("lane", "direction", "board"),
    [("A", "in", "pi4"), ("", "in", "pi4"), ("1" * 17, "in", "pi4"), ("1\n", "in", "pi4"), ("1", "up", "pi4"), ("1", "in", "pi1")],
)
def test_what_a_gates_configuration_would_not_take_is_refused(kept: Registry, lane: str, direction: str, board: str) -> None:
    """E133, before it stands on a card."""
    with pytest.raises(Refused, match="E133"):
        gates.planned(kept.sites()[0], lane, direction, board, Fitting())
    assert gates.checked_lane("1" * 16) == "1" * 16


@pytest.mark.parametrize(
    ("kit", "door", "power_loss", "named"),
    [
        ("large", "none", None, "--kit large"),
        ("full", "gate", None, "--door gate"),
        ("full", "relay", "shut", "--power-loss shut"),
        ("full", "relay", None, "--door relay"),
        ("basic", "none", "open", "--power-loss open"),
    ],
)
def test_a_door_is_not_without_a_word_about_power_loss_nor_the_word_without_a_door(
    kit: str, door: str, power_loss: str | None, named: str
) -> None:
    """E133 names the option that is wrong, and what is missing."""
    with pytest.raises(Refused) as refused:
        gates.checked_fitting(kit, door, power_loss)
    assert (refused.value.code, refused.value.facts["value"]) == ("E133", named)
    assert gates.checked_fitting("full", "relay", "locked") == Fitting(Kit.FULL, Door.RELAY, PowerLoss.LOCKED)


def test_a_gate_is_fitted_anew_by_what_is_told_and_a_door_that_goes_takes_its_power_loss_along(kept: Registry) -> None:
    """What is the same is no change; a gate that is gone for good is not fitted."""
    one = gate(kept, GateState.PLANNED)
    assert gates.refitted(one, None, "full", "none", None) == {}
    gates.refit(kept, one.id, gates.refitted(one, "pi5", None, "relay", "locked"))
    found = kept.gate(one.id)
    assert (found.board, found.kit, found.door, found.power_loss) == ("pi5", "full", "relay", "locked")
    assert gates.refitted(found, None, None, None, "open") == {"power_loss": "open"}
    assert gates.refitted(found, None, "basic", "none", None) == {"kit": "basic", "door": "none", "power_loss": None}
    with pytest.raises(Refused, match="E133"):
        gates.refitted(found, None, None, "none", "open")
    with pytest.raises(Refused, match="E133"):
        gates.refitted(one, None, None, "relay", None)
    with pytest.raises(Refused, match="E150"):
        gates.refitted(gate(kept, GateState.DECOMMISSIONED), None, "basic", None, None)


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
