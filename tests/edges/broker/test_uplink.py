"""The uplink against a server that does what it is told: every refusal, every silence, every limit."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from device.config import BrokerSection
from device.core import wire
from device.core.types import Channel, ClockReading
from device.edges.broker.announcements import About, Herald
from device.edges.broker.uplink import UNANSWERED_LIMIT_S
from device.edges.machine.clock import SystemClock
from tests.contract.validate import assert_valid
from tests.edges.broker.test_connection import CONNACK_CODES
from tests.edges.broker.uplink_kit import GATE, Rig, lines, rig
from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_packets import Publish
from tests.fakes.mqtt_server import MqttServer

NEVER = "0d7c41fb-55c2-4a39-9d0e-5b8d8f0c8e11"
"""An epoch that no record has."""


@pytest.fixture
def server() -> Iterator[MqttServer]:
    """The scripted server; it takes everything, and every message that it got must be one of the contract."""
    with MqttServer() as scripted:
        scripted.answer = scripted.accept_all
        yield scripted
    for message in scripted.published:
        assert_valid(message.topic, message.payload)


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    """What operators see."""
    caplog.set_level(logging.INFO)


def content(message: Publish) -> dict[str, Any]:
    """A payload as its reader sees it."""
    parsed: dict[str, Any] = json.loads(message.payload)
    return parsed


def ack(server: MqttServer, epoch: str, upto: int, *ranges: tuple[int, int], gate: str = GATE) -> None:
    """The collector's ack."""
    payload = wire.Ack(epoch=epoch, upto=upto, ranges=[list(span) for span in ranges], server_time="2026-11-23T10:00:00Z")
    server.publish(wire.down(gate, "ack"), wire.encode(payload))


def refuse(code: int, *seqs: int) -> Any:  # noqa: ANN401 - an Answer
    """Answer these events with a code and take the rest."""

    def answer(message: Publish) -> int:
        event = wire.read(wire.HeardEvent, message.payload)
        return code if isinstance(event, wire.HeardEvent) and event.seq in seqs else 0x00

    return answer


class LastWords:
    """Orders that end with the program: what became of them is known only when it stops."""

    def __init__(self, *names: str) -> None:
        self.carried_out = 0
        self._left = list(names)
        self.stopping = False

    def wake(self, now: ClockReading) -> None:
        """Nothing was left open."""

    def submit(self, name: str, payload: bytes, now: ClockReading, *, retained: bool) -> None:
        """None comes."""

    def answers(self, now: ClockReading) -> list[wire.CommandState]:
        """All at once, at the end."""
        if not self.stopping:
            return []
        said = [wire.CommandState(id=name, state="succeeded", time=wire.time_text(now.wall_ns)) for name in self._left]
        self._left.clear()
        return said


# ----------------------------------------------------------------- hello, state, health


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


# ----------------------------------------------------------------- events


def test_an_event_goes_out_with_attempt_and_time_and_the_same_bytes_each_time(server: MqttServer) -> None:
    """User properties change, the body never does."""
    with rig(server.port) as up:
        up.record.add()
        up.wait(lambda: up.stat("published") == 1)
        up.advance(31)
        server.wait(lambda: len(server.events()) == 2)
        first, second = server.events()
        assert first.payload == second.payload
        assert (first.user["attempt"], second.user["attempt"]) == ("1", "2")
        assert first.user["sent"] < second.user["sent"]
        assert first.properties[mqtt.CONTENT_TYPE] == ["application/cloudevents+json"]
        assert (first.qos, first.retain, first.dup, second.dup) == (1, False, False, False)
        assert up.stat("resent") == 1


def test_audit_events_have_their_own_topic(server: MqttServer) -> None:
    """Same journal, same order, other topic."""
    with rig(server.port) as up:
        up.record.record_audit(wire.Stop())
        up.record.add()
        server.wait(lambda: len(server.on("/audit")) == 1 and len(server.events()) == 1)


def test_nothing_is_forgotten_before_the_collector_has_it(server: MqttServer) -> None:
    """A PUBACK releases nothing; the ack releases what it names."""
    with rig(server.port) as up:
        up.record.add(5)
        up.wait(lambda: up.stat("published") == 5)
        assert up.record.left == 5
        ack(server, up.record.epoch, 2, (4, 4))
        up.wait(lambda: up.record.left == 2)
        assert up.stat("acked") == 3
        ack(server, up.record.epoch, 5)
        up.wait(lambda: up.record.left == 0)
        assert up.stat("ack_ms")["p50"] is not None


