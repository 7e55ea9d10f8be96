"""What an operator does to gates from afar: their configuration, and orders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from device.core.orders import Order
from device.core.wire import topics
from provisioning.authority.authority import Purpose
from provisioning.desk.errors import Refused
from provisioning.desk.ids import GATE, SITE, checked
from provisioning.desk.plan import Step
from provisioning.lists import publishing
from provisioning.registry.tables import CERTIFIED, Gate, GateState, Site
from provisioning.remote import desired, orders
from provisioning.verbs.verb import Also, Key, Paper, Verbs

Wait = Annotated[int, typer.Option("--wait", min=1, max=600)]
ASKED: Final = tuple(order for order in Order if order is not Order.WIPE)
"""A gate is wiped by taking it down: ``decommission``."""


class Remote(Verbs):
    """``config``, ``order``."""

    def send(self, *, site: Annotated[str, typer.Option("--site")], cert: Paper, key: Key, also: Also = None, wait: Wait = 30) -> None:
        """To each gate of a site that is at work, its configuration by the registry."""
        place = self.desk.registry.site(checked(site, SITE))
        gates = [gate for gate in self.desk.registry.gates(place.id) if GateState(gate.state) in CERTIFIED]
        if not gates:
            raise Refused("E173", id=place.id)
        signer = self.desk.authority.signer(Purpose.ORDERS, self.desk.passphrase())
        rows = [desired.next_version(self.desk.registry, gate, desired.wanted(place, gate), signer) for gate in gates]
        (peer, *others), said = self.nodes(place, cert, key, also), dict[str, str]()

        def keep() -> None:
            with self.desk.registry.change() as session:
                for row in rows:
                    session.merge(row)

        def give() -> None:
            for other in others:
                publishing.publish(other, [(topics.down(row.gate, topics.DOWN_CONFIG), row.message) for row in rows])
            said.update(desired.send(peer, rows, wait))
            refusals = [f"{gate} ({state})" for gate, state in said.items() if state not in {"applied", "silent"}]
            if refusals:
                raise Refused("E196", gates=", ".join(refusals))

        # Noted first: a version of which some gates may have heard is never given to another content.
        steps = [
            Step("step.config_note", {"count": len(rows)}, keep),
            Step("step.list_send", {"count": len(rows), "host": peer.host, "port": peer.port}, give),
        ]

        def result() -> dict[str, Any]:
            told: dict[str, Any] = {"id": place.id}
            told["gates"] = [{"id": row.gate, "version": row.version, "state": said[row.gate]} for row in rows]
            return {**told, "next": self.desk.words("say.config_later")} if "silent" in said.values() else told

        self.desk.carry_out("config send", place.id, steps, result)

    def order(
        self,
        gate: str,
        name: Annotated[str, typer.Argument()],
        *,
        cert: Paper,
        key: Key,
        args: Annotated[list[str] | None, typer.Option("--arg")] = None,
        wait: Wait = 20,
    ) -> None:
        """An order to a gate, and what it says to it."""
        row: Gate = self.desk.registry.gate(checked(gate, GATE))
        if name not in ASKED:
            raise Refused("E133", value=name, why=" | ".join(ASKED))
        site: Site = self.desk.registry.site(row.site)
        told, signer = _arguments(args or ()), self.desk.authority.signer(Purpose.ORDERS, self.desk.passphrase())
        said: dict[str, Any] = {}

        def give() -> None:
            fate = orders.give(self.peer(site, cert, key), row.id, Order(name), told, signer, wait)
            said.update({"state": fate.state, "reason": fate.reason or "-", "detail": fate.detail or "-"})

        step = Step("step.order", {"name": name, "id": row.id}, give)
        self.desk.carry_out("order", row.id, [step], lambda: {"id": row.id, "order": name, **said})


def _arguments(given: Sequence[str]) -> dict[str, Any]:
    """``key=value`` each; a value that is JSON is meant so."""
    told: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not (key and equals):
            raise Refused("E133", value=one, why="--arg KEY=VALUE")
        try:
            told[key] = json.loads(value)
        except ValueError:
            told[key] = value
    return told
