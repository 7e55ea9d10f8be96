"""Enrolment of many gates against one worker, and the writing of cards: ``python -m tests.bench.enrolment [GATES]``.

Real Mosquittos with TLS, a registry in SQLite, the gate's own program in threads of this process: each makes its key, asks, checks,
tries its certificate at the gates' broker and burns its claim. Prints one line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from device.edges.certificate.enrol import Places, enrol
from device.workbench.bench import machine
from device.workbench.broker import LOOPBACK
from provisioning.card.package_set import PackageSet
from provisioning.card.writer import Card, steps
from provisioning.enrolment.claims import Enrolment
from provisioning.registry.tables import Gate, GateState
from tests.provisioning.card.pi_card import a_set, pi_card
from tests.provisioning.enrolment_kit import PHRASE, Province, province
from tests.provisioning.registry.rows import a_gate

THREADS = 16


def write_card(town: Province, gate: Gate, path: Path, packages: PackageSet) -> float:
    """Seconds of one `card write`, its plan included."""
    started = time.perf_counter()
    for step in steps(Card(gate, path, Enrolment(LOOPBACK, town.enrol_port), packages), town.registry, town.authority, PHRASE):
        step.do()
    return time.perf_counter() - started


def one(places: Places) -> float:
    """Seconds of one enrolment, from the gate's side."""
    started = time.perf_counter()
    enrol(places, 120)
    return time.perf_counter() - started


def measure(count: int, folder: Path) -> dict[str, Any]:
    """Cards one after another, then all gates at once."""
    town = province(folder)
    first = town.gate(GateState.PLANNED)
    gates = [first]
    for _ in range(count - 1):
        gate = a_gate(town.site(first), GateState.PLANNED)
        town.registry.add(gate)
        gates.append(gate)
    cards = [pi_card(folder / f"{gate.id}") for gate in gates]
    packages = a_set(folder / "packages")
    writing = [write_card(town, gate, path, packages) for gate, path in zip(gates, cards, strict=True)]
    with town.brokers(), town.working(), ThreadPoolExecutor(THREADS) as pool:
        started = time.perf_counter()
        enrolling = list(pool.map(partial(one), [Places(path / "gate", path / "etc", path / "store") for path in cards]))
        whole = time.perf_counter() - started
    enrolled = sum(gate.state == GateState.ENROLLED for gate in town.registry.gates())
    town.registry.close()
    return {
        "gates": count,
        "enrolled": enrolled,
        "at_once": THREADS,
        "whole_s": round(whole, 1),
        "a_second": round(count / whole, 1),
        "enrolment_s": _spread(enrolling),
        "card_write_s": _spread(writing),
    }


def _spread(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": round(cuts[49], 3), "p95": round(cuts[94], 3), "most": round(max(seconds), 3)}


def main() -> int:
    """Returns the exit code."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory(prefix="gate-enrolment-") as folder:
        print(json.dumps({"on": machine(), **measure(count, Path(folder))}))  # noqa: T201 - its result
    return 0


if __name__ == "__main__":
    sys.exit(main())
