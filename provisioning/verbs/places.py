"""Sites and gates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import typer
from pydantic import ValidationError

from provisioning.desk.errors import Refused
from provisioning.desk.ids import GATE, SITE, checked, new_id
from provisioning.desk.input_files import text_of
from provisioning.desk.plan import Step
from provisioning.paper import printing
from provisioning.places.kinds import SiteKind
from provisioning.registry.spreadsheets import BOARDS, NewSite, read_sites, written
from provisioning.registry.tables import Gate, GateState, Site
from provisioning.verbs.verb import Verbs

AT_GATES: Final = frozenset({"policy", "purpose", "legal_basis", "broker_host", "broker_port"})
"""What a gate in service has on its card, and can be sent anew."""


class Sites(Verbs):
    """``site``."""

    def add(  # noqa: PLR0913 - a site has so many sides
        self,
        *,
        name: Annotated[str, typer.Option("--name")],
        kind: Annotated[SiteKind, typer.Option("--kind")],
        commune: Annotated[str, typer.Option("--commune")],
        contact: Annotated[str, typer.Option("--contact")],
        hotline: Annotated[str, typer.Option("--hotline")],
        purpose: Annotated[str, typer.Option("--purpose")],
        legal_basis: Annotated[str, typer.Option("--legal-basis")],
        broker: Annotated[str, typer.Option("--broker")],
        address: Annotated[str, typer.Option("--address")] = "-",
        port: Annotated[int, typer.Option("--port")] = 8883,
        network: Annotated[str, typer.Option("--network")] = "lan",
        ssid: Annotated[str | None, typer.Option("--ssid")] = None,
        apn: Annotated[str | None, typer.Option("--apn")] = None,
        policy: Annotated[Path | None, typer.Option("--policy")] = None,
    ) -> None:
        """One site, under a new id."""
        told: dict[str, Any] = {"name": name, "kind": kind, "commune": commune, "contact": contact, "hotline": hotline, "purpose": purpose}
        told |= {"legal_basis": legal_basis, "broker_host": broker, "address": address, "broker_port": port}
        row = _described({**told, "network": _network(network, ssid, apn), "policy": "" if policy is None else text_of(policy)}).row()
        facts = {"id": row.id, "name": row.name, "kind": self.kind_name(row.kind), "commune": self.commune_name(row.commune)}
        self.desk.carry_out("site add", row.id, [Step("step.site", facts, partial(self.desk.registry.add, row))], lambda: facts)

    def change(  # noqa: PLR0913 - a site has so many sides
        self,
        site: str,
        *,
        name: Annotated[str | None, typer.Option("--name")] = None,
        kind: Annotated[SiteKind | None, typer.Option("--kind")] = None,
        commune: Annotated[str | None, typer.Option("--commune")] = None,
        contact: Annotated[str | None, typer.Option("--contact")] = None,
        hotline: Annotated[str | None, typer.Option("--hotline")] = None,
        purpose: Annotated[str | None, typer.Option("--purpose")] = None,
        legal_basis: Annotated[str | None, typer.Option("--legal-basis")] = None,
        broker: Annotated[str | None, typer.Option("--broker")] = None,
        address: Annotated[str | None, typer.Option("--address")] = None,
        port: Annotated[int | None, typer.Option("--port")] = None,
        network: Annotated[str | None, typer.Option("--network")] = None,
        ssid: Annotated[str | None, typer.Option("--ssid")] = None,
        apn: Annotated[str | None, typer.Option("--apn")] = None,
        policy: Annotated[Path | None, typer.Option("--policy")] = None,
    ) -> None:
        """What is given of a site anew; its id stays."""
        row = self.desk.registry.site(checked(site, SITE))
        told: dict[str, Any] = {"name": name, "kind": kind, "commune": commune, "contact": contact, "hotline": hotline, "purpose": purpose}
        told |= {"legal_basis": legal_basis, "broker_host": broker, "address": address, "broker_port": port}
        told |= {
            "policy": None if policy is None else text_of(policy),
            "network": None if network is None else _network(network, ssid, apn),
        }
        if network is None and (ssid or apn):
            raise Refused("E133", value="--ssid, --apn", why="--network")
        before = {key: value for key, value in _facts(row).items() if key != "commune_list"}
        new = _described({**before, **{key: value for key, value in told.items() if value is not None}}).row()
        changed = {key: value for key, value in _facts(new).items() if value != getattr(row, key)}

        def keep() -> None:
            with self.desk.registry.change() as session:
                kept = session.get_one(Site, row.id)
                for key, value in changed.items():
                    setattr(kept, key, value)

        facts = {"id": row.id, "what": "; ".join(f"{key}: {getattr(row, key)} → {value}" for key, value in changed.items())}
        steps = [Step("step.site_change", facts, keep)] if changed else []
        # Told of a new broker are gates where they still are: at the old one.
        old = f" --also {row.broker_host}:{row.broker_port}" if {"broker_host", "broker_port"} & changed.keys() else ""
        say = {"next": self.desk.words("say.config_next", site=f"{row.id}{old}")} if AT_GATES & changed.keys() else {}
        self.desk.carry_out("site change", row.id, steps, lambda: {"id": row.id, "changed": sorted(changed), **say})

    def list(self) -> None:
        """All of them."""
        self.desk.table((self._row(site) for site in self.desk.registry.sites()), ("id", "name", "kind", "commune", "hotline"))

    def show(self, site: str) -> None:
        """One, with its gates."""
        row = self.desk.registry.site(checked(site, SITE))
        gates = [f"{gate.id} ({gate.lane}, {gate.direction}, {gate.state})" for gate in self.desk.registry.gates(row.id)]
        more = {name: getattr(row, name) for name in ("address", "contact", "purpose", "legal_basis", "network", "policy")}
        self.desk.show({**self._row(row), **more, "broker": f"{row.broker_host}:{row.broker_port}", "gates": gates})

    def bring(self, path: Path) -> None:
        """From a file: all or none."""
        rows = [new.row() for new in read_sites(path)]
        for row in rows:
            if row.id != checked(row.id, SITE):
                raise Refused("E110", id=row.id)
        doubled = next((row.id for row in rows if sum(other.id == row.id for other in rows) > 1), None)
        if doubled is not None:
            raise Refused("E114", id=doubled)
        there = {site.id: _facts(site) for site in self.desk.registry.sites()}
        for row in rows:
            if row.id in there and there[row.id] != _facts(row):
                raise Refused("E114", id=row.id)
        new = [row for row in rows if row.id not in there]

        def keep() -> None:
            with self.desk.registry.change() as session:
                session.add_all(new)

        steps = [Step("step.import", {"count": len(new), "path": path}, keep)] if new else []
        self.desk.carry_out("site import", path.name[:64], steps, lambda: {"count": len(new), "sites": [row.id for row in new]})

    def export(
        self,
        form: Annotated[str, typer.Option("--form")] = "yaml",
        out: Annotated[Path | None, typer.Option("--out")] = None,
    ) -> None:
        """To a file, or to standard output."""
        if form not in {"csv", "yaml"}:
            raise Refused("E133", value=f"--form {form}", why="csv | yaml")
        text = written(self.desk.registry.sites(), self.desk.registry.gates(), cast("Literal['csv', 'yaml']", form))
        if out is None:
            self.desk.out.print(text, end="", markup=False)
        else:
            printing.save(text.encode(), out)
            self.desk.show({"path": str(out)})

    def _row(self, site: Site) -> dict[str, Any]:
        told = {"id": site.id, "name": site.name, "kind": self.kind_name(site.kind), "commune": self.commune_name(site.commune)}
        return {**told, "hotline": site.hotline}


def _facts(site: Site) -> dict[str, Any]:
    return {column.name: getattr(site, column.name) for column in Site.__table__.columns if column.name != "created"}


def _described(told: Mapping[str, Any]) -> NewSite:
    """Raises Refused (E133), naming the option."""
    try:
        return NewSite.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = {"broker_host": "broker", "broker_port": "port"}.get(str(first["loc"][0]), str(first["loc"][-1]).replace("_", "-"))
        raise Refused("E133", value=f"--{option}", why=first["msg"].removeprefix("Value error, ")) from error


def _network(kind: str, ssid: str | None, apn: str | None) -> dict[str, str | None]:
    return {"kind": kind, "ssid": ssid, "apn": apn}


class Gates(Verbs):
    """``gate``."""

    def add(
        self,
        site: Annotated[str, typer.Option("--site")],
        lane: Annotated[str, typer.Option("--lane")] = "1",
        direction: Annotated[str, typer.Option("--direction")] = "in",
        board: Annotated[str, typer.Option("--board")] = "pi4",
    ) -> None:
        """One gate, under a new id, planned."""
        place = self.desk.registry.site(checked(site, SITE))
        lane, direction = lane_of(lane), way_of(direction)
        if board not in BOARDS:
            raise Refused("E133", value=board, why=" | ".join(BOARDS))
        now = datetime.now(UTC)
        row = Gate(id=new_id(GATE), site=place.id, lane=lane, direction=direction, board=board, state=GateState.PLANNED)
        row.created = row.changed = now
        facts = {"id": row.id, "site": place.id, "lane": lane, "direction": direction, "board": board}
        step = Step("step.gate", {**facts, "site": place.name}, partial(self.desk.registry.add, row))
        self.desk.carry_out("gate add", row.id, [step], lambda: facts)

    def list(self, site: Annotated[str | None, typer.Option("--site")] = None) -> None:
        """All, or those of a site."""
        gates = self.desk.registry.gates(None if site is None else checked(site, SITE))
        columns = ("id", "site", "lane", "direction", "board", "state")
        self.desk.table(({name: getattr(gate, name) for name in columns} for gate in gates), columns)


def lane_of(lane: str) -> str:
    """A lane as a gate's configuration takes it. Raises Refused (E133)."""
    if not 0 < len(lane) <= 16 or not all(letter in "abcdefghijklmnopqrstuvwxyz0123456789-" for letter in lane):  # noqa: PLR2004 - as the gate's own configuration
        raise Refused("E133", value=f"--lane {lane}", why="a-z 0-9 -, 1-16")
    return lane


def way_of(direction: str) -> str:
    """A direction. Raises Refused (E133)."""
    if direction not in {"in", "out", "both"}:
        raise Refused("E133", value=f"--direction {direction}", why="in | out | both")
    return direction
