"""A record in memory for the uplink's tests: real frozen bodies, nothing durable."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence

from device.core import wire
from device.core.timeline import ClockState, Stamp
from device.core.types import Channel, JsonObject, Stored
from device.errors import JournalError
from device.ports import Bounds, Clock, Outgoing

EPOCH = "6f2b1c5e-8a43-4f0d-9b8e-2f6f3f1f7a01"


class MemoryOutbox:
    """`ports.Outbox` over a dictionary. `fail` and `replace` are faults; `released`, `buried` and `entries` are what happened."""

    def __init__(self, clock: Clock, gate: str = "gate-7") -> None:
        self._clock = clock
        self._gate = gate
        self._lock = threading.Lock()
        self._rows: dict[int, tuple[Channel, bytes, int]] = {}
        self._newest = 0
        self._prev: bytes | None = None
        self._callbacks: list[Callable[[], None]] = []
        self.epoch = EPOCH
        self.released: list[int] = []
        self.buried: dict[int, str] = {}
        self.entries: dict[int, bytes] = {}
        self.failing = False

    # ------------------------------------------------------------- for tests

    def add(self, data: JsonObject, channel: Channel = Channel.CHECKIN, *, age_s: float = 0.0) -> int:
        """Record an event that is `age_s` old; its seq."""
        with self._lock:
            self._newest += 1
            seq = self._newest
            now = self._clock.reading()
            stored = Stored(self.epoch, seq, f"018f8fad-d9cb-769f-a165-{seq:012x}", channel, data, now)
            prev = None if self._prev is None else hashlib.sha256(self._prev).digest()
            self._prev = wire.freeze_event(stored, Stamp(now.wall_ns, ClockState.SYNCED, 5), prev, None, self._gate)
            self._rows[seq] = (channel, self._prev, now.monotonic_ns - round(age_s * 1e9))
            self.entries[seq] = self._prev
        for callback in self._callbacks:
            callback()
        return seq

    def audit(self, data: JsonObject) -> None:
        """Record an audit event."""
        self.add(data, Channel.AUDIT)

    def replace(self, epoch: str) -> None:
        """The file was unusable and a new one was begun."""
        with self._lock:
            self.epoch, self._newest, self._prev = epoch, 0, None
            self._rows.clear()

    def drop(self, seq: int) -> None:
        """The record's bounds dropped an event."""
        with self._lock:
            del self._rows[seq]

    # ------------------------------------------------------------- the port

    def bounds(self) -> Bounds:
        """The unconfirmed range."""
        self._check()
        with self._lock:
            return Bounds(self.epoch, min(self._rows, default=0), max(self._rows, default=0), len(self._rows))

    def waiting(self, after: int, limit: int) -> Sequence[Outgoing]:
        """Unconfirmed events above `after`."""
        self._check()
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            seqs = sorted(seq for seq in self._rows if seq > after)[:limit]
            rows = [(seq, *self._rows[seq]) for seq in seqs]
        return [Outgoing(seq, channel, body, (now_ns - at_ns) / 1e9) for seq, channel, body, at_ns in rows]

    def live_from(self, age_s: float) -> int:
        """Below every young event."""
        self._check()
        edge_ns = self._clock.monotonic_ns() - round(age_s * 1e9)
        with self._lock:
            young = [seq for seq, (_, _, at_ns) in self._rows.items() if at_ns >= edge_ns]
            return min(young) - 1 if young else self._newest

    def confirm(self, epoch: str, upto: int, ranges: Sequence[tuple[int, int]] = ()) -> int:
        """Release what the province has."""
        self._check()
        with self._lock:
            if epoch != self.epoch or upto > self._newest:
                return 0
            gone = [seq for seq in self._rows if seq <= upto or any(first <= seq <= last for first, last in ranges)]
            for seq in gone:
                del self._rows[seq]
            self.released += gone
            return len(gone)

    def bury(self, seq: int, reason: str) -> None:
        """Put aside, and record that."""
        self._check()
        with self._lock:
            self._rows.pop(seq)
            self.buried[seq] = reason
        self.audit(wire.audit_data(wire.DeadLetter(seq=seq, reason=reason)))

    def on_news(self, callback: Callable[[], None]) -> None:
        """Call after each event added."""
        self._callbacks.append(callback)

    def _check(self) -> None:
        if self.failing:
            raise JournalError("the disk does not answer")
