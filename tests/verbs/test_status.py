"""`gate status` and `gate events`: how the gate is, from outside, while it runs and afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from device import config as configuration
from device.cli import main
from device.condition import STATUS_FILE
from device.core.eye_messages import Beat
from device.core.plain_words import VIEWS
from device.core.problems import ADVICE, Problem
from device.core.types import View
from device.gate import Gate
from device.verbs.status import read_status
from device.workbench.people import citizen_card
from device.workbench.stage import GATE_ID
from tests.gate.test_gate import PERSON, draw, stage_of, turning, until


def accepted_of(status: Mapping[str, Any] | None) -> object:
    """How many people were let pass, by the status file, which is written once a second; None as long as there is none."""
    return None if status is None else status["decisions"]["accepted"]


def test_status_and_events_tell_how_the_gate_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From outside, while it runs; and after it stopped, that it does not."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", citizen_card(PERSON)))
    config = ["--config", str(stage.config_path)]
    with turning(Gate(configuration.load(stage.config_path), stage.config_path)) as gate:
        assert until(lambda: gate.loop.tally.recorded == 1)
        assert until(lambda: accepted_of(read_status(gate.config.gate.runtime_dir)) == 1)
        assert main(["status", *config, "--json"]) in (0, 1)
        status = json.loads(capsys.readouterr().out)
        assert (status["gate"], status["state"], status["decisions"]["accepted"]) == (GATE_ID, "ready", 1)
        assert set(status["problems"]) <= {"clock"}
        main(["status", *config])
        assert "demo-gate: ready" in capsys.readouterr().out
        assert main(["events", *config, "--json"]) == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [event.get("what") or event["reason"] for event in events] == ["start", "accepted"]
        assert main(["events", *config]) == 0
        listed = capsys.readouterr().out
        assert "Mã hợp lệ, mời qua." in listed
        assert PERSON.number not in listed
        assert main(["events", *config, "--explain", "en", "--json"]) == 0
        explained = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert "please pass" in explained[1]["explanation"]
        assert PERSON.name not in explained[1]["explanation"]
        monkeypatch.setattr("device.verbs.status.STALE_S", -1.0)
        assert main(["status", *config]) == 1
        assert "last written" in capsys.readouterr().err
    assert main(["status", *config]) == 1
    assert "No gate is running here" in capsys.readouterr().err


def test_what_is_wrong_with_the_view_is_said_in_its_own_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The advice for the code names everything that may be; here it is the sun, and nobody has to look at a cable."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"))
    with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
        gate.loop.beat = Beat(frames=9, skipped=0, empty=9, read=0, taken_ns=0, cpu_ms=1, refused=0, view=View.BRIGHT)
        told = gate.condition.status()
        (gate.config.gate.runtime_dir / STATUS_FILE).write_text(json.dumps(told))
        assert "view" in gate.condition.problems()
        assert main(["status", "--config", str(stage.config_path)]) == 1
    printed = capsys.readouterr().out
    assert VIEWS[View.BRIGHT].vi in printed
    assert VIEWS[View.BRIGHT].en in printed
    assert ADVICE[Problem.VIEW].en not in printed
