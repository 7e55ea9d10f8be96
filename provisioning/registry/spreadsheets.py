"""Sites and gates as CSV and YAML: what a town hall's spreadsheet brings, and what an auditor takes away."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import ValidationError

from provisioning.common.errors import Refused
from provisioning.common.ids import SITE, checked
from provisioning.common.input_files import csv_rows, text_of
from provisioning.registry.sites import NewSite, facts
from provisioning.registry.tables import Gate, Site

_FORMULA: Final = frozenset("=+-@")
_GATE: Final = ("id", "lane", "direction", "board", "kit", "door", "power_loss")


def read_sites(path: Path) -> list[NewSite]:
    """The sites in a CSV or YAML file. Raises Refused (E130 to E132), naming the file, the row and the column; all rows or none."""
    return [_site(path, number, row) for number, row in _rows(path, text_of(path)).items()]


def new_sites(path: Path, there: Sequence[Site]) -> Sequence[Site]:
    """Those of a file's sites that the registry does not have.

    Raises Refused: E110 for an id that was never given out, E114 for one that stands in the
    file twice or belongs to a site of which the registry says something else, and like ``read_sites``.
    """
    rows = [new.row() for new in read_sites(path)]
    known = {site.id: facts(site) for site in there}
    seen: set[str] = set()
    for row in rows:
        if row.id != checked(row.id, SITE):
            raise Refused("E110", id=row.id)
        if row.id in seen or (row.id in known and known[row.id] != facts(row)):
            raise Refused("E114", id=row.id)
        seen.add(row.id)
    return [row for row in rows if row.id not in known]


def _rows(path: Path, text: str) -> Mapping[int, Mapping[str, Any]]:
    """By the line of a CSV file, or by the place in a YAML list."""
    if path.suffix.lower() == ".csv":
        return {at: _nested({key: _meant(value) for key, value in row.items()}) for at, row in csv_rows(path, text).items()}
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Refused("E130", path=path, why=error) from error
    rows = found.get("sites") if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused("E130", path=path, why="sites: [ … ]")
    return dict(enumerate(rows, start=1))


def _meant(value: object) -> object:
    """Without the quote that ``written`` puts before what looks like a formula."""
    return value[1:] if isinstance(value, str) and value[:1] == "'" and value[1:2] in _FORMULA else value


def _nested(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """``network.kind`` and its like as a table in the table."""
    network = {key.removeprefix("network."): value for key, value in row.items() if str(key).startswith("network.")}
    plain = {key: value for key, value in row.items() if not str(key).startswith("network.")}
    return {**plain, "network": network} if network else plain


def _site(path: Path, number: int, row: Mapping[str, Any]) -> NewSite:
    told = {key: value for key, value in row.items() if key not in {"created", "commune_list", "gates"}}
    try:
        return NewSite.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Refused("E132", path=path, row=number, column=".".join(map(str, first["loc"])), why=first["msg"]) from error


def written(sites: Sequence[Site], gates: Sequence[Gate], form: Literal["csv", "yaml"]) -> str:
    """All sites: CSV with a column for each field, or YAML with the gates below their site."""
    rows = [{**_cells(site), "network": site.network} for site in sites]
    if form == "csv":
        keys = sorted({f"network.{key}" for row in rows for key in row["network"]})
        out = io.StringIO()
        writer = csv.DictWriter(out, [*(_cells(sites[0]) if sites else ["id"]), *keys], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            flat = {f"network.{key}": value for key, value in row.pop("network").items()}
            writer.writerow({key: _harmless(value) for key, value in {**row, **flat}.items()})
        return out.getvalue()
    for row in rows:
        row["gates"] = [
            {**{name: getattr(gate, name) for name in _GATE}, "state": str(gate.state)} for gate in gates if gate.site == row["id"]
        ]
    told: str = yaml.safe_dump({"sites": rows}, allow_unicode=True, sort_keys=False)
    return told


def _cells(site: Site) -> dict[str, Any]:
    names = ("id", "name", "kind", "commune", "commune_list", "address", "contact", "hotline", "purpose", "legal_basis")
    told = {name: getattr(site, name) for name in (*names, "broker_host", "broker_port", "policy")}
    return {**told, "created": site.created.isoformat()}


def _harmless(value: object) -> object:
    """A cell that a spreadsheet would take for a formula is told by a quote that it is none; a telephone number is none."""
    if isinstance(value, str) and len(value) > 1 and value[0] in _FORMULA and not value.lstrip("+").replace(" ", "").isdigit():
        return f"'{value}"
    return value
