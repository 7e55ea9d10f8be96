"""What the uplink's tests share: a clock that runs and can be pushed on, a record in memory, and an uplink on them."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

import pytest

from device.config import BrokerSection, GateSection
from device.core import wire
from device.core.pacing import Uniform
from device.core.types import Channel, ClockReading, Entry, Json
from device.edges.broker.announcements import About
from device.edges.broker.connection import Connection
from device.edges.broker.uplink import MqttUplink
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed, Subscription
from device.errors import JournalError
from device.ports import Outbox
from tests.contract.validate import assert_valid
from tests.fakes.journal import MemoryJournal
from tests.waiting import LIMIT_S, happens, until

GATE = "gate-07"
FREEZE = partial(wire.freeze_event, sign=None, gate=GATE)
NOBODY: dict[str, Json] = {
    "decision": "reject",
    "reason": "web_address",
    "kind": "web_address",
    "lane": "1",
    "site": "site-1",
    "policy": "p1",
    "lists": [],
    "warnings": [],
    "decide_ms": 1.0,
    "purpose": "access control",
    "legal_basis": "not stated",
    "payload_length": 20,
}
"""Data of a check-in."""


class PushedClock:
    """The machine's clocks, and as much later as a test says: the supervisor's limits pass without being waited for."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def monotonic_ns(self) -> int:
        """Monotonic time."""
        return time.monotonic_ns() + self.ahead_ns

    def reading(self) -> ClockReading:
        """All clocks."""
        now_ns = self.monotonic_ns()
        return ClockReading(now_ns, now_ns, time.time_ns() + self.ahead_ns, "boot-1", trusted=True)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead_ns += round(seconds * 1e9)


class Record(MemoryJournal):
    """The record in memory, with the faults that an uplink meets."""

    def __init__(self, clock: PushedClock) -> None:
        super().__init__(clock, FREEZE)
        self.clock = clock
        self.unreadable = False

    def add(self, count: int = 1, *, age_s: float = 0.0, channel: Channel = Channel.CHECKIN, **changes: Json) -> int:
        """Record check-ins that are `age_s` old; the number of the last one."""
        seq = 0
        for _ in range(count):
            now = self.clock.reading()
            age_ns = round(age_s * 1e9)
            at = replace(now, boot_ns=now.boot_ns - age_ns, wall_ns=now.wall_ns - age_ns)
            seq = self.record(Entry(channel, {**NOBODY, **changes}, at)).result().seq
        return seq

    def record_audit(self, fact: wire.AuditFact) -> None:
        """Record something about the gate itself."""
        self.record(Entry(Channel.AUDIT, wire.audit_data(fact), self.clock.reading()))

    def audits(self, what: str) -> list[Mapping[str, Json]]:
        """The data of audit events of one kind."""
        return [entry.data for entry in self.entries if entry.channel is Channel.AUDIT and entry.data.get("what") == what]

    def begin_anew(self) -> str:
        """The file was unusable and a new one was begun; its epoch."""
        with self._lock:
            self._epoch = str(uuid.uuid4())
            self._rows.clear()
            self._newest = self._frozen = 0
            self._prev = None
        return self._epoch

    def drop(self, seq: int) -> None:
        """The record's bounds dropped an event."""
        with self._lock:
            del self._rows[seq]

    @property
    def epoch(self) -> str:
        """The epoch now."""
        return self._epoch

    @property
    def left(self) -> int:
        """Events that wait."""
        return len(self._rows)

    def _check(self) -> None:
        if self.unreadable:
            raise JournalError("the disk does not answer")


