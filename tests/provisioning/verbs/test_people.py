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
