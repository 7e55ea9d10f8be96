"""``doctor``, ``authority``, ``broker`` and ``enrol`` at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.authority.keys import Purpose
from provisioning.common.catalogue import Lang, words
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


def test_the_doctor_ends_with_one_when_something_is_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And names what."""
    home.mkdir(mode=0o700)
    assert told(capsys, "doctor")[0]["outcome"] == "pass"
    home.chmod(0o755)
    assert {row["check"] for row in told(capsys, "doctor", "--lang", "en", code=1) if row["outcome"] == "fail"} == {
        words(Lang.EN, "check.home")
    }


def test_the_passphrase_is_asked_for_only_where_an_authority_can_be_made(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody types it twice to hear that there is one."""
    (home / "authority").mkdir(parents=True)
    monkeypatch.delenv("GATE_PROVISION_PASSPHRASE")
    assert told(capsys, "authority", "init", code=2)["error"] == "E143"


def test_fingerprints_are_shown_and_stand_on_the_sheet(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One for each purpose."""
    made = told(capsys, "authority", "init")
    assert Path(made["path"]).read_bytes().startswith(b"%PDF")
    shown = told(capsys, "authority", "show")
    assert [row["name"] for row in shown] == [str(purpose) for purpose in Purpose]
    assert home.exists()


def test_a_program_gets_its_certificate_and_key_as_files(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The key for its owner alone."""
    told(capsys, "authority", "init")
    made = told(capsys, "authority", "service", "desk", "--out", str(tmp_path))
    assert made["files"] == [str(tmp_path / "desk.cert.pem"), str(tmp_path / "desk.key.pem")]
    assert (tmp_path / "desk.key.pem").stat().st_mode & 0o777 == 0o600
    assert home.exists()


def test_a_cluster_has_three_nodes_at_least(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """E191 with two, the files with three."""
    told(capsys, "authority", "init")
    two = ("broker", "rabbitmq", "--host", "b.example.org", "--node", "rabbit@a", "--node", "rabbit@b", "--out", str(tmp_path / "rabbit"))
    assert told(capsys, *two, code=2)["error"] == "E191"
    assert {Path(path).name for path in told(capsys, *two, "--node", "rabbit@c")["files"]} >= {"rabbitmq.conf", "definitions.json"}
    assert home.exists()


def test_the_worker_serves_with_the_authoritys_own_files_alone(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    """There is one way to issue."""
    assert told(capsys, "enrol", "serve", "--host", "127.0.0.1", "--cert", "c", "--key", "k", code=2)["error"] == "E140"
    assert home.exists()
