"""The report as a table for spreadsheets."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path

from provisioning.fleet import known, rows
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GateState
from tests.provisioning.fleet.fleet_kit import HEALTH, NOW, SPAN, gate, heard


def test_the_table_reads_back_and_calculates_nothing(registry: Registry, tmp_path: Path) -> None:
    """One row a gate, Vietnamese marks whole, and no formula."""
    one = gate(registry, GateState.IN_SERVICE, 80, "=1+1 Trường ẩm")
    events = heard(tmp_path / "events.sqlite", (one.id, "health", timedelta(hours=1), {**HEALTH, "version": "@x"}))
    content = rows.table(known.read(registry, events, SPAN), NOW, timedelta(hours=24))
    assert content.startswith(b"\xef\xbb\xbf")
    (row,) = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert (row["gate"], row["site_name"], row["version"]) == (one.id, "'=1+1 Trường ẩm", "'@x")
    assert (row["last_seen"], row["certificate_days"], row["decisions"], row["unreadable"]) == ("2026-11-27 09:30", "80", "90", "10")
    assert (row["silent"], row["disk_free_mib"]) == ("", "8192")
