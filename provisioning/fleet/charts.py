"""The report's charts, drawn by matplotlib in letters that have every Vietnamese mark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from provisioning.fleet.summary import SILENT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Form: TypeAlias = Literal["svg", "png"]

COLOURS: Final = {
    "planned": "#9aa5b1",
    "written": "#c7b042",
    "enrolled": "#4a90d9",
    "accepted": "#2a6fb0",
    "in-service": "#2e8b57",
    "revoked": "#c0392b",
    "decommissioned": "#5d4037",
}
MOST_ROWS: Final = 25
_ROW_INCHES: Final = 0.27


def rollout(rows: Mapping[str, Mapping[str, int]], names: Mapping[str, str], legend: Mapping[str, str], form: Form) -> bytes:
    """Bars by state, the largest rows on top."""
    shown = list(rows.items())[:MOST_ROWS]
    figure = _figure(1.0 + _ROW_INCHES * max(1, len(shown)))
    axes = figure.add_subplot()
    labels = [names.get(row, row) for row, _ in shown]
    left = [0] * len(shown)
    for state, colour in COLOURS.items():
        counts = [row[state] for _, row in shown]
        axes.barh(range(len(shown)), counts, left=left, color=colour, label=legend[state])
        left = [before + count for before, count in zip(left, counts, strict=True)]
    for place, (_, row) in enumerate(shown):
        if row[SILENT]:
            axes.annotate(f"  {legend[SILENT]}: {row[SILENT]}", (left[place], place), va="center", fontsize=7, color="#c0392b")
    axes.set_yticks(range(len(shown)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, fontsize=7, frameon=False)
    return _drawn(figure, form)


def people(hours: Mapping[datetime, tuple[int, int]], legend: Sequence[str], form: Form) -> bytes:
    """In above the line, out below."""
    figure = _figure(2.6)
    axes = figure.add_subplot()
    moments = list(hours)
    axes.bar(range(len(moments)), [hours[moment][0] for moment in moments], color="#2e8b57", label=legend[0])
    axes.bar(range(len(moments)), [-hours[moment][1] for moment in moments], color="#4a90d9", label=legend[1])
    step = max(1, len(moments) // 12)
    axes.set_xticks(range(0, len(moments), step), [f"{moment:%d/%m %Hh}" for moment in moments[::step]], fontsize=7)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes.tick_params(axis="y", labelsize=7)
    axes.axhline(0, color="#555555", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False)
    return _drawn(figure, form)


def _figure(inches: float) -> Figure:
    """Eight inches wide, and so many high."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, when something is drawn

    return Figure(figsize=(8.0, inches), layout="constrained")


def _drawn(figure: Figure, form: Form) -> bytes:
    import matplotlib as mpl  # noqa: PLC0415 - as for the figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - the same
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - the same

    out = io.BytesIO()
    # Letters stay letters: a page is smaller so, and can be searched. Without a date the same figures give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gate", "font.family": "DejaVu Sans"}):
        if form == "svg":
            FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]  # matplotlib has no types here
            return out.getvalue()[out.getvalue().index(b"<svg") :]
        figure.set_dpi(200)
        FigureCanvasAgg(figure).print_png(out)  # type: ignore[no-untyped-call]  # see above
    return out.getvalue()
