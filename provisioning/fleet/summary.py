"""What the report says, computed from the facts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from device.core.problems import CERTIFICATE, HEAT, LIMITS, SPACE
from provisioning.fleet.known import Facts, Known
from provisioning.registry.tables import GateState

STATES: Final = tuple(str(state) for state in GateState)
WORKING: Final = frozenset({str(GateState.ACCEPTED), str(GateState.IN_SERVICE)})
"""Gates that ought to speak."""
SILENT: Final = "silent"
ENDING_DAYS: Final = 30
"""Gates whose certificate ends sooner are named one by one."""
BANDS: Final = (
    (0, "expired"),
    (LIMITS[CERTIFICATE].warn, f"days_{LIMITS[CERTIFICATE].warn:g}"),
    (ENDING_DAYS, f"days_{ENDING_DAYS}"),
    (60, "days_60"),
)
"""Of a certificate: less than so many days are left. Renewal begins at 60."""
MORE: Final = "days_more"
WORST: Final = 20
LISTED: Final = 200
"""So many rows of a list stand on the page; the rest is in the table for spreadsheets."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Of the codes held up at a gate, those that were decided."""

    gate: Known
    decided: int
    shown: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.decided / self.shown


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything on the page."""

    at: datetime
    total: int
    states: Mapping[str, int]
    communes: Mapping[str, Mapping[str, int]]
    kinds: Mapping[str, Mapping[str, int]]
    silent: Sequence[Known]
    """Longest silent first; never heard before all others."""
    versions: Mapping[str, int]
    bands: Mapping[str, int]
    ending: Sequence[Known]
    """Gates that work and whose certificate ends within 30 days, the soonest first."""
    clocks: Mapping[str, int]
    rates: Sequence[Rate]
    """The worst, worst first."""
    share: float | None
    """Of all codes held up, those that were decided."""
    hours: Mapping[datetime, tuple[int, int]]
    troubles: Mapping[str, Sequence[Known]]
    strangers: Sequence[Known]
    """Gates that speak and stand in no registry."""
    damaged: int
    heard: bool


def figures(facts: Facts, at: datetime, silent_after: timedelta) -> Figures:
    """Compute them; ``at`` is the time of the report."""
    gates = list(facts.gates.values())
    known = [gate for gate in gates if gate.state != "unknown"]
    silent = [gate for gate in known if is_silent(gate, at, silent_after, heard=facts.heard)]
    mute = {gate.id for gate in silent}
    rates = [_rate(gate) for gate in gates if gate.decisions is not None and gate.decisions + (gate.unreadable or 0) > 0]
    shown = sum(rate.shown for rate in rates)
    working = [gate for gate in known if gate.state in WORKING]
    ending = [gate for gate in working if gate.ends is not None and gate.ends - at < timedelta(days=ENDING_DAYS)]
    return Figures(
        at=at,
        total=len(known),
        states={**dict.fromkeys(STATES, 0), **Counter(gate.state for gate in known), SILENT: len(silent)},
        communes=_table(known, mute, lambda gate: gate.commune),
        kinds=_table(known, mute, lambda gate: gate.kind),
        silent=sorted(silent, key=lambda gate: (gate.seen is not None, gate.seen or at, gate.id)),
        versions=dict(Counter(gate.version for gate in gates if gate.version is not None).most_common()),
        bands={**dict.fromkeys((*(name for _, name in BANDS), MORE), 0), **Counter(_band(gate, at) for gate in working if gate.ends)},
        ending=sorted(ending, key=lambda gate: (gate.ends or at, gate.id)),
        clocks=dict(Counter(gate.clock for gate in gates if gate.clock is not None).most_common()),
        rates=sorted(rates, key=lambda rate: (rate.share, -rate.shown, rate.gate.id))[:WORST],
        share=sum(rate.decided for rate in rates) / shown if shown else None,
        hours=facts.hours,
        troubles={name: [gate for gate in gates if wrong(gate)] for name, wrong in TROUBLES.items()},
        strangers=[gate for gate in gates if gate.state == "unknown"],
        damaged=facts.damaged,
        heard=facts.heard,
    )


def is_silent(gate: Known, at: datetime, after: timedelta, *, heard: bool = True) -> bool:
    """Whether a gate that ought to speak does not. Without the collector's word nobody is called silent."""
    return heard and gate.state in WORKING and (gate.seen is None or at - gate.seen > after)


def _rate(gate: Known) -> Rate:
    decided = gate.decisions or 0
    return Rate(gate, decided, decided + (gate.unreadable or 0))


def _band(gate: Known, at: datetime) -> str:
    left = ((gate.ends or at) - at) / timedelta(days=1)
    return next((name for days, name in BANDS if left < days), MORE)


def _table(gates: Sequence[Known], mute: set[str], column: Callable[[Known], str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for gate in gates:
        row = found.setdefault(column(gate), {**dict.fromkeys(STATES, 0), SILENT: 0})
        row[gate.state] += 1
        row[SILENT] += gate.id in mute
    return dict(sorted(found.items(), key=lambda item: (-sum(item[1][state] for state in STATES), item[0])))


TROUBLES: Final[Mapping[str, Callable[[Known], bool]]] = {
    "disk": lambda gate: LIMITS[SPACE].is_wrong(gate.disk_free_bytes),
    "dead_letters": lambda gate: bool(gate.dead_letters),
    "dropped": lambda gate: bool(gate.dropped),
    "hot": lambda gate: LIMITS[HEAT].is_wrong(gate.celsius),
}
"""What is wrong with a gate that speaks."""
