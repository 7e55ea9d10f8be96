"""A scripted MQTT 5 server: does what a test tells it, good or bad, and writes down the conversation.

It models one broker with QoS 0 and 1, subscriptions and nothing retained;
what it does not model is an error that `close` raises. Held to the same
contract suite as Mosquitto.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_packets import Connect, Publish, Reader

Answer = Callable[[Publish], int | None]
"""The code of the PUBACK for a message; None withholds it."""


class MqttServer:
    """On a free port of loopback. Faults are methods and attributes; what happened is in `connects`, `published` and `talk`."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sessions: list[_Session] = []
        self._changed = threading.Condition()
        self._closing = False
        self.refusals: list[int] = []
        self.limits: dict[int, int] = {}
        self.silent = False
        self.abrupt = False
        self.tired = False
        """Accepts every connection and hangs up at once."""
        self.answer: Answer = self.deliver
        self.connects: list[Connect] = []
        self.published: list[Publish] = []
        self.pubacks: list[int] = []
        self.goodbyes: list[int] = []
        self.talk: list[str] = []
        self.errors: list[str] = []
        self.most_unanswered = 0

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in list(self._sessions):
            session.hang_up()
        for thread in self._threads:
            thread.join(5)
        if self.errors:
            raise AssertionError(f"not modelled: {self.errors}\n" + "\n".join(self.talk))

    # ------------------------------------------------------------- what it does

    def deliver(self, message: Publish) -> int | None:
        """As a good broker: send it to whoever subscribed, and say so; 0x10 when nobody did."""
        takers = [session for session in list(self._sessions) if session.wants(message.topic)]
        for session in takers:
            session.publish(message.topic, message.payload, message.qos)
        return 0x00 if takers else 0x10

    def accept_all(self, _message: Publish) -> int | None:
        """Say that everything was taken."""
        return 0x00

    def withhold(self, _message: Publish) -> int | None:
        """Never answer."""
        return None

    def refuse(self, *codes: int) -> None:
        """Refuse the next connections with these CONNACK codes, one each."""
        self.refusals += codes

    def disconnect(self, code: int) -> None:
        """Send DISCONNECT to everybody and hang up."""
        for session in list(self._sessions):
            session.send(mqtt.packet(mqtt.DISCONNECT, bytes([code, 0])))
            session.hang_up()

    def hang_up(self) -> None:
        """Close every connection without a word."""
        for session in list(self._sessions):
            session.hang_up()

    def send_raw(self, data: bytes) -> None:
        """Send any bytes to everybody."""
        for session in list(self._sessions):
            session.send(data)

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Send a message to everybody, subscribed or not."""
        for session in list(self._sessions):
            session.publish(topic, payload, qos, retain=retain)

    def puback(self, code: int = 0x00) -> None:
        """Answer everything that was withheld."""
        for session in list(self._sessions):
            session.answer_all(code)

    # ------------------------------------------------------------- what happened

    def wait(self, reached: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Until it has happened; else fail with the whole conversation."""
        limit = time.monotonic() + timeout_s
        with self._changed:
            while not reached():
                if not self._changed.wait(min(0.05, max(0.0, limit - time.monotonic()))) and time.monotonic() >= limit:
                    raise AssertionError("it did not happen:\n" + "\n".join(self.talk[-60:]))

    def on(self, end: str) -> list[Publish]:
        """The messages published on topics that end so."""
        return [message for message in self.published if message.topic.endswith(end)]

    def events(self) -> list[Publish]:
        """The check-ins published."""
        return self.on("/up/checkin")

    def note(self, line: str) -> None:
        """Write one line of the conversation down."""
        with self._changed:
            self.talk.append(line)
            self._changed.notify_all()

    # ------------------------------------------------------------- within

    def _spawn(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="mqtt-server")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = _Session(self, connection)
            self._sessions.append(session)
            self._spawn(session.run)

    def forget(self, session: _Session) -> None:
        """The session has ended."""
        with contextlib.suppress(ValueError):
            self._sessions.remove(session)


