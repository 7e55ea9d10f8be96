"""What goes into one MQTT connection and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from device.edges.broker.tls import TlsFiles


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says when the gate is gone for ``delay_s``."""

    topic: str
    payload: bytes
    retain: bool
    delay_s: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter. ``as_published`` keeps the retained flag of the sender, so that what was retained shows."""

    topic: str
    qos: int = 1
    as_published: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """Where to connect and as whom."""

    host: str
    port: int
    tls: TlsFiles | None
    client_id: str
    will: Will | None = None
    subscriptions: tuple[Subscription, ...] = ()
    session_expiry_s: int = 120
    keepalive_s: int = 45
    receive_maximum: int = 8
    maximum_packet_bytes: int = 256 * 1024
    unread_limit: int = 64
    """Messages handed up and not yet done with, at most; more than the broker may send unanswered."""
    connect_timeout_s: float = 10.0
    connack_timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Publication:
    """One message to publish. ``token`` comes back in ``Answered``."""

    token: object
    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    content_type: str = "application/json"
    user: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted, and these are its limits."""

    receive_maximum: int
    maximum_packet_bytes: int
    maximum_qos: int
    retain_available: bool
    session_present: bool


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered the subscriptions: a granted QoS, or a code from 0x80 on, for each."""

    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker answered a publication of QoS 1 with this reason code."""

    token: object
    code: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message came. Whoever receives it calls ``done``: only then the broker gets its PUBACK. ``topic`` is empty if it was no UTF-8."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    mid: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a connection: why it failed or ended, and the broker's code where it gave one."""

    reason: str
    code: int | None = None
    detail: str = ""


Event: TypeAlias = Connected | Subscribed | Answered | Arrived | Ended
