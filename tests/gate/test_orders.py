"""Orders on a whole gate, over a real Mosquitto: what the province can have done, and what a broker alone cannot."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from device import gate as gate_module
from device.core import wire
from device.core.player import Snapshot
from device.core.types import ClockReading
from device.edges.broker.downlink import ConfigVerdict
from device.edges.machine.clock import SystemClock
from device.errors import ConfigError
from device.gate import Gate, run_daemon
from device.settings.desired import open_desired
from device.workbench.stage import GATE_ID, Stage, collector, received_checkins
from provisioning.lists.list_release import release
from tests.desk import Desk
from tests.gate.test_gate import draw, turning, until
from tests.mosquitto import Broker, running


class KnownClock(SystemClock):
    """The machine's clock, taken for right: a container's kernel does not know."""

    def reading(self) -> ClockReading:
        """All clocks, trusted."""
        return replace(super().reading(), trusted=True, uncertainty_ms=5)


@dataclass
class Site:
    """A gate with a relay, its broker, and whoever has that broker in hand."""

    gate: Gate
    stage: Stage
    desk: Desk
    client: mqtt.Client
    database: Path
    states: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    opened: list[bool] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Say something in the broker's name."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def order(self, name: str, order: str, *, retain: bool = False, desk: Desk | None = None, **changes: object) -> None:
        """An order of the province."""
        body = (desk or self.desk).order(GATE_ID, name, order, **changes)  # type: ignore[arg-type]  # passed on as they come
        self.publish(wire.down(GATE_ID, "cmd", name), body, retain=retain)

    def end_of(self, name: str) -> tuple[str, str | None]:
        """How an order ended."""
        assert until(lambda: any(state["state"] != "executing" for state in self.states.get(name, []))), (name, self.states)
        state = next(state for state in self.states[name] if state["state"] != "executing")
        return state["state"], state.get("reason")

    def detail_of(self, name: str) -> str:
        """What it brought."""
        return str(next(state["detail"] for state in self.states[name] if "detail" in state))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A gate that is online and knows the time."""
    with standing(tmp_path, monkeypatch) as one:
        yield one


@contextmanager
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The same, to see what is left of it."""
    monkeypatch.setattr(gate_module, "SystemClock", KnownClock)
    (tmp_path / "broker").mkdir()
    desk = Desk()
    database = tmp_path / "province.sqlite"
    with running(Broker.plain(tmp_path / "broker")) as broker, collector(broker.port, database):
        trust = {
            "province": str(desk.write_pem(tmp_path / "orders.pem")),
            "orders": "state/orders",
            "lists": "state/lists",
            "desired": "state/desired",
        }
        overrides: dict[str, dict[str, Any]] = {
            "trust": trust,
            "signals.relay": {"pin": 26},
            "[policy.lists]": {"name": "barred", "use": "deny"},
        }
        stage = Stage(tmp_path / "gate", f"folder:{draw(tmp_path / 'frames', b'064')}", broker.port, overrides)
        with attacker(broker.port) as client:
            opened: list[bool] = []

            def changed(snapshot: Snapshot) -> None:
                if snapshot.relay and not (opened and opened[-1]):
                    opened.append(True)
                elif not snapshot.relay and opened and opened[-1]:
                    opened.append(False)

            desired = open_desired(stage.config_path)
            assert desired is not None
            with turning(Gate(desired.effective(), stage.config_path, on_change=changed, desired=desired)) as gate:
                one = Site(gate, stage, desk, client, database, opened=opened)
                client.on_message = lambda _client, _data, message: one.states.setdefault(message.topic.rpartition("/")[2], []).append(
                    json.loads(message.payload)
                )
                client.subscribe([(f"gates/v1/{GATE_ID}/up/{what}", 1) for what in ("cmd/+", "state")])
                # Being connected is not enough: an order is heard from the subscription on, which goes out before the first state.
                assert until(lambda: any(state["online"] for state in one.states.get("state", [])))
                yield one


@contextmanager
def attacker(port: int) -> Iterator[mqtt.Client]:
    """Whoever has the broker in hand: no access list holds them."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    ready = threading.Event()
    client.on_connect = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(5)
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def openings(site: Site) -> int:
    """How often the relay was driven."""
    return site.opened.count(True)


