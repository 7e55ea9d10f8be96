"""Signed orders to a gate over its broker, and what the gate says to them."""

from __future__ import annotations

import base64
import json
import queue
import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from device.core import broker_codes, wire
from device.core.orders import LIFE_S, Order
from device.core.wire import topics
from device.edges.mqtt_client import Connection
from device.edges.mqtt_values import Answered, Arrived, Ended, Event, Peer, Publication, Subscribed, Subscription
from provisioning.commissioning import moment
from provisioning.errors import Refused

_OVER: Final = frozenset({"succeeded", "failed", "rejected", "expired", "interrupted"})


def command(gate: str, order: Order, args: Mapping[str, Any], key: Ed25519PrivateKey) -> tuple[str, bytes]:
    """The id of a new order, and its message."""
    now = moment()
    name = secrets.token_hex(8)
    told = {
        "type": "vn.gate.command.v1",
        "gate": gate,
        "id": name,
        "name": str(order),
        "args": dict(args),
        "issued": _time(now.timestamp()),
        "expires": _time((now + timedelta(seconds=LIFE_S[order])).timestamp()),
    }
    body = json.dumps(told, separators=(",", ":")).encode()
    return name, wire.with_signature(body, base64.b64encode(key.sign(body)).decode())


def give(peer: Peer, gate: str, order: Order, args: Mapping[str, Any], key: Ed25519PrivateKey, wait_s: float = 20.0) -> str:
    """Give an order and wait until the gate says how it ended: the state, or ``silent``.

    Raises Refused (E174) where the broker has not taken it.
    """
    name, body = command(gate, order, args, key)
    answers = Subscription(topics.up(gate, topics.COMMAND, name))
    got: queue.SimpleQueue[Event] = queue.SimpleQueue()
    connection = Connection(
        Peer(peer.host, peer.port, peer.tls, peer.client_id, subscriptions=(answers,), session_expiry_s=peer.session_expiry_s), got.put
    )
    connection.start()
    try:
        return _told(connection, got, peer, Publication(name, topics.down(gate, topics.COMMAND, name), body), wait_s)
    finally:
        connection.disconnect()
        connection.join(5.0)


def _told(connection: Connection, got: queue.SimpleQueue[Event], peer: Peer, order: Publication, wait_s: float) -> str:
    end_s = time.monotonic() + wait_s
    while True:
        try:
            event = got.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            return "silent"
        if isinstance(event, Ended):
            raise Refused("E174", host=peer.host, port=peer.port, why=event.reason)
        if isinstance(event, Subscribed):
            connection.publish(order)
        elif isinstance(event, Answered) and broker_codes.is_refusal(event.code):
            raise Refused("E174", host=peer.host, port=peer.port, why=broker_codes.name(event.code))
        elif isinstance(event, Answered) and broker_codes.fate(event.code) is broker_codes.Fate.NOBODY:
            return "silent"
        elif isinstance(event, Arrived):
            connection.done(event)
            state = _state(event.payload)
            if state in _OVER:
                return state


def _state(payload: bytes) -> str:
    try:
        return wire.CommandState.model_validate_json(payload).state
    except ValidationError:
        return "unreadable"


def _time(second: float) -> str:
    return wire.time_text(int(second) * 1_000_000_000)
