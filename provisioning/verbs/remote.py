"""What an operator does to gates from afar: their configuration, and orders."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from device.core.wire import topics
from provisioning.authority.keys import Purpose
from provisioning.broker.nodes import nodes
from provisioning.broker.talk import leave
from provisioning.common.ids import GATE, SITE, checked
from provisioning.common.plan import Step
from provisioning.remote import desired, orders
from provisioning.verbs.verb import Also, Key, Paper, Verbs

Wait = Annotated[int, typer.Option("--wait", min=1, max=600)]


class Remote(Verbs):
    """``config``, ``order``."""

    def send(self, *, site: Annotated[str, typer.Option("--site")], cert: Paper, key: Key, also: Also = None, wait: Wait = 30) -> None:
        """To each gate of a site that is at work, its configuration by the registry."""
        registry, said = self.desk.registry, dict[str, str]()
        place = registry.site(checked(site, SITE))
        gates = desired.at_work(registry, place.id)
        signer = self.desk.authority.signer(Purpose.ORDERS, self.desk.passphrase())
        rows = [desired.next_version(registry, gate, desired.wanted(place, gate), signer) for gate in gates]
        peer, *others = nodes(place, self.tls(cert, key), also)

        def give() -> None:
            for other in others:
                leave(other, [(topics.down(row.gate, topics.DOWN_CONFIG), row.message) for row in rows])
            said.update(desired.send(peer, rows, wait))
            desired.check_taken(said)

        # Noted first: a version of which some gates may have heard is never given to another content.
        steps = [
            Step("step.config_note", {"count": len(rows)}, partial(desired.keep, registry, rows)),
            Step("step.list_send", {"count": len(rows), "host": peer.host, "port": peer.port}, give),
        ]

        def result() -> dict[str, Any]:
            told = {"id": place.id, "gates": [{"id": row.gate, "version": row.version, "state": said[row.gate]} for row in rows]}
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
        row = self.desk.registry.gate(checked(gate, GATE))
        asked, told = orders.asked(name), orders.arguments(args or ())
        signer = self.desk.authority.signer(Purpose.ORDERS, self.desk.passphrase())
        peer, said = nodes(self.desk.registry.site(row.site), self.tls(cert, key))[0], dict[str, Any]()

        def give() -> None:
            fate = orders.give(peer, row.id, asked, told, signer, wait)
            said.update({"state": fate.state, "reason": fate.reason or "-", "detail": fate.detail or "-"})

        step = Step("step.order", {"name": name, "id": row.id}, give)
        self.desk.carry_out("order", row.id, [step], lambda: {"id": row.id, "order": name, **said})
