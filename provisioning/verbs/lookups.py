"""What is only looked up."""

from __future__ import annotations

from typing import Annotated

import typer

from provisioning.places.communes import containing
from provisioning.verbs.verb import Verbs


class Lookups(Verbs):
    """``communes``, ``audit``."""

    def communes(self, text: Annotated[str, typer.Argument()] = "") -> None:
        """All, or those whose name holds a text, with or without its marks."""
        self.desk.table(({"code": one.code, "kind": one.kind, "name": one.name} for one in containing(text)), ("code", "kind", "name"))

    def audit(self, subject: Annotated[str | None, typer.Argument()] = None, limit: Annotated[int, typer.Option("--limit")] = 200) -> None:
        """The newest rows."""
        columns = ("number", "at", "who", "verb", "subject", "outcome")
        rows = self.desk.registry.audit(subject, limit)
        told = ({**{name: getattr(row, name) for name in columns}, "at": f"{row.at:%Y-%m-%d %H:%M:%S}"} for row in rows)
        self.desk.table(told, columns)
