"""``doctor``, ``authority``, ``broker`` and ``enrol`` at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.provisioning.commands import told


def test_an_authority_is_not_made_twice_nor_with_a_short_passphrase(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its passphrase is asked for, not guessed."""
    monkeypatch.setenv("GATE_PROVISION_PASSPHRASE", "short")
    assert told(capsys, "authority", "init", code=2)["error"] == "E144"
    monkeypatch.delenv("GATE_PROVISION_PASSPHRASE")
    assert told(capsys, "authority", "init", code=2)["error"] == "E146"
    assert not (home / "authority").exists()
    monkeypatch.setenv("GATE_PROVISION_PASSPHRASE", "bon tu khong lien quan")
    told(capsys, "authority", "init")
    assert told(capsys, "authority", "init", code=2)["error"] == "E143"
