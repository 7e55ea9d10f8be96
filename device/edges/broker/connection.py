"""One MQTT 5 connection, from DNS to goodbye, in a thread of its own.

paho does the protocol and nothing else: one fresh client for each connection
and no reconnecting, because a reconnecting client sends everything that it
holds at once, beyond any window. Only this thread ever touches the client;
others hand it commands and receive events, both through queues. (paho's own
``loop_forever`` is not used: with it ``publish`` from another thread writes
to the socket while the loop may be writing too, and TLS sockets do not bear
that.)
"""

from __future__ import annotations

import collections
import contextlib
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from device.core.mqtt_bytes import last_word
from device.edges.broker.tls import failure_of, tls_failure_of
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed
from device.edges.machine.systemd import name_thread

log = logging.getLogger(__name__)

USER_TIMEOUT_MS: Final = 30_000
"""Sent bytes that stay unacknowledged by TCP for so long break the connection: a dead link is noticed before the keep-alive does."""
TURN_S: Final = 1.0
_NO_LIMIT: Final = 268_435_460
"""The largest packet that MQTT knows."""
_LAST_BYTES: Final = 64 * 1024
"""So much is looked through for a broker's last word."""
_OWN_ENDS: Final = {0x00: "goodbye", 0x8D: "keepalive"}
"""How paho says that the end came from this side."""