def test_the_province_opens_the_door_once_for_one_order(site: Site) -> None:
    """Sent five times; the record names the order."""
    for _ in range(5):
        site.order("o-1", "open")
    assert site.end_of("o-1") == ("succeeded", None)
    assert until(lambda: openings(site) == 1)
    assert until(lambda: len(site.states["o-1"]) >= 1)
    assert openings(site) == 1


def test_a_broker_in_the_wrong_hands_cannot_open_a_gate(site: Site) -> None:
    """It sees every message, keeps them, changes them, sends them when and to whom it likes; it has no key."""
    stranger = Desk()
    good = site.desk.order(GATE_ID, "o-1", "open", life_s=2)
    tricks = {
        "forged": stranger.order(GATE_ID, "forged", "open"),
        "renamed": good.replace(b'"id":"o-1"', b'"id":"renamed"'),
        "elsewhere": site.desk.order("another-gate", "elsewhere", "open"),
        "later": good.replace(b"vn.gate.command.v1", b"vn.gate.config.v1"),
        "long": site.desk.order(GATE_ID, "long", "open", life_s=3600),
        "unsigned": json.dumps({"id": "unsigned", "gate": GATE_ID, "name": "open"}).encode(),
        "old": site.desk.order(GATE_ID, "old", "open", issued_s=1_700_000_000),
    }
    for name, body in tricks.items():
        site.publish(wire.down(GATE_ID, "cmd", name), body)
    site.order("kept", "open", retain=True)
    for name in (*tricks, "kept"):
        assert site.end_of(name)[0] in {"rejected", "expired"}, name
    site.publish(wire.down(GATE_ID, "config"), stranger.sign({"type": "vn.gate.config.v1", "gate": GATE_ID, "version": 9, "config": {}}))
    site.publish(wire.down(GATE_ID, "ack"), b"{}")
    assert openings(site) == 0
    assert site.gate.uplink is not None
    assert site.gate.uplink.stats()["orders"] == 0


def test_the_province_sets_the_rate_of_the_backlog(site: Site) -> None:
    """At once, and says no to what is no rate."""
    site.order("r-1", "set-drain-rate", args={"per_s": 3})
    assert site.end_of("r-1") == ("succeeded", None)
    for name, args in (("r-2", {"per_s": 0}), ("r-3", {"per_s": "fast"}), ("r-4", {}), ("r-5", {"per_s": 1, "more": 2})):
        site.order(name, "set-drain-rate", args=args)
        assert site.end_of(name) == ("failed", "bad_arguments")


def test_the_gate_tells_what_is_wrong_with_it_and_what_it_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of anybody."""
    caplog.set_level(logging.INFO)
    site.order("s-1", "selftest")
    assert site.end_of("s-1")[0] == "succeeded"
    site.order("l-1", "send-log", args={"lines": 50})
    assert site.end_of("l-1")[0] == "succeeded"
    assert "order s-1: selftest" in site.detail_of("l-1")
    site.order("i-1", "identify")
    assert site.end_of("i-1") == ("succeeded", None)


def test_a_report_on_a_slow_card_holds_up_neither_decisions_nor_other_orders(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made aside. This gate has no key of its own, so in the end it says that it cannot sign."""
    asked, ready = threading.Event(), threading.Event()

    def slow(*_: object) -> float:
        asked.set()
        assert ready.wait(30)
        return 1.0

    monkeypatch.setattr("device.diagnostics._synced_write_ms", slow)
    site.order("r-1", "report")
    assert asked.wait(30)
    try:
        before = site.gate.loop.tally.decisions
        site.order("s-1", "selftest")
        assert site.end_of("s-1")[0] == "succeeded"
        site.order("r-2", "report")
        assert site.end_of("r-2") == ("failed", "busy")
        assert until(lambda: site.gate.loop.tally.decisions > before)
        assert [state["state"] for state in site.states["r-1"]] == ["executing"]
    finally:
        ready.set()
    assert site.end_of("r-1") == ("failed", "no_report")
    assert "broker.key" in site.detail_of("r-1")


