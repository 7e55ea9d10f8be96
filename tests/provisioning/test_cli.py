"""``gate-provision`` at the command line: plans, answers, codes, JSON, languages, and the audit of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.cli import main
from provisioning.common.ids import SITE, new_id
from provisioning.registry.registry import Registry
from tests.provisioning.commands import SITE_WORDS, told


def test_from_nothing_to_a_labelled_gate(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb in order, as a script runs them; the audit has a row for each that changed something."""
    assert told(capsys, "authority", "init")["folder"] == str(home / "authority")
    assert len(told(capsys, "authority", "show")) == 10
    site = told(capsys, "site", "add", *SITE_WORDS)
    assert (site["kind"], site["commune"]) == ("hospital", "21592")
    gate = told(capsys, "gate", "add", "--site", site["id"], "--direction", "both", "--board", "pi5")
    assert told(capsys, "gate", "list")[0]["state"] == "planned"
    assert told(capsys, "site", "show", site["id"])["gates"] == [f"{gate['id']} (1, both, full, none, planned)"]
    label = told(capsys, "label", gate["id"].upper(), "--out", str(tmp_path))
    poster = told(capsys, "poster", site["id"], "--out", str(tmp_path))
    assert all(Path(path).stat().st_size > 1000 for path in (*label["files"], *poster["files"]))
    rows = [(row["verb"], row["outcome"]) for row in told(capsys, "audit")]
    assert rows == [(verb, "done") for verb in ("authority init", "site add", "gate add", "label", "poster")]
    assert {row["outcome"] for row in told(capsys, "doctor")} <= {"pass", "warn"}


def test_the_plan_is_shown_and_nothing_happens_without_a_yes(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal there is nobody to ask."""
    assert main(["site", "add", *SITE_WORDS]) == 2
    shown = capsys.readouterr()
    assert "1. Ghi địa điểm Bệnh viện Hoa Mai (cơ sở khám, chữa bệnh, phường Quy Nhơn Nam)" in shown.out
    assert "E101" in shown.err
    assert told(capsys, "site", "list") == []
    assert home.exists()


@pytest.mark.parametrize(("answer", "code", "count"), [("c", 0, 1), ("Y", 0, 1), ("", 1, 0), ("k", 1, 0), ("no", 1, 0)])
def test_the_answer_counts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, code: int, count: int
) -> None:
    """Only a yes is a yes."""
    assert not home.exists()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert main(["site", "add", *SITE_WORDS, "--lang", "en"]) == code
    assert len(told(capsys, "site", "list")) == count


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("site", "show", "sxxxxxxxx"), "E110"),
        (("site", "show", new_id(SITE)), "E112"),
        (("gate", "add", "--site", new_id(SITE)), "E112"),
        (("label", "g0000000"), "E110"),
        (("site", "add", *SITE_WORDS, "--commune", "Atlantis"), "E111"),
        (("site", "add", *SITE_WORDS, "--hotline", "call me"), "E133"),
        (("site", "add", *SITE_WORDS, "--name", "a\nb"), "E133"),
        (("site", "add", *SITE_WORDS, "--port", "70000"), "E133"),
        (("site", "export", "--form", "xml"), "E133"),
        (("site", "import", "/nowhere/sites.csv"), "E130"),
        (("authority", "show"), "E140"),
        (("badge", "list", "--site", "s0"), "E110"),
        (("site", "list", "--registry", "sqlite:////nowhere/r.sqlite"), "E120"),
    ],
)
def test_each_refusal_has_a_code_and_says_what_to_do(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], error: str
) -> None:
    """On standard error, as JSON too, with exit code 2."""
    assert not home.exists()
    found = told(capsys, *words, code=2)
    assert found["error"] == error
    assert found["todo"]
    assert main([*words, "--lang", "en"]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"{error}: ")
    assert "\n→ " in shown.err


def test_help_is_in_the_language_asked_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And every verb has some."""
    assert not home.exists()
    assert main(["--help"]) == 0
    assert "Địa điểm" in capsys.readouterr().out
    assert main(["--lang", "en", "site", "--help"]) == 0
    assert "Add a site" in capsys.readouterr().out
    assert main(["no-such-verb"]) == 2


def test_the_installed_command_is_the_same(home: Path) -> None:
    """As a process."""
    environment = {**os.environ, "GATE_PROVISION_HOME": str(home)}
    command = [sys.executable, "-m", "provisioning.cli", "communes", "pleiku", "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert json.loads(done.stdout) == [{"code": "23575", "kind": "phường", "name": "Pleiku"}]
    assert done.stderr == ""


HEAVY = {"alembic", "matplotlib", "fpdf", "fontTools", "pypdfium2", "jinja2", "PIL", "numpy", "gpiozero", "device.gate"}


@pytest.mark.parametrize("words", [("communes", "pleiku"), ("site", "list")])
def test_what_draws_is_not_loaded_for_a_verb_that_draws_nothing(home: Path, words: tuple[str, ...]) -> None:
    """Nor the migrations for a registry that is up, nor anything of a gate's daemon: a verb starts in half the time."""
    Registry(f"sqlite:///{home.parent / 'registry.sqlite'}").close()
    environment = {**os.environ, "GATE_PROVISION_HOME": str(home.parent)}
    code = f"import sys; from provisioning.cli import main; main({list(words)!r}); print(sorted(sys.modules.keys() & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"
