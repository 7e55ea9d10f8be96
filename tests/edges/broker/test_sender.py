"""The record on its way: through the window, to the broker, and what becomes of each event by the answers."""

from __future__ import annotations

from typing import Any

import pytest

from device.core import wire
from tests.edges.broker.test_uplink import ack, content
from tests.edges.broker.uplink_kit import Rig, lines, rig
from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_packets import Publish
from tests.fakes.mqtt_server import MqttServer

NEVER = "0d7c41fb-55c2-4a39-9d0e-5b8d8f0c8e11"
"""An epoch that no record has."""


def refuse(code: int, *seqs: int) -> Any:  # noqa: ANN401 - an Answer
    """Answer these events with a code and take the rest."""

    def answer(message: Publish) -> int:
        event = wire.read(wire.HeardEvent, message.payload)
        return code if isinstance(event, wire.HeardEvent) and event.seq in seqs else 0x00

    return answer


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


def test_what_the_broker_took_is_confirmed_before_the_stop(server: MqttServer) -> None:
    """`confirm = "broker"`: the batch that waits is not forgotten."""
    with rig(server.port, confirm="broker") as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") == 3)
    assert up.record.left == 0
