"""How long the report of 20,000 gates takes, part by part: ``python -m tests.bench.fleet [GATES] [EVENTS]``.

The rival counts people by hour with json.loads over every body, in the same
run, as a program would that keeps events and reads them.
"""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from provisioning.common.ids import GATE, SITE, new_id
from provisioning.common.times import HERE
from provisioning.fleet import known, page, rows, sheet, summary
from provisioning.places.communes import VERSION, communes
from provisioning.places.kinds import SiteKind
from provisioning.province.event_store import SqliteStore
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate, Gate, GateState, Site

NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)


def fill(registry: Registry, store: Path, gates: int, events: int, seed: int = 7) -> None:
    """A province that is being equipped: every fifth gate is not in service yet, one in fifty is silent."""
    rng = random.Random(seed)  # noqa: S311 - made-up figures, the same each time
    places, kinds = list(communes()), list(SiteKind)
    told = {"commune_list": VERSION, "address": "-", "contact": "-", "hotline": "0269 000 000", "purpose": "-", "legal_basis": "-"}
    more = {"broker_host": "broker.example.org", "broker_port": 8883, "network": {}, "policy": "", "created": NOW}
    sites = [
        Site(id=new_id(SITE), name=f"Nơi thứ {n}", kind=str(rng.choice(kinds)), commune=rng.choice(places), **told, **more)
        for n in range(max(1, gates // 5))
    ]
    states = [GateState.IN_SERVICE] * 16 + [GateState.PLANNED, GateState.WRITTEN, GateState.ENROLLED, GateState.ACCEPTED]
    made = [
        Gate(
            id=new_id(GATE),
            site=sites[n % len(sites)].id,
            lane="1",
            direction="both",
            board="pi4",
            kit="full",
            door="none",
            state=rng.choice(states),
        )
        for n in range(gates)
    ]
    with registry.change() as session:
        session.add_all(sites)
        session.flush()
        for gate in made:
            gate.created = gate.changed = NOW
        session.add_all(made)
        session.flush()
        ends = [NOW + timedelta(days=rng.uniform(1, 90)) for _ in made]
        session.add_all(
            Certificate(serial=f"{n:x}", gate=gate.id, starts=end - timedelta(days=90), ends=end, pem="")
            for n, (gate, end) in enumerate(zip(made, ends, strict=True))
        )
    SqliteStore(store).close()
    with closing(sqlite3.connect(store)) as file, file:
        file.executemany("INSERT INTO latest VALUES (?, ?, ?, ?)", _latest(made, rng))
        file.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _events(made, events, rng))


def _latest(gates: list[Gate], rng: random.Random) -> Iterator[tuple[str, str, str, bytes]]:
    for gate in gates:
        if gate.state not in {GateState.ACCEPTED, GateState.IN_SERVICE}:
            continue
        seen = NOW - timedelta(hours=rng.uniform(30, 400) if rng.random() < 0.02 else rng.uniform(0, 0.1))
        told = {
            "state": {"online": True, "version": "0.1.0"},
            "health": {
                "version": "0.1.0",
                "clock": rng.choice(["synced"] * 9 + ["holdover"]),
                "decisions": rng.randrange(500, 3000),
                "unreadable": {"blurred": rng.randrange(40)},
                "disk_free_bytes": rng.randrange(100 << 20, 8 << 30),
                "dead_letters": 0,
                "dropped": 0,
                "cpu_celsius": rng.uniform(35, 82),
                "live": {"depth": 0},
            },
        }
        for kind, body in told.items():
            yield f"gates/v1/{gate.id}/up/{kind}", gate.id, seen.isoformat(), json.dumps(body).encode()


def _events(gates: list[Gate], count: int, rng: random.Random) -> Iterator[tuple[object, ...]]:
    for number in range(count):
        moment = (NOW - timedelta(hours=rng.triangular(0, 48, 20))).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        data = {"decision": "accept", "direction": rng.choice(["in", "out"]), "subject": f"{rng.getrandbits(256):064x}", "lane": "1"}
        body = json.dumps({"type": "vn.gate.checkin.v1", "time": moment, "data": data}).encode()
        yield gates[number % len(gates)].id, "e", number, f"{number:x}", "vn.gate.checkin.v1", moment, moment, "", None, body


def main() -> None:
    """Print the figures as JSON."""
    gates, events = (int(word) for word in (*sys.argv[1:], *("20000", "500000")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        registry = Registry(f"sqlite:///{folder / 'registry.sqlite'}")
        fill(registry, folder / "events.sqlite", gates, events)
        taken: dict[str, float] = {}

        @contextmanager
        def timed(what: str) -> Iterator[None]:
            started_s = time.perf_counter()
            yield
            taken[what] = round(time.perf_counter() - started_s, 2)

        span, after = (NOW - timedelta(days=2), NOW), timedelta(hours=24)
        with timed("read"):
            found = known.read(registry, folder / "events.sqlite", span)
        with timed("compute"):
            computed = summary.figures(found, NOW, after)
        parts: list[tuple[str, Callable[[], bytes]]] = [
            ("html", lambda: page.page(computed)),
            ("csv", lambda: rows.table(found, NOW, after)),
            ("pdf", lambda: bytes(sheet.report(computed).output())),
        ]
        sizes = {}
        for what, make in parts:
            with timed(what):
                sizes[f"{what}_kib"] = len(make()) >> 10
        total = round(sum(taken.values()), 2)
        with timed("people_by_hour"):
            known.read(Registry(f"sqlite:///{folder / 'empty.sqlite'}"), folder / "events.sqlite", span)
        with timed("rival_json_loads"):
            hours = _rival(folder / "events.sqlite")
        same = hours == {hour: sum(pair) for hour, pair in computed.hours.items()}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        registry.close()
    sys.stdout.write(
        json.dumps({"gates": gates, "events": events, "total_s": total, "s": taken, **sizes, "peak_mib": peak, "same_as_rival": same})
        + "\n"
    )


def _rival(path: Path) -> dict[datetime, int]:
    found: Counter[datetime] = Counter()
    with closing(sqlite3.connect(path)) as store:
        for (body,) in store.execute("SELECT body FROM distinct_events"):
            told = json.loads(body)
            if told["type"] == "vn.gate.checkin.v1" and told["data"].get("direction") in {"in", "out"}:
                moment = datetime.fromisoformat(told["time"]).astimezone(HERE)
                if moment < NOW:
                    found[moment.replace(minute=0, second=0, microsecond=0)] += 1
    return dict(found)


if __name__ == "__main__":
    main()
