"""What is known of every gate: from the registry, and from what the collector holds of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from device.core.wire import CHECKIN_TYPE, topics
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.times import HERE
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate, Gate, Site

_LATEST: Final = "SELECT topic, gate, received, body FROM latest"
_HOURS: Final = """
    SELECT substr(time, 1, 13), json_extract(CAST(body AS TEXT), '$.data.direction'), count(*) FROM distinct_events
    WHERE type = ? AND time >= ? AND time < ? AND json_valid(CAST(body AS TEXT)) GROUP BY 1, 2
"""


@dataclass(slots=True)
class Known:
    """One gate. What nobody has said is None."""

    id: str
    site: str = ""
    site_name: str = ""
    kind: str = ""
    commune: str = ""
    hotline: str = ""
    state: str = "unknown"
    """As in the registry; ``unknown`` for a gate that speaks and stands in none."""
    ends: datetime | None = None
    """Of its newest certificate."""
    seen: datetime | None = None
    """When the province last had a word of it."""
    online: bool | None = None
    version: str | None = None
    clock: str | None = None
    decisions: int | None = None
    unreadable: int | None = None
    disk_free_bytes: int | None = None
    dead_letters: int | None = None
    dropped: int | None = None
    celsius: float | None = None
    waiting: int | None = None


@dataclass(slots=True)
class Facts:
    """All gates by id, people by hour (local time), and how many messages could not be read."""

    gates: dict[str, Known] = field(default_factory=dict)
    hours: dict[datetime, tuple[int, int]] = field(default_factory=dict)
    damaged: int = 0
    heard: bool = False
    """Whether there was anything from the collector at all."""


def read(registry: Registry, events: Path | None, span: tuple[datetime, datetime]) -> Facts:
    """Everything for the report; passages of the span, in UTC. Raises Refused (E200) for a file that is not the collector's."""
    facts = Facts({known.id: known for known in _registered(registry)})
    if events is not None:
        try:
            with closing(sqlite3.connect(f"{events.absolute().as_uri()}?mode=ro", uri=True)) as store:
                _hear(facts, store)
                facts.hours = _hours(store, span)
        except sqlite3.Error as error:
            raise Refused("E200", path=events, why=error) from error
        facts.heard = True
    return facts


def _registered(registry: Registry) -> Iterator[Known]:
    with registry.change() as session:
        newest = select(Certificate.gate, func.max(Certificate.ends)).group_by(Certificate.gate)
        ends = {gate: end for gate, end in session.execute(newest)}  # noqa: C416 - a result has keys(), so dict() would take it for a mapping
        asked = select(Gate.id, Gate.site, Site.name, Site.kind, Site.commune, Site.hotline, Gate.state).join(Site, Gate.site == Site.id)
        for gate, site, name, kind, commune, hotline, state in session.execute(asked.order_by(Gate.id)):
            end = ends.get(gate)
            yield Known(gate, site, name, kind, commune, hotline, state, None if end is None else times.aware(end))


def _hear(facts: Facts, store: sqlite3.Connection) -> None:
    for topic_text, gate, received, body in store.execute(_LATEST):
        known = facts.gates.setdefault(gate, Known(gate))
        try:
            told = json.loads(body)
            heard = datetime.fromisoformat(received)
        except (ValueError, TypeError):
            facts.damaged += 1
            continue
        if not isinstance(told, dict):
            facts.damaged += 1
            continue
        # A state is retained: that the broker still had it says nothing of when the gate spoke.
        kind = str(topic_text).rsplit("/", 1)[-1]
        if kind != topics.UP_STATE:
            known.seen = heard if known.seen is None else max(known.seen, heard)
        _apply(known, kind, told)


def _apply(known: Known, kind: str, told: Mapping[str, Any]) -> None:
    """Whatever a gate says is checked for its form: the report must not break on a gate that lies."""
    version = told.get("version")
    if isinstance(version, str):
        known.version = version[:64]
    if kind == topics.UP_STATE and isinstance(told.get("online"), bool):
        known.online = told["online"]
    clock = told.get("clock")
    if isinstance(clock, str):
        known.clock = clock[:32]
    if kind != topics.UP_HEALTH:
        return
    known.decisions, known.disk_free_bytes = _count(told.get("decisions")), _count(told.get("disk_free_bytes"))
    known.dead_letters, known.dropped = _count(told.get("dead_letters")), _count(told.get("dropped"))
    unreadable = told.get("unreadable")
    known.unreadable = sum(_count(value) or 0 for value in unreadable.values()) if isinstance(unreadable, dict) else None
    celsius = told.get("cpu_celsius")
    known.celsius = float(celsius) if isinstance(celsius, int | float) and abs(celsius) < _HOTTEST else None
    lanes = [told.get(name) for name in ("live", "backlog")]
    known.waiting = sum(_count(lane.get("depth")) or 0 for lane in lanes if isinstance(lane, dict))


_HOTTEST: Final = 1_000
_MOST: Final = 2**53


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _MOST else None


def _hours(store: sqlite3.Connection, span: tuple[datetime, datetime]) -> dict[datetime, tuple[int, int]]:
    """By the hour, counted inside the database: there may be millions of events."""
    found: dict[datetime, tuple[int, int]] = {}
    start, end = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") for moment in span)
    for hour, direction, count in store.execute(_HOURS, (CHECKIN_TYPE, start, end)):
        if direction not in {"in", "out"}:
            continue
        local = datetime.fromisoformat(f"{hour}:00:00+00:00").astimezone(HERE)
        came, went = found.get(local, (0, 0))
        found[local] = (came + count, went) if direction == "in" else (came, went + count)
    return dict(sorted(found.items()))
