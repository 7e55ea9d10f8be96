"""A whole gate's surroundings: a configuration that is good, and processes that end."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from device import config as configuration
from device.errors import GateError
from device.settings.checks import check_files
from device.workbench import stage as stage_module
from device.workbench.stage import GATE_ID, Stage, received_checkins, start_collector, stop_process


def test_a_stage_is_a_good_configuration_with_every_file_that_it_names(tmp_path: Path) -> None:
    """Nothing more is needed for `gate run`; without a port there is no broker in it."""
    (tmp_path / "frames").mkdir()
    stage = Stage(tmp_path / "gate", f"folder:{tmp_path / 'frames'}")
    config = configuration.load(stage.config_path)
    check_files(config, "stage")
    assert (config.gate.id, config.broker) == (GATE_ID, None)


def test_what_a_test_wants_otherwise_is_laid_over_the_stages_own(tmp_path: Path) -> None:
    """Key by key: the rest of a section stays, and sections may be new."""
    overrides: dict[str, dict[str, Any]] = {"camera": {"fps": 3.0}, "eye": {"cpu_share": 0.5}, "broker": {"confirm": "broker"}}
    config = configuration.load(Stage(tmp_path, "folder:none", 1999, overrides).config_path)
    assert config.eye.cpu_share == 0.5
    assert (config.camera.fps, config.camera.source) == (3.0, f"folder:{tmp_path / 'none'}")
    assert config.broker is not None
    assert (config.broker.port, config.broker.confirm) == (1999, "broker")


def test_a_process_that_does_not_stop_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the demo is left behind."""
    monkeypatch.setattr("device.workbench.stage.STOP_LIMIT_S", 0.2)
    program = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop_process(process)
        assert process.returncode == -9


class SilentProvince:
    """A program in the place of the collector's interpreter."""

    def __init__(self, folder: Path, body: str) -> None:
        self.python = folder / "python"
        self._pid = folder / "pid"
        self.python.write_text(f'#!/bin/sh\necho $$ >"{self._pid}"\n{body}\n')
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    @property
    def alive(self) -> bool:
        """Whether its process is still there, if only to be waited for; not if it was stopped before its first word."""
        return self._pid.exists() and bool(self._pid.read_text()) and Path(f"/proc/{self._pid.read_text().strip()}").exists()


@pytest.mark.parametrize("body", ["exit 3", "exec sleep 60"], ids=["ends", "hangs"])
def test_a_collector_that_does_not_come_up_is_an_error_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """Whether it ends at once or never says that it is ready."""
    monkeypatch.setattr(stage_module, "START_LIMIT_S", 0.2)
    province = SilentProvince(tmp_path, body)
    monkeypatch.setattr(sys, "executable", str(province.python))
    with pytest.raises(GateError, match="the collector did not start"):
        start_collector(1, tmp_path / "province.sqlite")
    assert not province.alive


def test_decisions_are_counted_once_and_nothing_else_is(tmp_path: Path) -> None:
    """Audit events and what came twice are left out."""
    database = tmp_path / "province.sqlite"
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("CREATE TABLE distinct_events (type TEXT)")
        types = ["vn.gate.checkin.v1", "vn.gate.checkin.v1", "vn.gate.audit.v1"]
        store.executemany("INSERT INTO distinct_events VALUES (?)", [(one,) for one in types])
    assert received_checkins(database) == 2
