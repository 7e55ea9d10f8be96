"""One connection: the same with Mosquitto and with the scripted server, and every way in which it can fail."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from device.edges.broker.connection import Connection
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed, Subscription, Will
from tests.edges.broker.uplink_kit import peer
from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_server import MqttServer
from tests.mosquitto import Broker, running
from tests.waiting import until

E = TypeVar("E", bound=Event)


class Talk:
    """A connection and what it said, in order."""

    def __init__(self, to: Peer) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.connection = Connection(to, self.events.put)
        self.connection.start()

    def next(self, kind: type[E], timeout_s: float = 10.0) -> E:
        """The next event, which must be of this kind."""
        event = self.events.get(timeout=timeout_s)
        assert isinstance(event, kind), event
        return event

    def goodbye(self) -> None:
        """An orderly end."""
        self.connection.disconnect()
        assert self.next(Ended).reason == "goodbye"
        assert self.connection.join(5)


@pytest.fixture(params=["mosquitto", "scripted"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A broker: the real one, and the fake that must not differ in what it models."""
    if request.param == "mosquitto":
        with running(Broker.plain(tmp_path)) as broker:
            yield broker.port
    else:
        with MqttServer() as server:
            yield server.port


@pytest.fixture
def server() -> Iterator[MqttServer]:
    """The scripted server."""
    with MqttServer() as scripted:
        yield scripted


# ----------------------------------------------------------------- the contract of both


def test_a_connection_is_accepted_with_its_limits_and_ends_with_a_goodbye(port: int) -> None:
    """CONNACK, no limits stated, no session, DISCONNECT."""
    talk = Talk(peer(port))
    limits = talk.next(Connected)
    assert limits.receive_maximum >= 16
    assert limits.maximum_qos == 2
    assert limits.retain_available
    assert not limits.session_present
    talk.goodbye()


def test_a_message_for_nobody_is_answered_with_0x10(port: int) -> None:
    """QoS 1 without a matching subscription: the broker says so, and a gate must not take it for safe."""
    talk = Talk(peer(port))
    talk.next(Connected)
    talk.connection.publish(Publication("one", "gates/v1/gate-07/up/checkin", b"{}"))
    assert talk.next(Answered) == Answered("one", 0x10)
    talk.goodbye()


def test_a_message_for_a_subscriber_is_answered_with_0_and_arrives(port: int) -> None:
    """Subscribed, published, delivered with the same bytes, and confirmed by `done`."""
    talk = Talk(peer(port, subscriptions=(Subscription("gates/v1/+/up/#"),)))
    talk.next(Connected)
    assert talk.next(Subscribed).codes == (1,)
    payload = "Rơ Châm H'Blui".encode()
    talk.connection.publish(Publication("one", "gates/v1/gate-07/up/checkin", payload, user=(("attempt", "1"),), expiry_s=60))
    first, second = talk.events.get(timeout=10), talk.events.get(timeout=10)
    arrived, answered = (first, second) if isinstance(first, Arrived) else (second, first)
    assert isinstance(arrived, Arrived)
    assert (arrived.topic, arrived.payload, arrived.qos, arrived.retained) == ("gates/v1/gate-07/up/checkin", payload, 1, False)
    assert answered == Answered("one", 0x00)
    talk.connection.done(arrived)
    talk.goodbye()


def test_filters_match_as_the_standard_says(port: int) -> None:
    """`+` is one level, `#` is the rest."""
    talk = Talk(peer(port, subscriptions=(Subscription("gates/v1/gate-07/down/cmd/+"), Subscription("gates/v1/+/up/#"))))
    talk.next(Connected)
    assert talk.next(Subscribed).codes == (1, 1)
    for token, topic, code in (
        (1, "gates/v1/gate-07/down/cmd/a/b", 0x10),
        (2, "gates/v1/gate-08/down/cmd/a", 0x10),
        (3, "gates/v1/gate-07/up", 0x00),
        (4, "gates/v2/gate-07/up/x", 0x10),
    ):
        talk.connection.publish(Publication(token, topic, b"x"))
        found = {type(event): event for event in (talk.events.get(timeout=10) for _ in range(1 if code else 2))}
        assert found[Answered] == Answered(token, code)
    talk.goodbye()


