"""The doors between the decision and the outside world.

The gate's loop knows these and nothing behind them. Each has one real
implementation in ``device.edges`` (and fakes in ``tests/fakes``, held to the
same contract tests).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from device.core.eye_messages import Message
from device.core.types import Channel, ClockReading, Entry, Json, Passage, Receipt, Sign


class Clock(Protocol):
    """Time, handed in so that tests can move it."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC: intervals, and the time line shared with the eye."""
        ...

    def reading(self) -> ClockReading:
        """All clocks at one moment."""
        ...


class Eye(Protocol):
    """The eye as the gate sees it: a source of messages that can fall silent."""

    def receive(self, timeout_s: float) -> Message | None:
        """The next message, or None when none came in time. Never raises for what the eye did."""
        ...

    @property
    def alive(self) -> bool:
        """Whether a beat came within the limit. False means out of service."""
        ...

    def close(self) -> None:
        """Stop listening and, where the gate started the eye, stop the eye."""
        ...


class Signals(Protocol):
    """The lamps, the buzzer and the relay."""

    def show(self, sign: Sign, *, queued: bool = False) -> None:
        """Answer with ``sign`` at once, cancelling what runs; ``queued`` waits for a passing sign to end first.

        READY, UNREADABLE, OUT_OF_SERVICE and COMMISSIONING are standing signs: they stay, and a
        passing sign returns to the newest of them when it is over.
        """
        ...

    def open_door(self) -> None:
        """Pulse the relay, where one is fitted."""
        ...

    def close(self) -> None:
        """All lamps off, buzzer silent, relay released, pins free."""
        ...


class Orders(Protocol):
    """Takes a technician's orders from the camera."""

    def is_open(self, now_ns: int) -> bool:
        """Whether an order would be looked at now (CLOCK_MONOTONIC)."""
        ...

    def submit(self, payload: bytes, now: ClockReading) -> bool:
        """One order in an open window: whether it was taken. Either is recorded."""
        ...


class Sealer(Protocol):
    """Seals what only the province may read."""

    def seal(self, plaintext: bytes, info: bytes) -> str:
        """Base64 of the sealed bytes (RFC 9180 single shot: enc followed by ciphertext)."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One journalled event, frozen, ready for the wire. ``age_s`` is since it was recorded, as far as is known."""

    seq: int
    channel: Channel
    body: bytes
    age_s: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the journal holds unconfirmed. ``oldest`` and ``newest`` are 0 in an empty journal."""

    epoch: str
    oldest: int
    newest: int
    waiting: int


class Journal(Protocol):
    """The record, as the decision path sees it. One writer thread owns the file."""

    def record(self, entry: Entry) -> Future[Receipt]:
        """Append durably. The future is done when the entry survives a power cut (or holds a JournalError).

        After an error an entry is held in memory and written later, unless it is not to be ``kept``.
        """
        ...

    def passages(self) -> Sequence[Passage]:
        """The remembered passages, at most one for each subject and newest last: read once at start."""
        ...

    def stats(self) -> Mapping[str, Json]:
        """Rows, bytes, commit-time percentiles, state: for health and ``gate status``."""
        ...

    def close(self) -> None:
        """Finish what was handed in, then close the file."""
        ...


class Outbox(Protocol):
    """The record, as the uplink sees it. Its calls may block on the disk: uplink threads only."""

    def bounds(self) -> Bounds:
        """The unconfirmed range."""
        ...

    def waiting(self, after: int, limit: int) -> Sequence[Outgoing]:
        """Unconfirmed events with ``seq > after``, ascending, at most ``limit``, bodies frozen in order of seq."""
        ...

    def live_from(self, age_s: float) -> int:
        """Every event recorded in the last ``age_s`` seconds has a seq above this one."""
        ...

    def confirm(self, epoch: str, upto: int, ranges: Sequence[tuple[int, int]] = ()) -> int:
        """The province has all events up to ``upto`` and the closed ``ranges``. Returns how many rows that released.

        An ack for another epoch, or above the newest seq, releases nothing.
        """
        ...

    def bury(self, seq: int, reason: str) -> None:
        """Dead letter: keep it aside, never send it again, and record an audit event that says so."""
        ...

    def on_news(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` (which must not block) after each commit that added events."""
        ...


class Notifier(Protocol):
    """The service manager."""

    def ready(self) -> None:
        """Start-up is complete."""
        ...

    def alive(self) -> None:
        """All parts made progress: feed the watchdog."""
        ...

    def patience(self, seconds: float) -> None:
        """From now on ``alive`` may be so long in coming, where there is a watchdog at all."""
        ...

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        ...

    def stopping(self) -> None:
        """An orderly stop began."""
        ...
