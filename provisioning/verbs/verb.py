"""What the verbs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Peer
from provisioning.authority.authority import PUBLIC
from provisioning.broker.config_files import PRIVATE
from provisioning.desk.desk import Desk
from provisioning.desk.errors import Refused
from provisioning.desk.plan import Step
from provisioning.paper import printing
from provisioning.places.communes import communes
from provisioning.places.kinds import SiteKind, name_of
from provisioning.registry.tables import Site

DESK: Final = "desk"
"""The name by which a broker knows the province's desk."""
Paper = Annotated[Path, typer.Option("--cert")]
Key = Annotated[Path, typer.Option("--key")]
Also = Annotated[list[str] | None, typer.Option("--also")]
"""A cluster whose nodes keep what is retained each for itself is told at each of them."""
Out = Annotated[Path, typer.Option("--out")]


class Verbs:
    """Verbs of one kind, at a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def commune_name(self, code: str) -> str:
        """Its name, or for programs its code."""
        found = communes().get(code)
        return code if found is None or self.desk.settings.json else found.full_name

    def kind_name(self, kind: str) -> str:
        """Its name, or for programs its word."""
        return kind if self.desk.settings.json else name_of(SiteKind(kind), self.desk.settings.lang)

    def peer(self, site: Site, cert: Path, key: Path) -> Peer:
        """A site's broker, for the desk with its certificate."""
        root = self.desk.authority.folder / PUBLIC / "root.pem"
        return Peer(site.broker_host, site.broker_port, TlsFiles(root, cert, key), DESK, session_expiry_s=0)

    def nodes(self, site: Site, cert: Path, key: Path, also: Sequence[str] | None) -> Sequence[Peer]:
        """The same, and the other nodes of its cluster, ``HOST`` or ``HOST:PORT``. Raises Refused (E133)."""
        first, others = self.peer(site, cert, key), []
        for one in also or ():
            host, _, port = one.partition(":")
            if not host or (port and not port.isdecimal()):
                raise Refused("E133", value=f"--also {one}", why="HOST[:PORT]")
            others.append(replace(first, host=host, port=int(port or first.port)))
        return [first, *others]

    def write_files(self, verb: str, subject: str, made: Mapping[str, bytes], out: Path) -> None:
        """One step for each file; keys are for their owner alone."""
        steps = [Step("step.write", {"path": out / name}, partial(_keep, out / name, content)) for name, content in made.items()]
        self.desk.carry_out(verb, subject[:64], steps, lambda: {"files": [str(out / name) for name in made]})


def _keep(path: Path, content: bytes) -> None:
    printing.save(content, path, 0o600 if path.name.endswith(PRIVATE) else 0o644)
