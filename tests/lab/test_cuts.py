"""Power cuts: whatever was promised before the cut is there after it, and the laboratory can see when it is not.

GATE_LAB_CUTS sets how often the power is cut in the first test; the others follow it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab.conftest import TESTS
from tests.lab.cuts.run import EXCHANGE, cut, write
from tests.lab.folder import Folder

pytestmark = [pytest.mark.lab, pytest.mark.timeout(36_000)]

CUTS: Final = int(os.environ.get("GATE_LAB_CUTS", "300"))


def run(installed: Folder, folder: Path, what: str, job: str, cuts: int, options: str = "") -> dict[str, Any]:
    """One workload, cut so many times. What was found is printed, for the record of a long run."""
    exchange = folder / "exchange"
    exchange.mkdir()
    guest = installed.copy(folder / "guest", {folder / "exchange": EXCHANGE, TESTS: "/lab/tests"})
    log = write(guest, exchange, f"tests.lab.cuts.{job}", options)
    found = cut(what, log, cuts, seed=20261126)
    print(job, options, found)  # noqa: T201 - pytest shows it with -s, and when the test fails
    return found


def test_no_event_that_was_shown_is_lost_or_doubled(installed: Folder, tmp_path: Path) -> None:
    """The gate's real journal, recording, confirming and tidying; reopened by its own code in under two seconds."""
    found = run(installed, tmp_path, "journal", "write_journal,450", CUTS)
    assert (found["lost"], found["broken"], found["doubled"]) == (0, 0, 0), found
    assert found["promised"] > CUTS
    assert found["slowest_open_s"] < 2


def test_every_file_of_the_state_is_the_old_one_or_the_new_one(installed: Folder, tmp_path: Path) -> None:
    """Configuration, lists, certificate, key and the state of a command, replaced by the product's own writer."""
    found = run(installed, tmp_path, "state", "write_state,40", max(100, CUTS // 3))
    assert (found["lost"], found["broken"]) == (0, 0), found
    assert found["promised"] > 0


def test_the_laboratory_sees_a_journal_that_does_not_wait_for_the_disk(installed: Folder, tmp_path: Path) -> None:
    """The control: SQLite's NORMAL in the same journal loses what was shown."""
    found = run(installed, tmp_path, "journal", "write_journal,240,normal", max(30, CUTS // 10))
    assert found["lost"] > 0, found


def test_the_laboratory_sees_files_that_were_only_renamed(installed: Folder, tmp_path: Path) -> None:
    """The control: a rename without waiting leaves files older than promised, or not whole."""
    found = run(installed, tmp_path, "state", "write_state,40,unsynced", max(30, CUTS // 10))
    assert found["lost"] > 0, found


def test_the_laboratory_sees_a_file_system_without_barriers(installed: Folder, tmp_path: Path) -> None:
    """The control of the replay itself: a disk that is never flushed does not keep even what was waited for."""
    found = run(installed, tmp_path, "journal", "write_journal,120", max(30, CUTS // 10), "barrier=0")
    assert found["lost"] > 0, found
