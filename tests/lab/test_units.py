"""The units hold what their README says, by the judgement of the systemd that a Pi has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.lab.folder import Folder

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

UNITS: Final = Path(__file__).parents[2] / "systemd"
GOALS: Final = {"gate-eye.service": 0.8, "gate.service": 1.5, "gate-selftest.service": 1.5}


@pytest.fixture
def copy(installed: Folder, tmp_path: Path) -> Folder:
    """A copy in which the package is installed."""
    return installed.copy(tmp_path / "copy")


@pytest.mark.parametrize("unit", GOALS)
def test_exposure_is_within_its_goal_and_as_the_readme_says(copy: Folder, unit: str) -> None:
    """`systemd-analyze security` of systemd 257, without running anything."""
    said = copy.run(["systemd-analyze", "security", "--no-pager", "--offline=true", f"/usr/lib/systemd/system/{unit}"]).stdout
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= GOALS[unit], said
    assert f"| `{unit}` | {exposure[1]} |" in (UNITS / "README.md").read_text(encoding="utf-8")


def test_systemd_finds_nothing_wrong_with_any_unit(copy: Folder) -> None:
    """No unknown key, no missing program, no unit that names one that is not there."""
    units = " ".join(f"/usr/lib/systemd/system/{path.name}" for path in UNITS.glob("gate*.*"))
    own = " ".join(
        f"/usr/lib/systemd/system/{name}"
        for name in ("gate-enrol.service", "gate-trial.service", "gate-update.service", "gate-update.path")
    )
    assert copy.run(["sh", "-c", f"systemd-analyze verify --recursive-errors=yes {units} {own} && echo clean"]).stdout == "clean\n"


def test_the_rules_for_devices_users_and_folders_are_taken(copy: Folder) -> None:
    """By the tools that read them at boot."""
    said = copy.run(["sh", "-c", "udevadm verify /usr/lib/udev/rules.d/60-gate.rules; id gate; id gate-eye"])
    assert "Fail:    0" in said.stdout
    assert re.search(r"uid=\d+\(gate\) .*\(gpio\)", said.stdout)
    assert re.search(r"uid=\d+\(gate-eye\) .*\(video\)", said.stdout)
    # The run folder of a copy lives as long as one command.
    made = copy.run(["sh", "-c", "systemd-tmpfiles --create gate.conf; stat -c %U:%G:%a /run/gate /etc/credstore"]).stdout
    assert made == "gate:gate:755\nroot:root:700\n"
