"""From paper to gate: what the tool prints for a camera, our eye reads and a gate takes; and gates that leave."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from device.core import wire
from device.core.types import ClockReading
from device.edges.broker.values import Arrived
from device.edges.certificate.enrol import Places
from device.edges.keys.trust_files import Signs, load_province
from device.edges.machine.clock import SystemClock
from device.edges.orders.book import OrderBook
from device.edges.orders.by_camera import Commissioner, Surroundings
from device.settings import commissioned
from provisioning.cli import main
from provisioning.registry.tables import Gate, GateState
from tests.provisioning.broker.clients import gate as at_broker
from tests.provisioning.enrolment_kit import PHRASE, Province, enrolled_gate, run
from tests.provisioning.paper.pages import decode
from tests.waiting import next_second


@pytest.fixture
def enrolled(town: Province, monkeypatch: pytest.MonkeyPatch) -> tuple[Gate, Places]:
    """A gate, and its own configuration pointing into its folder."""
    gate, places = enrolled_gate(town, monkeypatch)
    path = places.etc / "gate.toml"
    own = "".join(f'{name} = "{town.folder / name}"\n' for name in ("orders", "commissioned"))
    path.write_text(path.read_text().replace("[trust]\n", f"[trust]\n{own}"))
    return gate, places


def read(path: str) -> bytes:
    """The code on a page, as the eye reads it."""
    (found,) = decode(np.asarray(Image.open(path).convert("L")))
    return found.payload


def hold_up(places: Places, payload: bytes) -> str:
    """Before the gate, with its window open: ``succeeded``, or why not."""
    config = commissioned.load(places.etc / "gate.toml")
    facts: list[wire.AuditFact] = []
    clock = SystemClock()
    site = Surroundings(config, load_province(config.trust.province, Signs.ORDERS), "", lambda: clock.floor_ns, facts.append)
    gate = Commissioner(site, OrderBook(config.trust.orders / "camera"))
    gate.open(0)
    facts.clear()
    now = clock.reading()
    gate.submit(payload, ClockReading(now.monotonic_ns, now.boot_ns, now.wall_ns, now.boot_id, trusted=True))
    (fact,) = facts
    assert isinstance(fact, wire.CommandFate)
    return fact.reason or fact.state


def test_an_order_goes_from_the_desk_over_paper_to_the_gate(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Lane and direction, then another site with its key; each once, and the registry knows."""
    gate, places = enrolled
    told = run(capsys, "commission", "qr", gate.id, "--lane", "7", "--direction", "out", "--out", str(tmp_path))
    paper = read(told["files"][1])
    assert hold_up(places, paper) == "succeeded"
    assert hold_up(places, paper) == "already_used"
    assert commissioned.load(places.etc / "gate.toml").gate.lane == "7"
    other = town.gate()
    told = run(capsys, "commission", "qr", gate.id, "--site", other.site, "--out", str(tmp_path))
    assert hold_up(places, read(told["files"][1])) == "succeeded"
    config = commissioned.load(places.etc / "gate.toml")
    assert (config.gate.site, config.gate.lane, config.gate.direction) == (other.site, "7", "out")
    assert bytes.fromhex(config.privacy.site_key.read_text()) == town.authority.site_keys(PHRASE)(other.site)
    assert (town.registry.gate(gate.id).site, town.registry.gate(gate.id).lane) == (other.site, "7")
    assert oct(Path(told["files"][0]).stat().st_mode)[-3:] == "600"


