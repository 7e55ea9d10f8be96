"""`gate demo` as other programs and curious people use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.cli import main
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Pose, scene


def test_the_demo_brings_all_that_it_recorded_to_the_province(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line is one JSON object with the promised keys, and nothing is lost on the way."""
    assert main(["demo", "--seconds", "3", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(summary) == ["frames", "decisions", "accepted", "rejected", "recorded", "acknowledged", "received", "p95_ms"]
    assert summary["decisions"] == summary["recorded"] == summary["acknowledged"] == summary["received"] >= 2
    assert summary["accepted"] + summary["rejected"] == summary["decisions"]
    assert summary["frames"] >= 20
    assert summary["p95_ms"] > 0


def test_the_demo_looks_at_a_folder_of_your_own_and_names_what_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad files are skipped; people read the closing words, in lines since this is no terminal."""
    picture = scene([citizen_card(people(1, seeded(1))[0])], Pose(px_per_module=4), np.random.default_rng(1), (640, 480))
    Image.fromarray(picture).save(tmp_path / "card.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (tmp_path / "empty.jpg").touch()
    assert main(["demo", "--seconds", "2", "--frames", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "mời vào · come in  [citizen_card: accepted]" in out
    assert "the province received 1: all that was recorded" in out
    assert "Where to look next" in out


def test_a_folder_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing was started."""
    assert main(["demo", "--frames", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
