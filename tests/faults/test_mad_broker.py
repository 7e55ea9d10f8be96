"""A whole gate with a broker gone mad, one trick after another: nothing is lost, doubled or sent beyond the window."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_packets import Publish
from tests.fakes.mqtt_server import MqttServer
from tests.faults.site import say, site
from tests.mosquitto import Broker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EACH_S: Final = 1.0
CODES: Final = itertools.cycle([0x10, 0x80, 0x83, 0x87, 0x97])
DISCONNECTS: Final = itertools.cycle([0x82, 0x8B, 0x8D, 0x93, 0x97, 0x98, 0x9C])
MALFORMED: Final = itertools.cycle([b"\x00\x00", b"\xf0\x00", b"\x20\x03\x00\xee\x00", b"\x40\x03\x00\x01\x95", b"\xff" * 20])


class Scripted(Broker):
    """The scripted server in the place of a Mosquitto. It cannot be killed and come back: that is for the real one."""

    def __init__(self) -> None:
        self.server = MqttServer()
        self.port = self.server.port

    def start(self) -> None:
        """Answer from now on."""
        self.server.__enter__()

    def stop(self) -> None:
        """Hang up and stop; what it could not model is an error."""
        self.server.__exit__(None, None, None)


def is_event(message: Publish) -> bool:
    """Whether a gate's event is published, and not an ack."""
    return message.topic.endswith(("/up/checkin", "/up/audit"))


def withhold(server: MqttServer) -> None:
    """No answer to any event, and then to all at once."""
    server.answer = lambda message: None if is_event(message) else server.deliver(message)


def lie(server: MqttServer) -> None:
    """Everything was taken, and is thrown away."""
    server.answer = lambda message: 0x00 if is_event(message) else server.deliver(message)


def refuse(server: MqttServer) -> None:
    """Another reason for each event."""
    server.answer = lambda message: next(CODES) if is_event(message) else server.deliver(message)


def repeat(server: MqttServer) -> None:
    """Each event arrives three times."""

    def three_times(message: Publish) -> int | None:
        server.deliver(message)
        server.deliver(message)
        return server.deliver(message)

    server.answer = three_times


def hang_up_with_a_reason(server: MqttServer) -> None:
    """DISCONNECT, another code each time."""
    server.disconnect(next(DISCONNECTS))


def hang_up(server: MqttServer) -> None:
    """Without a word."""
    server.hang_up()


def malform(server: MqttServer) -> None:
    """Bytes that are no MQTT."""
    server.send_raw(next(MALFORMED))


def narrow(server: MqttServer) -> None:
    """Receive Maximum 1, and a keep-alive of a second, from the next connection on."""
    server.limits = {mqtt.RECEIVE_MAXIMUM: 1, mqtt.SERVER_KEEP_ALIVE: 1}
    server.hang_up()


def five(server: MqttServer) -> None:
    """Receive Maximum 5 and a small Maximum Packet Size."""
    server.limits = {mqtt.RECEIVE_MAXIMUM: 5, mqtt.MAXIMUM_PACKET_SIZE: 4096}
    server.hang_up()


def rubbish(server: MqttServer) -> None:
    """Retained rubbish on everything that a gate listens to."""
    for topic in ("ack", "config", "cmd/0d7c41fb-55c2-4a39-9d0e-5b8d8f0c8e11", "list/deny"):
        for payload in (b"", b"{}", b"\xff\xfe", b"[" * 1000, b'{"epoch": "x", "upto": 9}'):
            server.publish(f"gates/v1/demo-gate/down/{topic}", payload, retain=True)


def flood(server: MqttServer) -> None:
    """Five hundred messages that nobody asked for."""
    for number in range(500):
        server.publish("gates/v1/demo-gate/down/ack", str(number).encode(), qos=0)


def refuse_connections(server: MqttServer) -> None:
    """CONNACK after CONNACK with another reason."""
    server.refuse(0x87, 0x88, 0x89, 0x97, 0x9F)
    server.hang_up()


TRICKS: Final[list[Callable[[MqttServer], None]]] = [
    *(withhold, lie, refuse, repeat, hang_up_with_a_reason, malform, narrow, rubbish, flood, five, hang_up, malform, refuse_connections),
    *(hang_up_with_a_reason, withhold, malform, repeat),
]


def test_a_broker_gone_mad_costs_no_event(tmp_path: Path) -> None:
    """Each trick for a second while people pass; then it is a good broker again."""
    (tmp_path / "broker").mkdir()
    scripted = Scripted()
    server = scripted.server
    with site(tmp_path, broker=scripted) as one:
        one.wait_answers(3)
        for trick in TRICKS:
            trick(server)
            time.sleep(EACH_S)
            server.answer = server.deliver
            server.puback()
        server.limits = {}
        server.refusals.clear()
        one.wait_answers(5)
        server.hang_up()  # whoever waits for minutes after a refusal tries again at once on a new connection
        one.settle(180)
        found = one.compare()
    say(f"{len(TRICKS)} tricks of a mad broker, {len(server.connects)} connections, at most {server.most_unanswered} unanswered: {found}")
    assert found.faults == (0, 0, 0, 0), found
    assert (found.unseen, found.epochs) == (0, 1), found
    assert server.most_unanswered <= 16
