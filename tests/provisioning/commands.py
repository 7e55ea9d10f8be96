"""Verbs as a script runs them, and what they say as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioning.cli import main

SITE_WORDS = (
    *("--name", "Bệnh viện Hoa Mai", "--kind", "hospital", "--commune", "quy nhon nam", "--contact", "Phòng Hành chính"),
    *("--hotline", "0256 000 001", "--purpose", "bảo vệ người bệnh", "--legal-basis", "nội quy", "--broker", "broker.example.org"),
)


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:  # noqa: ANN401 - JSON is anything
    """What a verb prints as JSON."""
    capsys.readouterr()
    assert main([*words, "--json", "--yes"]) == code
    shown = capsys.readouterr()
    return json.loads(shown.err if code == 2 else shown.out)
