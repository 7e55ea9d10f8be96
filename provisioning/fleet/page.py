"""The report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from provisioning.common.catalogue import Lang, words
from provisioning.common.times import HERE
from provisioning.fleet import charts
from provisioning.fleet.summary import LISTED, SILENT, STATES, Figures
from provisioning.places.communes import communes
from provisioning.places.kinds import SiteKind, name_of

FOLDER: Final = Path(__file__).parent


def page(figures: Figures) -> bytes:
    """The whole file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - loaded when the page is made

    # Everything is escaped but the charts, whose words matplotlib has escaped.
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    names = commune_names()
    legend = {state: word(Lang.VI, f"state_{state}") for state in (*STATES, SILENT)}
    drawn = {
        "communes": charts.rollout(figures.communes, names, legend, "svg").decode(),
        "kinds": charts.rollout(figures.kinds, kind_names(), legend, "svg").decode(),
        "people": charts.people(figures.hours, directions(), "svg").decode() if figures.hours else "",
    }
    text = environment.get_template("page.html").render(
        f=figures,
        at=local(figures.at),
        charts=drawn,
        commune_names=names,
        kind_names=kind_names(),
        states=(*STATES, SILENT),
        limit=LISTED,
        local=local,
        t=partial(word, Lang.VI),
        e=partial(word, Lang.EN),
    )
    return text.encode()


def word(lang: Lang, key: str) -> str:
    """Of the report."""
    return words(lang, f"report.{key}")


def directions() -> tuple[str, str]:
    """The legend of people by hour."""
    return f"{word(Lang.VI, 'came')} · {word(Lang.EN, 'came')}", f"{word(Lang.VI, 'went')} · {word(Lang.EN, 'went')}"


def commune_names() -> dict[str, str]:
    """By code."""
    return {code: commune.full_name for code, commune in communes().items()}


def kind_names() -> dict[str, str]:
    """By the registry's word."""
    return {str(kind): name_of(kind, Lang.VI) for kind in SiteKind}


def local(moment: datetime | None) -> str:
    """In Viet Nam's time."""
    return "-" if moment is None else f"{moment.astimezone(HERE):%Y-%m-%d %H:%M}"
