"""The report on paper: A4, for a meeting and for the file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from provisioning.common.catalogue import Lang
from provisioning.fleet import charts
from provisioning.fleet.known import Known
from provisioning.fleet.page import commune_names, directions, kind_names, local, word
from provisioning.fleet.summary import SILENT, STATES, Figures
from provisioning.paper.printing import blank
from provisioning.paper.style import A4_MM, GREY, RED

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

WIDE_MM: Final = 180.0
HALF_MM: Final = 165.0
FOOT_MM: Final = 270.0


def report(figures: Figures) -> Sheet:
    """Three pages: the figures with the communes; kinds of site and people; what is to be mended, and where somebody must go."""
    sheet = blank(A4_MM, word(Lang.VI, "title"), figures.at)
    names = commune_names()
    legend = {state: word(Lang.VI, f"state_{state}") for state in (*STATES, SILENT)}
    below = _title(sheet, figures.at)
    counts = " · ".join(f"{legend[state]}: {count}" for state, count in figures.states.items())
    below = sheet.say(f"{word(Lang.VI, 'gates')}: {figures.total} · {counts}", (15, below + 3), WIDE_MM, 10, bold=True)
    if not figures.heard:
        below = sheet.say(word(Lang.VI, "registry_only"), (15, below + 2), WIDE_MM, 9, colour=RED)
    below = _heading(sheet, "by_commune", below)
    _chart(sheet, charts.rollout(figures.communes, names, legend, "png"), below)
    sheet.add_page()
    below = _heading(sheet, "by_kind", 8)
    below = _chart(sheet, charts.rollout(figures.kinds, kind_names(), legend, "png"), below)
    if figures.hours:
        below = _heading(sheet, "people", below)
        below = _chart(sheet, charts.people(figures.hours, directions(), "png"), below)
    sheet.add_page()
    bands = " · ".join(f"{word(Lang.VI, band)}: {count}" for band, count in figures.bands.items())
    below = sheet.say(bands, (15, _heading(sheet, "certificates", 8)), WIDE_MM, 9)
    troubles = " · ".join(f"{word(Lang.VI, f'trouble_{name}')}: {len(gates)}" for name, gates in figures.troubles.items())
    below = sheet.say(troubles, (15, _heading(sheet, "troubles", below)), WIDE_MM, 9)
    versions = " · ".join(f"{version}: {count}" for version, count in list(figures.versions.items())[:12]) or word(Lang.VI, "none")
    below = sheet.say(versions, (15, _heading(sheet, "versions", below)), WIDE_MM, 9)
    below = _list(sheet, "silent", figures.silent, below, HALF_MM)
    _list(sheet, "ending_soon", figures.ending, below + 3, FOOT_MM)
    return sheet


def _title(sheet: Sheet, at: datetime) -> float:
    below = sheet.say(word(Lang.VI, "title"), (15, 12), WIDE_MM, 18, bold=True)
    below = sheet.say(word(Lang.EN, "title"), (15, below + 0.5), WIDE_MM, 10, colour=GREY)
    return sheet.say(f"{word(Lang.VI, 'taken')} · {word(Lang.EN, 'taken')}: {local(at)}", (15, below + 1), WIDE_MM, 9, colour=GREY)


def _heading(sheet: Sheet, key: str, below: float) -> float:
    return sheet.say(f"{word(Lang.VI, key)} · {word(Lang.EN, key)}", (15, below + 5), WIDE_MM, 11, bold=True) + 1


def _chart(sheet: Sheet, picture: bytes, below: float) -> float:
    drawn = sheet.image(io.BytesIO(picture), x=15, y=below, w=WIDE_MM)
    return below + float(drawn.rendered_height)


def _list(sheet: Sheet, key: str, gates: Sequence[Known], below: float, until: float) -> float:
    """As many as there is room for, down to ``until`` in millimetres."""
    below = _heading(sheet, key, below)
    names = commune_names()
    for number, gate in enumerate(gates):
        if below > until:
            return sheet.say(f"+ {len(gates) - number} (report.csv)", (15, below), WIDE_MM, 8, colour=GREY)
        line = f"{gate.site_name} · {names.get(gate.commune, gate.commune)} · {gate.hotline}"
        sheet.say(gate.id, (15, below), 28, 8, bold=True)
        sheet.say(f"{local(gate.seen)} / {local(gate.ends)}", (145, below), 55, 7, colour=GREY)
        below = sheet.say(line[:110], (43, below), 100, 8) + 0.8
    return below if gates else sheet.say(word(Lang.VI, "none"), (15, below), WIDE_MM, 9)
