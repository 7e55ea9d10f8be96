"""A whole gate whose clock is wrong: in 1970 without a network, stepped in traffic, over boots that never learn the time, with TLS."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from device.workbench.broker import free_port
from device.workbench.stage import GATE_ID
from tests.faults.moved_clock import MovedClock
from tests.faults.oracle import audits, shown_in
from tests.faults.site import Site, say, site
from tests.mosquitto import Authority, Broker

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

LONG: Final = pytest.mark.soak
"""Left to the long form: CI has so many minutes."""
PATIENT: Final = {"journal": {"unsynced_grace_s": 15.0}}
"""As a real gate: events wait a little for the time, so that they can be published with the right one."""
WITHIN_S: Final = 1.0
"""So near are a corrected event and its lamp."""


@pytest.fixture
def clock(tmp_path: Path) -> MovedClock:
    """A machine's clock that can be moved."""
    return MovedClock(tmp_path / "clock")


def bodies(one: Site) -> list[dict[str, Any]]:
    """The check-ins in the province, in order."""
    with closing(sqlite3.connect(f"file:{one.database}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT body FROM events WHERE type = 'vn.gate.checkin.v1' ORDER BY epoch, seq").fetchall()
    return [json.loads(body) for (body,) in rows]


def clocks(one: Site) -> dict[str, int]:
    """How many events have each state of the clock."""
    states = [event["clock"] for event in bodies(one)]
    return {state: states.count(state) for state in sorted(set(states))}


@pytest.mark.parametrize("tls", [pytest.param(False, marks=LONG), True], ids=["no network", "certificate not valid in 1970"])
def test_a_gate_that_starts_in_1970_corrects_its_events_once_it_knows_the_time(clock: MovedClock, tmp_path: Path, *, tls: bool) -> None:
    """No province for a while, then a time server: every event within a second of when its lamp was lit."""
    clock.set("@1970-01-01 00:00:30")
    (tmp_path / "broker").mkdir()
    authority = Authority(tmp_path / "authority")
    gate, server = authority.issue(GATE_ID), authority.issue("broker", hosts=("127.0.0.1", "localhost"))
    plain = Broker.plain(tmp_path / "broker")
    outer = plain.port
    if tls:
        plain = Broker(tmp_path / "broker", plain.port, two_doors(authority, server.cert, server.key, plain.port, outer := free_port()))
    papers = {"ca": str(gate.ca), "cert": str(gate.cert), "key": str(gate.key)} if tls else {}
    with site(tmp_path, overrides={"broker": papers, **PATIENT}, environment=clock.environment, broker=plain, port=outer) as one:
        if not tls:
            one.down({"broker"})
        one.wait_answers(12)
        if tls:
            one.wait(lambda: "tls_not_yet_valid" in (one.told("uplink", "ends") or {}), 20, "the certificate refused")
        assert "clock" in one.told("problems")
        clock.right()
        clock.synced(true=True)
        if not tls:
            one.up({"broker"})
        again_s = one.wait(lambda: one.told("uplink", "phase") == "online" and one.told("machine", "clock") == "synced", 90, "online")
        one.wait_answers(5)
        one.settle()
        found, states = one.compare(near_s=WITHIN_S), clocks(one)
    say(f"started in 1970, {'TLS' if tls else 'no network'}: online {again_s:.1f} s after the time was known, {states}; {found}")
    assert found.faults == (0, 0, 0, 0), found
    assert found.epochs == 1
    assert states.get("corrected", 0) >= 12
    assert set(states) <= {"corrected", "synced"}


def two_doors(authority: Authority, cert: Path, key: Path, inner: int, outer: int) -> str:
    """A broker's configuration: plain for the collector, mutual TLS for the gate."""
    return (
        f"per_listener_settings true\npersistence false\nlistener {inner} 127.0.0.1\nallow_anonymous true\n"
        f"listener {outer} 127.0.0.1\ncafile {authority.ca}\ncertfile {cert}\nkeyfile {key}\n"
        "require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n"
    )


@pytest.mark.parametrize("step", ["-1h", *(pytest.param(step, marks=LONG) for step in ("+1h", "+1y", "-1y"))])
def test_a_clock_that_is_stepped_in_traffic_costs_no_event_and_is_recorded(clock: MovedClock, tmp_path: Path, step: str) -> None:
    """Numbers rise, no id comes twice, and the step is an event of its own, there and back."""
    clock.synced(true=True)
    with site(tmp_path, overrides=PATIENT, environment=clock.environment) as one:
        one.wait_answers(5)
        clock.set(step)
        one.wait_answers(8)
        one.wait(lambda: audits(one.database, "clock_step"), 30, "the step in the record")
        clock.right()
        one.wait_answers(8)
        one.wait(lambda: len(audits(one.database, "clock_step")) == 2, 30, "the step back in the record")
        one.settle()
        found, steps = one.compare(near_s=math.inf), audits(one.database, "clock_step")
    say(f"clock stepped by {step} and back: steps {[fact['step_ms'] for fact in steps]} ms; {found}")
    assert found.faults == (0, 0, 0, 0), found
    assert (found.unseen, found.epochs) == (0, 1), found
    assert [fact["step_ms"] > 0 for fact in steps[:2]] == [step[0] == "+", step[0] != "+"]


def test_events_of_boots_that_never_knew_the_time_lie_between_their_bounds(clock: MovedClock, tmp_path: Path) -> None:
    """Two power cuts in 1970, then a boot that learns the time: the truth lies within what is said of each event."""
    clock.set("@1970-01-01 00:00:30")
    with site(tmp_path, overrides=PATIENT, environment=clock.environment) as one:
        one.down({"broker"})
        for _ in range(2):
            one.wait_answers(8)
            one.down({"gate"})
            clock.boot()
            clock.set("@1970-01-01 00:00:30")
            one.up({"gate"})
        one.wait_answers(3)
        clock.right()
        clock.synced(true=True)
        one.up({"broker"})
        one.wait(lambda: one.told("uplink", "phase") == "online", 60, "online")
        one.wait_answers(3)
        one.settle()
        found, states, events, shown = one.compare(near_s=math.inf), clocks(one), bodies(one), shown_in(one.witness)
    bounded = [(event, answer) for event, answer in zip(events, shown, strict=False) if event["clock"] == "bounded"]
    widest = max(moment(event["latest"]) - moment(event["earliest"]) for event, _ in bounded)
    say(f"two boots without a time: {states}, bounds at most {widest / 86_400:.1f} days apart; {found}")
    assert found.faults == (0, 0, 0, 0), found
    assert len(bounded) >= 16, states
    if (found.unseen, found.replaced) == (0, 0):  # a kill between record and lamp would shift the pairs
        wrong = [
            (event["earliest"], datetime.fromtimestamp(answer.at_s, UTC).isoformat(), event["latest"])
            for event, answer in bounded
            if not moment(event["earliest"]) - 1 <= answer.at_s <= moment(event["latest"]) + 1
        ]
        assert not wrong


def moment(text: str) -> float:
    """RFC 3339 as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