class Connection:
    """One attempt to connect, and the connection if it succeeds. ``emit`` is called from its thread and must not block."""

    def __init__(self, peer: Peer, emit: Callable[[Event], None]) -> None:
        self._peer = peer
        self._emit = emit
        self._commands: collections.deque[Callable[[paho.Client], None]] = collections.deque()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.settimeout(0)
        self._wake_write.settimeout(0)
        self._tokens: dict[int, object] = {}
        self._unread = 0
        self._ended: Ended | None = None
        self._accepted = False
        self._woken = False
        self._errors = _LastError()
        self.overflowed = 0
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    # ------------------------------------------------------------- for other threads

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def publish(self, publication: Publication) -> None:
        """Send a message. Lost without a word if the connection has ended: ``Ended`` says so."""
        self._command(lambda client: self._publish(client, publication))

    def done(self, arrived: Arrived) -> None:
        """A message has been dealt with: acknowledge it to the broker."""
        self._command(lambda client: self._done(client, arrived))

    def subscribe(self, topic: str) -> None:
        """Hear one more topic."""
        self._command(lambda client: _drop(client.subscribe(topic, qos=1)))

    def unsubscribe(self, topic: str) -> None:
        """Hear it no more."""
        self._command(lambda client: _drop(client.unsubscribe(topic)))

    def disconnect(self) -> None:
        """Say goodbye after what was handed in, so that the broker forgets the will."""
        self._command(self._goodbye)

    def drop(self, reason: str) -> None:
        """Hang up without a word: the broker keeps the will for as long as its delay."""
        self._command(lambda client: self._hang_up(client, reason))

    def join(self, timeout_s: float) -> bool:
        """Wait for the end. False if it has not come in time, as with a name server that keeps silent."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # ------------------------------------------------------------- the thread

    def _run(self) -> None:
        name_thread("mqtt")
        client: paho.Client | None = None
        try:
            client = self._client()
            if client is not None and self._connect(client):
                self._loop(client)
        except Exception as error:
            log.exception("the connection's thread failed")
            self._ended = Ended("internal", None, type(error).__name__)
        finally:
            if client is not None:
                _close(client)
            self._wake_read.close()
            self._wake_write.close()
            self._emit(self._ended or Ended("lost", None, self._errors.text))

    def _client(self) -> paho.Client | None:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._peer.client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = self._peer.connect_timeout_s
        if self._peer.tls is not None:
            try:
                client.tls_set_context(self._peer.tls.context())
            except OSError as error:
                self._ended = Ended("own_certificate", None, str(error))
                return None
        if self._peer.will is not None:
            will = self._peer.will
            properties = _properties(
                PacketTypes.WILLMESSAGE, WillDelayInterval=will.delay_s, PayloadFormatIndicator=1, ContentType="application/json"
            )
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain, properties=properties)
        client.on_socket_open = _on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.enable_logger(self._errors.logger)
        return client

    def _connect(self, client: paho.Client) -> bool:
        """DNS, TCP and TLS: all of it blocks, within limits."""
        properties = _properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=self._peer.session_expiry_s,
            ReceiveMaximum=self._peer.receive_maximum,
            MaximumPacketSize=self._peer.maximum_packet_bytes,
        )
        try:
            client.connect(self._peer.host, self._peer.port, self._peer.keepalive_s, clean_start=False, properties=properties)
        except OSError as error:
            self._ended = Ended(failure_of(error), None, str(error))
            return False
        except UnicodeError:
            self._ended = Ended("dns", None, "no host name")
            return False
        return True

    def _loop(self, client: paho.Client) -> None:
        give_up = time.monotonic() + self._peer.connack_timeout_s
        while not self._over and (sock := client.socket()) is not None:
            pending = sock.pending() if isinstance(sock, ssl.SSLSocket) else 0
            ready = self._wait(sock.fileno(), write=client.want_write(), timeout_s=0 if pending else TURN_S)
            if pending or ready & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._check(client.loop_read())
            if client.want_write():
                self._check(client.loop_write())
            self._obey(client)
            self._check(client.loop_misc())
            if not (self._accepted or self._over) and time.monotonic() >= give_up:
                self._ended = Ended("no_connack", None, f"no answer within {self._peer.connack_timeout_s:.0f} s")

    @property
    def _over(self) -> bool:
        return self._ended is not None

    def _wait(self, fd: int, *, write: bool, timeout_s: float) -> int:
        """What the socket is ready for, as soon as it is or a command waits."""
        poll = select.poll()
        poll.register(fd, select.POLLIN | (select.POLLOUT if write else 0))
        poll.register(self._wake_read.fileno(), select.POLLIN)
        return dict(poll.poll(timeout_s * 1000)).get(fd, 0)

    def _obey(self, client: paho.Client) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        # Before the commands are taken, so that one which comes meanwhile wakes again.
        self._woken = False
        while self._commands and not self._over:
            self._commands.popleft()(client)

    def _check(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and self._ended is None:
            self._ended = self._broken(code)

    def _broken(self, code: MQTTErrorCode) -> Ended:
        if code == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            return Ended("protocol", None, "the other side does not speak MQTT 5 as it should")
        if code == MQTTErrorCode.MQTT_ERR_KEEPALIVE:
            return Ended("keepalive", None, "no sign of life")
        if "SSL" in self._errors.text.upper():
            return Ended(tls_failure_of(self._errors.text), None, self._errors.text)
        return Ended("lost", None, self._errors.text)

    # ------------------------------------------------------------- commands, in the thread

    def _command(self, command: Callable[[paho.Client], None]) -> None:
        self._commands.append(command)
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):  # closed: the end has come
                self._wake_write.send(b"\0")

    def _publish(self, client: paho.Client, publication: Publication) -> None:
        properties = _properties(
            PacketTypes.PUBLISH,
            PayloadFormatIndicator=1,
            ContentType=publication.content_type,
            MessageExpiryInterval=publication.expiry_s,
            UserProperty=list(publication.user) or None,
        )
        info = client.publish(publication.topic, publication.payload, publication.qos, publication.retain, properties)
        if publication.qos:
            self._tokens[info.mid] = publication.token

    def _done(self, client: paho.Client, arrived: Arrived) -> None:
        self._unread -= 1
        if arrived.qos:
            client.ack(arrived.mid, arrived.qos)

    def _goodbye(self, client: paho.Client) -> None:
        client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Normal disconnection"))

    def _hang_up(self, _client: paho.Client, reason: str) -> None:
        self._ended = Ended(reason)

    # ------------------------------------------------------------- callbacks: note and return

    def _on_connect(
        self, client: paho.Client, _userdata: object, flags: paho.ConnectFlags, code: ReasonCode, limits: Properties | None
    ) -> None:
        if code.is_failure:
            self._ended = Ended("refused", code.value)
            return
        self._accepted = True
        self._emit(
            Connected(
                receive_maximum=getattr(limits, "ReceiveMaximum", 65_535),
                maximum_packet_bytes=getattr(limits, "MaximumPacketSize", _NO_LIMIT),
                maximum_qos=getattr(limits, "MaximumQoS", 2),
                retain_available=bool(getattr(limits, "RetainAvailable", 1)),
                session_present=flags.session_present,
            )
        )
        if self._peer.subscriptions:
            client.subscribe(
                [
                    (wanted.topic, SubscribeOptions(qos=wanted.qos, retainAsPublished=wanted.as_published))
                    for wanted in self._peer.subscriptions
                ]
            )

    def _on_disconnect(
        self, _client: paho.Client, _userdata: object, flags: paho.DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if self._ended is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._ended = Ended("closed_by_broker", code.value)
        elif code.value in _OWN_ENDS:
            self._ended = Ended(_OWN_ENDS[code.value])

    def _on_socket_close(self, _client: paho.Client, _userdata: object, sock: object) -> None:
        """What the broker said before it hung up, when a write noticed it first: paho closes without reading on."""
        code = last_word(_rest_of(sock)) if self._ended is None and isinstance(sock, socket.socket) else None
        if code is not None:
            self._ended = Ended("closed_by_broker", code)

    def _on_subscribe(
        self, _client: paho.Client, _userdata: object, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._emit(Subscribed(tuple(code.value for code in codes)))

    def _on_publish(self, _client: paho.Client, _userdata: object, mid: int, code: ReasonCode, _properties: Properties | None) -> None:
        token = self._tokens.pop(mid, None)
        if token is not None:
            self._emit(Answered(token, code.value))

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if self._unread >= self._peer.unread_limit:
            # What the broker may forget is dropped; a broker that ignores our Receive Maximum is left.
            self.overflowed += 1
            if message.qos:
                self._ended = Ended("flooded", None, "the broker sends more than it was allowed to")
            return
        self._unread += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._emit(Arrived(topic, bytes(message.payload), message.qos, message.retain, message.mid))


class _LastError(logging.Handler):
    """Keeps paho's last complaint, which tells why a connection broke.

    By a logger of its own: with a callback paho would compose a line for each packet.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.text = ""
        self.logger = logging.Logger("paho", logging.ERROR)  # noqa: LOG001 - one for each connection, in no tree
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def _properties(packet: int, **values: object) -> Properties:
    """MQTT 5 properties of a packet; those that are None are left out."""
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho has types everywhere but here
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def _drop(_answer: object) -> None:
    """What was not asked for on a connection that is gone is asked for again on the next one."""


def _on_socket_open(_client: paho.Client, _userdata: object, sock: object) -> None:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def _rest_of(sock: socket.socket) -> bytes:
    """What has arrived and was not read, without waiting for more."""
    received = b""
    with contextlib.suppress(OSError):
        sock.settimeout(0)
        while len(received) < _LAST_BYTES and (chunk := sock.recv(_LAST_BYTES)):
            received += chunk
    return received


def _close(client: paho.Client) -> None:
    """Whatever happened, the socket is closed; nothing is sent any more."""
    sock = client.socket()
    if sock is not None:
        sock.close()
