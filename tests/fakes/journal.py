"""A record in memory: everything `ports.Journal` and `ports.Outbox` promise but durability."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from device.core.timeline import Stamp, Timeline, least_age_ns, stamp
from device.core.types import Channel, ClockReading, Entry, Json, Passage, Receipt, Stored
from device.core.wire import DeadLetter, audit_data
from device.errors import JournalError
from device.ports import Bounds, Clock, Outgoing


@dataclass(slots=True)
class Row:
    """One event. ``body`` once it is frozen."""

    stored: Stored
    body: bytes | None = None


class MemoryJournal:
    """`ports.Journal` and `ports.Outbox` without a disk.

    Faults: `fail` makes records fail and keeps them until `recover`; `stall`
    leaves futures open until `resume`. `entries` is everything that was ever
    recorded, in order, whatever became of it.
    """

    def __init__(self, clock: Clock, freeze: Callable[[Stored, Stamp, bytes | None], bytes]) -> None:
        self.entries: list[Entry] = []
        self.buried: dict[int, str] = {}
        self.closed = False
        self._clock = clock
        self._freeze = freeze
        self._lock = threading.RLock()
        self._epoch = str(uuid.uuid4())
        self._newest = 0
        self._rows: dict[int, Row] = {}
        self._line = Timeline().seen(clock.reading())
        self._prev: bytes | None = None
        self._frozen = 0
        self._passages: dict[str, Passage] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._failing: str | None = None
        self._kept: list[Entry] = []
        self._stalled: list[tuple[Entry, Future[Receipt]]] | None = None

    # ------------------------------------------------------------- faults

    def fail(self, why: str = "disk I/O error") -> None:
        """From now on nothing becomes durable."""
        self._failing = why

    def recover(self) -> None:
        """The disk is back: what was kept is written."""
        self._failing = None
        kept, self._kept = self._kept, []
        for entry in kept:
            self._append(entry)

    def stall(self) -> None:
        """From now on commits do not return."""
        self._stalled = []

    def resume(self) -> None:
        """The commits that hang return."""
        stalled, self._stalled = self._stalled or [], None
        for entry, future in stalled:
            future.set_result(self._append(entry))

    # ------------------------------------------------------------- Journal

    def record(self, entry: Entry) -> Future[Receipt]:
        """Append; done at once unless a fault is on."""
        future: Future[Receipt] = Future()
        future.set_running_or_notify_cancel()
        try:
            json.dumps(dict(entry.data), allow_nan=False)
        except (ValueError, TypeError):
            future.set_exception(JournalError("the entry cannot be recorded"))
            return future
        with self._lock:
            if self.closed or self._failing is not None:
                if not self.closed and entry.kept:
                    self._kept.append(entry)
                future.set_exception(JournalError("the record is closed" if self.closed else f"{self._failing}"))
            elif self._stalled is not None:
                self._stalled.append((entry, future))
            else:
                future.set_result(self._append(entry))
        return future

    def passages(self) -> Sequence[Passage]:
        """The remembered passages, newest last."""
        return list(self._passages.values())

    def stats(self) -> Mapping[str, Json]:
        """The figures that others read."""
        with self._lock:
            return {
                "waiting": len(self._rows),
                "newest": self._newest,
                "dead": len(self.buried),
                "dropped": 0,
                "in_memory": len(self._kept) + len(self._stalled or []),
                "commit_ms": {"p50": None, "p95": None, "p99": None},
                "storage_state": "ok" if self._failing is None else "degraded",
            }

    def close(self) -> None:
        """Nothing is recorded or read after this."""
        self.closed = True

    # ------------------------------------------------------------- Outbox

    def bounds(self) -> Bounds:
        """The unconfirmed range."""
        self._check()
        with self._lock:
            return Bounds(self._epoch, min(self._rows, default=0), max(self._rows, default=0), len(self._rows))

    def waiting(self, after: int, limit: int) -> Sequence[Outgoing]:
        """Unconfirmed events in order, frozen in order."""
        self._check()
        with self._lock:
            seqs = [seq for seq in sorted(self._rows) if seq > after][:limit]
            now = self._see()
            for seq in [seq for seq in sorted(self._rows) if seqs and self._frozen < seq <= seqs[-1]]:
                self._freeze_row(seq)
            return [self._outgoing(seq, now) for seq in seqs]

    def live_from(self, age_s: float) -> int:
        """Every event of the last ``age_s`` seconds is above this."""
        self._check()
        with self._lock:
            now = self._see()
            old = [seq for seq, row in self._rows.items() if least_age_ns(row.stored.at, now, self._line) > age_s * 1e9]
            return max(old, default=min(self._rows, default=self._newest + 1) - 1)

    def confirm(self, epoch: str, upto: int, ranges: Sequence[tuple[int, int]] = ()) -> int:
        """Forget what the province has."""
        self._check()
        with self._lock:
            spans = [(1, upto), *ranges]
            if epoch != self._epoch or any(last > self._newest for _, last in spans):
                return 0
            gone = [seq for seq in self._rows if seq <= self._frozen and any(first <= seq <= last for first, last in spans)]
            for seq in gone:
                del self._rows[seq]
            return len(gone)

    def bury(self, seq: int, reason: str) -> None:
        """Put a waiting event aside, and record that."""
        self._check()
        with self._lock:
            row = self._rows.pop(seq, None)
            if row is None:
                return
            self.buried[seq] = reason
            fact = DeadLetter(seq=seq, reason=reason, channel=row.stored.channel)
            self._append(Entry(Channel.AUDIT, audit_data(fact), self._clock.reading()))

    def on_news(self, callback: Callable[[], None]) -> None:
        """Call back after each append."""
        self._callbacks.append(callback)

    # ------------------------------------------------------------- how

    def _append(self, entry: Entry) -> Receipt:
        with self._lock:
            self.entries.append(entry)
            self._newest += 1
            at = entry.at
            ident = f"018f8fad-d9cb-7000-8000-{self._newest:012x}"
            self._line = self._line.seen(at)
            self._rows[self._newest] = Row(Stored(self._epoch, self._newest, ident, entry.channel, dict(entry.data), at))
            if at.trusted and all(row.body is not None for seq, row in self._rows.items() if seq < self._newest):
                self._freeze_row(self._newest)
            if entry.passage is not None:
                self._passages.pop(entry.passage.subject, None)
                self._passages[entry.passage.subject] = entry.passage
        for callback in self._callbacks:
            callback()
        return Receipt(self._epoch, self._newest)

    def _freeze_row(self, seq: int) -> None:
        row = self._rows[seq]
        row.body = self._freeze(row.stored, stamp(row.stored.at, self._line), self._prev)
        self._prev, self._frozen = hashlib.sha256(row.body).digest(), seq

    def _outgoing(self, seq: int, now: ClockReading) -> Outgoing:
        row = self._rows[seq]
        return Outgoing(seq, row.stored.channel, row.body or b"", least_age_ns(row.stored.at, now, self._line) / 1e9)

    def _see(self) -> ClockReading:
        now = self._clock.reading()
        self._line = self._line.seen(now)
        return now

    def _check(self) -> None:
        if self.closed:
            raise JournalError("the record is closed")
