"""The province's own parts: the laptop's check, the authority, brokers, the worker."""

from __future__ import annotations

import logging
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from device.edges.broker.values import Peer
from provisioning import doctor
from provisioning.authority import creation, rotation
from provisioning.broker.access import gone
from provisioning.broker.config_files import ENROL_PORT, mosquitto_files, service
from provisioning.broker.rabbitmq import rabbitmq_files
from provisioning.common import times
from provisioning.common.plan import Step
from provisioning.enrolment.issuing import FilesIssuer
from provisioning.enrolment.worker import WORKER, EnrolmentDesk, Worker
from provisioning.paper import printing, sheets
from provisioning.verbs.verb import Key, Out, Paper, Verbs

_ROTATION: Final = {
    rotation.RotationPhase.INTRODUCE: ("step.rotate_introduce", "say.rotate_introduce"),
    rotation.RotationPhase.SWITCH: ("step.rotate_switch", "say.rotate_switch"),
    rotation.RotationPhase.RETIRE: ("step.rotate_retire", "say.rotate_retire"),
}


class Doctor(Verbs):
    """``doctor``."""

    def run(self) -> None:
        """Each check in a row; exit code 1 when one fails."""
        rows = list(doctor.checks(self.desk))
        self.desk.table(({**row, "check": self.desk.words(f"check.{row['check']}")} for row in rows), ("outcome", "check", "value"))
        if any(row["outcome"] == "fail" for row in rows):
            raise typer.Exit(1)


class AuthorityVerbs(Verbs):
    """``authority``."""

    def init(self, name: Annotated[str, typer.Option("--name")] = "Gia Lai gates") -> None:
        """Make it, and its sheet."""
        home, ours, now = self.desk.settings.home, self.desk.authority, times.now()
        creation.check_absent(ours.folder)
        sheet, phrase = home / "fingerprints.pdf", self.desk.passphrase(twice=True)
        creation.check_passphrase(phrase)

        def make() -> None:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            creation.make(ours.folder, name, phrase, now)

        def draw() -> None:
            printing.save_pdf(sheets.fingerprints(name, ours.fingerprints(), self.desk.settings.lang, now), sheet)

        steps = [Step("step.authority", {"path": ours.folder}, make), Step("step.sheet", {"path": sheet}, draw)]
        told = {"folder": str(ours.folder), "path": str(sheet), "next": self.desk.words("say.offline_root")}
        self.desk.carry_out("authority init", name[:64], steps, lambda: told)

    def service(
        self,
        name: str,
        host: Annotated[list[str] | None, typer.Option("--host")] = None,
        out: Out = Path(),
    ) -> None:
        """A certificate and its key, as files."""
        made = service(self.desk.authority, self.desk.passphrase(), name, tuple(host or ()))
        self.write_files("authority service", name, made, out)

    def rotate(
        self,
        *,
        phase: Annotated[rotation.RotationPhase, typer.Option("--phase")],
        name: Annotated[str, typer.Option("--name")] = "Gia Lai gates 2",
    ) -> None:
        """A new root takes over, in three phases."""
        ours, phrase = self.desk.authority, self.desk.passphrase()
        rotation.check(ours, self.desk.registry, phase)
        key, after = _ROTATION[phase]
        step = Step(key, {"path": ours.folder}, partial(rotation.carry_out, ours, phase, name, phrase))
        told = {"phase": str(phase), "next": self.desk.words(after)}
        self.desk.carry_out("authority rotate", name[:64], [step], lambda: told)

    def show(self) -> None:
        """The fingerprints."""
        prints = self.desk.authority.fingerprints()
        self.desk.table(({"name": name, "fingerprint": digits} for name, digits in prints.items()), ("name", "fingerprint"))


class Brokers(Verbs):
    """``broker``."""

    def mosquitto(
        self,
        host: Annotated[list[str], typer.Option("--host")],
        out: Out = Path("mosquitto"),
        data: Annotated[Path, typer.Option("--data")] = Path("/var/lib/mosquitto"),
    ) -> None:
        """Two brokers of one machine."""
        made = mosquitto_files(self.desk.authority, self.desk.passphrase(), host, out.absolute(), data, gone(self.desk.registry))
        self.write_files("broker mosquitto", host[0], made, out.absolute())

    def rabbitmq(
        self,
        host: Annotated[list[str], typer.Option("--host")],
        node: Annotated[list[str], typer.Option("--node")],
        out: Out = Path("rabbitmq"),
        etc: Annotated[Path, typer.Option("--etc")] = Path("/etc/rabbitmq"),
    ) -> None:
        """The gates' broker on several machines, which find the files in ``etc``."""
        gates = self.desk.registry.gates()
        made = rabbitmq_files(self.desk.authority, self.desk.passphrase(), host, node, gates, etc)
        self.write_files("broker rabbitmq", host[0], made, out.absolute())


class Enrolments(Verbs):
    """``enrol``."""

    def serve(
        self,
        *,
        host: Annotated[str, typer.Option("--host")],
        cert: Paper,
        key: Key,
        port: Annotated[int, typer.Option("--port")] = ENROL_PORT,
    ) -> None:
        """The worker, until SIGTERM or SIGINT."""
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        phrase, ours = self.desk.passphrase(), self.desk.authority
        desk = EnrolmentDesk(self.desk.registry, FilesIssuer.of(ours, phrase), ours.site_keys(phrase), ours.roots())
        worker = Worker(Peer(host, port, self.tls(cert, key), WORKER), desk)
        stop = threading.Event()

        def end(*_: object) -> None:
            stop.set()
            worker.wake()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        self.desk.err.print(self.desk.words("say.serving", host=host, port=port), markup=False)
        worker.run(stop)
