"""What is put up at a gate: its card, its label, its site's poster."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import typer

from provisioning.broker.config_files import ENROL_PORT
from provisioning.card.writer import Card
from provisioning.card.writer import steps as card_steps
from provisioning.desk.errors import Refused
from provisioning.desk.ids import GATE, SITE, checked
from provisioning.desk.plan import Step
from provisioning.enrolment.claims import Enrolment
from provisioning.paper import printing, sheets
from provisioning.paper.technician_card import technician_card
from provisioning.verbs.verb import Out, Verbs

WIFI: Final = "GATE_PROVISION_WIFI"


class Cards(Verbs):
    """``card``."""

    def sheet(self, out: Out = Path("technician-card.pdf")) -> None:
        """The technician's card, to be laminated."""
        save = partial(printing.save_pdf, technician_card(sheets.now()), out)
        self.desk.carry_out("card sheet", out.name[:64], [Step("step.write", {"path": out}, save)], lambda: {"path": str(out)})

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
        if form not in {"cloud-init", "firstrun"}:
            raise Refused("E133", value=f"--form {form}", why="cloud-init | firstrun")
        row = self.desk.registry.gate(checked(gate, GATE))
        host = self.desk.registry.site(row.site).broker_host if enrol_host is None else enrol_host
        card = Card(
            row,
            boot,
            Enrolment(host, enrol_port),
            cast("Literal['cloud-init', 'firstrun']", form),
            () if ssh_key is None else _ssh_keys(ssh_key),
            package,
            os.environ.get(WIFI),
        )
        steps = card_steps(card, self.desk.registry, self.desk.authority, self.desk.passphrase())
        told = {"id": row.id, "path": str(boot), "next": self.desk.words("say.eject")}
        self.desk.carry_out("card write", row.id, steps, lambda: told)


def _ssh_keys(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("E152", key=path) from error


class Papers(Verbs):
    """``label``, ``poster``."""

    def label(self, gate: str, out: Out = Path()) -> None:
        """The label of a gate."""
        row = self.desk.registry.gate(checked(gate, GATE))
        sheet = sheets.label(self.desk.registry.site(row.site), row, sheets.now())
        self._save("label", row.id, sheet, out / f"{row.id}-label")

    def poster(self, site: str, out: Out = Path()) -> None:
        """The poster of a site."""
        row = self.desk.registry.site(checked(site, SITE))
        self._save("poster", row.id, sheets.poster(row, sheets.now()), out / f"{row.id}-poster")

    def _save(self, verb: str, subject: str, sheet: sheets.Sheet, stem: Path) -> None:
        pdf, png = stem.with_suffix(".pdf"), stem.with_suffix(".png")
        steps = [
            Step("step.write", {"path": pdf}, partial(printing.save_pdf, sheet, pdf)),
            Step("step.write", {"path": png}, partial(printing.save_png, sheet, png)),
        ]
        self.desk.carry_out(verb, subject, steps, lambda: {"files": [str(pdf), str(png)]})
