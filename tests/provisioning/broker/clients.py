"""Somebody at a broker: who is let in, what is said and heard, and who is thrown out."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, field
from typing import Self, TypeVar

from device.edges.broker.connection import Connection
from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed, Subscription
from device.workbench.broker import LOOPBACK
from provisioning.authority.keys import Purpose
from tests.provisioning.enrolment_kit import Province

_EventT = TypeVar("_EventT", Answered, Subscribed)


@dataclass
class Client:
    """Somebody at a broker."""

    port: int
    tls: TlsFiles | None
    name: str
    hears: tuple[str, ...] = ()
    got: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)

    def __enter__(self) -> Self:
        subscriptions = tuple(map(Subscription, self.hears))
        peer = Peer(LOOPBACK, self.port, self.tls, self.name, subscriptions=subscriptions, session_expiry_s=0)
        self.connection = Connection(peer, self.got.put)
        self.connection.start()
        self.first = self.got.get(timeout=10)
        self.granted = self._next(Subscribed).codes if self.hears and isinstance(self.first, Connected) else ()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.disconnect()
        assert self.connection.join(5)

    def say(self, topic: str, payload: bytes = b"x") -> int:
        """The broker's answer to a publication."""
        self.connection.publish(Publication(topic, topic, payload))
        return self._next(Answered).code

    def heard(self) -> list[str]:
        """The topics that came."""
        return [message.topic for message in self.messages()]

    def messages(self, wait_s: float = 0.4) -> list[Arrived]:
        """What came until nothing had come for a while."""
        found, end_s = [], time.monotonic() + wait_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                event = self.got.get(timeout=left_s)
            except queue.Empty:
                break
            if isinstance(event, Arrived):
                found.append(event)
                end_s = time.monotonic() + wait_s
                self.connection.done(event)
        return found

    def ended(self, wait_s: float = 0.4) -> bool:
        """Whether it was thrown out."""
        try:
            return isinstance(self.got.get(timeout=wait_s), Ended)
        except queue.Empty:
            return False

    def _next(self, kind: type[_EventT]) -> _EventT:
        while True:
            event = self.got.get(timeout=10)
            if isinstance(event, kind):
                return event
            assert not isinstance(event, Ended), event


def gate(town: Province, name: str, *hears: str) -> Client:
    """A gate at the gates' broker."""
    return Client(town.gates_port, town.papers(name, Purpose.GATES), name, hears)


def service(town: Province, name: str, *hears: str) -> Client:
    """One of the province's programs at the gates' broker."""
    return Client(town.gates_port, town.papers(name), name, hears)


def claim(town: Province, name: str, *hears: str) -> Client:
    """A new card at the enrolment broker."""
    return Client(town.enrol_port, town.papers(name, Purpose.CLAIMS), name, hears)


NOBODY = 0x10
