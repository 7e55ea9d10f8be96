"""``acceptance``, ``targets``: the last steps before a gate goes into service, and what they need on paper."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning import acceptance
from provisioning.acceptance import QUESTIONS
from provisioning.authority.authority import BADGE_KID, Purpose
from provisioning.badges import batch
from provisioning.badges.issuer import BadgeIssuer
from provisioning.desk.catalogue import Lang, words
from provisioning.desk.desk import YES
from provisioning.desk.errors import Refused
from provisioning.desk.ids import GATE, SITE, checked
from provisioning.desk.plan import Step
from provisioning.paper import printing, service_sheets, sheets
from provisioning.registry.tables import Acceptance, Gate, GateState
from provisioning.verbs.verb import Out, Verbs

TARGET_DAYS = 60
_PARTS = ("files", "decoders", "camera", "signals", "storage", "space", "clock", "temperature", "power", "certificate", "broker")
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
        now = acceptance_time()
        read, digest = acceptance.read_report(report, row, self.desk.registry, now)
        more = [] if events is None else acceptance.province_deeds(events, read)
        given = self._asked() if answers is None else acceptance.read_answers(answers)
        found = acceptance.judge(row, read, digest, given, more)
        key = self.desk.authority.signer(Purpose.RECORDS, self.desk.passphrase())
        self._keep(row, found, by, key, out / f"{row.id}-acceptance", now)
        if not found.well:
            raise typer.Exit(1)

    def targets(self, site: str, out: Out = Path()) -> None:
        """The page of test codes of a site."""
        place = self.desk.registry.site(checked(site, SITE))
        issuer = BadgeIssuer(self.desk.authority.signer(Purpose.BADGES, self.desk.passphrase()), BADGE_KID)
        now = acceptance_time()
        names = [words(Lang.VI, service_sheets.TARGETS[name]) for name in ("good", "revoked")]
        (good, good_text), (gone, gone_text) = batch.issue(place, names, now + timedelta(days=TARGET_DAYS), 0, 0, issuer)
        gone.revoked, gone.reason = now, names[1][:100]
        stranger = BadgeIssuer(Ed25519PrivateKey.generate(), BADGE_KID + 1)
        (_, old_text), (_, foreign_text) = (
            batch.issue(place, ["-"], ends, 0, 0, who)[0] for who, ends in ((issuer, now - timedelta(days=1)), (stranger, good.expires))
        )
        codes = {"good": good_text, "expired": old_text, "revoked": gone_text, "foreign": foreign_text}
        sheet = service_sheets.targets(place, codes, now)
        pdf, png = out / f"{place.id}-targets.pdf", out / f"{place.id}-targets.png"

        def keep() -> None:
            with self.desk.registry.change() as session:
                session.add_all([good, gone])

        steps = [
            Step("step.write", {"path": pdf}, partial(printing.save_pdf, sheet, pdf, 0o600)),
            Step("step.write", {"path": png}, partial(printing.save_png, sheet, png, 0o600)),
            Step("step.targets_note", {"site": place.name}, keep),
        ]
        told = {"files": [str(pdf), str(png)], "next": self.desk.words("say.targets_next", site=place.id)}
        self.desk.carry_out("targets", place.id, steps, lambda: told)

    def _asked(self) -> Mapping[str, bool]:
        """The guided part. Raises Refused (E101) where nobody can be asked."""
        if self.desk.settings.json or not sys.stdin.isatty():
            raise Refused("E101")
        questions = {name: self.desk.words(f"accept.{name}") for name in QUESTIONS}
        return {
            name: self.desk.ask(self.desk.words("accept.ask", question=question)).strip().casefold() in YES
            for name, question in questions.items()
        }

    def _keep(self, row: Gate, found: acceptance.JudgedGate, by: str, key: Ed25519PrivateKey, stem: Path, now: datetime) -> None:
        desk = self.desk
        document = found.document(by, now, key)
        names = {check: {lang: words(lang, f"accept.{check}") for lang in Lang} for check in _CHECKS}
        sheet = service_sheets.acceptance(desk.registry.site(row.site), found, by, sheets.now(), names)
        kept = Acceptance(gate=row.id, at=now, who=by, well=found.well, document=document.decode())
        failed = [line.check for line in found.lines if line.grade == "fail"]
        result = desk.words("say.passed" if found.well else "say.failed")
        state = GateState.ACCEPTED if found.well else row.state
        paper, signed = stem.with_suffix(".pdf"), stem.with_suffix(".json")
        steps = [
            Step("step.write", {"path": signed}, partial(printing.save, document, signed)),
            Step("step.write", {"path": paper}, partial(printing.save_pdf, sheet, paper)),
            Step("step.acceptance_note", {"id": row.id, "result": result, "count": len(failed)}, partial(desk.registry.accept, kept)),
        ]
        told: dict[str, Any] = {"id": row.id, "result": result, "state": str(state), "files": [str(signed), str(paper)], "failed": failed}
        if not desk.settings.json:
            rows = ({"grade": line.grade, "check": self._name(line.check), "value": line.value} for line in found.lines)
            desk.table(rows, ("grade", "check", "value"))
        desk.carry_out("acceptance", row.id, steps, lambda: told)

    def _name(self, check: str) -> str:
        return self.desk.words(f"accept.{check}") if check in _CHECKS else check


def acceptance_time() -> datetime:
    """Now, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
