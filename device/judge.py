"""From the bytes of a code to a decision and the event that will record it.

The one place where a person's data is in the clear; it leaves as a keyed
hash and sealed, and is forgotten when ``judge`` returns.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from device.core import identity
from device.core.credentials import parse
from device.core.credentials.trust import NOBODY
from device.core.memory import Memory
from device.core.policy import decide
from device.core.reasons import Reason
from device.core.types import Decision, Kind, Rejection, Sign, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from device.core.credentials.trust import Trust
    from device.core.rules import Rules
    from device.core.types import ClockReading, Credential, Passage, Sighting, SignedTerms
    from device.ports import Sealer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision and what its event may say of the code: ``length`` in bytes, and of a refused one its keyed ``digest``.

    ``claim`` is what the code's signature vouched for.
    """

    decision: Decision
    length: int
    digest: str | None = None
    sealed: str | None = None
    claim: SignedTerms | None = None


class Judge:
    """Applies a site's rules, with the memory of who passed when.

    ``sealer`` None leaves identities out of the events. ``seal_info`` binds
    what is sealed to this gate.
    """

    def __init__(
        self,
        rules: Rules,
        site_key: bytes,
        sealer: Sealer | None = None,
        seal_info: bytes = b"",
        memory: Memory | None = None,
        trust: Trust = NOBODY,
    ) -> None:
        self._rules = rules
        self._site_key = site_key
        self._sealer = sealer
        self._seal_info = seal_info
        self._trust = trust
        self.memory = memory or Memory(rules.in_out_reset_ns)
        self.announce: Callable[[Passage], None] = lambda _: None
        """Hears of every passage here."""

    def judge(self, sighting: Sighting, now: ClockReading) -> Judged:
        """Decide about one showing. Never raises: whatever fails here fails closed, with a reason of its own."""
        try:
            return self._judge(sighting, now)
        except Exception as error:  # noqa: BLE001 - the last wall before hostile bytes
            # A mistake in a parser must not stop the gate for everybody. Only the place is logged: the error's text may quote the code.
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {place.name}"
            log.error("a rule failed on a code of %d bytes: %s", len(sighting.payload), what)  # noqa: TRY400 - see above
            return Judged(Decision(Verdict.REJECT, Reason.RULE_FAILED, Sign.REJECT, Kind.UNKNOWN), len(sighting.payload))

    def passed(self, judged: Judged, passage: Passage) -> None:
        """Somebody was let through and it is recorded: remember it for duplicates, turns and the number inside."""
        self.memory.remember(passage)
        self.announce(passage)
        if judged.claim is not None:
            self.memory.spend(judged.claim, passage.at)

    def _judge(self, sighting: Sighting, now: ClockReading) -> Judged:
        found = self._read(sighting, now)
        length = len(sighting.payload)
        if isinstance(found, Rejection):
            decision = decide(found, None, now, rules=self._rules)
            return Judged(decision, length, digest=identity.payload_digest(self._site_key, sighting.payload))
        subject = identity.subject(self._site_key, found.subject_class, found.number)
        decision = decide(found, subject, now, self.memory.recall(subject, found.claim, now), rules=self._rules)
        return Judged(decision, length, sealed=self._seal(found, decision), claim=found.claim)

    def _read(self, sighting: Sighting, now: ClockReading) -> Credential | Rejection:
        if sighting.partial:
            return Rejection(Kind.UNKNOWN, Reason.PARTIAL_CODE, len(sighting.payload))
        return parse(sighting.payload, self._today(now), self._trust)

    def _today(self, now: ClockReading) -> date | None:
        if not now.trusted:
            return None
        return (datetime.fromtimestamp(now.wall_ns / 1e9, UTC) + timedelta(minutes=self._rules.utc_offset_min)).date()

    def _seal(self, found: Credential, decision: Decision) -> str | None:
        """Identity is sealed for who passed or was referred; of a person turned away the province learns the keyed hash alone."""
        if self._sealer is None or decision.verdict is Verdict.REJECT:
            return None
        return self._sealer.seal(identity.identity_document(found), self._seal_info)
