"""The tool at work: the plan before the deed, the question, the audit of whatever happened, and the passphrase."""

from __future__ import annotations

import getpass
import io
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from provisioning.common.catalogue import Lang
from provisioning.common.errors import Refused
from provisioning.common.plan import Step
from provisioning.desk import NOTED_LIMIT, PASSPHRASE, Desk, Settings


class SeenDesk(Desk):
    """A desk whose words can be read."""

    def __init__(self, settings: Settings) -> None:
        self.said, self.complained = io.StringIO(), io.StringIO()
        super().__init__(settings, Console(file=self.said, soft_wrap=True), Console(file=self.complained, soft_wrap=True))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SeenDesk]:
    """One at which nobody is asked."""
    made = SeenDesk(Settings(tmp_path / "home", Lang.EN, yes=True))
    yield made
    made.close()


def step(done: list[str], name: str) -> Step:
    """A step that notes itself."""
    return Step("step.write", {"path": name}, partial(done.append, name))


def fails() -> None:
    """A step that cannot be done."""
    raise Refused("E145", path="x", why="y")


def test_all_of_the_plan_is_shown_before_any_of_it_is_done(desk: SeenDesk) -> None:
    """Then each step in its order, with a mark when it is done."""
    seen: list[str] = []
    look = Step("step.write", {"path": "two"}, lambda: seen.append(desk.said.getvalue()))
    desk.carry_out("verb", "subject", [step(seen, "one"), look], lambda: {"id": "x"})
    assert seen[0] == "one"
    assert [line[:4] for line in seen[1].splitlines()[-3:]] == ["  1.", "  2.", "  ✓ "]
    assert desk.said.getvalue().count("✓") == 2


def test_what_goes_wrong_midway_is_noted_and_nothing_after_it_is_done(desk: SeenDesk) -> None:
    """By its code, with the verb and the subject."""
    done: list[str] = []
    broken = Step("step.write", {"path": "x"}, fails)
    with pytest.raises(Refused, match="E145"):
        desk.carry_out("verb", "subject", [step(done, "one"), broken, step(done, "three")], dict)
    assert done == ["one"]
    (row,) = desk.registry.audit()
    assert (row.verb, row.subject, row.outcome, row.facts) == ("verb", "subject", "E145", {"path": "x", "why": "y"})


def test_what_changed_nothing_is_not_noted(desk: SeenDesk) -> None:
    """A plan without steps tells its result all the same."""
    desk.carry_out("verb", "subject", [], lambda: {"id": "x"})
    assert desk.registry.audit() == []
    assert "x" in desk.said.getvalue()


def test_a_fact_is_noted_only_so_far(desk: SeenDesk) -> None:
    """Whatever somebody typed."""
    desk.note("verb", "subject", "done", {"text": "x" * (NOTED_LIMIT + 1), "count": 3})
    (row,) = desk.registry.audit()
    assert row.facts == {"text": "x" * NOTED_LIMIT, "count": 3}


def test_a_program_gets_objects_and_no_plan(tmp_path: Path) -> None:
    """On standard output the result alone, on standard error what is wrong, each as one object."""
    desk = SeenDesk(Settings(tmp_path / "home", Lang.EN, json=True, yes=True))
    desk.carry_out("verb", "subject", [step([], "one")], lambda: {"id": "đ"})
    assert json.loads(desk.said.getvalue()) == {"id": "đ"}
    assert desk.refuse(Refused("E102")) == 1
    assert desk.refuse(Refused("E113", id="g0000000")) == 2
    assert [json.loads(line)["error"] for line in desk.complained.getvalue().splitlines()] == ["E102", "E113"]
    desk.close()


def test_the_passphrase_is_typed_twice_where_it_is_new(desk: SeenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """E103 where the two differ; once is enough where it is known."""
    monkeypatch.delenv(PASSPHRASE, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter(["one", "other", "one", "one", "one"])
    monkeypatch.setattr(getpass, "getpass", lambda _: next(typed))
    with pytest.raises(Refused, match="E103"):
        desk.passphrase(twice=True)
    assert desk.passphrase(twice=True) == desk.passphrase() == "one"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """E122."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="E122"):
        _ = Desk(Settings(tmp_path / "file" / "home")).registry
