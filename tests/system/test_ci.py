"""``.ci/run`` runs every check, hides no failure and ends with pytest's own closing line."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
CLOSING: Final = "===== 7 passed, 1 skipped in 0.12s ====="

# Stands in for provisioning/bootstrap: writes down the command, says what pytest would say, fails where told.
BOOTSTRAP: Final = """#!/bin/sh
cd "${0%/*}"
echo "$*" >>calls
case "$1" in pytest) cat closing; echo "no data on stdin: $(cat | wc -c)" ;; esac
! grep -qxF -e "$1" -e "$*" failing
"""


@dataclass(frozen=True)
class Result:
    """One run: its exit code, its lines and the commands that it gave to the bootstrap."""

    status: int
    lines: list[str]
    commands: list[str]


def run_ci(folder: Path, *failing: str, closing: str = CLOSING) -> Result:
    """Run the real script over a pretended bootstrap in which the ``failing`` commands fail: all of a tool, or one with its arguments."""
    for name in (".ci", "provisioning", "device", "systemd", "tests"):
        (folder / name).mkdir()
    shutil.copy2(ROOT / ".ci" / "run", folder / ".ci" / "run")
    tools = folder / "provisioning"
    (tools / "closing").write_text(f"{closing}\n", encoding="utf-8")
    (tools / "failing").write_text("".join(f"{name}\n" for name in failing), encoding="utf-8")
    (tools / "bootstrap").write_text(BOOTSTRAP, encoding="utf-8")
    (tools / "bootstrap").chmod(0o755)
    done = subprocess.run(
        [str(folder / ".ci" / "run")],
        cwd="/",
        check=False,
        input="not for the checks",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Result(done.returncode, done.stdout.splitlines(), (tools / "calls").read_text(encoding="utf-8").splitlines())


def test_all_good_is_exit_code_zero_and_the_closing_line_last(tmp_path: Path) -> None:
    """Whoever reads only the end sees what pytest said, and the tests come first, by the command of the README."""
    result = run_ci(tmp_path)
    assert result.status == 0
    assert result.lines[-1] == CLOSING
    assert result.commands[0] == "pytest"
    assert "no data on stdin: 0" in result.lines


@pytest.mark.parametrize("tool", ["pytest", "ruff", "mypy", "lint-imports", "shellcheck", "python"])
def test_one_failure_fails_the_run_and_stops_nothing(tmp_path: Path, tool: str) -> None:
    """Each check can fail the run alone, and all others are still run and seen."""
    result = run_ci(tmp_path, tool)
    assert result.status == 1
    assert result.lines[-1] == CLOSING
    assert any(line.startswith("FAILED:") for line in result.lines)
    assert sorted(command.split()[0] for command in result.commands) == sorted(
        (
            *["pytest"] * 7,
            *["ruff"] * 2,
            *("mypy", "lint-imports", "sh", "shellcheck"),
            *["python"] * 2,
        )
    )


@pytest.mark.parametrize(("mark", "name"), [("vm", "emulated machine"), ("fleet", "fleet"), ("stock", "stock card")])
def test_what_runs_beside_the_others_is_waited_for_and_can_fail_the_run(tmp_path: Path, mark: str, name: str) -> None:
    """What it said is shown when it is over, its failure is the run's, and nothing after it is left out."""
    whole = run_ci(tmp_path)
    (beside,) = (command for command in whole.commands if f"-m {mark}" in command)
    again = tmp_path / "again"
    again.mkdir()
    result = run_ci(again, beside)
    assert result.status == 1
    assert f"FAILED: {name}, short form;" in result.lines
    assert sorted(result.commands) == sorted(whole.commands)
    assert result.lines.count(CLOSING) == 8


def test_a_missing_shellcheck_is_said_and_fails_nothing(tmp_path: Path) -> None:
    """On a Pi there is none from the lock."""
    result = run_ci(tmp_path, "sh")
    assert result.status == 0
    assert any(line.startswith("NOT RUN: no shellcheck") for line in result.lines)


def test_a_pytest_that_never_closed_is_said(tmp_path: Path) -> None:
    """Killed for want of memory, say: no line of an earlier run or of another tool is taken for its result."""
    result = run_ci(tmp_path, "pytest", closing="Killed")
    assert result.status == 1
    assert result.lines[-1].startswith("pytest did not reach its closing line")
