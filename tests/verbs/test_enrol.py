"""The lamps of a gate that waits for its certificate."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from device.core.score import Lamp
from device.core.types import Sign
from device.verbs.enrol import run_enrol, waiting_lamps
from device.workbench.stage import Stage
from tests.edges.pins.test_lgpio import forget
from tests.waiting import until


def test_a_gate_that_waits_says_that_it_is_not_in_service(tmp_path: Path) -> None:
    """By the pins that its card's configuration names; dark again before the gate takes them."""
    stage = Stage(tmp_path, f"folder:{tmp_path}")
    assert stage.config_path.name == "gate.toml"
    with waiting_lamps(stage.config_path.parent) as signals:
        assert signals is not None
        until(lambda: signals.levels().get(Lamp.AMBER, 0.0) > 0)
        assert signals.stats()["sign"] == Sign.OUT_OF_SERVICE.value
    assert not signals.alive


def test_an_enrolled_gates_pins_are_left_alone(tmp_path: Path) -> None:
    """Its card has no configuration any more."""
    with waiting_lamps(tmp_path) as signals:
        assert signals is None


def test_pins_that_cannot_be_had_keep_nobody_from_enrolling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here there is no lgpio at all."""
    forget(monkeypatch)
    monkeypatch.setitem(sys.modules, "lgpio", None)
    stage = Stage(tmp_path, f"folder:{tmp_path}")
    text = stage.config_path.read_text()
    assert 'pin_factory = "mock"' in text
    stage.config_path.write_text(text.replace('pin_factory = "mock"', 'pin_factory = "lgpio"'))
    monkeypatch.setattr("device.verbs.enrol.FIFO", tmp_path)
    monkeypatch.setattr("device.verbs.enrol.enrol", lambda places, wait_s: f"{places.card.name} {wait_s:g}")
    assert run_enrol(stage.config_path.parent, tmp_path, tmp_path, 7.0) == 0
    assert capsys.readouterr().out == f"{stage.config_path.parent.name} 7: enrolled\n"