def test_a_message_without_confirmation_gets_no_answer(port: int) -> None:
    """QoS 0: the next answer is that of the next message."""
    talk = Talk(peer(port))
    talk.next(Connected)
    talk.connection.publish(Publication("zero", "a/b", b"x", qos=0))
    talk.connection.publish(Publication("one", "a/b", b"x"))
    assert talk.next(Answered) == Answered("one", 0x10)
    talk.goodbye()


def test_an_unconfirmed_message_comes_again_on_the_next_connection(tmp_path: Path) -> None:
    """Without `done` the broker keeps it: nothing is lost between arrival and commit."""
    me = peer(0, "keeper", subscriptions=(Subscription("a/b"),))
    with running(Broker.plain(tmp_path)) as broker:
        me = peer(broker.port, "keeper", subscriptions=(Subscription("a/b"),))
        talk = Talk(me)
        talk.next(Connected)
        talk.next(Subscribed)
        talk.connection.publish(Publication("one", "a/b", b"x"))
        assert {type(talk.events.get(timeout=10)) for _ in range(2)} == {Arrived, Answered}
        talk.connection.drop("test")
        talk.next(Ended)
        again = Talk(me)
        assert again.next(Connected).session_present
        found = [again.events.get(timeout=10) for _ in range(2)]
        arrived = next(event for event in found if isinstance(event, Arrived))
        assert arrived.payload == b"x"
        again.connection.done(arrived)
        again.goodbye()
        last = Talk(me)
        last.next(Connected)
        last.next(Subscribed)
        last.goodbye()


# ----------------------------------------------------------------- what is said in CONNECT


def test_connect_says_what_the_contract_says(server: MqttServer) -> None:
    """Clean start false, session 120 s, keep-alive 45 s, own limits, and a will with its delay."""
    will = Will("gates/v1/gate-07/up/state", b"{}", retain=True, delay_s=30)
    talk = Talk(Peer("127.0.0.1", server.port, None, "gate-07", will))
    talk.next(Connected)
    connect = server.connects[0]
    assert (connect.client_id, connect.clean_start, connect.keepalive_s) == ("gate-07", False, 45)
    assert connect.properties == {mqtt.SESSION_EXPIRY: [120], mqtt.RECEIVE_MAXIMUM: [8], mqtt.MAXIMUM_PACKET_SIZE: [256 * 1024]}
    assert (connect.will_topic, connect.will_qos, connect.will_retain) == (will.topic, 1, True)
    assert connect.will_properties[mqtt.WILL_DELAY] == [30]
    talk.goodbye()
    server.wait(lambda: server.goodbyes == [0])


