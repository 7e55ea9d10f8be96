"""Carries out signed orders, each at most once, and always says what became of it.

``executing`` is on the card before anything happens, the result before it is
said. An order that was being carried out when the power went is
``interrupted`` at the next start, unless the start itself was what it asked.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from device.core import wire
from device.core.orders import Order, Refusal, judge
from device.core.types import ClockReading
from device.edges.keys.trust_files import Province
from device.edges.orders.book import OrderBook, OrderNote

log = logging.getLogger(__name__)

WAITING_LIMIT: Final = 64


@dataclass(frozen=True, slots=True)
class Done:
    """What a hand has done. ``later``: it goes on, and ``OrderDesk.finish`` will say how it ended."""

    reason: str | None = None
    detail: str | None = None
    failed: bool = False
    later: bool = False


Hand: TypeAlias = Callable[[str, Mapping[str, Any]], Done]
"""Does one kind of order, given its id and what it says. Raises ValueError for arguments of another form, OSError where it cannot."""

_ENDED_BY_A_START: Final = frozenset({Order.RESTART})


class OrderDesk:
    """Judges, carries out, remembers. For the uplink's own thread.

    ``hands`` do the work; a kind of order without one is refused as
    ``not_fitted``. ``record`` puts an audit fact into the record and says
    whether it is durable there. ``finish`` alone may be called from elsewhere.
    """

    def __init__(
        self,
        gate: str,
        province: Province,
        book: OrderBook,
        hands: Mapping[Order, Hand],
        record: Callable[[wire.AuditFact], bool],
    ) -> None:
        self._gate = gate
        self._province = province
        self._book = book
        self._hands = hands
        self._record = record
        self._answers: deque[wire.CommandState] = deque(maxlen=WAITING_LIMIT)
        self._finished: deque[tuple[str, Done]] = deque()
        self.carried_out = 0

    def wake(self, now: ClockReading) -> None:
        """At the start: end what the last run left open, and tell what it did not get to tell."""
        for line in self._book.lines():
            if not line.over:
                good = line.name in _ENDED_BY_A_START
                self._end(replace(line, state="succeeded" if good else "interrupted", reason=None if good else "restarted"), now)
            elif not line.reported:
                self._report(line)
        if now.trusted:
            self._book.tidy(now.wall_ns // 1_000_000_000)

    def answers(self, now: ClockReading) -> list[wire.CommandState]:
        """What is to be said to the province now, in order; each is handed out once, and of more than ``WAITING_LIMIT`` the newest."""
        while self._finished:
            name, done = self._finished.popleft()
            line = self._book.find(name)
            if line is not None and not line.over:
                self._end(_after(line, done), now, done.detail)
        said = list(self._answers)
        self._answers.clear()
        return said

    def submit(self, name: str, payload: bytes, now: ClockReading, *, retained: bool) -> Refusal | None:
        """One message on ``down/cmd/{name}``. A refusal that was never noted is for the caller to say; all else is in ``answers``."""
        if retained:
            return Refusal("retained")
        command = self._province.read(wire.Command, payload)
        if isinstance(command, str):
            return Refusal(command)
        if command.id != name:
            return Refusal("malformed")
        known = self._book.find(command.id)
        if known is not None:
            self._say(known, now)
            return None
        order = judge(command, self._gate, now)
        if isinstance(order, Refusal):
            return order
        if order not in self._hands:
            return Refusal("not_fitted")
        return self._carry_out(command, order, now)

    def finish(self, name: str, done: Done) -> None:
        """Hear from any thread that an order that went on has ended; ``answers`` notes and says it."""
        self._finished.append((name, done))

    def _carry_out(self, command: wire.Command, order: Order, now: ClockReading) -> Refusal | None:
        self._book.tidy(now.wall_ns // 1_000_000_000)
        if self._book.full:
            return Refusal("too_many_orders")
        line = OrderNote(command.id, order.value, "executing", wire.seconds_of(command.expires))
        try:
            self._book.write(line)
        except OSError as error:
            # What could not be noted could be done twice.
            log.warning("order %s is not begun, because it cannot be noted: %s", command.id, error.strerror)
            return Refusal("storage")
        log.info("order %s: %s", command.id, order.value)
        self.carried_out += 1
        done = self._do(command, order)
        if done.later:
            self._say(line, now)
        else:
            self._end(_after(line, done), now, done.detail)
        return None

    def _do(self, command: wire.Command, order: Order) -> Done:
        try:
            return self._hands[order](command.id, command.args)
        except (ValueError, TypeError, KeyError) as error:
            return Done("bad_arguments", str(error)[:200], failed=True)
        except OSError as error:
            return Done("storage", error.strerror, failed=True)

    def _end(self, line: OrderNote, now: ClockReading, detail: str | None = None) -> None:
        try:
            self._book.write(line)
        except OSError as error:
            log.warning("how order %s ended cannot be noted: %s", line.id, error.strerror)
        self._say(line, now, detail)
        self._report(line)

    def _report(self, line: OrderNote) -> None:
        """Put how an order ended into the record, which reaches the province whatever becomes of this connection."""
        if not self._record(wire.CommandFate(id=line.id, order=line.name, state=line.state, reason=line.reason)):
            return
        try:
            self._book.write(replace(line, reported=True))
        except (OSError, ValueError) as error:
            log.warning("that order %s was told cannot be noted, so it may be told again: %s", line.id, error)

    def _say(self, line: OrderNote, now: ClockReading, detail: str | None = None) -> None:
        state = wire.CommandState(id=line.id, state=line.state, time=wire.time_text(now.wall_ns), reason=line.reason, detail=detail)
        self._answers.append(state)


def _after(line: OrderNote, done: Done) -> OrderNote:
    return replace(line, state="failed" if done.failed else "succeeded", reason=done.reason)
