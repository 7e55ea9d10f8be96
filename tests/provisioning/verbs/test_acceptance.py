"""``acceptance`` and ``targets`` at the command line: the guided questions, and the page of test codes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.acceptance import QUESTIONS
from provisioning.common.catalogue import Lang
from provisioning.common.errors import Refused
from provisioning.desk import Desk, Settings
from provisioning.verbs.acceptance import Acceptances
from tests.provisioning.commands import SITE_WORDS, told


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One that speaks English."""
    made = Desk(Settings(tmp_path / "home", Lang.EN))
    yield made
    made.close()


def test_each_question_is_asked_and_only_a_yes_is_a_yes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its order, in the desk's language."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []

    def ask(text: str) -> str:
        asked.append(text)
        return ("y", "CÓ", "", "no", "yes ", "x")[(len(asked) - 1) % 6]

    desk.ask = ask
    given = Acceptances(desk)._asked(QUESTIONS)  # noqa: SLF001 - the guided part, without a gate
    assert list(given) == list(QUESTIONS)
    assert list(given.values()) == [True, True, False, False, True, False] * 2 + [True]
    assert [desk.words(f"accept.{name}") in text for name, text in zip(QUESTIONS, asked, strict=True)] == [True] * len(QUESTIONS)


def test_without_a_terminal_there_is_nobody_to_ask(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """E101."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(Refused, match="E101"):
        Acceptances(desk)._asked(QUESTIONS)  # noqa: SLF001 - see above


@pytest.mark.parametrize("by", ["", "x" * 61, "a\nb"])
def test_whoever_accepts_is_named_as_it_fits_the_page(home: Path, capsys: pytest.CaptureFixture[str], by: str) -> None:
    """E133."""
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    gate = told(capsys, "gate", "add", "--site", site)["id"]
    assert told(capsys, "acceptance", gate, "--report", str(home / "none"), "--by", by, code=2)["error"] == "E133"


def test_the_test_codes_of_a_site_are_printed_and_noted(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two pages for their owner alone, two badges in the registry of which one is revoked."""
    told(capsys, "authority", "init")
    site = told(capsys, "site", "add", *SITE_WORDS)["id"]
    made = told(capsys, "targets", site, "--out", str(tmp_path / "out"))
    assert [Path(path).name for path in made["files"]] == [f"{site}-targets.pdf", f"{site}-targets.png"]
    assert {Path(path).stat().st_mode & 0o777 for path in made["files"]} == {0o600}
    assert sorted(row["revoked"] == "-" for row in told(capsys, "badge", "list", "--site", site)) == [False, True]
    assert f"list publish --site {site}" in made["next"]
    assert home.exists()
