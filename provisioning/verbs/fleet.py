"""``fleet``."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from provisioning.common import times
from provisioning.common.output_files import save
from provisioning.common.plan import Step
from provisioning.fleet import known, page, rows, sheet, summary
from provisioning.paper import printing
from provisioning.verbs.verb import Out, Verbs


class Fleet(Verbs):
    """``fleet report``."""

    def report(
        self,
        *,
        events: Annotated[Path | None, typer.Option("--events")] = None,
        silent_hours: Annotated[float, typer.Option("--silent-hours", min=0.1, max=24 * 365)] = 24.0,
        days: Annotated[float, typer.Option("--days", min=0.04, max=366)] = 2.0,
        out: Out = Path(),
    ) -> None:
        """The report of all gates, as a page, a table and a document."""
        now, after = times.now(), timedelta(hours=silent_hours)
        found = known.read(self.desk.registry, events, (now - timedelta(days=days), now))
        computed = summary.figures(found, now, after)
        html, csv, pdf = (out / f"report.{form}" for form in ("html", "csv", "pdf"))
        steps = [
            Step("step.write", {"path": html}, lambda: save(page.page(computed), html)),
            Step("step.write", {"path": csv}, lambda: save(rows.table(found, now, after), csv)),
            printing.pdf_step(partial(sheet.report, computed), pdf),
        ]
        told = {"count": computed.total, "silent": len(computed.silent), "files": [str(path) for path in (html, csv, pdf)]}
        self.desk.carry_out("fleet report", out.name[:64] or ".", steps, lambda: told)