def test_an_expired_gate_gets_its_certificate_over_paper(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The largest order there is: our eye reads it from the drawn page."""
    gate, places = enrolled
    # One that does not outlast the one in use is not taken.
    next_second()
    told = run(capsys, "rotate", gate.id, "--out", str(tmp_path))
    paper = read(told["files"][1])
    assert len(paper) < 1_100
    assert hold_up(places, paper) == "succeeded"
    broker = commissioned.load(places.etc / "gate.toml").broker
    assert broker is not None
    assert broker.cert == town.folder / "commissioned" / "gate.cert"


def test_on_a_terminal_the_order_stands_there_too(
    enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """For whoever has a laptop and no printer."""
    gate, _ = enrolled
    capsys.readouterr()
    assert main(["commission", "qr", gate.id, "--out", str(tmp_path), "--yes"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("█") + shown.count("▀") + shown.count("▄") > 500
    assert "Hold the button" in shown


def test_a_gate_that_is_not_enrolled_takes_no_order(town: Province, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no key to which anything could be said."""
    for state, verb in (
        (GateState.WRITTEN, ("commission", "qr")),
        (GateState.REVOKED, ("commission", "qr")),
        (GateState.ENROLLED, ("rotate",)),
    ):
        gate = town.gate(state)
        assert run(capsys, *verb, gate.id, code=2)["error"] == ("E181" if verb == ("rotate",) else "E180")


def test_revoked_and_decommissioned(town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str]) -> None:
    """Silenced at the broker by the same command; again it does no harm; what is decommissioned never comes back."""
    gate, _ = enrolled
    pid = town.folder / "pid"
    pid.write_text(str(town.gates_broker.pid))
    acl = ("--acl", str(town.folder / "mosquitto" / "gates.acl"), "--pid", str(pid))
    assert run(capsys, "revoke", gate.id, "--reason", "", code=2)["error"] == "E133"
    for _ in range(2):
        assert run(capsys, "revoke", gate.id, "--reason", "bị cạy", *acl)["state"] == "revoked"
    with at_broker(town, gate.id) as one:
        assert one.say(f"gates/v1/{gate.id}/up/checkin") == 0x87
    told = run(capsys, "decommission", gate.id, "--reason", "tháo", *acl)
    assert told["state"] == "decommissioned"
    assert run(capsys, "revoke", gate.id, "--reason", "x", code=2)["error"] == "E115"
    assert run(capsys, "broker", "access", *acl)["count"] == 1
    rows = [(row.verb, row.outcome) for row in town.registry.audit(gate.id)][-3:]
    assert rows == [("revoke", "done"), ("revoke", "done"), ("decommission", "done")]


@pytest.mark.parametrize("answers", [True, False])
def test_a_gate_that_can_be_reached_is_wiped_first(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str], *, answers: bool
) -> None:
    """By a signed order; what the gate says is told, and its silence too."""
    gate, places = enrolled
    desk = town.papers("desk")
    keys = ("--cert", str(desk.cert), "--key", str(desk.key))
    orders = load_province(places.etc / "province.pem", Signs.ORDERS)
    if not answers:
        assert run(capsys, "decommission", gate.id, "--reason", "tháo", *keys)["wiped"] == "silent"
        return
    with at_broker(town, gate.id, f"gates/v1/{gate.id}/down/cmd/#") as one:

        def obey() -> None:
            while not isinstance(event := one.got.get(timeout=20), Arrived):
                pass
            order = orders.read(wire.Command, event.payload)
            assert isinstance(order, wire.Command)
            assert (order.name, order.args) == ("wipe", {"confirm": gate.id})
            state = wire.CommandState(id=order.id, state="succeeded", time=order.issued)
            one.connection.done(event)
            one.say(f"gates/v1/{gate.id}/up/cmd/{order.id}", state.model_dump_json(exclude_none=True).encode())

        thread = threading.Thread(target=obey)
        thread.start()
        assert run(capsys, "decommission", gate.id, "--reason", "tháo", *keys)["wiped"] == "succeeded"
        thread.join(10)


def test_only_an_accepted_gate_goes_into_service(town: Province, capsys: pytest.CaptureFixture[str]) -> None:
    """The registry's own rule, at the command line."""
    gate = town.gate(GateState.ENROLLED)
    assert run(capsys, "gate", "in-service", gate.id, code=2)["error"] == "E115"
    accepted = town.gate(GateState.ACCEPTED)
    for _ in range(2):
        assert run(capsys, "gate", "in-service", accepted.id)["state"] == "in-service"
