"""``fleet``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from provisioning.desk.plan import Step
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
        now = datetime.now(UTC).replace(microsecond=0)
        after = timedelta(hours=silent_hours)
        found = known.read(self.desk.registry, events, (now - timedelta(days=days), now))
        computed = summary.figures(found, now, after)
        paths = [out / f"report.{form}" for form in ("html", "csv", "pdf")]
        steps = [
            Step("step.write", {"path": paths[0]}, lambda: printing.save(page.page(computed), paths[0])),
            Step("step.write", {"path": paths[1]}, lambda: printing.save(rows.table(found, now, after), paths[1])),
            Step("step.write", {"path": paths[2]}, partial(_save, computed, paths[2])),
        ]
        told = {"count": computed.total, "silent": len(computed.silent), "files": [str(path) for path in paths]}
        self.desk.carry_out("fleet report", out.name[:64] or ".", steps, lambda: told)


def _save(computed: summary.Figures, path: Path) -> None:
    printing.save_pdf(sheet.report(computed), path)
