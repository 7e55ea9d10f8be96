"""A record that overflows: what reaches the province and what is declared dropped are together exactly what was produced."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from device.core import wire
from device.edges.machine.clock import SystemClock
from device.edges.record.journal import SqliteJournal
from device.workbench.stage import GATE_ID
from tests.entries import checkin, section
from tests.faults.oracle import audits
from tests.faults.site import say, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

BOUND: Final = 1_000
OFFERED: Final = 5_000


def test_what_arrives_and_what_is_declared_dropped_are_what_was_produced(tmp_path: Path) -> None:
    """Five thousand events without a province and room for a thousand; then a whole gate brings the rest."""
    state = tmp_path / "gate" / "state"
    state.mkdir(parents=True)
    clock = SystemClock()
    with closing(
        SqliteJournal(state / "journal.sqlite", section(max_rows=BOUND), clock, partial(wire.freeze_event, sign=None, gate=GATE_ID))
    ) as journal:
        futures = [journal.record(checkin(clock, number)) for number in range(OFFERED)]
        assert len({future.result(60).seq for future in futures}) == OFFERED
        journal.maintain()
        assert journal.bounds().waiting <= BOUND
    overrides: dict[str, Any] = {"journal": {"max_rows": BOUND}}
    with site(tmp_path, overrides=overrides) as one:
        one.settle()
        gaps = audits(one.database, "gap")
        with closing(sqlite3.connect(one.database)) as store:
            held = {seq for (seq,) in store.execute("SELECT seq FROM events")}
            produced = json.loads(store.execute("SELECT body FROM events ORDER BY seq DESC LIMIT 1").fetchone()[0])
    newest = int(produced["sequence"])
    dropped = set(range(1, newest + 1)) - held
    told = [(fact["first"], fact["last"], fact["count"]) for fact in gaps]
    say(f"produced {newest}, in the province {len(held)}, declared dropped {sum(fact['count'] for fact in gaps)} in {told}")
    assert newest >= OFFERED
    assert len(held) + sum(fact["count"] for fact in gaps) == newest
    assert {seq for fact in gaps for seq in range(fact["first"], fact["last"] + 1)} == dropped
    assert len(gaps) == ranges(dropped)


def ranges(numbers: set[int]) -> int:
    """How many unbroken ranges."""
    return sum(number - 1 not in numbers for number in numbers)
