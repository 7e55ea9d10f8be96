"""Check-ins of places and one span of time, from the collector's file. All of it was made by gates: nothing is believed unread."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast

from device.core.wire import CHECKIN_TYPE
from provisioning.common.errors import Refused

BODY_LIMIT_BYTES: Final = 256 << 10
UNKNOWN_DOUBT_S: Final = 3_600.0
"""Where a gate did not know the time and told no bounds."""
SLACK: Final = timedelta(hours=1)
"""The file is asked for a little more than the span, because the time of an event may be a bound."""


@dataclass(frozen=True, slots=True, repr=False)
class CheckIn:
    """Somebody was let through. ``sealed`` is what only the sealing key opens."""

    gate: str
    lane: str
    subject: str
    way: Literal["in", "out"]
    at_s: float
    doubt_s: float
    sealed: str | None


@dataclass(slots=True)
class Slice:
    """All that the places have of a span, by place, each in order of time. ``damaged`` counts events that could not be read."""

    places: dict[str, list[CheckIn]] = field(default_factory=dict)
    damaged: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    """By place, SHA-256 over the ids of the events: which data it was."""


def read(path: Path, sites: Collection[str], start: datetime, end: datetime) -> Slice:
    """In one pass, for however many places. Raises Refused (E206) for a file that is not the collector's."""
    found, ids = Slice(), dict[str, list[str]]()
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
            for name, gate, body in _rows(store, start - SLACK, end + SLACK):
                known = _checkin(gate, body, sites)
                if known is None:
                    found.damaged += 1
                    continue
                site, checkin = known
                if checkin is not None and start.timestamp() <= checkin.at_s < end.timestamp():
                    ids.setdefault(site, []).append(name)
                    found.places.setdefault(site, []).append(checkin)
    except sqlite3.Error as error:
        raise Refused("E206", path=path, why=error) from error
    for checkins in found.places.values():
        checkins.sort(key=lambda one: (one.at_s, one.gate))
    found.digests = {site: hashlib.sha256("\n".join(names).encode()).hexdigest() for site, names in ids.items()}
    return found


def _rows(store: sqlite3.Connection, start: datetime, end: datetime) -> Iterator[tuple[str, str, bytes]]:
    asked = "SELECT id, gate, body FROM distinct_events WHERE type = ? AND time >= ? AND time < ? ORDER BY time, gate, seq"
    bounds = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") for moment in (start, end))
    yield from store.execute(asked, (CHECKIN_TYPE, *bounds))


def _checkin(gate: str, body: bytes, sites: Collection[str]) -> tuple[str, CheckIn | None] | None:
    """The place and the check-in, which is None where nobody passed or the place was not asked for; None for what cannot be read."""
    try:
        if len(body) > BODY_LIMIT_BYTES:
            return None
        told: dict[str, Any] = json.loads(body)
        data: dict[str, Any] = told["data"]
        site = data["site"]
        if site not in sites or data.get("direction") not in {"in", "out"}:
            return str(site), None
        subject, sealed = data["subject"], data.get("sealed")
        if not (isinstance(subject, str) and isinstance(sealed, str | None)):
            return None
        at_s, doubt_s = _moment(told)
        way = cast('Literal["in", "out"]', data["direction"])
        return site, CheckIn(gate, str(data["lane"])[:16], subject, way, at_s, doubt_s, sealed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        # Counted by the caller and told to whoever asked.
        return None


def _moment(told: dict[str, Any]) -> tuple[float, float]:
    """The time and how far it may be off, in seconds."""
    at_s = datetime.fromisoformat(told["time"]).timestamp()
    if type(told.get("uncertaintyms")) is int:
        return at_s, max(0, told["uncertaintyms"]) / 1000
    if isinstance(told.get("earliest"), str) and isinstance(told.get("latest"), str):
        early_s, late_s = (datetime.fromisoformat(told[name]).timestamp() for name in ("earliest", "latest"))
        return (early_s + late_s) / 2, max(0.0, (late_s - early_s) / 2)
    return at_s, UNKNOWN_DOUBT_S
