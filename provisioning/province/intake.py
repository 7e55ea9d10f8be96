"""Judges what gates send, before anything is kept. Pure: bytes in, values out, whatever the bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from device.core import wire

BODY_LIMIT_BYTES: Final = 64 * 1024
"""An event of the contract has about one kilobyte."""
_KIND_OF: Final = {"checkin": wire.CHECKIN_TYPE, "audit": wire.AUDIT_TYPE}


@dataclass(frozen=True, slots=True)
class Received:
    """An event that may be kept."""

    gate: str
    event: wire.HeardEvent
    body: bytes

    @property
    def key(self) -> tuple[str, str]:
        """Gate and epoch."""
        return self.gate, self.event.epoch

    @property
    def digest(self) -> str:
        """What the next body must say of this one."""
        return wire.body_digest(self.body)


def content_digest(body: bytes) -> str:
    """What an event of the contract tells, apart from its number, its place in the chain and how well its time was known.

    A gate whose file was damaged begins another one and sends again, under new
    numbers, what may not have arrived: the id and this stay the same.
    """
    event = json.loads(body)
    data = {name: value for name, value in event.get("data", {}).items() if name != "prev"}
    told = [event.get("id"), event.get("type"), event.get("bootid"), data]
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Notice:
    """A message beside the record. ``hello`` asks for an answer."""

    gate: str
    topic: str
    body: bytes
    hello: wire.HeardHello | None = None


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """Something that is no message of the contract. Kept aside with its reason, never dropped silently.

    ``key`` is there when the event can be told apart all the same: then its
    gate need not send it again.
    """

    topic: str
    gate: str
    body: bytes
    reason: str
    key: tuple[str, int] | None = None


def judge(topic_text: str, body: bytes) -> Received | Notice | RefusedMessage:
    """What arrived, as what it may be treated."""
    topic = wire.parse_topic(topic_text)
    if topic is None or topic.way != "up":
        return RefusedMessage(topic_text, "", body, "topic")
    if len(body) > BODY_LIMIT_BYTES:
        return RefusedMessage(topic_text, topic.gate, body[:BODY_LIMIT_BYTES], "too_long")
    if topic.kind in _KIND_OF:
        return _event(topic, topic_text, body)
    if topic.kind == "hello":
        hello = wire.read(wire.HeardHello, body)
        if isinstance(hello, wire.Unreadable):
            return RefusedMessage(topic_text, topic.gate, body, f"unreadable: {hello.where}")
        return Notice(topic.gate, topic_text, body, hello)
    notice = wire.read(wire.HeardNotice, body)
    if isinstance(notice, wire.Unreadable):
        return RefusedMessage(topic_text, topic.gate, body, f"unreadable: {notice.where}")
    return Notice(topic.gate, topic_text, body)


def _event(topic: wire.Topic, topic_text: str, body: bytes) -> Received | RefusedMessage:
    event = wire.read(wire.HeardEvent, body)
    if isinstance(event, wire.Unreadable):
        return RefusedMessage(topic_text, topic.gate, body, f"unreadable: {event.where}")
    if event.source != wire.source(topic.gate):
        return RefusedMessage(topic_text, topic.gate, body, "source")
    if event.type != _KIND_OF[topic.kind]:
        return RefusedMessage(topic_text, topic.gate, body, "type", (event.epoch, event.seq))
    return Received(topic.gate, event, body)
