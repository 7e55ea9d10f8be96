"""The figures of the report are those that one counts by hand."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from device.core.problems import HEAT, LIMITS, SPACE
from provisioning.fleet import summary
from provisioning.fleet.known import Facts, Known
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GateState
from tests.provisioning.fleet.fleet_kit import HEALTH, NOW, gate, heard, report


def test_the_figures_are_those_that_one_counts_by_hand(registry: Registry, tmp_path: Path) -> None:
    """Seven gates, each with a fate of its own."""
    planned = gate(registry, GateState.PLANNED, None)
    good, gone, mute, ending, ended = (gate(registry, GateState.IN_SERVICE, days) for days in (80, 70, 50, 13, -1))
    revoked = gate(registry, GateState.REVOKED)
    hour, week = timedelta(hours=1), timedelta(days=7)
    events = heard(
        tmp_path / "events.sqlite",
        (good.id, "health", hour, HEALTH),
        (good.id, "state", hour, {"online": True, "version": "0.1.0"}),
        (gone.id, "health", week, {**HEALTH, "decisions": 50, "unreadable": {"dark": 50}, "version": "0.0.9", "clock": "unsynced"}),
        # That a retained state was there says nothing of when the gate spoke.
        (mute.id, "state", hour, {"online": True}),
        (ending.id, "health", hour, {"disk_free_bytes": 1 << 20, "dead_letters": 1, "dropped": 3, "cpu_celsius": 85.5}),
        (ended.id, "hello", 25 * hour, {"version": "0.1.0"}),
        (revoked.id, "health", week, HEALTH),
        ("gstranger", "health", hour, {}),
        (planned.id, "health", hour, b"\xff{"),
        passages=(
            ("2026-11-26T23:10:00Z", "in"),
            ("2026-11-26T23:59:59.999Z", "in"),
            ("2026-11-26T23:59:00Z", "out"),
            ("2026-11-27T00:00:00Z", "out"),
            ("2026-11-27T00:00:01Z", None),
            ("2026-11-20T00:00:00Z", "in"),
        ),
    )
    found = report(registry, events)
    assert found.total == 7
    assert {state: count for state, count in found.states.items() if count} == {"planned": 1, "in-service": 5, "revoked": 1, "silent": 3}
    assert [one.id for one in found.silent] == [mute.id, gone.id, ended.id]
    assert found.versions == {"0.1.0": 3, "0.0.9": 1}
    assert found.bands == {"expired": 1, "days_14": 1, "days_30": 0, "days_60": 1, "days_more": 2}
    assert [one.id for one in found.ending] == [ended.id, ending.id]
    assert found.clocks == {"synced": 2, "unsynced": 1}
    assert (found.rates[0].gate.id, found.rates[0].share) == (gone.id, 0.5)
    assert found.share == pytest.approx(230 / 300)
    assert {moment.hour: pair for moment, pair in found.hours.items()} == {6: (2, 1), 7: (0, 1)}
    assert {name: [one.id for one in list_] for name, list_ in found.troubles.items()} == {name: [ending.id] for name in summary.TROUBLES}
    assert [one.id for one in found.strangers] == ["gstranger"]
    assert (found.damaged, found.heard) == (1, True)
    (commune,) = found.communes.values()
    assert (commune["in-service"], commune["silent"], commune["planned"]) == (5, 3, 1)


@pytest.mark.parametrize(("state", "ago", "silent"), [("in-service", 23.9, False), ("in-service", 24.1, True), ("enrolled", 99, False)])
def test_silent_is_who_ought_to_speak_and_does_not(state: str, ago: float, *, silent: bool) -> None:
    """By the clock, to the minute."""
    known = Known("g", state=state, seen=NOW - timedelta(hours=ago))
    assert summary.is_silent(known, NOW, timedelta(hours=24)) is silent


@pytest.mark.parametrize(("figure", "field", "trouble"), [(SPACE, "disk_free_bytes", "disk"), (HEAT, "celsius", "hot")])
def test_the_report_calls_a_gate_unwell_from_the_same_limit_on_as_the_gate_itself(figure: str, field: str, trouble: str) -> None:
    """What a gate names on the spot the province names too, and nothing that it does not."""
    limit = LIMITS[figure]
    bad, good = (limit.warn, limit.warn - 1) if limit.high else (limit.warn - 1, limit.warn)
    gates = {name: Known(name, state=GateState.IN_SERVICE) for name in ("bad", "good", "mute")}
    for name, value in (("bad", bad), ("good", good)):
        setattr(gates[name], field, value)
    found = summary.figures(Facts(gates), NOW, timedelta(hours=24))
    assert [one.id for one in found.troubles[trouble]] == ["bad"]
