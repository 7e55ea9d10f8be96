"""What every verb of the tool shares: its language, its folder, the plan that is shown before anything happens, and the audit."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from provisioning.authority.authority import Authority
from provisioning.common.catalogue import Lang, refusal, words
from provisioning.common.errors import Refused
from provisioning.common.plan import Step
from provisioning.registry.registry import Registry

PASSPHRASE: Final = "GATE_PROVISION_PASSPHRASE"  # noqa: S105 - the name of a variable, not a secret
NOTED_LIMIT: Final = 1_000
"""So many characters of a fact are kept in the audit."""
YES: Final = frozenset({"y", "yes", "c", "có", "co"})


@dataclass(frozen=True)
class Settings:
    """What was said on the command line for every verb."""

    home: Path
    lang: Lang = Lang.VI
    registry: str | None = None
    json: bool = False
    yes: bool = False


@dataclass
class Desk:
    """The tool at work."""

    settings: Settings
    out: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    ask: Callable[[str], str] = field(default_factory=lambda: input)

    @cached_property
    def registry(self) -> Registry:
        """The registry: PostgreSQL where one was named, or a file in the tool's folder."""
        if self.settings.registry is not None:
            return Registry(self.settings.registry)
        try:
            self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Refused("E122", path=self.settings.home, why=error.strerror) from error
        return Registry(f"sqlite:///{self.settings.home / 'registry.sqlite'}")

    def close(self) -> None:
        """Let go of the registry, if it was asked for."""
        if "registry" in self.__dict__:
            self.registry.close()

    @property
    def authority(self) -> Authority:
        """The authority's folder."""
        return Authority(self.settings.home / "authority")

    def words(self, key: str, **facts: object) -> str:
        """From the catalogue, in the language asked for."""
        return words(self.settings.lang, key, **facts)

    def passphrase(self, *, twice: bool = False) -> str:
        """The authority's: from the environment for scripts, otherwise typed unseen. Raises Refused (E103, E146)."""
        given = os.environ.get(PASSPHRASE)
        if given is not None:
            return given
        if not sys.stdin.isatty():
            raise Refused("E146", variable=PASSPHRASE)
        first = getpass.getpass(self.words("ask.passphrase"))
        if twice and getpass.getpass(self.words("ask.passphrase_again")) != first:
            raise Refused("E103")
        return first

    def carry_out(self, verb: str, subject: str, steps: Sequence[Step], result: Callable[[], Mapping[str, Any]]) -> None:
        """Show the plan, ask, do it, note it, and print the result.

        Raises Refused: E101 without a terminal to ask at and without ``--yes``, E102 when
        the answer was no. Whatever goes wrong midway is noted too.
        """
        self._show(verb, subject, steps)
        if steps and not self.settings.yes:
            if self.settings.json or not sys.stdin.isatty():
                raise Refused("E101")
            if self.ask(self.words("ask.go_on")).strip().casefold() not in YES:
                raise Refused("E102")
        try:
            for step in steps:
                step.do()
                if not self.settings.json:
                    self.out.print(f"  ✓ {self.words(step.key, **step.facts)}", markup=False)
        except Refused as refused:
            self.note(verb, subject, refused.code, refused.facts)
            raise
        told = result()
        if steps:
            self.note(verb, subject, "done", told)
        self.show(told)

    def note(self, verb: str, subject: str, outcome: str, facts: Mapping[str, Any]) -> None:
        """One row of the audit."""
        plain = {key: value if isinstance(value, int | list) else str(value)[:NOTED_LIMIT] for key, value in facts.items()}
        self.registry.note(getpass.getuser(), verb, subject, outcome, plain)

    def show(self, told: Mapping[str, Any]) -> None:
        """A result: a JSON object, or a line for each fact."""
        if self.settings.json:
            self.out.print_json(json.dumps(told, ensure_ascii=False, default=str), indent=None)
            return
        for key, value in told.items():
            lines = [" ".join(map(str, one.values())) if isinstance(one, Mapping) else str(one) for one in _each(value)]
            text = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
            self.out.print(f"{self.words(f'fields.{key}')}: {text}", markup=False)

    def table(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Rows: a JSON array, or a table."""
        rows = list(rows)
        if self.settings.json:
            self.out.print_json(json.dumps(rows, ensure_ascii=False, default=str), indent=None)
            return
        table = Table(*(self.words(f"fields.{column}") for column in columns), box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(str(row[column]) for column in columns))
        self.out.print(table)
        self.out.print(self.words("say.rows", count=len(rows)), markup=False)

    def refuse(self, refused: Refused) -> int:
        """Say what is wrong and what to do. Returns the exit code."""
        message, todo = refusal(self.settings.lang, refused)
        if self.settings.json:
            self.err.print_json(json.dumps({"error": refused.code, "message": message, "todo": todo}, ensure_ascii=False), indent=None)
        else:
            self.err.print(f"{refused.code}: {message}\n→ {todo}", markup=False)
        return 1 if refused.code == "E102" else 2

    def _show(self, verb: str, subject: str, steps: Sequence[Step]) -> None:
        if self.settings.json:
            return
        self.out.print(self.words("say.plan" if steps else "say.nothing_to_do", verb=verb, subject=subject), markup=False)
        for number, step in enumerate(steps, start=1):
            self.out.print(f"  {number}. {self.words(step.key, **step.facts)}", markup=False)


def _each(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]
