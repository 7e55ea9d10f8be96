"""Events as gates send them, for what keeps them: a chain of bodies, made by the gate's own code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from device.core import wire
from device.core.timeline import ClockState, Stamp
from device.core.types import Channel, ClockReading, JsonObject, Stored

EPOCH = "6f2b1c5e-8a43-4f0d-9b8e-2f6f3f1f7a01"
CHECKIN: JsonObject = {"decision": "accept", "reason": "accepted", "kind": "citizen_card", "subject": "ab" * 32, "lane": "1", "site": "s-1"}
STAMP = Stamp(1_795_000_000_000_000_000, ClockState.SYNCED, 5)


@dataclass
class Chain:
    """The events of one epoch of a gate, in order. `bodies` by number."""

    gate: str = "gate-07"
    epoch: str = EPOCH
    sign: Callable[[bytes], str] | None = None
    bodies: dict[int, bytes] = field(default_factory=dict)
    _prev: bytes | None = None
    _seq: int = 0

    def add(self, data: JsonObject = CHECKIN, channel: Channel = Channel.CHECKIN) -> int:
        """The next event."""
        self._seq += 1
        reading = ClockReading(1, 1, 1, "boot-1", trusted=True)
        stored = Stored(self.epoch, self._seq, f"018f8fad-d9cb-769f-a165-{self._seq:012x}", channel, data, reading)
        body = wire.freeze_event(stored, STAMP, self._prev, self.sign, self.gate)
        self._prev = hashlib.sha256(body).digest()
        self.bodies[self._seq] = body
        return self._seq

    def grow(self, count: int) -> Chain:
        """So many check-ins."""
        for _ in range(count):
            self.add()
        return self

    def lose(self, count: int, *, frozen: bool) -> tuple[int, int, str | None]:
        """So many events are dropped before the province has them: first, last, and the digest where the chain goes on."""
        first = self._seq + 1
        if not frozen:
            self._seq += count
            return first, self._seq, None
        self.grow(count)
        for seq in range(first, self._seq + 1):
            del self.bodies[seq]
        return first, self._seq, None if self._prev is None else self._prev.hex()

    def declare(self, first: int, last: int, digest: str | None) -> int:
        """The event that says so."""
        fact = wire.Gap(first=first, last=last, count=last - first + 1, cause="rows", digest=digest)
        return self.add(wire.audit_data(fact), Channel.AUDIT)

    def topic(self, seq: int) -> str:
        """Where an event is published."""
        return wire.up(self.gate, "audit" if b'"vn.gate.audit.v1"' in self.bodies[seq] else "checkin")
