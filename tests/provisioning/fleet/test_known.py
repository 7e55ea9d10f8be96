"""What is known of every gate: from the registry, and from what it said itself, whose form nobody trusts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioning.common.errors import Refused
from provisioning.common.times import HERE
from provisioning.fleet import known
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GateState
from tests.provisioning.fleet.fleet_kit import HEALTH, NOW, SPAN, gate, heard

HOUR = timedelta(hours=1)


def test_a_state_that_the_broker_still_had_says_nothing_of_when_a_gate_spoke(registry: Registry, tmp_path: Path) -> None:
    """It is retained; any other word counts, the newest of them."""
    one = gate(registry, GateState.IN_SERVICE)
    words = [(one.id, "state", timedelta(), {"online": False}), (one.id, "hello", 5 * HOUR, {}), (one.id, "health", 3 * HOUR, HEALTH)]
    found = known.read(registry, heard(tmp_path / "events.sqlite", *words), SPAN).gates[one.id]
    assert (found.seen, found.online) == (NOW - 3 * HOUR, False)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"decisions": True}, "decisions"),
        ({"decisions": -1}, "decisions"),
        ({"decisions": 2**53}, "decisions"),
        ({"unreadable": [1]}, "unreadable"),
        ({"cpu_celsius": "hot"}, "celsius"),
        ({"cpu_celsius": 1e9}, "celsius"),
        ({"version": 7}, "version"),
        ({"clock": None}, "clock"),
    ],
)
def test_what_has_not_the_form_of_a_figure_is_not_known(registry: Registry, tmp_path: Path, told: dict[str, Any], field: str) -> None:
    """A gate that lies breaks no report."""
    one = gate(registry, GateState.IN_SERVICE)
    found = known.read(registry, heard(tmp_path / "events.sqlite", (one.id, "health", HOUR, told)), SPAN)
    assert getattr(found.gates[one.id], field) is None
    assert found.damaged == 0


@pytest.mark.parametrize("body", [b"\xff", b"[1]", b"{"])
def test_what_cannot_be_read_at_all_is_counted(registry: Registry, tmp_path: Path, body: bytes) -> None:
    """And is no word of the gate."""
    one = gate(registry, GateState.IN_SERVICE)
    found = known.read(registry, heard(tmp_path / "events.sqlite", (one.id, "health", HOUR, body)), SPAN)
    assert (found.damaged, found.gates[one.id].seen) == (1, None)


def test_a_gate_that_speaks_and_stands_in_no_registry_is_there(registry: Registry, tmp_path: Path) -> None:
    """As unknown."""
    found = known.read(registry, heard(tmp_path / "events.sqlite", ("g-stranger", "health", HOUR, HEALTH)), SPAN)
    assert found.gates["g-stranger"].state == "unknown"


def test_people_are_counted_by_the_hour_of_viet_nam(registry: Registry, tmp_path: Path) -> None:
    """In and out, of the span alone; who did not pass is nobody."""
    at = NOW.replace(minute=0)
    moments = [f"{at - HOUR:%Y-%m-%dT%H}:59:59Z", f"{at:%Y-%m-%dT%H}:00:00Z", f"{SPAN[0] - HOUR:%Y-%m-%dT%H:%M:%S}Z"]
    passages = ((moments[0], "in"), (moments[0], "out"), (moments[1], "in"), (moments[1], None), (moments[2], "in"))
    hours = known.read(registry, heard(tmp_path / "events.sqlite", passages=passages), SPAN).hours
    assert list(hours.items()) == [(at - HOUR, (1, 1)), (at, (1, 0))]
    assert [moment.hour for moment in hours] == [(at - HOUR).astimezone(HERE).hour, at.astimezone(HERE).hour]


def test_without_the_collectors_file_only_the_registry_speaks(registry: Registry, tmp_path: Path) -> None:
    """And a file that is none is named, E200."""
    one = gate(registry, GateState.IN_SERVICE, 50)
    found = known.read(registry, None, SPAN)
    assert (found.heard, found.gates[one.id].ends) == (False, NOW + timedelta(days=50))
    with pytest.raises(Refused, match="E200"):
        known.read(registry, tmp_path / "none.sqlite", SPAN)