class _Session:
    def __init__(self, server: MqttServer, connection: socket.socket) -> None:
        self._server = server
        self._socket = connection
        self._lock = threading.Lock()
        self._filters: list[str] = []
        self._unanswered: list[int] = []
        self._mid = 0
        self._accepted = False

    def run(self) -> None:
        try:
            for kind, flags, body in self._packets():
                self._take(kind, flags, body)
        except OSError:
            pass
        except ValueError as error:
            self._server.errors.append(str(error))
        finally:
            self._server.forget(self)
            self._socket.close()
            self._server.note("-- closed")

    def _packets(self) -> Iterator[tuple[int, int, bytes]]:
        while first := self._socket.recv(1):
            length, shift = 0, 0
            while True:
                byte = self._receive(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            yield first[0] >> 4, first[0] & 15, self._receive(length)

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionError("hung up within a packet")
            data += more
        return data

    def _take(self, kind: int, flags: int, body: bytes) -> None:
        if kind == mqtt.CONNECT and not self._accepted:
            self._connect(mqtt.read_connect(body))
        elif not self._accepted:
            raise ValueError(f"packet {kind} before CONNECT")
        elif kind == mqtt.PUBLISH:
            self._publish(mqtt.read_publish(flags, body))
        elif kind == mqtt.PUBACK:
            self._server.pubacks.append(Reader(body).number(2))
            self._server.note("< PUBACK")
        elif kind == mqtt.SUBSCRIBE:
            self._subscribe(Reader(body))
        elif kind == mqtt.PINGREQ:
            self._server.note("< PINGREQ")
            self.send(mqtt.packet(mqtt.PINGRESP, b""))
        elif kind == mqtt.DISCONNECT:
            self._server.goodbyes.append(body[0] if body else 0)
            self._server.note("< DISCONNECT")
            self.hang_up()
        else:
            raise ValueError(f"packet {kind} is not modelled")

    def _connect(self, connect: Connect) -> None:
        self._server.connects.append(connect)
        if self._server.silent:
            # A client need not wait for the answer: what it sends after CONNECT is allowed.
            self._accepted = True
            self._server.note("< CONNECT, unanswered")
            return
        code = self._server.refusals.pop(0) if self._server.refusals else 0x00
        limits = {} if code else self._server.limits
        self.send(mqtt.packet(mqtt.CONNACK, bytes([0, code]) + mqtt.number_properties(limits)))
        self._accepted = code == 0
        self._server.note(f"< CONNECT {connect.client_id} > CONNACK {code:#04x}")
        if code or self._server.tired:
            self.hang_up()

    def _publish(self, message: Publish) -> None:
        self._server.published.append(message)
        if message.qos:
            self._unanswered.append(message.mid)
            self._server.most_unanswered = max(self._server.most_unanswered, len(self._unanswered))
        code = self._server.answer(message)
        self._server.note(f"< PUBLISH {message.topic} qos {message.qos} mid {message.mid} > {code}")
        if message.qos and code is not None:
            self._answer(message.mid, code)

    def _answer(self, mid: int, code: int) -> None:
        if mid in self._unanswered:
            self._unanswered.remove(mid)
        self.send(mqtt.packet(mqtt.PUBACK, struct.pack(">H", mid) + (bytes([code, 0]) if code else b"")))

    def answer_all(self, code: int) -> None:
        for mid in list(self._unanswered):
            self._answer(mid, code)

    def _subscribe(self, reader: Reader) -> None:
        mid = reader.take(2)
        reader.properties()
        codes = bytearray()
        while reader.at < len(reader.data):
            self._filters.append(reader.text())
            codes.append(reader.number(1) & 3)
        self._server.note(f"< SUBSCRIBE {self._filters}")
        self.send(mqtt.packet(mqtt.SUBACK, mid + b"\0" + bytes(codes)))

    def wants(self, topic: str) -> bool:
        return any(_matches(wanted.split("/"), topic.split("/")) for wanted in self._filters)

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        self._mid = self._mid % 65_535 + 1
        self._server.note(f"> PUBLISH {topic}")
        self.send(mqtt.write_publish(Publish(topic, payload, qos, retain, dup=False, mid=self._mid, properties={})))

    def send(self, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(data)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            if self._server.abrupt:  # closing then resets the connection, so that the other side's next write fails
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.shutdown(socket.SHUT_RDWR)


def _matches(wanted: list[str], topic: list[str]) -> bool:
    if not wanted or not topic:
        return wanted in ([], ["#"]) and not topic
    if wanted[0] == "#":
        return True
    return wanted[0] in {"+", topic[0]} and _matches(wanted[1:], topic[1:])
