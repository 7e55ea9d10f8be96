"""The report as a table for spreadsheets: one row a gate."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from provisioning.common.output_files import csv_table
from provisioning.common.times import HERE
from provisioning.fleet.known import Facts, Known
from provisioning.fleet.summary import is_silent

COLUMNS: Final = (
    *("gate", "site", "site_name", "kind", "commune", "hotline", "state", "silent", "last_seen", "online", "version"),
    *("certificate_days", "clock", "decisions", "unreadable", "waiting", "disk_free_mib", "dead_letters", "dropped", "celsius"),
)


def table(facts: Facts, at: datetime, silent_after: timedelta) -> bytes:
    """CSV in UTF-8 with the mark by which spreadsheets know it."""
    rows = (_row(gate, at, silent=is_silent(gate, at, silent_after, heard=facts.heard)) for gate in facts.gates.values())
    return csv_table(COLUMNS, rows)


def _row(gate: Known, at: datetime, *, silent: bool) -> tuple[object, ...]:
    seen = "" if gate.seen is None else f"{gate.seen.astimezone(HERE):%Y-%m-%d %H:%M}"
    days = "" if gate.ends is None else (gate.ends - at).days
    disk = "" if gate.disk_free_bytes is None else gate.disk_free_bytes >> 20
    told = (gate.dead_letters, gate.dropped, gate.celsius)
    return (
        *(gate.id, gate.site, gate.site_name, gate.kind, gate.commune, gate.hotline, gate.state, "yes" if silent else "", seen),
        *("" if gate.online is None else str(gate.online).lower(), gate.version or "", days, gate.clock or ""),
        *("" if value is None else value for value in (gate.decisions, gate.unreadable, gate.waiting)),
        disk,
        *("" if value is None else value for value in told),
    )
