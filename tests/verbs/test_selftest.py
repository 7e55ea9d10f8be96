"""`gate selftest`: every part tried once, graded by the same table as everything else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device import config as configuration
from device.cli import main
from device.core.plain_words import VIEWS
from device.core.problems import CERTIFICATE, HEAT, LIMITS, SPACE, Grade
from device.core.types import ClockReading, View
from device.edges.machine.clock import SystemClock
from device.verbs.selftest import rows_of
from device.workbench.stage import GATE_ID, Stage
from tests.fakes.picamera2 import World
from tests.mosquitto import Authority


def selftest(stage: Stage, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code and the rows by part."""
    code = main(["selftest", "--config", str(stage.config_path), "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["well"] is (code == 0)
    return code, {row["part"]: row for row in result["rows"]}


def test_the_selftest_tries_every_part(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A good bench gate passes, with a value in each row."""
    monkeypatch.setattr("device.verbs.selftest.SHOWN_S", 0.01)
    frames = tmp_path / "frames"
    frames.mkdir()
    Image.new("L", (320, 240), 100).save(frames / "grey.png")
    code, rows = selftest(Stage(tmp_path / "gate", f"folder:{frames}"), capsys)
    assert code == 0, rows
    assert set(rows) == {"files", "decoders", "camera", "signals", "storage", "space", "clock", "temperature", "power", "memory"}
    assert rows["camera"]["value"] == "folder: 320x240, mean brightness 100, sharpness 0"
    assert "zbar" in rows["decoders"]["value"]
    assert all(row["value"] for row in rows.values())


@pytest.mark.parametrize(("level", "view"), [(255, View.BRIGHT), (235, View.BRIGHT), (5, View.DARK)])
def test_a_camera_that_sees_nothing_but_light_or_dark_is_a_warning_that_says_so(tmp_path: Path, level: int, view: View) -> None:
    """The camera works: whoever stands there is told of the sun, not of a cable."""
    frames = tmp_path / "frames"
    frames.mkdir()
    Image.new("L", (320, 240), level).save(frames / "even.png")
    config = configuration.load(Stage(tmp_path / "gate", f"folder:{frames}").config_path)
    row = next(row for row in rows_of(config) if row.part == "camera")
    assert row.grade is Grade.WARN
    assert VIEWS[view].en in row.value


def test_a_part_that_fails_is_a_row_and_the_others_are_still_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No frames, no key, no broker: three failed rows, with what is wrong, and exit code 1."""
    monkeypatch.setattr("device.verbs.selftest.SHOWN_S", 0.01)
    stage = Stage(tmp_path / "gate", f"folder:{tmp_path / 'nowhere'}", port=9)
    (stage.folder / "site.key").write_text("short")
    code, rows = selftest(stage, capsys)
    assert code == 1
    failed = {part for part, row in rows.items() if row["grade"] == "fail"}
    assert failed == {"files", "camera", "broker"}
    assert "privacy.site_key" in rows["files"]["value"]
    assert "nowhere" in rows["camera"]["value"]


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (World.hang, "no frame for 1 s"),
        (World.hang_for_good, "no answer in 0.2 s"),
        (World.unplug, "there is no camera number 0; picamera2 finds no camera"),
    ],
)
def test_a_camera_that_hangs_is_a_failed_row_and_the_parts_after_it_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Callable[[World], None], said: str
) -> None:
    """No frame comes, the driver never returns, or nothing is plugged in: whoever stands there is told, and of the lamps too."""
    world = World(time.monotonic_ns)
    fail(world)
    monkeypatch.setitem(sys.modules, "libcamera", object())
    monkeypatch.setitem(sys.modules, "picamera2", world.library())
    monkeypatch.setattr("device.verbs.selftest.SHOWN_S", 0.0)
    if world.driver_hangs:
        monkeypatch.setattr("device.verbs.selftest.CAMERA_LIMIT_S", 0.2)
    try:
        rows = {row.part: row for row in rows_of(configuration.load(Stage(tmp_path / "gate", "picamera2").config_path))}
    finally:
        world.over.set()
    assert rows["camera"].grade is Grade.FAIL
    assert said in rows["camera"].value
    assert rows["signals"].grade is Grade.PASS


@pytest.mark.parametrize(("model", "told"), [("imx219", "sharp at 29 cm"), ("imx999", "not in the table")])
def test_whoever_sets_the_camera_up_is_told_from_where_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, told: str
) -> None:
    """In the camera's row; of a camera that nobody knows, that it is so."""
    world = World(time.monotonic_ns)
    world.models = [model]
    world.picture = np.full((1520, 2304), 90, np.uint8)
    monkeypatch.setitem(sys.modules, "libcamera", object())
    monkeypatch.setitem(sys.modules, "picamera2", world.library())
    row = next(row for row in rows_of(configuration.load(Stage(tmp_path / "gate", "picamera2").config_path)) if row.part == "camera")
    assert row.grade is Grade.PASS
    assert model in row.value
    assert told in row.value


@pytest.mark.parametrize(
    ("figure", "part", "measured"),
    [
        (SPACE, "space", "disk_free_bytes"),
        (HEAT, "temperature", "cpu_temperature_celsius"),
        (CERTIFICATE, "certificate", "certificate_days"),
    ],
)
def test_a_row_is_graded_by_the_table_of_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: str, part: str, measured: str
) -> None:
    """It warns where the running gate would name a problem, and fails beyond the second limit."""
    monkeypatch.setattr("device.verbs.selftest.SHOWN_S", 0.0)
    monkeypatch.setattr(SystemClock, "reading", lambda _: ClockReading(1, 1, 1, "boot", trusted=True))
    papers = Authority(tmp_path / "authority").issue(GATE_ID)
    broker = {"ca": str(papers.ca), "cert": str(papers.cert), "key": str(papers.key), "host": "127.0.0.1"}
    config = configuration.load(Stage(tmp_path / "gate", f"folder:{tmp_path / 'nowhere'}", 9, {"broker": broker}).config_path)
    limit = LIMITS[figure]
    assert limit.fail is not None
    step = -1 if limit.high else 1
    found = {}
    for value in (limit.warn + step, limit.warn, limit.warn - step, limit.fail, limit.fail - step):
        monkeypatch.setattr(f"device.edges.machine.health.{measured}", lambda *_, value=value: value)
        found[value] = next(row.grade for row in rows_of(config) if row.part == part)
    assert found == {value: limit.grade(value) for value in found}
    assert set(found.values()) == set(Grade)
