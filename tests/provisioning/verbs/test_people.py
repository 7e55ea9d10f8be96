"""``badge`` and ``list`` at the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.provisioning.commands import SITE_WORDS, told


def test_badges_are_issued_for_the_lines_of_a_file(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or none of them."""
    told(capsys, "authority", "init")
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    path, out = tmp_path / "staff.txt", tmp_path / "badges.pdf"
    words = ("badge", "issue", str(path), "--site", site, "--out", str(out), "--until")
    path.write_text("Nguyễn Văn Mẫu\n\nTrần Thị Mẫu\n", encoding="utf-8")
    for wrong in ("2020-01-01", "2099-01-01", "soon"):
        assert told(capsys, *words, wrong, code=2)["error"] == "E171"
    ends = str((datetime.now(UTC) + timedelta(days=30)).date())
    assert told(capsys, *words, ends, "--role", "99", code=2)["error"] == "E133"
    path.write_text("A\x1b[31m\n", encoding="utf-8")
    assert told(capsys, *words, ends, code=2)["error"] == "E170"
    assert told(capsys, "badge", "list", "--site", site) == []
    path.write_text("Nguyễn Văn Mẫu\n\nTrần Thị Mẫu\n", encoding="utf-8")
    assert told(capsys, *words, ends)["count"] == 2
    assert sorted(row["label"] for row in told(capsys, "badge", "list", "--site", site)) == ["Nguyễn Văn Mẫu", "Trần Thị Mẫu"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert home.exists()


def test_a_badge_is_revoked_once_and_the_next_step_is_told(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Again it is nothing to do; a reason that no registry holds is refused."""
    told(capsys, "authority", "init")
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    (tmp_path / "staff.txt").write_text("Nguyễn Văn Mẫu\n", encoding="utf-8")
    ends = str((datetime.now(UTC) + timedelta(days=30)).date())
    told(capsys, "badge", "issue", str(tmp_path / "staff.txt"), "--site", site, "--until", ends, "--out", str(tmp_path / "b.pdf"))
    (badge,) = [row["id"] for row in told(capsys, "badge", "list", "--site", site)]
    assert told(capsys, "badge", "revoke", badge, "--reason", "", code=2)["error"] == "E133"
    for _ in range(2):
        assert f"list publish --site {site}" in told(capsys, "badge", "revoke", badge.upper(), "--reason", "mất thẻ")["next"]
    assert [row["verb"] for row in told(capsys, "audit", badge)] == ["badge revoke"]
    assert home.exists()


def test_a_file_without_a_name_issues_nothing(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And prints no empty page."""
    told(capsys, "authority", "init")
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    (tmp_path / "staff.txt").write_text("\n\n", encoding="utf-8")
    ends = str((datetime.now(UTC) + timedelta(days=30)).date())
    words = ("badge", "issue", str(tmp_path / "staff.txt"), "--site", site, "--until", ends, "--out", str(tmp_path / "b.pdf"))
    assert told(capsys, *words)["count"] == 0
    assert not (tmp_path / "b.pdf").exists()
    assert home.exists()
