"""What is put up at a gate: its card with the packages on it, its label, its site's poster."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from provisioning.broker.config_files import ENROL_PORT
from provisioning.card import package_set_maker
from provisioning.card.package_set import PackageSet, read_set
from provisioning.card.writer import Card, steps
from provisioning.common import times
from provisioning.common.ids import GATE, SITE, checked
from provisioning.common.plan import Step
from provisioning.enrolment.claims import Enrolment
from provisioning.paper import printing, sheets
from provisioning.paper.technician_card import technician_card
from provisioning.registry.sites import Network
from provisioning.registry.technicians import checked_technician, technician_key
from provisioning.remote import ssh
from provisioning.verbs.verb import Out, Verbs

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

WIFI: Final = "GATE_PROVISION_WIFI"
ARCHITECTURE: Final = "arm64"
"""Of every board that a gate may be."""


class Cards(Verbs):
    """``card``, ``packages``."""

    def sheet(self, out: Out = Path("technician-card.pdf")) -> None:
        """The technician's card, to be laminated."""
        draw = partial(technician_card, times.now())
        self.desk.carry_out("card sheet", out.name[:64], [printing.pdf_step(draw, out)], lambda: {"path": str(out)})

    def write(
        self,
        *,
        gate: Annotated[str, typer.Option("--gate")],
        boot: Annotated[Path, typer.Option("--boot")],
        packages: Annotated[Path | None, typer.Option("--packages")] = None,
        address: Annotated[str | None, typer.Option("--address")] = None,
        technician: Annotated[str | None, typer.Option("--technician")] = None,
        enrol_host: Annotated[str | None, typer.Option("--enrol-host")] = None,
        enrol_port: Annotated[int, typer.Option("--enrol-port")] = ENROL_PORT,
    ) -> None:
        """A gate's card."""
        row = self.desk.registry.gate(checked(gate, GATE))
        site = self.desk.registry.site(row.site)
        found = read_set(self._sets(ARCHITECTURE) if packages is None else packages, ARCHITECTURE)
        keys: tuple[str, ...] = ()
        before: Sequence[Step] = ()
        if Network.model_validate(site.network).ssh:
            name = checked_technician(getpass.getuser() if technician is None else technician)
            public, before = technician_key(self.desk.registry, self.desk.settings.home / "technicians", name)
            keys = (public,)
        enrolment = Enrolment(site.broker_host if enrol_host is None else enrol_host, enrol_port)
        card = Card(row, boot, enrolment, found, keys, os.environ.get(WIFI), address)
        after = ssh.forgetting(self.desk.settings.home / ssh.KNOWN, row.id)
        plan = [*before, *steps(card, self.desk.registry, self.desk.authority, self.desk.passphrase()), *after]
        told = {"id": row.id, "path": str(boot), "next": self.desk.words("say.eject")}
        self.desk.carry_out("card write", row.id, plan, lambda: told)

    def make_set(
        self,
        *,
        package: Annotated[Path, typer.Option("--package")],
        image_list: Annotated[Path, typer.Option("--list")],
        sources: Annotated[list[Path] | None, typer.Option("--sources")] = None,
        architecture: Annotated[str, typer.Option("--architecture")] = ARCHITECTURE,
        camera: Annotated[bool, typer.Option("--camera/--without-camera")] = True,
        modem: Annotated[bool, typer.Option("--with-modem")] = False,
        out: Annotated[Path | None, typer.Option("--out")] = None,
    ) -> None:
        """The packages that go onto cards."""
        extra = (*(package_set_maker.CAMERA if camera else ()), *(package_set_maker.MODEM if modem else ()))
        wish = package_set_maker.Wish(package, image_list, architecture, extra, tuple(sources or ()))
        target, made = self._sets(architecture) if out is None else out, list[PackageSet]()
        step = Step("step.packages", {"path": target, "list": image_list}, lambda: made.append(package_set_maker.make_set(wish, target)))

        def told() -> dict[str, Any]:
            packages = [f"{name} {version}" for name, version in made[0].about.packages.items()]
            return {"path": str(target), "size": f"{made[0].size / 1e6:.1f} MB", "packages": packages}

        self.desk.carry_out("packages make", target.name[:64], [step], told)

    def _sets(self, architecture: str) -> Path:
        return self.desk.settings.home / "packages" / architecture


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
