"""Sites and gates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, SITE, checked
from provisioning.common.input_files import text_of
from provisioning.common.output_files import save
from provisioning.common.plan import Step
from provisioning.paper import printing
from provisioning.paper.wiring_sheet import wiring_sheet
from provisioning.places.kinds import SiteKind
from provisioning.places.wiring import door_of
from provisioning.registry import gates, sites
from provisioning.registry.spreadsheets import new_sites, written
from provisioning.registry.tables import Gate, Site
from provisioning.verbs.verb import Out, Verbs

PowerLossOption = Annotated[str | None, typer.Option("--power-loss")]


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
        country: Annotated[str | None, typer.Option("--country")] = None,
        gateway: Annotated[str | None, typer.Option("--gateway")] = None,
        dns: Annotated[str | None, typer.Option("--dns")] = None,
        ssh: Annotated[bool | None, typer.Option("--ssh/--no-ssh")] = None,
        policy: Annotated[Path | None, typer.Option("--policy")] = None,
    ) -> None:
        """One site, under a new id."""
        told: dict[str, Any] = {"name": name, "kind": kind, "commune": commune, "contact": contact, "hotline": hotline, "purpose": purpose}
        told |= {"legal_basis": legal_basis, "broker_host": broker, "address": address, "broker_port": port}
        way = _given(kind=network, ssid=ssid, apn=apn, country=country, gateway=gateway, dns=dns, ssh=ssh)
        row = sites.described({**told, "network": way, "policy": "" if policy is None else text_of(policy)})
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
        country: Annotated[str | None, typer.Option("--country")] = None,
        gateway: Annotated[str | None, typer.Option("--gateway")] = None,
        dns: Annotated[str | None, typer.Option("--dns")] = None,
        ssh: Annotated[bool | None, typer.Option("--ssh/--no-ssh")] = None,
        policy: Annotated[Path | None, typer.Option("--policy")] = None,
    ) -> None:
        """What is given of a site anew; its id stays."""
        row = self.desk.registry.site(checked(site, SITE))
        told: dict[str, Any] = {"name": name, "kind": kind, "commune": commune, "contact": contact, "hotline": hotline, "purpose": purpose}
        told |= {"legal_basis": legal_basis, "broker_host": broker, "address": address, "broker_port": port}
        way = _given(kind=network, ssid=ssid, apn=apn, country=country, gateway=gateway, dns=dns, ssh=ssh)
        # Another kind of network forgets the name of the one before; all else that is not said stays.
        kept = {key: value for key, value in row.network.items() if network in {None, row.network["kind"]} or key not in {"ssid", "apn"}}
        told |= {"policy": None if policy is None else text_of(policy), "network": {**kept, **way} if way else None}
        changed = sites.changes(row, told)
        facts = {"id": row.id, "what": "; ".join(f"{key}: {getattr(row, key)} → {value}" for key, value in changed.items())}
        keep = Step("step.site_change", facts, partial(sites.change, self.desk.registry, row.id, changed))
        steps = [keep] if changed else []
        # Told of a new broker are gates where they still are: at the old one.
        old = f" --also {row.broker_host}:{row.broker_port}" if sites.BROKER & changed.keys() else ""
        say = {"next": self.desk.words("say.config_next", site=f"{row.id}{old}")} if sites.AT_GATES & changed.keys() else {}
        self.desk.carry_out("site change", row.id, steps, lambda: {"id": row.id, "changed": sorted(changed), **say})

    def list(self) -> None:
        """All of them."""
        self.desk.table((self._row(site) for site in self.desk.registry.sites()), ("id", "name", "kind", "commune", "hotline"))

    def show(self, site: str) -> None:
        """One, with its gates."""
        row = self.desk.registry.site(checked(site, SITE))
        found = self.desk.registry.gates(row.id)
        standing = [f"{gate.id} ({gate.lane}, {gate.direction}, {gate.kit}, {door_of(gate)}, {gate.state})" for gate in found]
        more = {name: getattr(row, name) for name in ("address", "contact", "purpose", "legal_basis", "network", "policy")}
        self.desk.show({**self._row(row), **more, "broker": f"{row.broker_host}:{row.broker_port}", "gates": standing})

    def bring(self, path: Path) -> None:
        """From a file: all or none."""
        new = new_sites(path, self.desk.registry.sites())
        keep = Step("step.import", {"count": len(new), "path": path}, partial(sites.add_all, self.desk.registry, new))
        steps = [keep] if new else []
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
            save(text.encode(), out)
            self.desk.show({"path": str(out)})

    def _row(self, site: Site) -> dict[str, Any]:
        told = {"id": site.id, "name": site.name, "kind": self.kind_name(site.kind), "commune": self.commune_name(site.commune)}
        return {**told, "hotline": site.hotline}


def _given(**told: str | bool | None) -> dict[str, str | bool]:
    return {key: value for key, value in told.items() if value is not None}


class Gates(Verbs):
    """``gate``."""

    def add(
        self,
        *,
        site: Annotated[str, typer.Option("--site")],
        lane: Annotated[str, typer.Option("--lane")] = "1",
        direction: Annotated[str, typer.Option("--direction")] = "in",
        board: Annotated[str, typer.Option("--board")] = "pi4",
        kit: Annotated[str, typer.Option("--kit")] = "full",
        door: Annotated[str, typer.Option("--door")] = "none",
        power_loss: PowerLossOption = None,
    ) -> None:
        """One gate, under a new id, planned."""
        place = self.desk.registry.site(checked(site, SITE))
        row = gates.planned(place, lane, direction, board, gates.checked_fitting(kit, door, power_loss))
        facts = {name: getattr(row, name) for name in ("id", "site", "lane", "direction", "board", "kit")} | {"door": door_of(row)}
        step = Step("step.gate", {**facts, "site": place.name}, partial(self.desk.registry.add, row))
        self.desk.carry_out("gate add", row.id, [step], lambda: facts)

    def change(
        self,
        gate: str,
        *,
        board: Annotated[str | None, typer.Option("--board")] = None,
        kit: Annotated[str | None, typer.Option("--kit")] = None,
        door: Annotated[str | None, typer.Option("--door")] = None,
        power_loss: PowerLossOption = None,
    ) -> None:
        """What is given of a gate's parts anew; its card has to be written again, because wires are not sent from afar."""
        row = self.desk.registry.gate(checked(gate, GATE))
        changed = gates.refitted(row, board, kit, door, power_loss)
        facts = {"id": row.id, "what": "; ".join(f"{key}: {getattr(row, key) or '-'} → {value or '-'}" for key, value in changed.items())}
        steps = [Step("step.gate_change", facts, partial(gates.refit, self.desk.registry, row.id, changed))] if changed else []
        say = {"next": self.desk.words("say.rewire_next", id=row.id)} if changed else {}
        self.desk.carry_out("gate change", row.id, steps, lambda: {"id": row.id, "changed": sorted(changed), **say})

    def wiring(self, gate: str, out: Out = Path()) -> None:
        """What hangs on which pin of a gate, on paper."""
        row = self.desk.registry.gate(checked(gate, GATE))
        plan = printing.steps(partial(wiring_sheet, self.desk.registry.site(row.site), row, times.now()), out / f"{row.id}-wiring")
        self.desk.carry_out("gate wiring", row.id, plan, lambda: {"files": [str(step.facts["path"]) for step in plan]})

    def list(self, site: Annotated[str | None, typer.Option("--site")] = None) -> None:
        """All, or those of a site."""
        found = self.desk.registry.gates(None if site is None else checked(site, SITE))
        columns = ("id", "site", "lane", "direction", "board", "kit", "door", "state")
        self.desk.table((self._row(gate, columns) for gate in found), columns)

    def _row(self, gate: Gate, columns: Sequence[str]) -> dict[str, str]:
        return {name: getattr(gate, name) for name in columns} | {"door": door_of(gate)}