def test_what_is_asked_for_again_comes_again(site: Site) -> None:
    """By epoch and numbers; another epoch is another file."""
    assert until(lambda: received_checkins(site.database) >= 1)
    bounds = site.gate.journal.bounds()
    site.order("a-1", "resend", args={"epoch": bounds.epoch, "first": 1, "last": 5})
    assert site.end_of("a-1")[0] == "succeeded"
    site.order("a-2", "resend", args={"epoch": "00000000-0000-0000-0000-000000000000", "first": 1, "last": 5})
    assert site.end_of("a-2") == ("failed", "another_epoch")
    site.order("a-3", "resend", args={"epoch": bounds.epoch, "first": 5, "last": 1})
    assert site.end_of("a-3") == ("failed", "bad_arguments")


def test_a_list_comes_over_the_broker_and_decides(site: Site) -> None:
    """Its parts lie retained there; the manifest says which; people are referred until it is in force."""
    assert "list" in site.gate.condition.problems()
    now_s = int(time.time())
    offered = release(
        lambda body: base64.b64encode(site.desk.key.sign(body)).decode(),
        [bytes([number % 256]) * 32 for number in range(256)] + [number.to_bytes(4, "big") * 8 for number in range(5_000)],
        name="barred",
        version=3,
        valid_s=(now_s - 10, now_s + 3600),
    )
    for topic, payload in offered.messages():
        site.publish(topic, payload, retain=True)
    assert until(lambda: "list" not in site.gate.condition.problems())
    members = site.gate.lists["barred"].members
    assert members is not None
    assert b"\x07" * 32 in members
    assert site.gate.condition.hello()["lists"] == [
        {"name": "barred", "version": "3", "age_s": site.gate.lists["barred"].use(site.gate.clock.reading()).age_s}
    ]


def test_a_desired_configuration_is_in_force_after_a_start_of_its_own(site: Site) -> None:
    """Retained on the broker; the gate stops in order, and the next start has it."""
    told = {"type": "vn.gate.config.v1", "gate": GATE_ID, "version": 2, "issued": "2026-11-23T00:00:00Z"}
    site.publish(wire.down(GATE_ID, "config"), site.desk.sign({**told, "config": {"policy": {"capacity": 40}}}), retain=True)
    assert until(site.gate.ended.is_set)
    again = open_desired(site.stage.config_path)
    assert again is not None
    assert again.effective().policy.capacity == 40
    assert again.report() == ConfigVerdict(2, "applied")


def test_an_update_comes_over_https_alone(site: Site) -> None:
    """And only under the name of a package."""
    for name, url in (("u-1", "http://x/gate_1_arm64.deb"), ("u-2", "file:///etc/passwd"), ("u-3", "https://x/../../etc/passwd")):
        site.order(name, "update", args={"url": url, "sha256": "0" * 64})
        assert site.end_of(name) == ("failed", "bad_arguments")
    site.order("u-4", "update", args={"url": "https://127.0.0.1:1/gate_9_arm64.deb", "sha256": "0" * 64})
    assert site.end_of("u-4") == ("failed", "not_fetched")


def test_a_restart_ends_the_program_and_the_next_start_says_that_it_is_done(site: Site) -> None:
    """The service manager starts it again."""
    site.order("b-1", "restart")
    assert until(site.gate.ended.is_set)


def test_a_wiped_gate_holds_nothing_and_does_not_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journal, orders and lists are gone; the answer went out before."""
    with standing(tmp_path, monkeypatch) as site:
        site.order("w-1", "wipe", args={"confirm": "another-gate"})
        assert site.end_of("w-1") == ("failed", "bad_arguments")
        site.order("w-2", "wipe", args={"confirm": GATE_ID})
        assert site.end_of("w-2") == ("succeeded", None)
        assert until(site.gate.ended.is_set)
    left = [path.name for path in (site.stage.folder / "state").rglob("*")]
    assert left == ["WIPED"]
    with pytest.raises(ConfigError, match="wiped by an order"):
        run_daemon(site.stage.config_path)