class Rig:
    """An uplink on a record in memory or on a given one, connected to whatever listens at a port."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        record: Outbox | None = None,
        clock: PushedClock | None = None,
        uniform: Uniform = random.uniform,
        **settings: Any,  # noqa: ANN401 - whatever the configuration has
    ) -> None:
        self.clock = clock or PushedClock()
        self.record = Record(self.clock)
        self.health: dict[str, Json] = {"storage_state": "ok"}
        section = {"first_connect_spread_s": 0, "retry_min_s": 0.05, "retry_max_s": 1, **settings}
        self.broker = BrokerSection.model_validate({"host": host, "port": port, **section})
        self.uplink = MqttUplink(
            self.broker,
            GateSection(id=GATE, site="site-1"),
            record or self.record,
            self.clock,
            About("0.1.0", "p1", lambda: self.health, lambda: {"clock": "synced"}),
            self.record.record_audit,
            uniform=uniform,
        )

    def advance(self, seconds: float) -> None:
        """Let time pass, and let the supervisor notice."""
        self.clock.advance(seconds)
        self.nudge()

    def nudge(self) -> None:
        """Have the supervisor go round now, whether it is connected or not."""
        self.uplink._line.wake()  # noqa: SLF001 - news of the record wakes it only where it may send

    def stat(self, name: str) -> Any:  # noqa: ANN401 - any JSON
        """One figure."""
        return self.uplink.stats()[name]

    def wait(self, reached: Callable[[], bool], timeout_s: float = LIMIT_S) -> None:
        """Until it has happened; else fail with the uplink's figures."""
        until(reached, timeout_s, self.uplink.stats)

    def pass_time_until(self, reached: Callable[[], bool], step_s: float = 5.0) -> None:
        """Let much time pass in steps, each seen by the supervisor before the next, until it has happened."""

        def stepped() -> bool:
            if reached():
                return True
            self.clock.advance(step_s)
            # A round that was under way may have looked at the clock before.
            self.wait_rounds(2)
            # The other side of the network lives by real time.
            return happens(reached, 0.02)

        self.wait(stepped)

    def wait_rounds(self, count: int) -> None:
        """Until the supervisor has gone round so often."""
        for _ in range(count):
            before = self.uplink.progress
            self.nudge()
            self.wait(lambda before=before: self.uplink.progress > before)  # type: ignore[misc]  # bound now, not later

    def wait_phase(self, phase: str, timeout_s: float = LIMIT_S) -> None:
        """Until the uplink is in this phase."""
        self.wait(lambda: self.stat("phase") == phase, timeout_s)

    def wait_end(self, reason: str, timeout_s: float = LIMIT_S) -> None:
        """Until a connection has ended for this reason."""
        self.wait(lambda: reason in self.stat("ends"), timeout_s)


@contextlib.contextmanager
def rig(port: int, **settings: Any) -> Iterator[Rig]:  # noqa: ANN401 - whatever the configuration has
    """A running uplink, closed whatever happens."""
    made = Rig(port, **settings)
    made.uplink.start()
    try:
        yield made
    finally:
        made.uplink.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the uplink logged, without the words of other libraries."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("device.") and record.levelno >= logging.INFO]


class Listener:
    """The province's end of a real broker: subscribes to everything, holds every message against the contract, may ack."""

    def __init__(self, peer: Peer, *, topics: tuple[str, ...] = ("gates/v1/+/up/#",), ack: bool = False) -> None:
        self._ack = ack
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._connection = Connection(
            replace(peer, subscriptions=tuple(Subscription(topic, as_published=True) for topic in topics)), self._take
        )
        self.messages: list[Arrived] = []
        self.answers: list[int] = []
        self.end: Ended | None = None
        self.granted: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        self._connection.start()
        assert self._ready.wait(10), "no subscription"
        assert self.end is None, self.end
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.disconnect()
        assert self._connection.join(5)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Say something to a gate."""
        self._connection.publish(Publication(object(), topic, payload, qos=qos, retain=retain))

    def ack(self, epoch: str, upto: int, *ranges: tuple[int, int], gate: str = GATE) -> None:
        """Acknowledge events."""
        content = wire.Ack(epoch=epoch, upto=upto, ranges=[list(span) for span in ranges], server_time=wire.time_text(time.time_ns()))
        self.publish(wire.down(gate, "ack"), wire.encode(content))

    def on(self, kind: str) -> list[Arrived]:
        """The messages on topics of one kind."""
        with self._lock:
            return [message for message in self.messages if message.topic.endswith(f"/up/{kind}")]

    def bodies(self) -> set[bytes]:
        """The bodies of events."""
        return {message.payload for message in self.on("checkin") + self.on("audit")}

    def _take(self, event: Event) -> None:
        match event:
            case Subscribed(codes):
                self.granted = codes
                self._ready.set()
            case Arrived():
                with self._lock:
                    self.messages.append(event)
                self._answer(event)
            case Answered(_, code):
                self.answers.append(code)
            case Ended():
                self.end = event
                self._ended.set()
                self._ready.set()
            case Connected():
                pass

    def _answer(self, message: Arrived) -> None:
        if message.topic.split("/")[3] == "up":
            assert_valid(message.topic, message.payload)
        self._connection.done(message)
        if self._ack and message.topic.rsplit("/", 1)[-1] in {"checkin", "audit"}:
            event = wire.read(wire.HeardEvent, message.payload)
            assert isinstance(event, wire.HeardEvent)
            self.ack(event.epoch, 0, (event.seq, event.seq))


def peer(port: int, client_id: str = "listener", **changes: Any) -> Peer:  # noqa: ANN401 - whatever a peer has
    """A plain connection to loopback."""
    return Peer(
        **{"host": "127.0.0.1", "port": port, "tls": None, "client_id": client_id, "receive_maximum": 1000, "unread_limit": 5000, **changes}
    )
