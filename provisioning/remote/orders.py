"""Signed orders to a gate over its broker, and what the gate says to them."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from device.core import broker_codes, wire
from device.core.orders import LIFE_S, Order
from device.core.wire import topics
from device.edges.broker.values import Answered, Arrived, Event, Peer, Publication, Subscription
from provisioning.remote.broker_talk import talk_to
from provisioning.remote.by_camera import moment

_OVER: Final = frozenset({"succeeded", "failed", "rejected", "expired", "interrupted"})


@dataclass(frozen=True, slots=True)
class OrderEnd:
    """How an order ended, in the gate's words; ``silent`` where it says nothing."""

    state: str
    reason: str | None = None
    detail: str | None = None
    """What the order asked for, where it asks for something."""


SILENT: Final = OrderEnd("silent")


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


def give(peer: Peer, gate: str, order: Order, args: Mapping[str, Any], key: Ed25519PrivateKey, wait_s: float = 20.0) -> OrderEnd:
    """Give an order and wait until the gate says how it ended.

    Raises Refused (E174) where the broker has not taken it.
    """
    name, body = command(gate, order, args, key)
    answers = Subscription(topics.up(gate, topics.COMMAND, name))
    with talk_to(replace(peer, subscriptions=(answers,))) as talk:
        talk.say(Publication(name, topics.down(gate, topics.COMMAND, name), body))
        end_s = time.monotonic() + wait_s
        while event := talk.next(end_s):
            fate = _fate(event)
            if fate is not None:
                return fate
    return SILENT


def _fate(event: Event) -> OrderEnd | None:
    if isinstance(event, Answered) and broker_codes.fate(event.code) is broker_codes.Fate.NOBODY:
        return SILENT
    if not isinstance(event, Arrived):
        return None
    try:
        said = wire.CommandState.model_validate_json(event.payload)
    except ValidationError:
        return None
    return OrderEnd(said.state, said.reason, said.detail) if said.state in _OVER else None


def _time(second: float) -> str:
    return wire.time_text(int(second) * 1_000_000_000)
