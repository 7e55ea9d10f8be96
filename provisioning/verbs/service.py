"""A gate's life after its card: orders by camera, renewal, going into service and out of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TextIO, cast

import segno
import typer
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.orders import Order
from provisioning.authority.authority import Purpose, leaf
from provisioning.broker.access import apply, gone
from provisioning.desk.errors import Refused
from provisioning.desk.ids import GATE, SITE, checked
from provisioning.desk.plan import Step
from provisioning.enrolment.issuing import DAYS
from provisioning.paper import printing, service_sheets, sheets
from provisioning.registry.registry import FORWARD
from provisioning.registry.tables import Certificate, Gate, GateState
from provisioning.remote import orders
from provisioning.remote.by_camera import MOST_HOURS, Maker, certificate_life, gate_key, moment
from provisioning.verbs.places import lane_of, way_of
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
        place = None if site is None else self.desk.registry.site(checked(site, SITE))
        wanted = (lane_of(lane or row.lane), way_of(direction or row.direction))
        phrase = self.desk.passphrase()
        maker = _maker(self, row, phrase, hours)
        if place is None or place.id == row.site:
            text = maker.place(*wanted)
        else:
            text = maker.place(*wanted, place.id, self.desk.authority.site_keys(phrase)(place.id))
        facts = {"id": row.id, "lane": wanted[0], "direction": wanted[1], "site": row.site if place is None else place.id}
        note = Step("step.order_note", facts, partial(_stand, self, row.id, facts))
        _show(self, "commission qr", maker, text, note, out / f"{row.id}-order")


class Renewal(Verbs):
    """``rotate``."""

    def rotate(
        self, gate: str, *, days: Annotated[int, typer.Option("--days", min=1, max=DAYS)] = DAYS, hours: Hours = 24, out: Out = Path()
    ) -> None:
        """A new certificate for a gate whose own has ended, as an order for its camera. Others renew by themselves."""
        row = self.desk.registry.gate(checked(gate, GATE))
        phrase, ours = self.desk.passphrase(), self.desk.authority
        maker = _maker(self, row, phrase, hours)
        key = gate_key(self.desk.registry, row.id)
        above = ours.certificate(Purpose.GATES)
        made = leaf(row.id, key, above, ours.key(Purpose.GATES, phrase), certificate_life(days, moment()))
        text = maker.certificate(made)
        facts = {"id": row.id, "serial": f"{made.serial_number:x}", "date": f"{made.not_valid_after_utc:%Y-%m-%d}"}
        note = Step("step.certificate_note", facts, partial(_keep_certificate, self, row.id, [made, above]))
        _show(self, "rotate", maker, text, note, out / f"{row.id}-certificate")


class Leaving(Verbs):
    """``revoke``, ``decommission``, ``broker access``."""

    def revoke(self, gate: str, reason: Reason, acl: Acl = None, pid: Pid = None) -> None:
        """A gate that may nothing any more. A new card it gets only when its certificates have ended."""
        row = self.desk.registry.gate(checked(gate, GATE))
        self._leave("revoke", row, GateState.REVOKED, reason, self._silence(acl, pid))

    def decommission(
        self, gate: str, reason: Reason, acl: Acl = None, pid: Pid = None, cert: Paper | None = None, key: Key | None = None
    ) -> None:
        """A gate that is taken down for good: wiped where it can be reached, and silenced. Its id is never given again."""
        row = self.desk.registry.gate(checked(gate, GATE))
        steps = self._silence(acl, pid)
        told: dict[str, Any] = {}
        if cert is not None and key is not None and row.state != GateState.DECOMMISSIONED:
            signer = self.desk.authority.signer(Purpose.ORDERS, self.desk.passphrase())
            wipe = Step("step.wipe", {"id": row.id}, partial(self._wipe, row, cert, key, signer, told))
            steps = [wipe, *steps]
        self._leave("decommission", row, GateState.DECOMMISSIONED, reason, steps, told)

    def access(self, acl: Annotated[Path, typer.Option("--acl")], pid: Pid = None) -> None:
        """The access list of this machine's broker, as the registry stands now."""
        names = gone(self.desk.registry)
        step = Step("step.access", {"path": acl, "count": len(names)}, partial(apply, acl, names, pid))
        self.desk.carry_out("broker access", acl.name[:64], [step], lambda: {"path": str(acl), "count": len(names)})

    def _silence(self, acl: Path | None, pid: Path | None) -> list[Step]:
        if acl is None:
            return []
        return [Step("step.silence", {"path": acl}, lambda: apply(acl, gone(self.desk.registry), pid))]

    def _leave(self, verb: str, row: Gate, state: GateState, reason: str, after: list[Step], told: dict[str, Any] | None = None) -> None:
        if not 0 < len(reason) <= REASON_LIMIT or not reason.isprintable():
            raise Refused("E133", value="--reason", why=f"1-{REASON_LIMIT}")
        told = {} if told is None else told
        told |= {"id": row.id, "state": str(state), "reason": reason, "next": self.desk.words("say.access_next")}
        if row.state == state:
            self.desk.carry_out(verb, row.id, after, lambda: told)
            return
        if state not in FORWARD[GateState(row.state)]:
            raise Refused("E115", id=row.id, state=row.state, wanted=state)
        # An order to wipe goes out while the gate may still hear it; the rest when the registry says that it is gone.
        first = [step for step in after if step.key == "step.wipe"]
        move = Step("step.move", {"id": row.id, "state": state}, partial(self.desk.registry.move, row.id, state))
        self.desk.carry_out(verb, row.id, [*first, move, *(step for step in after if step not in first)], lambda: told)

    def _wipe(self, row: Gate, cert: Path, key: Path, signer: Ed25519PrivateKey, told: dict[str, Any]) -> None:
        peer = self.peer(self.desk.registry.site(row.site), cert, key)
        told["wiped"] = orders.give(peer, row.id, Order.WIPE, {"confirm": row.id}, signer).state


