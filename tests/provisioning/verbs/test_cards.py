"""``card``, ``label``, ``poster`` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning.cli import main
from tests.provisioning.card.pi_card import a_set, pi_card
from tests.provisioning.commands import SITE_WORDS, told
from tests.provisioning.enrolment_kit import PHRASE
from tests.provisioning.registry.test_technicians import public_half


def test_the_command_line_shows_its_plan_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a technician runs it; again, as after a pulled card."""
    home, path = tmp_path / "home", pi_card(tmp_path / "bootfs")
    for name, value in {"HOME": str(home), "PASSPHRASE": PHRASE, "LANG": "en"}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{name}", value)
    assert main(["authority", "init", "--yes"]) == 0
    words = ["--name", "Chợ Mới", "--kind", "market", "--commune", "23575", "--contact", "Ban quản lý", "--hotline", "0269 000 000"]
    assert main(["site", "add", *words, "--purpose", "kiểm soát", "--legal-basis", "nội quy", "--broker", "b.example.org", "--yes"]) == 0
    capsys.readouterr()
    assert main(["site", "list", "--json"]) == 0
    site = json.loads(capsys.readouterr().out)[0]["id"]
    assert main(["gate", "add", "--site", site, "--json", "--yes"]) == 0
    gate = json.loads(capsys.readouterr().out)["id"]
    command = ["card", "write", "--gate", gate, "--boot", str(path), "--technician", "lan"]
    assert main([*command, "--yes"]) == 2
    assert "gate-provision packages make" in capsys.readouterr().err
    a_set(home / "packages" / "arm64")
    assert main(command) == 2
    assert f"3. Make the single-use claim of {gate}" in capsys.readouterr().out
    assert not (path / "gate").exists()
    for _ in range(2):
        assert main([*command, "--yes"]) == 0
        assert "Eject the card" in capsys.readouterr().out
    known = home / "known_hosts"
    known.write_text(f"{gate} ssh-ed25519 AAAA\nother ssh-ed25519 BBBB\n")
    assert main([*command, "--yes"]) == 0
    assert f"Forget the old SSH host key of {gate}" in capsys.readouterr().out
    assert known.read_text() == "other ssh-ed25519 BBBB\n", "a new card makes a new key, and only of that gate"
    settings = json.loads((path / "gate" / "first-boot.json").read_text())
    assert [key.split()[:2] for key in settings["ssh_keys"]] == [public_half(home / "technicians" / "lan")]
    assert main(["site", "change", site, "--no-ssh", "--yes"]) == 0
    assert main([*command, "--yes"]) == 0
    assert json.loads((path / "gate" / "first-boot.json").read_text())["ssh_keys"] == []


def test_a_page_is_drawn_only_when_somebody_agreed(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan names both files before."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    assert main(["poster", site, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().out
    assert f"{site}-poster.pdf" in shown
    assert f"{site}-poster.png" in shown
    assert not (tmp_path / "out").exists()
    assert home.exists()


def test_the_technicians_card_is_one_file_of_its_own_name(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To be laminated."""
    path = tmp_path / "card.pdf"
    assert told(capsys, "card", "sheet", "--out", str(path))["path"] == str(path)
    assert path.read_bytes().startswith(b"%PDF")
    assert home.exists()
