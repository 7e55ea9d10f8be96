"""A gate's life after its card: orders by camera, renewal, going into service and out of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TextIO, cast

import segno
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.orders import Order
from device.edges.broker.tls import TlsFiles
from provisioning.authority.keys import Purpose
from provisioning.broker.access import apply, gone
from provisioning.broker.nodes import nodes
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, SITE, checked
from provisioning.common.plan import Step
from provisioning.enrolment.issuing import DAYS, FilesIssuer
from provisioning.paper import printing, service_sheets
from provisioning.registry import gates, issued
from provisioning.registry.tables import Gate, GateState
from provisioning.remote import orders
from provisioning.remote.by_camera import MOST_HOURS, Maker
from provisioning.verbs.verb import Key, Out, Paper, Verbs

Acl = Annotated[Path | None, typer.Option("--acl")]
Pid = Annotated[Path | None, typer.Option("--pid")]
Reason = Annotated[str, typer.Option("--reason")]
Hours = Annotated[int, typer.Option("--hours", min=1, max=MOST_HOURS)]
REASON_LIMIT: Final = 100


class Commissioning(Verbs):
    """``commission``."""

    def qr(
        self,
        gate: str,
        *,
        lane: Annotated[str | None, typer.Option("--lane")] = None,
        direction: Annotated[str | None, typer.Option("--direction")] = None,
        site: Annotated[str | None, typer.Option("--site")] = None,
        hours: Hours = 24,
        out: Out = Path(),
    ) -> None:
        """A gate's lane, direction and site, as an order for its camera."""
        row = self.desk.registry.gate(checked(gate, GATE))
        place = row.site if site is None else self.desk.registry.site(checked(site, SITE)).id
        wanted = gates.checked_lane(lane or row.lane), gates.checked_direction(direction or row.direction)
        phrase = self.desk.passphrase()
        maker = _maker(self, row, phrase, hours)
        moved = () if place == row.site else (place, self.desk.authority.site_keys(phrase)(place))
        text = maker.place(*wanted, *moved)
        facts = {"id": row.id, "lane": wanted[0], "direction": wanted[1], "site": place}
        note = Step("step.order_note", facts, partial(gates.place, self.desk.registry, row.id, *wanted, place))
        _show(self, "commission qr", maker, text, note, out / f"{row.id}-order")


class Renewal(Verbs):
    """``rotate``."""

    def rotate(
        self, gate: str, *, days: Annotated[int, typer.Option("--days", min=1, max=DAYS)] = DAYS, hours: Hours = 24, out: Out = Path()
    ) -> None:
        """A new certificate for a gate whose own has ended, as an order for its camera. Others renew by themselves."""
        row = self.desk.registry.gate(checked(gate, GATE))
        phrase = self.desk.passphrase()
        maker = _maker(self, row, phrase, hours)
        key = issued.newest_key(self.desk.registry, row.id)
        chain = FilesIssuer.of(self.desk.authority, phrase, days).issue(row.id, key)
        text = maker.certificate(chain[0])
        facts = {"id": row.id, "serial": f"{chain[0].serial_number:x}", "date": f"{chain[0].not_valid_after_utc:%Y-%m-%d}"}
        note = Step("step.certificate_note", facts, partial(issued.keep, self.desk.registry, row.id, chain))
        _show(self, "rotate", maker, text, note, out / f"{row.id}-certificate")


