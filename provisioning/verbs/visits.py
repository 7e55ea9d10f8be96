"""What a technician asks of a gate that is up: a login, and its own report for the acceptance."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from device.core import wire
from device.core.orders import Order
from provisioning import acceptance
from provisioning.authority.keys import Purpose
from provisioning.broker.nodes import nodes
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, checked
from provisioning.common.output_files import save
from provisioning.common.plan import Step
from provisioning.registry.sites import Network
from provisioning.registry.tables import Gate
from provisioning.registry.technicians import checked_technician, private_key
from provisioning.remote import orders, ssh
from provisioning.verbs.verb import Key, Paper, Verbs

Host = Annotated[str | None, typer.Option("--host")]
Port = Annotated[int, typer.Option("--port", min=1, max=65_535)]
TechnicianName = Annotated[str | None, typer.Option("--technician")]


REPORT: Final = ("sudo", "gate", "selftest", "--report")
_ENDS: Final = frozenset({0, 1})
"""A report is printed where every part is well, and where one is not."""


class Visits(Verbs):
    """``gate shell``, ``gate report``."""

    def shell(
        self,
        gate: str,
        command: Annotated[list[str] | None, typer.Argument()] = None,
        *,
        host: Host = None,
        port: Port = ssh.PORT,
        technician: TechnicianName = None,
    ) -> None:
        """A login at a gate, or one command there. The exit code is that of ``ssh``."""
        row = self.desk.registry.gate(checked(gate, GATE))
        line, words = self._line(row, host, port, technician), command or []
        # Noted before: whoever pulls the laptop's plug was there all the same.
        self.desk.note("gate shell", row.id, "begun", {"host": line.host, "technician": line.key.name, "command": " ".join(words)})
        raise typer.Exit(ssh.shell(line, words))

    def report(
        self,
        gate: str,
        *,
        host: Host = None,
        port: Port = ssh.PORT,
        technician: TechnicianName = None,
        cert: Paper | None = None,
        key: Key | None = None,
        wait: Annotated[int, typer.Option("--wait", min=1, max=600)] = 60,
        out: Annotated[Path, typer.Option("--out")] = Path("report.json"),
    ) -> None:
        """A gate's signed report for its acceptance, by a login or by its broker. Exit code 1 when a part failed."""
        row = self.desk.registry.gate(checked(gate, GATE))
        if cert is not None and key is not None:
            peer = nodes(self.desk.registry.site(row.site), self.tls(cert, key))[0]
            signer = self.desk.authority.signer(Purpose.ORDERS, self.desk.passphrase())
            fetch, way = (
                partial(_by_order, partial(orders.give, peer, row.id, Order.REPORT, {}, signer, wait), row.id),
                f"{peer.host}:{peer.port}",
            )
        elif cert is None and key is None:
            line = self._line(row, host, port, technician)
            fetch, way = partial(_by_login, line), f"ssh {line.host}"
        else:
            raise Refused("E133", value="--cert, --key", why="--cert FILE --key FILE")
        got: dict[str, Any] = {}

        def get() -> None:
            got["body"] = fetch()
            got["report"] = acceptance.checked_report(got["body"], out, row, self.desk.registry, times.now())

        steps = [
            Step("step.report", {"id": row.id, "way": way}, get),
            Step("step.write", {"path": out}, lambda: save(got["body"], out)),
        ]
        self.desk.carry_out("gate report", row.id, steps, lambda: self._told(row.id, got["report"], out))
        if any(one.grade == "fail" for one in got["report"].rows):
            raise typer.Exit(1)

    def _told(self, gate: str, report: wire.SelftestReport, out: Path) -> dict[str, Any]:
        failed = [{"part": one.part, "value": one.value} for one in report.rows if one.grade == "fail"]
        result = self.desk.words("say.failed" if failed else "say.passed")
        then = self.desk.words("say.report_next", id=gate, path=out)
        return {"id": gate, "path": str(out), "version": report.version, "result": result, "failed": failed, "next": then}

    def _line(self, row: Gate, host: str | None, port: int, technician: str | None) -> ssh.SshLine:
        """Raises Refused (E133, E169, E214)."""
        home = self.desk.settings.home
        if not Network.model_validate(self.desk.registry.site(row.site).network).ssh:
            raise Refused("E214", id=row.id, site=row.site)
        name = checked_technician(getpass.getuser() if technician is None else technician)
        at = f"{row.id}.local" if host is None else ssh.checked_host(host)
        return ssh.SshLine(row.id, at, private_key(self.desk.registry, home / "technicians", name), home / ssh.KNOWN, port)


def _by_login(line: ssh.SshLine) -> bytes:
    code, body, complaint = ssh.ask(line, REPORT)
    if code not in _ENDS or not body.strip():
        raise Refused("E215", id=line.gate, why=(complaint.splitlines() or [f"exit code {code}"])[-1][:200])
    return body.strip()


def _by_order(give: Callable[[], orders.OrderEnd], gate: str) -> bytes:
    end = give()
    if end.state != "succeeded" or end.detail is None:
        raise Refused("E215", id=gate, why=" ".join(filter(None, (end.state, end.reason, end.detail)))[:200])
    return end.detail.encode()
