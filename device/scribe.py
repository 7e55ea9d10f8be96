"""Turns what happened into entries for the record: decisions, and facts about the gate itself, in the contract's form."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from device.core.types import Channel, Entry, Passage
from device.core.wire import AuditFact, ListInUse, Terms, audit_data, checkin_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from device.config import GateConfig
    from device.core.types import ClockReading, Receipt
    from device.judge import Judged
    from device.ports import Clock, Journal


class Scribe:
    """Writes entries under the terms of one gate: its site, lane, purpose, the version of its rules and lists."""

    def __init__(self, terms: Terms, lists: Callable[[ClockReading], tuple[ListInUse, ...]] = lambda _: ()) -> None:
        """``lists`` tells which versions decide at a moment, and how old they are."""
        self.terms = terms
        self.lists = lists

    def checkin(self, judged: Judged, now: ClockReading, decide_ms: float, *, kept: bool = True) -> Entry:
        """The entry of one decision, with the passage that it makes, if somebody passed."""
        decision = judged.decision
        data = checkin_data(
            decision,
            self.terms,
            decide_ms=decide_ms,
            lists=self.lists(now),
            sealed=judged.sealed,
            payload_length=judged.length,
            payload_digest=judged.digest,
        )
        passage = Passage(decision.subject, decision.direction, now) if decision.subject and decision.direction else None
        return Entry(Channel.CHECKIN, data, now, passage, kept)


class FactRecorder:
    """The one way by which a fact about the gate itself gets into the record. From any thread."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    def record(self, fact: AuditFact) -> Future[Receipt]:
        """Hand it to the record. Whoever needs it durable first waits for the future."""
        return self._journal.record(Entry(Channel.AUDIT, audit_data(fact), self._clock.reading()))


def terms_of(config: GateConfig) -> Terms:
    """What stands in every check-in. The version of the rules is a hash of everything in the file that decides."""
    rules = config.policy.model_dump_json() + config.gate.direction
    return Terms(
        site=config.gate.site,
        lane=config.gate.lane,
        policy=hashlib.sha256(rules.encode()).hexdigest()[:16],
        purpose=config.privacy.purpose,
        legal_basis=config.privacy.legal_basis,
    )
