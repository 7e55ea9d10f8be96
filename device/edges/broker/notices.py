"""How things stand with the broker, told once for each change: a line in the log, and an audit event where somebody must act."""

from __future__ import annotations

import logging
from collections.abc import Callable

from device.core import broker_codes, wire
from device.core.broker_codes import Fate, Retry
from device.core.pacing import Bucket
from device.core.sending import Hold
from device.core.types import JsonObject
from device.edges.broker.values import Ended
from device.ports import Clock

log = logging.getLogger(__name__)

RECORDED_PER_S = 1 / 60
RECORDED_AT_ONCE = 10

_ALARMING = frozenset({Fate.NOBODY, Fate.FORBIDDEN})
"""Why events are held back, where waiting alone does not help."""


class Notices:
    """Records what happened on the road to the province, at a rate that a broker gone mad cannot drive up."""

    def __init__(self, clock: Clock, audit: Callable[[JsonObject], object]) -> None:
        self._clock = clock
        self._audit = audit
        self._bucket = Bucket(RECORDED_PER_S, burst=RECORDED_AT_ONCE)
        self.unrecorded = 0

    def record(self, fact: wire.AuditFact) -> bool:
        """Record one; beyond the rate it is only counted. Whether it was recorded, and so is worth a line in the log."""
        if self._bucket.ready_in_s(self._clock.monotonic_ns() / 1e9) > 0:
            self.unrecorded += 1
            return False
        self._bucket.spend()
        self._audit(wire.audit_data(fact))
        return True


class LineHistory:
    """What was last said about the broker at ``place``."""

    def __init__(self, place: str, notices: Notices) -> None:
        self._place = place
        self._notices = notices
        self._held: Fate | None = None
        self.reason = ""
        self.ends: dict[str, int] = {}

    def online(self) -> None:
        """The connection stands."""
        if self._changed("online"):
            log.info("connected to the broker at %s", self._place)

    def ended(self, end: Ended) -> None:
        """It failed or ended."""
        reason = end.reason if end.code is None else f"{end.reason}_{broker_codes.name(end.code)}"
        self.ends[reason] = self.ends.get(reason, 0) + 1
        if not self._changed(reason):
            return
        if end.reason == "goodbye":
            log.info("disconnected from the broker at %s", self._place)
            return
        log.warning("no connection to the broker at %s: %s %s", self._place, reason, end.detail)
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
        told = self._held or before
        if told in _ALARMING:
            self._notices.record(wire.UplinkTrouble(state="held" if self._held else "resumed", reason=str(told)))

    def subscribed(self, codes: tuple[int, ...]) -> None:
        """The broker's answers to the subscriptions."""
        refused = [code for code in codes if broker_codes.is_refusal(code)]
        if refused:
            log.warning("the broker refused %d of %d subscriptions: %s", len(refused), len(codes), broker_codes.name(refused[0]))

    def _changed(self, reason: str) -> bool:
        before, self.reason = self.reason, reason
        return reason != before


def is_slow(end: Ended) -> bool:
    """Whether somebody must mend something before it is worth trying again soon."""
    return end.reason == "no_qos_1" or (end.code is not None and broker_codes.retry(end.code) is Retry.SLOW)


def is_blamed(end: Ended) -> bool:
    """Whether the broker hung up over something that was sent."""
    return end.reason == "protocol" or (end.reason == "closed_by_broker" and end.code in broker_codes.CONTENT)
