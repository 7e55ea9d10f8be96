"""``fleet report`` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning.cli import main
from tests.provisioning.fleet.fleet_kit import heard


def test_the_command_writes_all_three_and_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not the collector's is named, and nothing is written."""
    monkeypatch.setenv("GATE_PROVISION_HOME", str(tmp_path / "home"))
    (tmp_path / "no.sqlite").write_bytes(b"x" * 5000)
    words = ["fleet", "report", "--out", str(tmp_path / "out"), "--yes", "--json"]
    for path in (tmp_path / "no.sqlite", tmp_path / "none.sqlite"):
        assert main([*words, "--events", str(path)]) == 2
        assert json.loads(capsys.readouterr().err)["error"] == "E200"
    assert not (tmp_path / "out").exists()
    assert main([*words, "--events", str(heard(tmp_path / "events.sqlite"))]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.csv", "report.html", "report.pdf"]