def test_what_the_province_already_has_is_not_sent_again(server: MqttServer) -> None:
    """The answer to a hello saves sending what was confirmed in vain before the restart."""
    made = Rig(server.port, backlog_per_s=1)
    made.record.add(30, age_s=3600)
    made.uplink.start()
    try:
        made.wait(lambda: made.stat("published") == 1)
        ack(server, made.record.epoch, 12)
        made.wait(lambda: made.record.left == 18)
        made.advance(1.1)
        server.wait(lambda: len(server.events()) == 2)
    finally:
        made.uplink.close()
    assert [int(content(message)["sequence"]) for message in server.events()] == [1, 13]


def test_without_a_collector_the_brokers_word_releases(server: MqttServer) -> None:
    """`confirm = "broker"`, several at once."""
    with rig(server.port, confirm="broker") as up:
        up.record.add(60)
        up.wait(lambda: up.record.left == 0)
        assert up.stat("acked") == 60
        assert up.stat("unacked") == 0


def test_an_ack_for_another_record_releases_nothing(server: MqttServer) -> None:
    """The number alone is not the key."""
    with rig(server.port) as up:
        up.record.add(2)
        up.wait(lambda: up.stat("published") == 2)
        ack(server, NEVER, 2)
        up.wait(lambda: up.stat("stray_acks") == 1)
        assert up.record.left == 2


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b'{"epoch":"x","upto":1}', b"[" * 5000])
def test_a_message_that_is_no_ack_is_counted_and_told_and_releases_nothing(
    server: MqttServer, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Hostile bytes on a topic that only the province may write to."""
    with rig(server.port) as up:
        up.record.add(2)
        up.wait(lambda: up.stat("published") == 2)
        server.publish(wire.down(GATE, "ack"), payload)
        up.wait(lambda: up.stat("bad_messages") == 1)
        server.wait(lambda: len(server.pubacks) == 1)
        assert up.record.left == 2
    assert any("an ack could not be read" in line for line in lines(caplog))


def test_messages_that_nobody_subscribed_to_are_counted(server: MqttServer) -> None:
    """Another gate's ack, an unknown topic, our own topics."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for topic in (wire.down("gate-08", "ack"), "x", wire.up(GATE, "state")):
            server.publish(topic, b"{}")
        up.wait(lambda: up.stat("bad_messages") == 3)


# ----------------------------------------------------------------- the window


@pytest.mark.parametrize(("receive_maximum", "width"), [(1, 1), (5, 5), (20, 16), (None, 16)])
def test_at_no_time_more_than_the_window_is_on_the_wire(server: MqttServer, receive_maximum: int | None, width: int) -> None:
    """Also at the beginning of a connection with a long backlog, where paho alone would send everything."""
    server.limits = {} if receive_maximum is None else {mqtt.RECEIVE_MAXIMUM: receive_maximum}
    server.answer = server.withhold
    made = Rig(server.port, backlog_per_s=100_000)
    made.record.add(100, age_s=3600)
    made.record.add(100)
    made.uplink.start()
    try:
        server.wait(lambda: server.most_unanswered == width)
        made.nudge()
        server.answer = server.accept_all
        server.puback()
        made.wait(lambda: made.stat("published") == 200, 20)
    finally:
        made.uplink.close()
    assert server.most_unanswered == width


def test_live_events_overtake_a_backlog_that_drains_at_its_cap(server: MqttServer) -> None:
    """The province sees now while last week drains."""
    made = Rig(server.port, backlog_per_s=20)
    made.record.add(500, age_s=7 * 86_400)
    made.uplink.start()
    try:
        server.wait(lambda: len(server.events()) >= 20)
        live = made.record.add()
        server.wait(lambda: any(int(content(message)["sequence"]) == live for message in server.events()), 2)
        assert len(server.events()) < 120
    finally:
        made.uplink.close()


def test_what_the_record_dropped_meanwhile_is_not_sent_again(server: MqttServer) -> None:
    """Its gap is an event of its own."""
    with rig(server.port) as up:
        up.record.add(2)
        up.wait(lambda: up.stat("published") == 2)
        up.record.drop(1)
        up.advance(31)
        server.wait(lambda: len(server.events()) == 3)
        assert [int(content(message)["sequence"]) for message in server.events()] == [1, 2, 2]
        up.wait(lambda: up.stat("unacked") == 1)


def test_a_broker_that_takes_events_and_never_answers_is_left(server: MqttServer) -> None:
    """MQTT 5 allows sending again only on a new connection."""
    server.answer = server.withhold
    with rig(server.port) as up:
        up.record.add()
        server.wait(lambda: bool(server.events()))
        server.answer = server.accept_all
        up.advance(UNANSWERED_LIMIT_S + 1)
        up.wait_end("unanswered")
        up.wait(lambda: up.stat("published") == 1)
        assert len(server.connects) == 2


# ----------------------------------------------------------------- refusals of events


@pytest.mark.parametrize(
    ("code", "hold", "wait_s"), [(0x10, "nobody", 30), (0x87, "forbidden", 300), (0x80, "busy", 1), (0x83, "busy", 1), (0x97, "busy", 1)]
)
def test_a_refusal_holds_events_back_and_a_probe_finds_out(
    server: MqttServer, code: int, hold: str, wait_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost, nothing hammers, one line says so when it begins and one when it ends."""
    server.answer = lambda message: code if message.topic.endswith(("/checkin", "/audit")) else 0x00
    with rig(server.port) as up:
        up.record.add(3)
        # All that were on their way are answered: a later refusal would begin the pause anew.
        up.wait(lambda: up.stat("hold") == hold and up.stat("in_flight") == 0)
        refused = len(server.events())
        up.record.add(30)
        up.wait_phase("online")
        assert len(server.events()) <= refused + (1 if hold == "busy" else 0)
        server.answer = server.accept_all
        up.advance(wait_s + 1)
        up.wait(lambda: up.stat("hold") is None)
        up.pass_time_until(lambda: up.stat("published") >= 33)
        assert up.record.buried == {}
        assert up.record.left == up.record.bounds().newest
        alarms = [audit["state"] for audit in up.record.audits("uplink")]
    assert alarms == ([] if hold == "busy" else ["held", "resumed"])
    told = [line for line in lines(caplog) if "takes" in line]
    assert [line.startswith("the broker takes no events") for line in told] == [True, False]


@pytest.mark.parametrize(("code", "reason"), [(0x90, "topic_name_invalid"), (0x99, "payload_format_invalid")])
def test_an_event_that_no_broker_will_take_becomes_a_dead_letter(server: MqttServer, code: int, reason: str) -> None:
    """Kept aside, recorded, never sent again; the others pass."""
    server.answer = refuse(code, 2)
    with rig(server.port) as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") >= 2)
        up.pass_time_until(lambda: up.record.buried == {2: reason})
        up.wait(lambda: bool(server.on("/audit")))
        assert content(server.on("/audit")[0])["data"]["what"] == "dead_letter"
        assert up.stat("dead_letters") == 1


def test_a_broker_that_finds_everything_invalid_empties_no_record(server: MqttServer) -> None:
    """Each burial is an event, which would be buried in turn."""
    server.answer = lambda message: 0x90 if message.topic.endswith(("/checkin", "/audit")) else 0x00
    with rig(server.port) as up:
        up.record.add(5)
        up.pass_time_until(lambda: len(server.events()) >= 20)
        assert up.stat("hold") == "unacceptable"
        assert up.record.buried == {}
        assert up.record.left == 5


def test_an_event_larger_than_the_brokers_limit_becomes_a_dead_letter_and_is_never_sent(server: MqttServer) -> None:
    """Maximum Packet Size is kept without trying."""
    server.limits = {mqtt.MAXIMUM_PACKET_SIZE: 2000}
    with rig(server.port) as up:
        up.record.add()
        up.wait(lambda: up.stat("published") == 1)
        up.record.add(purpose="x" * 2000)
        up.wait(lambda: up.record.buried == {2: "packet_too_large"})
        assert len(server.events()) == 1


@pytest.mark.parametrize("code", [0x81, 0x82, 0x95], ids=hex)
def test_an_event_over_which_the_broker_hangs_up_again_and_again_is_given_up(server: MqttServer, code: int) -> None:
    """Found by sending one at a time; the innocent ones pass."""

    def answer(message: Publish) -> int | None:
        event = wire.read(wire.HeardEvent, message.payload)
        if isinstance(event, wire.HeardEvent) and event.seq == 3:
            server.disconnect(code)
            return None
        return 0x00

    server.answer = answer
    with rig(server.port) as up:
        up.record.add(6)
        up.pass_time_until(lambda: up.record.buried == {3: "breaks_connections"})
        up.wait(lambda: up.stat("published") >= 5)


# ----------------------------------------------------------------- connecting


@pytest.mark.parametrize("code", CONNACK_CODES, ids=hex)
def test_a_broker_that_refuses_the_connection_is_tried_again_and_events_are_kept(server: MqttServer, code: int) -> None:
    """Each CONNACK code: told by name, the record untouched, delivered after."""
    server.refuse(code)
    with rig(server.port) as up:
        up.record.add(2)
        up.wait_end(f"refused_{mqtt_name(code)}")
        assert up.record.left >= 2
        up.advance(1.1)
        up.wait(lambda: up.stat("published") >= 2)
        assert up.stat("ends") == {f"refused_{mqtt_name(code)}": 1}


def mqtt_name(code: int) -> str:
    """A code in words, by the standard's own name."""
    from device.core import broker_codes  # noqa: PLC0415 - beside its only use

    return broker_codes.name(code)


@pytest.mark.parametrize(
    ("code", "slow"), [(0x87, True), (0x86, True), (0x8A, True), (0x9D, True), (0x89, False), (0x88, False), (0x97, False)]
)
def test_what_somebody_must_mend_is_tried_slowly_and_recorded(server: MqttServer, code: int, slow: bool) -> None:  # noqa: FBT001 - a column of the table
    """Half of the longest wait at least; a busy broker is tried from the shortest wait on."""
    server.refuse(code)
    with rig(server.port, retry_min_s=1, retry_max_s=600) as up:
        up.wait_phase("waiting")
        up.wait(lambda: bool(up.stat("ends")))
        up.advance(10)
        if slow:
            up.advance(280)
            assert len(server.connects) == 1
            up.advance(320)
        up.wait_phase("online")
        trouble = up.record.audits("uplink")
    assert [audit["state"] for audit in trouble] == (["refused"] if slow else [])


def test_a_second_gate_with_the_same_identity_is_reported(server: MqttServer) -> None:
    """Session taken over: somebody else uses this gate's certificate."""
    with rig(server.port) as up:
        up.wait_phase("online")
        server.disconnect(0x8E)
        up.wait_end("closed_by_broker_session_taken_over")
        assert up.record.audits("uplink") == [{"what": "uplink", "state": "taken_over", "reason": "session_taken_over"}]


def test_a_broker_without_retained_messages_is_used_without_them(server: MqttServer) -> None:
    """Retain Available 0: the state is not retained; a refusal for the will's sake drops its flag, too."""
    server.limits = {mqtt.RETAIN_AVAILABLE: 0}
    server.refuse(0x9A)
    with rig(server.port) as up:
        up.wait_end("refused_retain_not_supported")
        up.advance(1.1)
        server.wait(lambda: bool(server.on("/state")))
        assert [connect.will_retain for connect in server.connects] == [True, False]
        assert not server.on("/state")[0].retain


def test_a_broker_that_offers_only_qos_0_is_no_broker_for_a_record(server: MqttServer) -> None:
    """Maximum QoS 0: nothing is sent that could be lost without a word."""
    server.limits = {mqtt.MAXIMUM_QOS: 0}
    with rig(server.port) as up:
        up.record.add()
        up.wait_end("no_qos_1")
        assert server.published == []


def test_one_line_is_logged_for_each_change_of_state_however_often_it_is_tried(
    server: MqttServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten refusals are one line; so is the recovery."""
    server.refuse(*[0x88] * 10)
    with rig(server.port, retry_max_s=1) as up:
        up.pass_time_until(lambda: up.stat("phase") == "online", step_s=1)
        assert up.stat("ends") == {"refused_server_unavailable": 10}
    assert [line.partition(":")[0] for line in lines(caplog) if "connected" in line or "no connection" in line] == [
        "no connection to the broker at 127.0.0.1",
        "connected to the broker at 127.0.0.1",
        "disconnected from the broker at 127.0.0.1",
    ]


def test_the_first_connection_waits_a_random_part_of_its_spread(server: MqttServer) -> None:
    """A town does not connect at once after a power cut."""
    made = Rig(server.port, first_connect_spread_s=30, uniform=lambda low, high: (low + high) / 2)
    made.uplink.start()
    try:
        assert made.stat("phase") == "waiting"
        made.advance(14)
        made.nudge()
        assert server.connects == []
        made.advance(2)
        made.wait_phase("online")
    finally:
        made.uplink.close()


def test_waits_grow_until_a_connection_has_held_for_a_minute(server: MqttServer) -> None:
    """A broker that takes every connection and drops it at once is not hammered."""
    made = Rig(server.port, retry_min_s=10, retry_max_s=300, uniform=lambda _, high: high)
    made.uplink._line._retry_at_s = 0  # noqa: SLF001 - the spread of the first connection is another test's
    made.uplink.start()
    waits = []
    try:
        for held_s in (0, 0, 40, 61, 0):
            made.pass_time_until(lambda: made.stat("phase") == "online")
            made.advance(held_s)
            made.wait_rounds(2)
            server.hang_up()
            made.wait_phase("waiting")
            waits.append(round(made.stat("retry_in_s"), -1))
    finally:
        made.uplink.close()
    assert waits == [30, 90, 270, 30, 90]


def test_offline_time_is_counted(server: MqttServer) -> None:
    """From the start until the first connection, and between connections."""
    server.refuse(0x88)
    with rig(server.port, retry_min_s=20, retry_max_s=20) as up:
        up.wait_phase("waiting")
        up.wait_end("refused_server_unavailable")
        up.advance(21)
        up.wait_phase("online")
        up.advance(100)
        assert 21 <= up.stat("offline_s") < 25


def test_progress_rises_whether_connected_or_not(server: MqttServer) -> None:
    """For the watchdog, which must not depend on the broker."""
    server.silent = True
    with rig(server.port) as up:
        before = up.uplink.progress
        up.wait(lambda: up.uplink.progress >= before + 2)
        assert up.stat("phase") == "connecting"


# ----------------------------------------------------------------- the record's own faults


def test_a_record_that_cannot_be_read_stops_the_sending_and_nothing_else(server: MqttServer, caplog: pytest.LogCaptureFixture) -> None:
    """The connection stands, health goes on, and events follow when the disk is back."""
    made = Rig(server.port, health_every_s=10)
    made.record.unreadable = True
    made.uplink.start()
    try:
        server.wait(lambda: bool(server.on("/health")))
        assert "live" not in content(server.on("/health")[0])
        made.wait(lambda: made.stat("record_errors") >= 1)
        for _ in range(50):
            made.nudge()
            made.wait_rounds(1)
        assert made.stat("record_errors") <= 3, "the disk is asked again and again"
        made.record.unreadable = False
        made.record.add(3)
        made.advance(6)
        made.wait(lambda: made.stat("published") == 3)
        assert made.stat("crashes") == 0
    finally:
        made.uplink.close()
    assert len([line for line in lines(caplog) if "cannot use the record" in line]) == 1


def test_an_ack_that_the_record_could_not_take_is_no_harm(server: MqttServer) -> None:
    """The broker gets its PUBACK, the event is sent again and acknowledged again."""
    with rig(server.port) as up:
        up.record.add()
        up.wait(lambda: up.stat("published") == 1)
        up.record.unreadable = True
        ack(server, up.record.epoch, 1)
        server.wait(lambda: len(server.pubacks) == 1)
        up.record.unreadable = False
        up.advance(31)
        server.wait(lambda: len(server.events()) == 2)
        ack(server, up.record.epoch, 1)
        up.wait(lambda: up.record.left == 0)


def test_a_record_that_begins_anew_is_announced_by_a_new_hello(server: MqttServer) -> None:
    """Numbers of the new epoch are not taken for the old ones, and acks for the old one release nothing."""
    with rig(server.port) as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") == 3)
        old = up.record.epoch
        new = up.record.begin_anew()
        up.record.add(2)
        up.advance(1.1)
        up.wait(lambda: up.stat("connects") == 2)
        up.wait(lambda: up.stat("published") == 5)
        assert [content(message)["epoch"] for message in server.on("/hello")] == [old, new]
        ack(server, old, 3)
        up.wait(lambda: up.stat("stray_acks") == 1)
        assert up.record.left == 2


def test_a_mistake_in_the_supervisor_is_logged_and_it_goes_on(server: MqttServer, caplog: pytest.LogCaptureFixture) -> None:
    """The broad except at the top of the thread: a bug costs a connection, not the uplink."""
    made = Rig(server.port)
    made.uplink.start()
    made.wait_phase("online")
    original, made.record.waiting = made.record.waiting, None  # type: ignore[method-assign,assignment]  # the bug
    made.record.add()
    made.wait(lambda: made.stat("crashes") >= 1)
    made.record.waiting = original  # type: ignore[method-assign]  # mended
    made.wait(lambda: made.stat("published") == 1, 15)
    made.uplink.close()
    assert "what uses the line to the broker" in caplog.text


# ----------------------------------------------------------------- the end


def test_a_stop_says_offline_and_goodbye(server: MqttServer) -> None:
    """The retained state is true at once, and the will is forgotten."""
    with rig(server.port) as up:
        up.wait_phase("online")
    assert content(server.on("/state")[-1])["online"] is False
    server.wait(lambda: server.goodbyes == [0])
    assert up.stat("phase") == "stopped"


def test_a_stop_with_a_silent_broker_ends_within_its_limit(server: MqttServer) -> None:
    """Whatever the broker owes."""
    server.answer = server.withhold
    made = Rig(server.port)
    made.record.add(50)
    made.uplink.start()
    made.wait_phase("online")
    before_s = made.clock.monotonic_ns() / 1e9
    made.uplink.close()
    assert made.clock.monotonic_ns() / 1e9 - before_s < 8


def test_a_stop_while_waiting_or_never_started_is_immediate() -> None:
    """Nothing to say goodbye to."""
    Rig(1).uplink.close()
    with rig(1, retry_min_s=60, retry_max_s=60) as up:
        up.wait_end("connection_refused")
    assert up.stat("phase") == "stopped"


def test_what_the_broker_took_is_confirmed_before_the_stop(server: MqttServer) -> None:
    """`confirm = "broker"`: the batch that waits is not forgotten."""
    with rig(server.port, confirm="broker") as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") == 3)
    assert up.record.left == 0


# ----------------------------------------------------------------- orders from the province


def order(name: str = "c-1", gate: str = GATE, expires: str = "2099-01-01T00:00:00Z", **changes: object) -> bytes:
    """A signed command."""
    told = {"id": name, "gate": gate, "name": "open", "args": {}, "issued": "2026-01-01T00:00:00Z", "expires": expires}
    command = {"type": "vn.gate.command.v1", **told}
    return json.dumps({**command, "signature": "A" * 40, **changes}).encode()


def answered(server: MqttServer, name: str) -> bool:
    """Whether the gate said something about a command."""
    return bool(server.on(f"/cmd/{name}"))


def test_without_anybody_to_carry_orders_out_each_is_refused_and_recorded(server: MqttServer) -> None:
    """As `not_enabled`, whatever it says."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for name, payload in (("c-1", order()), ("c-2", b"open the door")):
            server.publish(wire.down(GATE, "cmd", name), payload)
            server.wait(partial(answered, server, name))
            answer = content(server.on(f"/cmd/{name}")[0])
            assert (answer["state"], answer["reason"]) == ("rejected", "not_enabled")
        assert [audit["id"] for audit in up.record.audits("command")] == ["c-1", "c-2"]


def test_the_same_command_again_is_answered_again_and_recorded_once(server: MqttServer) -> None:
    """Idempotent, also in the record."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for _ in range(3):
            server.publish(wire.down(GATE, "cmd", "c-1"), order())
        server.wait(lambda: len(server.on("/cmd/c-1")) == 3)
        assert len(up.record.audits("command")) == 1


def unread_below(server: MqttServer, number: int) -> bool:
    """Whether our Receive Maximum allows another message."""
    return len(server.pubacks) > number


def test_a_flood_of_commands_fills_neither_memory_nor_record_and_events_pass(server: MqttServer) -> None:
    """At most ten are recorded at once; every event still arrives."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for number in range(300):
            server.wait(partial(unread_below, server, number - 8))
            server.publish(wire.down(GATE, "cmd", f"c-{number}"), order(f"c-{number}"))
        up.record.add(5)
        up.wait(lambda: up.stat("refused_orders") == 300)
        up.wait(lambda: up.stat("published") >= 5)
        assert len(up.record.audits("command")) <= 11
        assert up.stat("unrecorded_notices") >= 289


def test_answers_to_a_flood_of_commands_are_bounded_while_the_broker_takes_none(server: MqttServer) -> None:
    """What waits for a place in the window does not grow without limit."""
    server.answer = server.withhold
    with rig(server.port) as up:
        up.wait_phase("online")
        for number in range(200):
            server.wait(partial(unread_below, server, number - 8))
            server.publish(wire.down(GATE, "cmd", f"c-{number}"), order(f"c-{number}"))
        up.wait(lambda: up.stat("refused_orders") == 200)
        server.answer = server.accept_all
        server.puback()
        up.record.add()
        up.wait(lambda: bool(server.events()))
        answers = [message for message in server.published if "/up/cmd/" in message.topic]
        assert 64 <= len(answers) <= 64 + 16


def test_a_desired_configuration_is_reported_as_not_enabled(server: MqttServer) -> None:
    """Retained like the desire itself; what is unreadable is said to be so."""
    with rig(server.port) as up:
        up.wait_phase("online")
        desire = {
            "type": "vn.gate.config.v1",
            "gate": GATE,
            "version": 4,
            "issued": "2026-01-01T00:00:00Z",
            "config": {},
            "signature": "A" * 40,
        }
        server.publish(wire.down(GATE, "config"), json.dumps(desire).encode(), retain=True)
        server.publish(wire.down(GATE, "config"), b"{}")
        server.wait(lambda: len(server.on("/up/config")) == 2)
        first, second = (content(message) for message in server.on("/up/config"))
        assert (first["desired"], first["status"], first["errors"]) == (4, "rejected", ["not_enabled"])
        assert ("desired" in second, second["errors"]) == (False, ["malformed"])
        assert server.on("/up/config")[0].retain
        assert [audit["reason"] for audit in up.record.audits("config")] == ["not_enabled", "malformed"]


def test_a_list_is_recorded_as_not_enabled(server: MqttServer) -> None:
    """For this gate or for all."""
    manifest = {
        "type": "vn.gate.list.v1",
        "gate": wire.ALL,
        "name": "deny",
        "version": 3,
        "snapshot": {"sha256": "ab" * 32, "bytes": 16},
        "issued": "2026-01-01T00:00:00Z",
        "expires": "2099-01-01T00:00:00Z",
        "signature": "A" * 40,
    }
    with rig(server.port) as up:
        up.wait_phase("online")
        server.publish(wire.down(wire.ALL, "list", "deny"), json.dumps(manifest).encode(), retain=True)
        server.publish(wire.down(GATE, "list", "allow"), json.dumps(manifest).encode())
        up.wait(lambda: len(up.record.audits("list")) == 2)
        assert [(audit["name"], audit["reason"]) for audit in up.record.audits("list")] == [("deny", "not_enabled"), ("allow", "malformed")]


def test_refusals_reach_the_province_as_audit_events(server: MqttServer) -> None:
    """They go through the journal like everything else."""
    with rig(server.port) as up:
        up.wait_phase("online")
        server.publish(wire.down(GATE, "cmd", "c-1"), order())
        server.wait(lambda: bool(server.on("/up/audit")))
        assert content(server.on("/up/audit")[0])["data"]["what"] == "command"
        assert {entry.channel for entry in up.record.entries} == {Channel.AUDIT}


def test_an_orderly_stop_says_all_that_became_of_orders_however_narrow_the_window(server: MqttServer) -> None:
    """A gate that was wiped cannot say it at its next start."""
    server.answer = server.accept_all
    server.limits = {mqtt.RECEIVE_MAXIMUM: 1}
    made = Rig(server.port)
    desk = LastWords("w-1", "w-2", "w-3")
    made.uplink.set_order_desk(desk)
    made.uplink.start()
    made.wait(lambda: made.stat("connects") == 1 and bool(server.on("/hello")))
    desk.stopping = True
    made.uplink.close()
    assert [message.topic.rpartition("/")[2] for message in server.published if "/up/cmd/" in message.topic] == ["w-1", "w-2", "w-3"]
    assert content(server.on("/state")[-1])["online"] is False
