"""Who may pass: one pure function from a credential, a moment and what is remembered to a decision.

The order of the tests is the order in which a person would want to hear the
answer: what is wrong with the code, then with the kind, then with the person,
then with the hour. The first that fails decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from device.core.reasons import Reason
from device.core.types import Assurance, Decision, Direction, Kind, Rejection, Sign, Verdict

if TYPE_CHECKING:
    from device.core.types import ClockReading, Credential, Passage

DAY_MIN: Final = 24 * 60

WARN_CLOCK_UNKNOWN: Final = "clock_unknown"
"""The opening hours could not be checked, and the site lets people pass in that case."""

_UNKNOWN_CLOCK: Final = {
    Verdict.REFER: Decision(Verdict.REFER, Reason.CLOCK_UNKNOWN, Sign.REFER, Kind.UNKNOWN),
    Verdict.REJECT: Decision(Verdict.REJECT, Reason.CLOCK_UNKNOWN, Sign.REJECT, Kind.UNKNOWN),
}


@dataclass(frozen=True, slots=True)
class Span:
    """Opening hours that begin on ``days`` (0 is Monday) at ``start_min`` minutes after local midnight.

    An ``end_min`` at or before the start lies on the next day.
    """

    days: frozenset[int]
    start_min: int
    end_min: int

    def holds(self, weekday: int, minute: int) -> bool:
        """Whether the local ``minute`` of ``weekday`` lies in the span."""
        if self.start_min < self.end_min:
            return weekday in self.days and self.start_min <= minute < self.end_min
        yesterday = (weekday - 1) % 7
        return (weekday in self.days and minute >= self.start_min) or (yesterday in self.days and minute < self.end_min)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of keyed hashes. ``members`` is None when the site names a list that cannot be read."""

    members: frozenset[bytes] | None


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy of a site, ready to be applied.

    ``direction`` None means in and out in turn. ``unknown_clock`` is the
    verdict when a rule needs the time and the gate does not know it.
    """

    accept: frozenset[Kind]
    direction: Direction | None
    duplicate_window_ns: int
    in_out_reset_ns: int
    hours: tuple[Span, ...] = ()
    unknown_clock: Verdict = Verdict.REFER
    utc_offset_min: int = 420
    allow: Listing | None = None
    deny: Listing | None = None


def decide(found: Credential | Rejection, subject: str | None, now: ClockReading, last: Passage | None, rules: Rules) -> Decision:
    """What is decided about one showing.

    ``subject`` is the keyed hash of a credential (None for a rejection) and
    ``last`` that person's remembered passage.
    """
    if isinstance(found, Rejection):
        return Decision(Verdict.REJECT, found.reason, Sign.REJECT, found.kind)
    if subject is None:
        raise ValueError("a credential is decided with its subject")
    refusal = _kind_refused(found, rules) or _listed_refused(subject, rules) or _hours_refused(now, rules)
    if refusal is not None:
        return _about(found, subject, refusal)
    warnings = (WARN_CLOCK_UNKNOWN,) if rules.hours and not now.trusted else ()
    return _passed(found, subject, now, last, rules, found.warnings + warnings)


def elapsed_ns(since: ClockReading, now: ClockReading) -> int | None:
    """Nanoseconds from ``since`` to ``now``; None when no clock that both share is to be trusted."""
    if since.boot_id == now.boot_id:
        return now.boot_ns - since.boot_ns
    if since.trusted and now.trusted and now.wall_ns >= since.wall_ns:
        return now.wall_ns - since.wall_ns
    return None


def _kind_refused(found: Credential, rules: Rules) -> Decision | None:
    if found.kind in rules.accept:
        return None
    reason = Reason.BARE_NUMBER if found.kind is Kind.BARE_NUMBER else Reason.KIND_NOT_ACCEPTED
    return Decision(Verdict.REJECT, reason, Sign.REJECT, found.kind)


def _listed_refused(subject: str, rules: Rules) -> Decision | None:
    for listing, is_in, reason in ((rules.deny, True, Reason.DENY_LISTED), (rules.allow, False, Reason.NOT_ON_ALLOW_LIST)):
        if listing is None:
            continue
        if listing.members is None:
            return Decision(Verdict.REFER, Reason.LIST_UNAVAILABLE, Sign.REFER, Kind.UNKNOWN)
        if (bytes.fromhex(subject) in listing.members) is is_in:
            return Decision(Verdict.REJECT, reason, Sign.REJECT, Kind.UNKNOWN)
    return None


def _hours_refused(now: ClockReading, rules: Rules) -> Decision | None:
    if not rules.hours:
        return None
    if not now.trusted:
        return _UNKNOWN_CLOCK.get(rules.unknown_clock)
    local = datetime.fromtimestamp(now.wall_ns / 1e9, UTC) + timedelta(minutes=rules.utc_offset_min)
    minute = local.hour * 60 + local.minute
    if any(span.holds(local.weekday(), minute) for span in rules.hours):
        return None
    return Decision(Verdict.REJECT, Reason.OUTSIDE_HOURS, Sign.REJECT, Kind.UNKNOWN)


def _passed(found: Credential, subject: str, now: ClockReading, last: Passage | None, rules: Rules, warnings: tuple[str, ...]) -> Decision:
    listed = rules.allow is not None
    assurance = Assurance.LISTED if listed and found.assurance is Assurance.DECLARED else found.assurance
    since = elapsed_ns(last.at, now) if last is not None else None
    if since is not None and since < rules.duplicate_window_ns:
        return Decision(Verdict.ACCEPT, Reason.JUST_SCANNED, Sign.ALREADY, found.kind, found.variant, None, assurance, subject, warnings)
    direction = rules.direction or _in_turn(last, since, rules)
    sign = Sign.ACCEPT_IN if direction is Direction.IN else Sign.ACCEPT_OUT
    reason = Reason.LISTED if listed else Reason.ACCEPTED
    return Decision(Verdict.ACCEPT, reason, sign, found.kind, found.variant, direction, assurance, subject, warnings)


def _in_turn(last: Passage | None, since: int | None, rules: Rules) -> Direction:
    """Out after in, in after out; in again after a long time, when the way out was most likely missed."""
    if last is None or last.direction is Direction.OUT or (since is not None and since >= rules.in_out_reset_ns):
        return Direction.IN
    return Direction.OUT


def _about(found: Credential, subject: str, refusal: Decision) -> Decision:
    return Decision(
        refusal.verdict,
        refusal.reason,
        refusal.sign,
        found.kind,
        found.variant,
        None,
        found.assurance,
        subject,
        found.warnings,
    )
