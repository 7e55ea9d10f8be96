"""``acceptance``, ``targets``: the last steps before a gate goes into service, and what they need on paper."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning import acceptance
from provisioning.acceptance import QUESTIONS
from provisioning.authority.keys import Purpose
from provisioning.badges import batch
from provisioning.badges.targets import targets
from provisioning.common import times
from provisioning.common.catalogue import Lang, words
from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, SITE, checked
from provisioning.common.output_files import save
from provisioning.common.plan import Step
from provisioning.desk import YES
from provisioning.paper import printing, service_sheets
from provisioning.registry.tables import Acceptance, Gate, GateState
from provisioning.verbs.verb import Out, Verbs

_PARTS = ("files", "decoders", "camera", "signals", "storage", "space", "clock", "temperature", "power", "memory", "certificate", "broker")
_CHECKS = (*_PARTS, "distances", "code_expired", "code_revoked", "code_unknown_issuer", "restarts", *QUESTIONS)


class Acceptances(Verbs):
    """``acceptance``, ``targets``."""

    def hold(
        self,
        gate: str,
        *,
        report: Annotated[Path, typer.Option("--report")],
        by: Annotated[str, typer.Option("--by")],
        answers: Annotated[Path | None, typer.Option("--answers")] = None,
        events: Annotated[Path | None, typer.Option("--events")] = None,
        out: Out = Path(),
    ) -> None:
        """Whether a gate may go into service. Exit code 1 when not."""
        row = self.desk.registry.gate(checked(gate, GATE))
        if not 0 < len(by) <= 60 or not by.isprintable():  # noqa: PLR2004 - what fits the page
            raise Refused("E133", value="--by", why="1-60")
        now = times.now()
        read, digest = acceptance.read_report(report, row, self.desk.registry, now)
        more = [] if events is None else acceptance.province_deeds(events, read)
        asked = acceptance.questions(row)
        given = self._asked(asked) if answers is None else acceptance.read_answers(answers, asked)
        found = acceptance.judge(row, read, digest, given, more)
        key = self.desk.authority.signer(Purpose.RECORDS, self.desk.passphrase())
        self._keep(row, found, by, key, out / f"{row.id}-acceptance", now)
        if not found.well:
            raise typer.Exit(1)

    def targets(self, site: str, out: Out = Path()) -> None:
        """The page of test codes of a site."""
        place = self.desk.registry.site(checked(site, SITE))
        key, now = self.desk.authority.signer(Purpose.BADGES, self.desk.passphrase()), times.now()
        made = targets(place, key, {name: words(Lang.VI, text) for name, text in service_sheets.TARGETS.items()}, now)
        pages = printing.steps(partial(service_sheets.targets, place, made.codes, now), out / f"{place.id}-targets", 0o600)
        note = Step("step.targets_note", {"site": place.name}, partial(batch.keep, self.desk.registry, made.rows))
        told = {"files": [str(page.facts["path"]) for page in pages], "next": self.desk.words("say.targets_next", site=place.id)}
        self.desk.carry_out("targets", place.id, [*pages, note], lambda: told)

    def _asked(self, asked: Sequence[str]) -> Mapping[str, bool]:
        """The guided part. Raises Refused (E101) where nobody can be asked."""
        if self.desk.settings.json or not sys.stdin.isatty():
            raise Refused("E101")
        questions = {name: self.desk.words(f"accept.{name}") for name in asked}
        return {
            name: self.desk.ask(self.desk.words("accept.ask", question=question)).strip().casefold() in YES
            for name, question in questions.items()
        }

    def _keep(self, row: Gate, found: acceptance.JudgedGate, by: str, key: Ed25519PrivateKey, stem: Path, now: datetime) -> None:
        desk = self.desk
        document = found.document(by, now, key)
        names = {check: {lang: words(lang, f"accept.{check}") for lang in Lang} for check in _CHECKS}
        draw = partial(service_sheets.acceptance, desk.registry.site(row.site), found, by, now, names)
        kept = Acceptance(gate=row.id, at=now, who=by, well=found.well, document=document.decode())
        failed = [line.check for line in found.lines if line.grade == "fail"]
        result = desk.words("say.passed" if found.well else "say.failed")
        state = GateState.ACCEPTED if found.well else row.state
        paper, signed = stem.with_suffix(".pdf"), stem.with_suffix(".json")
        steps = [
            Step("step.write", {"path": signed}, partial(save, document, signed)),
            printing.pdf_step(draw, paper),
            Step("step.acceptance_note", {"id": row.id, "result": result, "count": len(failed)}, partial(desk.registry.accept, kept)),
        ]
        told: dict[str, Any] = {"id": row.id, "result": result, "state": str(state), "files": [str(signed), str(paper)], "failed": failed}
        if not desk.settings.json:
            rows = ({"grade": line.grade, "check": self._name(line.check), "value": line.value} for line in found.lines)
            desk.table(rows, ("grade", "check", "value"))
        desk.carry_out("acceptance", row.id, steps, lambda: told)

    def _name(self, check: str) -> str:
        return self.desk.words(f"accept.{check}") if check in _CHECKS else check
