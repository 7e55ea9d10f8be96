"""`gate demo`, `gate selftest`, `gate check-config` and `gate bench` as other programs and technicians use them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.cli import main
from device.workbench import bench, bench_start, parade
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Pose, scene
from device.workbench.stage import Stage, stop_process


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


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_seconds_must_be_a_number_above_zero(seconds: str) -> None:
    """Usage: exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--seconds", seconds])
    assert caught.value.code == 2


def test_the_parade_has_people_that_come_leave_and_show_again() -> None:
    """So that every answer is seen in one round."""
    showings = parade.parade(16, seeded(5))
    assert showings[4] is showings[3]
    assert showings[7] is showings[0]
    assert len(showings[6].payloads) == 2
    assert showings[2].payloads != showings[10].payloads
    assert parade.parade(16, seeded(5)) == showings


def test_check_config_says_good_or_names_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, or 2 with the key on standard error."""
    (tmp_path / "frames").mkdir()
    stage = Stage(tmp_path / "gate", f"folder:{tmp_path / 'frames'}")
    assert main(["check-config", str(stage.config_path)]) == 0
    assert "good: gate demo-gate of site demo-site" in capsys.readouterr().out
    (stage.folder / "site.key").unlink()
    assert main(["check-config", str(stage.config_path)]) == 2
    error = capsys.readouterr().err
    assert "privacy.site_key" in error
    assert "Mend the named key" in error


def test_the_drain_is_measured_by_what_was_delivered(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways of confirming give a rate above nothing."""
    assert main(["bench", "drain", "--events", "60", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["drain"]["events"] == 60
    assert result["drain"]["collector_per_s"] > 0
    assert result["drain"]["broker_per_s"] > 0
    assert result["on"]["cores"] >= 1


def test_memory_is_that_of_both_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gate and eye, each more than an empty interpreter and less than a small Pi."""
    monkeypatch.setattr(bench, "MEMORY_CODES", 24)  # at 200 frames a second each is away for longer than rearm_s
    sizes = bench.bench_memory(10)["after_last"]
    assert sizes["decisions"] >= 10
    assert 10 < sizes["gate_mib"] < 200
    assert 10 < sizes["eye_mib"] < 200


def test_a_start_costs_more_than_an_empty_interpreter_and_idle_less_than_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parts in their shortest form: the daemon becomes ready, and both processes are seen."""
    monkeypatch.setattr(bench_start, "STARTS", 1)
    monkeypatch.setattr(bench_start, "SETTLE_S", 0.2)
    monkeypatch.setattr(bench_start, "IDLE_S", 1.0)
    start, idle = bench_start.bench_start(), bench_start.bench_idle()
    assert 0 < start["python_s"] < min(start["imports_s"], start["ready_s"])
    assert 0 < idle["eye_share"] < 2
    assert idle["resident_bytes"]["gate"] > 1 << 20


def test_a_process_that_does_not_stop_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the demo is left behind."""
    monkeypatch.setattr("device.workbench.stage.STOP_LIMIT_S", 0.2)
    program = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop_process(process)
        assert process.returncode == -9
