"""What a gate says of its health: each figure once, each limit from the table, in status, health and problems alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from device import config as configuration
from device.core.eye_messages import Beat
from device.core.problems import CERTIFICATE, HEAT, LIMITS, MEMORY, SPACE
from device.core.types import View as CameraView
from device.core.wire import HealthMessage
from device.edges.machine.clock import SystemClock
from device.gate import Gate
from device.workbench.stage import GATE_ID
from tests.gate.test_gate import draw, stage_of
from tests.mosquitto import Authority

OF_THE_UPLINK: Final = {
    *("time", "version", "boot", "session", "config"),
    *("live", "backlog", "published", "acked", "resent", "offline_s", "ack_ms", "hold"),
}
"""Said by the uplink itself."""
UNSAID: Final = {"read_percent", "restarts"}
"""In the contract from its beginning, and said by no gate so far."""


def machine_of(gate: Gate) -> dict[str, Any]:
    """The machine's part of the status."""
    machine: Any = gate.condition.status()["machine"]
    return dict(machine)


def decisions_of(gate: Gate) -> dict[str, Any]:
    """The decisions' part of the status."""
    decisions: Any = gate.condition.status()["decisions"]
    return dict(decisions)


@pytest.mark.parametrize(
    ("figure", "measured"),
    [
        (SPACE, "disk_free_bytes"),
        (HEAT, "cpu_temperature_celsius"),
        (MEMORY, "memory_available_bytes"),
        (CERTIFICATE, "certificate_days"),
    ],
)
def test_a_figure_is_a_problem_from_its_limit_on_and_until_it_is_cured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: str, measured: str
) -> None:
    """At the value that stands in the table, and not one step before; what the machine does not say is no problem."""
    papers = Authority(tmp_path / "authority").issue(GATE_ID)
    broker = {"ca": str(papers.ca), "cert": str(papers.cert), "key": str(papers.key), "host": "127.0.0.1"}
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"), 1, broker=broker)
    limit = LIMITS[figure]
    bad, good = (limit.warn, limit.warn - 1) if limit.high else (limit.warn - 1, limit.warn)
    with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
        reading = replace(gate.clock.reading(), trusted=True)
        monkeypatch.setattr(SystemClock, "reading", lambda _: reading)
        for value, named in ((bad, True), (good, False), (None, figure == CERTIFICATE)):
            monkeypatch.setattr(f"device.edges.machine.health.{measured}", lambda *_, value=value: value)
            assert (limit.problem in gate.condition.problems()) is named
            assert gate.condition.health()[figure] == value
            assert machine_of(gate)[figure] == value


@pytest.mark.parametrize(("bits", "named"), [(0x50005, True), (0x50000, False), (None, False)])
def test_under_voltage_is_a_problem_while_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int | None, *, named: bool
) -> None:
    """Now, and not only at some time since the machine was started."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"))
    with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
        monkeypatch.setattr("device.edges.machine.health.throttled_bits", lambda: bits)
        assert ("power" in gate.condition.problems()) is named


def test_what_the_loop_counts_is_told(tmp_path: Path) -> None:
    """Lamps that did not wait for the record, and events that the disk refused, stand in the status and in the health message."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"))
    with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
        gate.loop.tally.record_late, gate.loop.tally.record_failed = 3, 2
        health, status = gate.condition.health(), decisions_of(gate)
    assert (health["fsync_over_budget"], health["record_failed"]) == (3, 2)
    assert (status["record_late"], status["record_failed"]) == (3, 2)


def test_every_figure_of_the_health_message_is_one_that_the_contract_knows(tmp_path: Path) -> None:
    """One that it does not know would be left out, with a line in the log that nobody reads."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"))
    with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
        gate.loop.beat = Beat(frames=9, skipped=0, empty=9, read=0, taken_ns=0, cpu_ms=1, refused=4, view=CameraView.OK)
        assert set(gate.condition.health()) <= set(HealthMessage.model_fields)
        uplinks = {
            "time",
            "version",
            "boot",
            "session",
            "config",
            "live",
            "backlog",
            "published",
            "acked",
            "resent",
            "offline_s",
            "ack_ms",
            "hold",
        }
        assert set(HealthMessage.model_fields) - set(gate.condition.health()) - uplinks == UNSAID


def test_a_view_that_is_wrong_is_a_problem_and_stands_in_status_and_health(tmp_path: Path) -> None:
    """As the eye's beats say it, and no longer when they do not."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"), 1)
    with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
        for view in (CameraView.MOVED, CameraView.BRIGHT, CameraView.OK):
            gate.loop.beat = Beat(frames=9, skipped=0, empty=9, read=0, taken_ns=0, cpu_ms=1, refused=4, view=view)
            assert ("view" in gate.condition.problems()) is (view is not CameraView.OK)
            health = gate.condition.health()
            assert (health["camera_view"], health["frames_refused"]) == (view.value, 4)


@pytest.mark.parametrize(("ends_days", "named"), [(40, False), (13, True), (-2, True)])
def test_a_certificate_near_its_end_is_a_problem_where_the_time_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_days: float, *, named: bool
) -> None:
    """Two weeks before, and when it is over; a clock that is not known proves nothing about it."""
    papers = Authority(tmp_path / "authority").issue(GATE_ID, starts_days=-60, ends_days=ends_days)
    broker = {"ca": str(papers.ca), "cert": str(papers.cert), "key": str(papers.key), "host": "127.0.0.1"}
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"), 1, broker=broker)
    with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
        for trusted in (True, False):
            reading = replace(gate.clock.reading(), trusted=trusted)
            monkeypatch.setattr(SystemClock, "reading", lambda _, reading=reading: reading)
            assert ("certificate" in gate.condition.problems()) is (named and trusted)
