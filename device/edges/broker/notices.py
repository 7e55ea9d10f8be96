"""What happens on the road to the province and goes into the record, at a bounded rate."""

from __future__ import annotations

import logging
from collections.abc import Callable

from device.core import broker_codes, wire
from device.core.broker_codes import Fate
from device.core.pacing import Bucket
from device.core.sending import Hold
from device.edges.broker.kept_line import is_slow
from device.edges.broker.values import Ended
from device.ports import Clock

log = logging.getLogger(__name__)

RECORDED_PER_S = 1 / 60
RECORDED_AT_ONCE = 10

_ALARMING = frozenset({Fate.NOBODY, Fate.FORBIDDEN})
"""Why events are held back, where waiting alone does not help."""


class Notices:
    """Records what happened on the road to the province, at a rate that a broker gone mad cannot drive up."""

    def __init__(self, clock: Clock, record: Callable[[wire.AuditFact], object]) -> None:
        self._clock = clock
        self._record = record
        self._bucket = Bucket(RECORDED_PER_S, burst=RECORDED_AT_ONCE)
        self.unrecorded = 0

    def record(self, fact: wire.AuditFact) -> bool:
        """Record one; beyond the rate it is only counted. Whether it was recorded, and so is worth a line in the log."""
        if self._bucket.ready_in_s(self._clock.monotonic_ns() / 1e9) > 0:
            self.unrecorded += 1
            return False
        self._bucket.spend()
        self._record(fact)
        return True


class UplinkTroubles:
    """Records what somebody must act upon: a broker that refuses the gate, or its events."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._held: Fate | None = None

    def ended(self, end: Ended) -> None:
        """A connection ended in another way than the one before."""
        if end.code is not None and is_slow(end):
            state: wire.Trouble = "taken_over" if end.code == broker_codes.TAKEN_OVER else "refused"
            self._notices.record(wire.UplinkTrouble(state=state, reason=broker_codes.name(end.code)))

    def hold(self, hold: Hold | None) -> None:
        """Whether events are held back although the connection stands."""
        before, self._held = self._held, None if hold is None else hold.fate
        if self._held is before:
            return
        if self._held is None:
            log.info("the broker takes events again")
        else:
            log.warning("the broker takes no events: %s", self._held.value)
        fate = self._held or before
        if fate in _ALARMING:
            self._notices.record(wire.UplinkTrouble(state="held" if self._held else "resumed", reason=str(fate)))


def is_blamed(end: Ended) -> bool:
    """Whether the broker hung up over something that was sent."""
    return end.reason == "protocol" or (end.reason == "closed_by_broker" and end.code in broker_codes.CONTENT)
