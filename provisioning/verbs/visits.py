"""What a technician does in a gate that is up: logging in."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, checked
from provisioning.registry.sites import Network
from provisioning.registry.tables import Gate
from provisioning.registry.technicians import checked_technician, private_key
from provisioning.remote import ssh
from provisioning.verbs.verb import Verbs

Host = Annotated[str | None, typer.Option("--host")]
Port = Annotated[int, typer.Option("--port", min=1, max=65_535)]
TechnicianName = Annotated[str | None, typer.Option("--technician")]


class Visits(Verbs):
    """``gate shell``."""

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

    def _line(self, row: Gate, host: str | None, port: int, technician: str | None) -> ssh.SshLine:
        """Raises Refused (E133, E169, E214)."""
        home = self.desk.settings.home
        if not Network.model_validate(self.desk.registry.site(row.site).network).ssh:
            raise Refused("E214", id=row.id, site=row.site)
        name = checked_technician(getpass.getuser() if technician is None else technician)
        at = f"{row.id}.local" if host is None else ssh.checked_host(host)
        return ssh.SshLine(row.id, at, private_key(self.desk.registry, home / "technicians", name), home / ssh.KNOWN, port)
