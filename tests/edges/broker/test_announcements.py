"""What a gate says of itself beside the record: state, will, hello, health, and what it listens to."""

from __future__ import annotations

import json
import uuid

import pytest

from device.config import BrokerSection
from device.edges.broker.announcements import About, Herald
from device.edges.machine.clock import SystemClock
from tests.contract.validate import assert_valid
from tests.edges.broker.test_uplink import content
from tests.edges.broker.uplink_kit import GATE, Rig, lines, rig
from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_server import MqttServer


def test_a_connection_begins_with_state_hello_and_health(server: MqttServer) -> None:
    """In the contract's form, with the retain flags and expiries of its table."""
    with rig(server.port) as up:
        up.record.add(3)
        server.wait(lambda: len(server.events()) == 3 and bool(server.on("/health")))
        state, hello, health = server.on("/state")[0], server.on("/hello")[0], server.on("/health")[0]
        assert (state.qos, state.retain, mqtt.MESSAGE_EXPIRY in state.properties) == (1, True, False)
        assert (hello.qos, hello.retain, hello.properties[mqtt.MESSAGE_EXPIRY]) == (1, False, [300])
        assert (health.qos, health.retain, health.properties[mqtt.MESSAGE_EXPIRY]) == (0, False, [180])
        assert content(state)["online"] is True
        assert content(hello)["epoch"] == up.record.epoch
        assert content(hello)["session"] == content(state)["session"] == content(health)["session"]
        assert content(health)["storage_state"] == "ok"
        assert server.published.index(state) < server.published.index(hello) < server.published.index(server.events()[0])


def test_the_will_is_the_offline_state_of_this_session(server: MqttServer) -> None:
    """Retained, delayed by 30 s, and told apart from the next session's."""
    with rig(server.port) as up:
        up.wait_phase("online")
        connect = server.connects[0]
        will = json.loads(connect.will_payload)
        assert_valid(connect.will_topic, connect.will_payload)
        assert (will["online"], will["session"]) == (False, up.stat("session"))
        assert (connect.client_id, connect.will_retain, connect.will_qos) == (GATE, True, 1)
        assert connect.will_properties[mqtt.WILL_DELAY] == [30]


def test_it_subscribes_to_what_the_contract_allows_and_sees_retained_commands_as_retained(server: MqttServer) -> None:
    """Ack, configuration, commands, its own lists and everybody's."""
    with rig(server.port):
        server.wait(lambda: any("SUBSCRIBE" in line for line in server.talk))
    subscribed = next(line for line in server.talk if "SUBSCRIBE" in line)
    for topic in ("down/ack", "down/config", "down/cmd/+", "down/list/+"):
        assert f"gates/v1/{GATE}/{topic}" in subscribed
    assert "gates/v1/all/down/list/+" in subscribed


def test_a_list_that_the_rules_name_is_asked_for_by_its_name() -> None:
    """Some brokers find what is retained by an exact topic only."""
    herald = Herald(GATE, About("1", "2", dict, dict), SystemClock(), 60.0)
    section = BrokerSection(host="127.0.0.1")
    session = str(uuid.uuid4())
    named = [one.topic for one in herald.peer(section, session, retain=True, lists=("workers",)).subscriptions]
    without = [one.topic for one in herald.peer(section, session, retain=True).subscriptions]
    assert set(named) - set(without) == {f"gates/v1/{GATE}/down/list/workers", "gates/v1/all/down/list/workers"}
    assert len(set(named)) == len(named)


def test_health_comes_every_period_and_expires_after_three(server: MqttServer) -> None:
    """So the province sees at once that a gate is silent."""
    with rig(server.port, health_every_s=40) as up:
        server.wait(lambda: len(server.on("/health")) == 1)
        up.advance(39)
        up.wait_phase("online")
        assert len(server.on("/health")) == 1
        up.advance(2)
        server.wait(lambda: len(server.on("/health")) == 2)
        assert server.on("/health")[0].properties[mqtt.MESSAGE_EXPIRY] == [120]


def test_health_tells_the_lanes_apart(server: MqttServer) -> None:
    """Depth and oldest age of live events and of the backlog."""
    server.answer = server.withhold
    made = Rig(server.port)
    made.record.add(5, age_s=3600)
    made.record.add(2)
    made.uplink.start()
    try:
        server.wait(lambda: bool(server.on("/health")))
        health = content(server.on("/health")[0])
        assert (health["backlog"]["depth"], health["live"]["depth"]) == (5, 2)
        assert health["backlog"]["oldest_s"] >= 3600
        assert health["live"]["oldest_s"] < 30
    finally:
        server.puback()
        server.answer = server.accept_all
        made.uplink.close()


def test_a_broken_figure_does_not_silence_health(server: MqttServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is left out, and named once in the log."""
    made = Rig(server.port, health_every_s=10)
    made.health = {"cpu_celsius": "hot", "frames": 7, "invented": 1}
    made.uplink.start()
    try:
        server.wait(lambda: len(server.on("/health")) == 1)
        made.advance(11)
        server.wait(lambda: len(server.on("/health")) == 2)
    finally:
        made.uplink.close()
    assert content(server.on("/health")[0])["frames"] == 7
    assert len([line for line in lines(caplog) if "cpu_celsius, invented" in line]) == 1