def test_a_dead_link_is_noticed_by_tcp_before_the_keep_alive(server: MqttServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """TCP_USER_TIMEOUT 30 s and no delay for small packets."""
    options: dict[int, int] = {}
    real = socket.socket.setsockopt

    def noted(self: socket.socket, level: int, option: int, value: int) -> None:
        options[option] = value
        real(self, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", noted)
    talk = Talk(peer(server.port))
    talk.next(Connected)
    talk.goodbye()
    assert options[socket.TCP_USER_TIMEOUT] == 30_000
    assert options[socket.TCP_NODELAY] == 1


def test_the_brokers_limits_are_handed_up(server: MqttServer) -> None:
    """Receive Maximum, Maximum Packet Size, Maximum QoS, Retain Available."""
    server.limits = {mqtt.RECEIVE_MAXIMUM: 5, mqtt.MAXIMUM_PACKET_SIZE: 900, mqtt.MAXIMUM_QOS: 1, mqtt.RETAIN_AVAILABLE: 0}
    talk = Talk(peer(server.port))
    assert talk.next(Connected) == Connected(5, 900, 1, retain_available=False, session_present=False)
    talk.goodbye()


def test_the_brokers_keep_alive_is_kept(server: MqttServer) -> None:
    """A Server Keep Alive of one second brings a PINGREQ about every second."""
    server.limits = {mqtt.SERVER_KEEP_ALIVE: 1}
    talk = Talk(peer(server.port))
    talk.next(Connected)
    server.wait(lambda: "< PINGREQ" in server.talk, 5)
    talk.goodbye()


# ----------------------------------------------------------------- how it can fail

CONNACK_CODES = [
    *range(0x80, 0x8B),
    0x8C,
    0x90,
    0x95,
    0x97,
    *range(0x9A, 0x9E),
    0x9F,
]


@pytest.mark.parametrize("code", CONNACK_CODES, ids=hex)
def test_each_refusal_is_told_by_its_code(server: MqttServer, code: int) -> None:
    """Every reason code that a CONNACK may hold."""
    server.refuse(code)
    talk = Talk(peer(server.port))
    assert talk.next(Ended) == Ended("refused", code)
    assert talk.connection.join(5)


def test_a_refusal_with_a_code_that_paho_does_not_know_is_a_protocol_error(server: MqttServer) -> None:
    """0x99 is allowed in a CONNACK, but paho finds the packet malformed. It is tried again all the same."""
    server.refuse(0x99)
    assert Talk(peer(server.port)).next(Ended).reason == "protocol"


@pytest.mark.parametrize("code", [0x82, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x93, 0x95, 0x97, 0x98, 0x9C, 0x9D], ids=hex)
def test_a_broker_that_hangs_up_with_a_reason_is_told_by_it(server: MqttServer, code: int) -> None:
    """DISCONNECT from the broker."""
    talk = Talk(peer(server.port))
    talk.next(Connected)
    server.disconnect(code)
    assert talk.next(Ended) == Ended("closed_by_broker", code)


@pytest.mark.parametrize("code", [0x8E, 0x95], ids=hex)
def test_a_reason_is_told_also_when_a_write_notices_the_end_first(server: MqttServer, code: int) -> None:
    """The broker speaks, closes and resets while the gate is about to write: the broken pipe must not hide why."""
    server.abrupt = True

    def take(event: Event) -> None:
        """In the connection's own thread: it goes on to subscribe only when the broker is gone."""
        events.put(event)
        if isinstance(event, Connected):
            server.disconnect(code)
            server.wait(lambda: "-- closed" in server.talk)

    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    connection = Connection(peer(server.port, subscriptions=(Subscription("a/b"),)), take)
    connection.start()
    assert connection.join(10)
    assert isinstance(events.get(), Connected)
    assert events.get() == Ended("closed_by_broker", code)


def test_a_broker_that_hangs_up_without_a_word_is_lost(server: MqttServer) -> None:
    """TCP closed."""
    talk = Talk(peer(server.port))
    talk.next(Connected)
    server.hang_up()
    assert talk.next(Ended).reason == "lost"


@pytest.mark.parametrize("garbage", [b"\x00\x00", b"\xf0\x00", b"\x20\x03\x00\xee\x00", b"\x40\x03\x00\x01\x95", b"\xff" * 20])
def test_a_broker_that_does_not_speak_mqtt_is_left(server: MqttServer, garbage: bytes) -> None:
    """Reserved packets, codes that no packet may hold, endless lengths."""
    talk = Talk(peer(server.port))
    talk.next(Connected)
    server.send_raw(garbage)
    assert talk.next(Ended).reason in {"protocol", "lost", "closed_by_broker"}
    assert talk.connection.join(5)


def test_a_captive_portal_is_left() -> None:
    """Something answers on the broker's port, but it is a web server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        talk = Talk(peer(listener.getsockname()[1]))
        portal, _ = listener.accept()
        with portal:
            portal.recv(4096)
            portal.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        assert talk.next(Ended).reason in {"protocol", "lost"}


def test_a_broker_that_never_answers_connect_is_given_up(server: MqttServer) -> None:
    """No CONNACK within the limit."""
    server.silent = True
    talk = Talk(peer(server.port, connack_timeout_s=0.2))
    assert talk.next(Ended).reason == "no_connack"


def test_nobody_listening_is_told_as_such() -> None:
    """Connection refused by the machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    talk = Talk(peer(port))
    assert talk.next(Ended).reason == "connection_refused"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid", "..invalid"])
def test_a_name_that_nobody_knows_is_told_as_such(host: str) -> None:
    """DNS, also for names that are none."""
    talk = Talk(Peer(host, 1883, None, "x"))
    assert talk.next(Ended, 30).reason == "dns"


def test_a_machine_that_takes_the_connection_and_says_nothing_is_given_up() -> None:
    """A full listen queue or a firewall that drops: the connection's own limit, not the system's minutes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003 - the library's own signature
            filler.connect_ex(("127.0.0.1", port))
        talk = Talk(peer(port, connect_timeout_s=0.3, connack_timeout_s=0.3))
        assert talk.next(Ended).reason in {"timeout", "no_connack"}
        for filler in fillers:
            filler.close()


def test_a_flood_without_confirmation_is_dropped_beyond_the_limit_and_counted(server: MqttServer) -> None:
    """QoS 0: what nobody has dealt with yet is bounded."""
    talk = Talk(peer(server.port, unread_limit=10))
    talk.next(Connected)
    for number in range(50):
        server.publish("gates/v1/gate-07/down/ack", str(number).encode(), qos=0)
    arrived = [talk.next(Arrived) for _ in range(10)]
    assert [message.payload for message in arrived] == [str(number).encode() for number in range(10)]
    until(lambda: talk.connection.overflowed >= 40)
    assert talk.connection.overflowed == 40
    talk.goodbye()


def test_a_broker_that_ignores_our_receive_maximum_is_left(server: MqttServer) -> None:
    """QoS 1: more unconfirmed messages than it was allowed to send."""
    talk = Talk(peer(server.port, unread_limit=10))
    talk.next(Connected)
    for number in range(12):
        server.publish("gates/v1/gate-07/down/ack", str(number).encode())
    for _ in range(10):
        talk.next(Arrived)
    assert talk.next(Ended).reason == "flooded"


def test_a_topic_that_is_no_utf_8_does_not_stop_the_thread(server: MqttServer) -> None:
    """It arrives without a topic, which is no topic of the contract."""
    talk = Talk(peer(server.port))
    talk.next(Connected)
    server.send_raw(mqtt.packet(mqtt.PUBLISH, b"\x00\x02\xff\xfe\x00x"))
    assert talk.next(Arrived).topic == ""
    talk.goodbye()


def test_dropping_ends_at_once_and_commands_after_the_end_do_nothing(server: MqttServer) -> None:
    """`drop` gives its own reason; publishing into a dead connection is silent."""
    talk = Talk(peer(server.port))
    talk.next(Connected)
    talk.connection.drop("unanswered")
    assert talk.next(Ended).reason == "unanswered"
    assert talk.connection.join(5)
    talk.connection.publish(Publication("late", "a/b", b"x"))
    talk.connection.disconnect()
    assert server.goodbyes == []


def test_a_message_goes_out_at_once_and_not_with_the_next_turn(server: MqttServer) -> None:
    """Handing in wakes the thread each time, not only the first."""
    talk = Talk(peer(server.port))
    talk.next(Connected)
    for number in range(5):
        started = time.monotonic()
        talk.connection.publish(Publication(number, "a/b", b"x"))
        assert talk.next(Answered) == Answered(number, 0x10)
        assert time.monotonic() - started < 0.5
    talk.goodbye()


def test_many_threads_may_publish_at_once(server: MqttServer) -> None:
    """Only the connection's own thread touches the socket, so packets are never interleaved."""
    server.answer = server.accept_all
    talk = Talk(peer(server.port))
    talk.next(Connected)

    def publish(first: int) -> None:
        for number in range(first, first + 100):
            talk.connection.publish(Publication(number, "a/b", bytes([number % 251]) * 2000))

    threads = [threading.Thread(target=publish, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = {talk.next(Answered).token for _ in range(300)}
    assert answered == set(range(300))
    assert all(len(set(message.payload)) == 1 for message in server.published)
    talk.goodbye()


def test_one_more_topic_is_heard_and_one_less(tmp_path: Path) -> None:
    """As long as the connection stands; the broker keeps what it cannot hand over, so each message is confirmed."""
    with running(Broker.plain(tmp_path)) as broker:
        talk = Talk(peer(broker.port))
        talk.next(Connected)
        talk.connection.subscribe("a/b")
        assert talk.next(Subscribed).codes == (1,)
        talk.connection.publish(Publication("heard", "a/b", b"x"))
        found = {type(event): event for event in (talk.events.get(timeout=10) for _ in range(2))}
        assert found[Answered] == Answered("heard", 0x00)
        arrived = found[Arrived]
        assert isinstance(arrived, Arrived)
        assert (arrived.topic, arrived.qos) == ("a/b", 1)
        talk.connection.done(arrived)
        talk.connection.unsubscribe("a/b")
        talk.connection.publish(Publication("unheard", "a/b", b"x"))
        assert talk.next(Answered) == Answered("unheard", 0x10)
        talk.goodbye()
