"""Gates with fates of their own, and the collector's file of them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from provisioning.fleet import known, summary
from provisioning.province.event_store import SqliteStore
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate, Gate, GateState
from tests.provisioning.registry.rows import a_gate, a_site

NOW = datetime(2026, 11, 27, 3, 30, tzinfo=UTC)


SPAN = (NOW - timedelta(days=2), NOW)


SUBJECT = "ab" * 32


def gate(registry: Registry, state: GateState, days: float | None = 80, name: str = "Trường Hoa Phượng") -> Gate:
    """One at a site of its own, with a certificate that lasts so long."""
    site = a_site(name=name)
    registry.add(site)
    made = a_gate(site, state)
    registry.add(made)
    if days is not None:
        ends = NOW + timedelta(days=days)
        with registry.change() as session:
            session.add(Certificate(serial=made.id, gate=made.id, starts=ends - timedelta(days=90), ends=ends, pem=""))
    return made


def heard(path: Path, *words: tuple[str, str, timedelta, Any], passages: tuple[tuple[str, str | None], ...] = ()) -> Path:
    """The collector's file: gate, kind, how long ago, content; and passages by time and direction."""
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as store, store:
        for name, kind, ago, content in words:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            store.execute("INSERT INTO latest VALUES (?, ?, ?, ?)", (f"gates/v1/{name}/up/{kind}", name, (NOW - ago).isoformat(), body))
        for number, (moment, way) in enumerate(passages):
            body = json.dumps({"data": {"direction": way, "subject": SUBJECT}}).encode()
            row = ("g", "e", number, str(number), "vn.gate.checkin.v1", moment, moment, "", None, body)
            store.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    return path


def report(registry: Registry, events: Path | None) -> summary.Figures:
    """Its summary."""
    return summary.figures(known.read(registry, events, SPAN), NOW, timedelta(hours=24))


HEALTH = {"version": "0.1.0", "clock": "synced", "decisions": 90, "unreadable": {"blurred": 8, "glare": 2}, "disk_free_bytes": 8 << 30}
