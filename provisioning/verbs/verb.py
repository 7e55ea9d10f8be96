"""What the verbs share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from device.edges.broker.tls import TlsFiles
from provisioning.broker.config_files import PRIVATE
from provisioning.common.output_files import save
from provisioning.common.plan import Step
from provisioning.desk import Desk
from provisioning.places.communes import communes
from provisioning.places.kinds import SiteKind, name_of

Paper = Annotated[Path, typer.Option("--cert")]
Key = Annotated[Path, typer.Option("--key")]
Also = Annotated[list[str] | None, typer.Option("--also")]
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

    def tls(self, cert: Path, key: Path) -> TlsFiles:
        """What a connection to the province's brokers is made with."""
        return TlsFiles(self.desk.authority.root_file, cert, key)

    def write_files(self, verb: str, subject: str, made: Mapping[str, bytes], out: Path) -> None:
        """One step for each file; keys are for their owner alone."""
        steps = [Step("step.write", {"path": out / name}, partial(_keep, out / name, content)) for name, content in made.items()]
        self.desk.carry_out(verb, subject[:64], steps, lambda: {"files": [str(out / name) for name in made]})


def _keep(path: Path, content: bytes) -> None:
    save(content, path, 0o600 if path.name.endswith(PRIVATE) else 0o644)
