"""``communes`` and ``audit`` at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.cli import main
from tests.provisioning.commands import SITE_WORDS, told


def test_communes_are_found_with_or_without_marks(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs as objects, for people with how many there are."""
    assert [row["code"] for row in told(capsys, "communes", "phuong pleiku")] == ["23575"]
    assert len(told(capsys, "communes")) == 135
    assert main(["communes", "pleiku", "--lang", "en"]) == 0
    shown = capsys.readouterr().out
    assert "23575" in shown
    assert "1 rows" in shown


def test_the_audit_is_of_one_subject_or_of_all_and_the_newest(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oldest first; looking is not noted."""
    sites = [told(capsys, "site", "add", *SITE_WORDS)["id"] for _ in range(3)]
    assert [row["subject"] for row in told(capsys, "audit")] == sites
    assert [row["subject"] for row in told(capsys, "audit", sites[1])] == [sites[1]]
    assert [row["subject"] for row in told(capsys, "audit", "--limit", "2")] == sites[1:]
    assert home.exists()
