"""A province that was away for a week or for months: start, memory, live events first, a capped drain."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from device.core import wire
from device.core.types import Entry
from device.edges.machine.clock import SystemClock
from device.edges.record.journal import SqliteJournal
from device.workbench.stage import GATE_ID
from tests.entries import checkin, section
from tests.faults.oracle import held_in, shown_in
from tests.faults.site import Site, say, site

WEEK: Final = 14_000
"""Events of seven days at a busy gate."""
MONTHS: Final = 500_000
"""As many as a record holds by its default bound of rows; the default bound of bytes comes first, so it is lifted here."""
ROWS: Final = 2 * MONTHS
ROOM_MIB: Final = 4096
WAITING: Final = int(os.environ.get("GATE_ABSENCE_EVENTS", str(MONTHS)))
PER_S: Final = 50.0
LIVE_S: Final = 2.0
START_S: Final = 10.0
GROWTH_MIB: Final = 40.0
HOUR_NS: Final = 3_600_000_000_000


def fill(folder: Path, count: int) -> None:
    """A record of so many events, an hour old and more."""
    folder.mkdir(parents=True)
    clock = SystemClock()
    with closing(
        SqliteJournal(
            folder / "journal.sqlite", section(max_rows=ROWS, max_mib=ROOM_MIB), clock, partial(wire.freeze_event, sign=None, gate=GATE_ID)
        )
    ) as journal:
        for start in range(0, count, 1000):
            futures = [journal.record(old(checkin(clock, number))) for number in range(start, min(count, start + 1000))]
            for future in futures:
                future.result(60)
        journal.maintain()  # as each minute


def old(entry: Entry) -> Entry:
    """The same an hour earlier in this boot, by a clock that is known to be right: none of it is live, and all can have bodies."""
    at = replace(entry.at, boot_ns=entry.at.boot_ns - HOUR_NS, wall_ns=entry.at.wall_ns - HOUR_NS, trusted=True)
    return replace(entry, at=at)


def resident_mib(pid: int) -> float:
    """Memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def arrived(one: Site) -> int:
    """How many events the province has."""
    with closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT count(*) FROM events").fetchone()[0])


def drain(folder: Path, count: int, seconds: float, *, fps: float = 2.0) -> None:
    """Start a gate on such a record while people pass, and look at it for a while."""
    fill(folder / "gate" / "state", count)
    bytes_before = (folder / "gate" / "state" / "journal.sqlite").stat().st_size
    overrides: dict[str, Any] = {
        "broker": {"backlog_per_s": PER_S},
        "camera": {"fps": fps},
        "journal": {"max_rows": ROWS, "max_mib": ROOM_MIB},
    }
    started = time.monotonic()
    with site(folder, overrides=overrides) as one:
        one.wait_answers(1, limit_s=60)
        start_s = time.monotonic() - started
        assert one.gate is not None
        one.wait(lambda: one.told("uplink", "phase") == "online", 30, "online")
        before, begun, memory = arrived(one), time.monotonic(), [resident_mib(one.gate.pid)]
        while time.monotonic() - begun < seconds:
            time.sleep(1)
            memory.append(resident_mib(one.gate.pid))
        rate = (arrived(one) - before) / (time.monotonic() - begun)
        live = delays(one)
        waiting = one.told("journal", "waiting")
        one.stop()
    say(
        f"{count} waiting ({bytes_before >> 20} MiB): first answer after {start_s:.1f} s, memory {memory[0]:.0f} to {max(memory):.0f} "
        f"MiB, drained at {rate:.1f}/s of {PER_S:.0f}/s allowed beside {fps:.0f}/s live, these in the province after "
        f"{sorted(live)[len(live) // 2]:.2f} s (half of them), {max(live):.2f} s (all); {waiting} still wait"
    )
    assert start_s < START_S
    assert max(memory) - memory[0] < GROWTH_MIB
    assert max(live) < LIVE_S
    assert PER_S * 0.5 < rate < (PER_S + fps) * 1.2


def delays(one: Site) -> list[float]:
    """How long live events took from the lamp to the province, in seconds, by the collector's own note of the time."""
    with closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT epoch, seq, received FROM events").fetchall()
    received = {(epoch, seq): datetime.fromisoformat(text).timestamp() for epoch, seq, text in rows}
    first = shown_in(one.witness)[0].at_s
    live = [event for event in held_in(one.database) if event.sign is not None and event.at_s > first]
    assert len(live) > 5
    return [received[event.epoch, event.seq] - event.at_s for event in live]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_after_a_week_without_a_province_live_events_come_first(tmp_path: Path) -> None:
    """14,000 events wait."""
    drain(tmp_path, WEEK, 15.0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_after_months_without_a_province_live_events_come_first(tmp_path: Path) -> None:
    """500,000 events wait, or as many as GATE_ABSENCE_EVENTS says."""
    drain(tmp_path, WAITING, 120.0)