class Service(Verbs):
    """``gate in-service``."""

    def begin(self, gate: str) -> None:
        """A gate that was accepted begins its work."""
        row = self.desk.registry.gate(checked(gate, GATE))
        state = GateState.IN_SERVICE
        if row.state != state and state not in FORWARD[GateState(row.state)]:
            raise Refused("E115", id=row.id, state=row.state, wanted=state)
        last = self.desk.registry.acceptance(row.id)
        if last is not None and not last.well:
            raise Refused("E185", id=row.id)
        move = Step("step.move", {"id": row.id, "state": state}, partial(self.desk.registry.move, row.id, state))
        self.desk.carry_out("gate in-service", row.id, [] if row.state == state else [move], lambda: {"id": row.id, "state": str(state)})


def _maker(verbs: Verbs, row: Gate, phrase: str, hours: int) -> Maker:
    return Maker(verbs.desk.registry, verbs.desk.authority.signer(Purpose.ORDERS, phrase), row, moment(), hours)


def _stand(verbs: Verbs, gate: str, facts: dict[str, str]) -> None:
    with verbs.desk.registry.change() as session:
        row = session.get_one(Gate, gate)
        row.lane, row.direction, row.site, row.changed = facts["lane"], facts["direction"], facts["site"], datetime.now(UTC)


def _keep_certificate(verbs: Verbs, gate: str, chain: list[x509.Certificate]) -> None:
    pem = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain)
    serial, starts, ends = f"{chain[0].serial_number:x}", chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    with verbs.desk.registry.change() as session:
        session.add(Certificate(serial=serial, gate=gate, starts=starts, ends=ends, pem=pem))


def _show(verbs: Verbs, verb: str, maker: Maker, text: str, note: Step, stem: Path) -> None:
    """On paper, as a picture for a screen, and on the terminal itself."""
    desk, row, hours = verbs.desk, maker.gate, maker.hours
    sheet = service_sheets.order(desk.registry.site(row.site), row, text, hours, sheets.now())
    pdf, png = stem.with_suffix(".pdf"), stem.with_suffix(".png")
    save: list[tuple[Path, Callable[[], None]]] = [
        (pdf, partial(printing.save_pdf, sheet, pdf, 0o600)),
        (png, partial(printing.save_png, sheet, png, 0o600)),
    ]
    steps = [note, *(Step("step.write", {"path": path}, do) for path, do in save)]
    told = {"id": row.id, "files": [str(pdf), str(png)], "next": desk.words("say.hold_button", hours=hours)}
    desk.carry_out(verb, row.id, steps, lambda: told)
    if not desk.settings.json:
        segno.make_qr(text, error="m", boost_error=False).terminal(cast("TextIO", desk.out.file), compact=True)
