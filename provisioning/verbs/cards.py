"""What is put up at a gate: its card, its label, its site's poster."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from provisioning.broker.config_files import ENROL_PORT
from provisioning.card.writer import Card, form_of, ssh_keys, steps
from provisioning.common import times
from provisioning.common.ids import GATE, SITE, checked
from provisioning.enrolment.claims import Enrolment
from provisioning.paper import printing, sheets
from provisioning.paper.technician_card import technician_card
from provisioning.verbs.verb import Out, Verbs

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

WIFI: Final = "GATE_PROVISION_WIFI"


class Cards(Verbs):
    """``card``."""

    def sheet(self, out: Out = Path("technician-card.pdf")) -> None:
        """The technician's card, to be laminated."""
        draw = partial(technician_card, times.now())
        self.desk.carry_out("card sheet", out.name[:64], [printing.pdf_step(draw, out)], lambda: {"path": str(out)})

    def write(
        self,
        *,
        gate: Annotated[str, typer.Option("--gate")],
        boot: Annotated[Path, typer.Option("--boot")],
        form: Annotated[str, typer.Option("--form")] = "cloud-init",
        ssh_key: Annotated[Path | None, typer.Option("--ssh-key")] = None,
        package: Annotated[Path | None, typer.Option("--package")] = None,
        enrol_host: Annotated[str | None, typer.Option("--enrol-host")] = None,
        enrol_port: Annotated[int, typer.Option("--enrol-port")] = ENROL_PORT,
    ) -> None:
        """A gate's card."""
        wanted = form_of(form)
        row = self.desk.registry.gate(checked(gate, GATE))
        enrolment = Enrolment(self.desk.registry.site(row.site).broker_host if enrol_host is None else enrol_host, enrol_port)
        card = Card(row, boot, enrolment, wanted, () if ssh_key is None else ssh_keys(ssh_key), package, os.environ.get(WIFI))
        plan = steps(card, self.desk.registry, self.desk.authority, self.desk.passphrase())
        told = {"id": row.id, "path": str(boot), "next": self.desk.words("say.eject")}
        self.desk.carry_out("card write", row.id, plan, lambda: told)


class Papers(Verbs):
    """``label``, ``poster``."""

    def label(self, gate: str, out: Out = Path()) -> None:
        """The label of a gate."""
        row = self.desk.registry.gate(checked(gate, GATE))
        site = self.desk.registry.site(row.site)
        self._save("label", row.id, partial(sheets.label, site, row, times.now()), out)

    def poster(self, site: str, out: Out = Path()) -> None:
        """The poster of a site."""
        row = self.desk.registry.site(checked(site, SITE))
        self._save("poster", row.id, partial(sheets.poster, row, times.now()), out)

    def _save(self, verb: str, subject: str, draw: Callable[[], Sheet], out: Path) -> None:
        plan = printing.steps(draw, out / f"{subject}-{verb}")
        self.desk.carry_out(verb, subject, plan, lambda: {"files": [str(step.facts["path"]) for step in plan]})
