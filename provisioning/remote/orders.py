"""Signed orders to a gate over its broker, and what the gate says to them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from device.core import broker_codes, wire
from device.core.orders import LIFE_S, Order
from device.core.wire import topics
from device.edges.broker.values import Answered, Arrived, Event, Peer, Publication, Subscription
from provisioning.broker.talk import talk_to
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.signing import signed

_OVER: Final = frozenset({"succeeded", "failed", "rejected", "expired", "interrupted"})


@dataclass(frozen=True, slots=True)
class OrderEnd:
    """How an order ended, in the gate's words; ``silent`` where it says nothing."""

    state: str
    reason: str | None = None
    detail: str | None = None
    """What the order asked for, where it asks for something."""


SILENT: Final = OrderEnd("silent")
ASKED: Final = tuple(order for order in Order if order is not Order.WIPE)
"""What an operator may order by name. A gate is wiped by taking it down."""


def asked(name: str) -> Order:
    """The order that an operator named. Raises Refused (E133)."""
    if name not in ASKED:
        raise Refused("E133", value=name, why=" | ".join(ASKED))
    return Order(name)


def arguments(given: Sequence[str]) -> Mapping[str, Any]:
    """An order's arguments from ``key=value`` each; a value that is JSON is meant so. Raises Refused (E133)."""
    told: dict[str, Any] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not (key and equals):
            raise Refused("E133", value=one, why="--arg KEY=VALUE")
        try:
            told[key] = json.loads(value)
        except ValueError:
            told[key] = value
    return told


def command(gate: str, order: Order, args: Mapping[str, Any], key: Ed25519PrivateKey) -> tuple[str, bytes]:
    """The id of a new order, and its message."""
    now = times.now()
    name = secrets.token_hex(8)
    told = {
        "type": "vn.gate.command.v1",
        "gate": gate,
        "id": name,
        "name": str(order),
        "args": dict(args),
        "issued": times.on_the_wire(now),
        "expires": times.on_the_wire(now + timedelta(seconds=LIFE_S[order])),
    }
    return name, signed(told, key)


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