class Leaving(Verbs):
    """``revoke``, ``decommission``, ``broker access``."""

    def revoke(self, gate: str, reason: Reason, acl: Acl = None, pid: Pid = None) -> None:
        """A gate that may nothing any more. A new card it gets only when its certificates have ended."""
        row = self.desk.registry.gate(checked(gate, GATE))
        self._leave("revoke", row, GateState.REVOKED, reason, [], self._silence(acl, pid), {})

    def decommission(
        self, gate: str, reason: Reason, acl: Acl = None, pid: Pid = None, cert: Paper | None = None, key: Key | None = None
    ) -> None:
        """A gate that is taken down for good: wiped where it can be reached, and silenced. Its id is never given again."""
        row, wipe = self.desk.registry.gate(checked(gate, GATE)), list[Step]()
        told: dict[str, Any] = {}
        if cert is not None and key is not None and row.state != GateState.DECOMMISSIONED:
            signer = self.desk.authority.signer(Purpose.ORDERS, self.desk.passphrase())
            wipe = [Step("step.wipe", {"id": row.id}, partial(self._wipe, row, self.tls(cert, key), signer, told))]
        self._leave("decommission", row, GateState.DECOMMISSIONED, reason, wipe, self._silence(acl, pid), told)

    def access(self, acl: Annotated[Path, typer.Option("--acl")], pid: Pid = None) -> None:
        """The access list of this machine's broker, as the registry stands now."""
        names = gone(self.desk.registry)
        step = Step("step.access", {"path": acl, "count": len(names)}, partial(apply, acl, names, pid))
        self.desk.carry_out("broker access", acl.name[:64], [step], lambda: {"path": str(acl), "count": len(names)})

    def _silence(self, acl: Path | None, pid: Path | None) -> list[Step]:
        if acl is None:
            return []
        return [Step("step.silence", {"path": acl}, lambda: apply(acl, gone(self.desk.registry), pid))]

    def _leave(  # noqa: PLR0917 - what is done before and after the registry says that it is gone
        self, verb: str, row: Gate, state: GateState, reason: str, before: list[Step], after: list[Step], told: dict[str, Any]
    ) -> None:
        if not 0 < len(reason) <= REASON_LIMIT or not reason.isprintable():
            raise Refused("E133", value="--reason", why=f"1-{REASON_LIMIT}")
        told |= {"id": row.id, "state": str(state), "reason": reason, "next": self.desk.words("say.access_next")}
        move = Step("step.move", {"id": row.id, "state": state}, partial(self.desk.registry.move, row.id, state))
        # An order to wipe goes out while the gate may still hear it; the rest when the registry says that it is gone.
        steps = [*before, move, *after] if gates.has_to_move(row, state) else after
        self.desk.carry_out(verb, row.id, steps, lambda: told)

    def _wipe(self, row: Gate, tls: TlsFiles, signer: Ed25519PrivateKey, told: dict[str, Any]) -> None:
        peer = nodes(self.desk.registry.site(row.site), tls)[0]
        told["wiped"] = orders.give(peer, row.id, Order.WIPE, {"confirm": row.id}, signer).state


class Service(Verbs):
    """``gate in-service``."""

    def begin(self, gate: str) -> None:
        """A gate that was accepted begins its work."""
        row, state = self.desk.registry.gate(checked(gate, GATE)), GateState.IN_SERVICE
        move = Step("step.move", {"id": row.id, "state": state}, partial(self.desk.registry.move, row.id, state))
        steps = [move] if gates.has_to_begin(self.desk.registry, row) else []
        self.desk.carry_out("gate in-service", row.id, steps, lambda: {"id": row.id, "state": str(state)})


def _maker(verbs: Verbs, row: Gate, phrase: str, hours: int) -> Maker:
    return Maker(verbs.desk.registry, verbs.desk.authority.signer(Purpose.ORDERS, phrase), row, times.now(), hours)


def _show(verbs: Verbs, verb: str, maker: Maker, text: str, note: Step, stem: Path) -> None:
    """On paper, as a picture for a screen, and on the terminal itself."""
    desk, row, hours = verbs.desk, maker.gate, maker.hours
    draw = partial(service_sheets.order, desk.registry.site(row.site), row, text, hours, times.now())
    pages = printing.steps(draw, stem, 0o600)
    told = {"id": row.id, "files": [str(page.facts["path"]) for page in pages], "next": desk.words("say.hold_button", hours=hours)}
    desk.carry_out(verb, row.id, [note, *pages], lambda: told)
    if not desk.settings.json:
        segno.make_qr(text, error="m", boost_error=False).terminal(cast("TextIO", desk.out.file), compact=True)
