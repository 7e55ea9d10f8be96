"""Who may pass: one pure function from a credential, a moment and what is remembered to a decision.

The order of the tests is the order in which a person would want to hear the
answer: what is wrong with the code, then with the kind, then with the person,
then with the hour, then with the place. The first that fails decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from device.core import hours
from device.core.reasons import Reason
from device.core.rules import ASSURANCE_ORDER, NOTHING, HealthRules, ListUse, PassbackMode, Reliance, Standing
from device.core.types import Assurance, Decision, Direction, HealthStatement, Kind, Rejection, Sign, SignedTerms, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.core.rules import ListRule, Remembered, Rules
    from device.core.types import ClockReading, Credential

WARN_CLOCK_UNKNOWN: Final = "clock_unknown"
"""A rule needed the time and could not be checked, and the site lets people pass in that case."""
WARN_EARLY: Final = "early"
WARN_LATE: Final = "late"
"""Within the grace before or after the hours."""
WARN_PASSBACK: Final = "passback"
"""Passed twice the same way, where the site only wants to know."""
WARN_PASSBACK_BLIND: Final = "passback_blind"
"""Passed twice the same way as far as is known: another gate of the site is silent, so nobody is refused for it."""

SECOND_NS: Final = 1_000_000_000
_LISTED_REASON: Final = {
    ListUse.STATUS: (True, Reason.REVOKED),
    ListUse.DENY: (True, Reason.DENY_LISTED),
    ListUse.ALLOW: (False, Reason.NOT_ON_ALLOW_LIST),
}
"""By what a list means: which membership is refused, and why."""


class _Weighing:
    """One credential on its way through the rules: the moment's terms, and the warnings gathered on the way."""

    def __init__(self, found: Credential, subject: str, now: ClockReading, memory: Remembered, rules: Rules) -> None:
        self.found = found
        self.subject = subject
        self.now = now
        self.memory = memory
        self.rules = _at_this_hour(rules, now)
        self.warnings = list(found.warnings)
        self.listed = False
        last = memory.last
        self.since_ns = None if last is None else elapsed_ns(last.at, now)

    @property
    def assurance(self) -> Assurance:
        """How sure the gate is, with what the lists say."""
        declared = self.found.assurance is Assurance.DECLARED
        return Assurance.LISTED if self.listed and declared else self.found.assurance

    def answer(self, verdict: Verdict, reason: Reason, sign: Sign, direction: Direction | None = None) -> Decision:
        """A decision about this credential."""
        found = self.found
        return Decision(verdict, reason, sign, found.kind, found.variant, direction, self.assurance, self.subject, tuple(self.warnings))

    def no(self, reason: Reason) -> Decision:
        """Turned away."""
        return self.answer(Verdict.REJECT, reason, Sign.REJECT)

    def ask(self, reason: Reason) -> Decision:
        """To be looked at by a person."""
        return self.answer(Verdict.REFER, reason, Sign.REFER)

    def without_time(self, *, live: bool = False) -> Decision | None:
        """What becomes of a rule that needs the time, when it is not known. None lets pass, with a warning."""
        if self.rules.unknown_clock is Verdict.ACCEPT and not live:
            if WARN_CLOCK_UNKNOWN not in self.warnings:
                self.warnings.append(WARN_CLOCK_UNKNOWN)
            return None
        return self.ask(Reason.CLOCK_UNKNOWN)


def decide(
    found: Credential | Rejection, subject: str | None, now: ClockReading, memory: Remembered = NOTHING, *, rules: Rules
) -> Decision:
    """What is decided about one showing.

    ``subject`` is the keyed hash of a credential, None for a rejection.
    Raises OSError where a list cannot be read: the caller fails closed.
    """
    if isinstance(found, Rejection):
        return Decision(Verdict.REJECT, found.reason, Sign.REJECT, found.kind)
    if subject is None:
        raise ValueError("a credential is decided with its subject")
    weighing = _Weighing(found, subject, now, memory, rules)
    for test in _TESTS:
        decision = test(weighing)
        if decision is not None:
            return decision
    return _passed(weighing)


def elapsed_ns(since: ClockReading, now: ClockReading) -> int | None:
    """Nanoseconds from ``since`` to ``now``; None when no clock that both share is to be trusted."""
    if since.boot_id == now.boot_id:
        return now.boot_ns - since.boot_ns
    if since.trusted and now.trusted and now.wall_ns >= since.wall_ns:
        return now.wall_ns - since.wall_ns
    return None


def _at_this_hour(rules: Rules, now: ClockReading) -> Rules:
    """The rules under the terms of the first window that holds now; without the time, under the strictest of all."""
    if not rules.windows:
        return rules
    if not now.trusted:
        strictest = max((rules.min_assurance, *(w.min_assurance for w in rules.windows if w.min_assurance)), key=ASSURANCE_ORDER.index)
        return replace(rules, min_assurance=strictest)
    for window in rules.windows:
        if hours.lies_in(now, window.spans, rules):
            return replace(
                rules,
                accept=rules.accept if window.accept is None else window.accept,
                min_assurance=window.min_assurance or rules.min_assurance,
                roles=rules.roles if window.roles is None else window.roles,
            )
    return rules


# ----------------------------------------------------------------- the code


def _kind(weighing: _Weighing) -> Decision | None:
    if weighing.found.kind in weighing.rules.accept:
        return None
    return weighing.no(Reason.BARE_NUMBER if weighing.found.kind is Kind.BARE_NUMBER else Reason.KIND_NOT_ACCEPTED)


def _signature(weighing: _Weighing) -> Decision | None:
    """Whether the list of keys that vouched for the code is still to be relied on."""
    expires_s = weighing.rules.trust_expires_s
    if weighing.found.claim is None or expires_s is None or not weighing.now.trusted or weighing.now.wall_ns < expires_s * SECOND_NS:
        return None
    return weighing.ask(Reason.TRUST_TOO_OLD)


def _validity(weighing: _Weighing) -> Decision | None:
    """Whether a signed code is valid now; in doubt a person looks, because the doubt is the gate's."""
    claim, now = weighing.found.claim, weighing.now
    if claim is None:
        return None
    if not now.trusted:
        return weighing.without_time(live=claim.live)
    doubt_ns = now.uncertainty_ms * 1_000_000
    early = _sooner(now.wall_ns, doubt_ns, claim.not_before_s)
    late = _sooner(-now.wall_ns, doubt_ns, None if claim.not_after_s is None else -claim.not_after_s)
    if early is True or late is True:
        return weighing.no(Reason.NOT_YET_VALID if early else Reason.EXPIRED)
    if early is None or late is None:
        return None if _doubt_is_small(claim, doubt_ns) else weighing.ask(Reason.VALIDITY_UNCERTAIN)
    return None


def _sooner(wall_ns: int, doubt_ns: int, limit_s: int | None) -> bool | None:
    """Whether a moment that may be off by the doubt lies before the limit; None when nobody can say."""
    if limit_s is None or wall_ns - doubt_ns >= limit_s * SECOND_NS:
        return False
    return True if wall_ns + doubt_ns < limit_s * SECOND_NS else None


def _doubt_is_small(claim: SignedTerms, doubt_ns: int) -> bool:
    """A code of the moment gets the clock's doubt on top, as long as that is less than one period."""
    return claim.live and doubt_ns <= claim.period_s * SECOND_NS


def _health(weighing: _Weighing) -> Decision | None:
    """The site's rules about certificates. One reason for all: a finer one would tell what the certificate says."""
    health, now = weighing.found.health, weighing.now
    if health is None:
        return None
    if not now.trusted:
        return weighing.without_time()
    rules = weighing.rules.health
    return None if rules is not None and _meets(health, rules, now.wall_ns // SECOND_NS) else weighing.no(Reason.HEALTH_RULES)


def _meets(health: HealthStatement, rules: HealthRules, now_s: int) -> bool:
    ages = rules.rapid_age_s if health.rapid else rules.ages_s.get(health.event)
    return ages is not None and health.counts and ages[0] <= now_s - health.at_s <= ages[1]


# ----------------------------------------------------------------- the person


def _lists(weighing: _Weighing) -> Decision | None:
    """Revoked, denied, allowed, in this order whatever the configuration's."""
    for rule in sorted(weighing.rules.lists, key=lambda rule: tuple(_LISTED_REASON).index(rule.use)):
        decision = _list(weighing, rule)
        if decision is not None:
            return decision
    return None


def _list(weighing: _Weighing, rule: ListRule) -> Decision | None:
    standing, members = rule.listing.standing(weighing.now), rule.listing.members
    if members is None:
        standing = Standing.MISSING
    reliance = rule.ladder[standing]
    if reliance is Reliance.IGNORE or members is None:
        weighing.warnings.append(f"{rule.use.value}_list_{standing.value}")
        return None if reliance is Reliance.IGNORE else weighing.ask(Reason.LIST_UNAVAILABLE)
    refused_when, reason = _LISTED_REASON[rule.use]
    member = bytes.fromhex(weighing.subject) in members
    if member is refused_when:
        return weighing.no(reason)
    if reliance is Reliance.REFER:
        return weighing.ask(Reason.LIST_TOO_OLD)
    if reliance is Reliance.WARN:
        weighing.warnings.append(f"{rule.use.value}_list_{standing.value}")
    weighing.listed = weighing.listed or rule.use is ListUse.ALLOW
    return None


def _assurance(weighing: _Weighing) -> Decision | None:
    needed = weighing.rules.min_assurance
    if ASSURANCE_ORDER.index(weighing.assurance) >= ASSURANCE_ORDER.index(needed):
        return None
    return weighing.no(Reason.ASSURANCE_TOO_LOW)


def _role_and_zone(weighing: _Weighing) -> Decision | None:
    claim, rules = weighing.found.claim, weighing.rules
    if claim is None or claim.role is None:
        return None
    if rules.zones is not None and claim.zone not in rules.zones:
        return weighing.no(Reason.ZONE_NOT_ADMITTED)
    return weighing.no(Reason.ROLE_NOT_ADMITTED) if rules.roles is not None and claim.role not in rules.roles else None


# ----------------------------------------------------------------- the hour


def _hours(weighing: _Weighing) -> Decision | None:
    rules, now = weighing.rules, weighing.now
    if not rules.hours and not rules.calendar.holidays:
        return None
    if not now.trusted:
        return weighing.no(Reason.CLOCK_UNKNOWN) if rules.unknown_clock is Verdict.REJECT else weighing.without_time()
    fit = hours.opening(now, rules)
    if fit is hours.Fit.OUTSIDE:
        closed = hours.is_holiday(hours.local(now, rules.utc_offset_min).day, rules.calendar)
        return weighing.no(Reason.CLOSED_TODAY if closed else Reason.OUTSIDE_HOURS)
    if fit is not hours.Fit.INSIDE:
        weighing.warnings.append(WARN_EARLY if fit is hours.Fit.EARLY else WARN_LATE)
    return None


# ----------------------------------------------------------------- the passage


def _just_scanned(weighing: _Weighing) -> Decision | None:
    since = weighing.since_ns
    if since is None or since >= weighing.rules.duplicate_window_ns:
        return None
    return weighing.answer(Verdict.ACCEPT, Reason.JUST_SCANNED, Sign.ALREADY)


def _used(weighing: _Weighing) -> Decision | None:
    return weighing.no(Reason.ALREADY_USED) if weighing.memory.used else None


def _passback(weighing: _Weighing) -> Decision | None:
    rules, last, since = weighing.rules, weighing.memory.last, weighing.since_ns
    mode, way = rules.passback.mode, rules.direction
    if mode is PassbackMode.OFF or way is None or last is None or last.direction is not way or _forgiven(weighing):
        return None
    refused = mode is PassbackMode.HARD or (mode is PassbackMode.TIMED and since is not None and since < rules.passback.timed_ns)
    if refused and not weighing.memory.blind:
        return weighing.no(Reason.PASSBACK)
    weighing.warnings.append(WARN_PASSBACK_BLIND if refused else WARN_PASSBACK)
    return None


def _forgiven(weighing: _Weighing) -> bool:
    """Long ago, or before today's hour of forgiveness. A passage whose time cannot be told is held against nobody."""
    rules, since, now = weighing.rules.passback, weighing.since_ns, weighing.now
    if since is None or since >= rules.forget_ns:
        return True
    if rules.forgive_min is None or not now.trusted:
        return False
    minute = hours.local(now, weighing.rules.utc_offset_min).minute
    since_hour_min = (minute - rules.forgive_min) % hours.DAY_MIN
    return since > since_hour_min * 60 * SECOND_NS + now.wall_ns % (60 * SECOND_NS)


def _capacity(weighing: _Weighing) -> Decision | None:
    """Only who would come in counts; whoever is inside already takes no second place."""
    capacity, last = weighing.rules.capacity, weighing.memory.last
    if capacity is None or weighing.memory.inside < capacity or _direction(weighing) is not Direction.IN:
        return None
    if last is not None and last.direction is Direction.IN and not _long_ago(weighing):
        return None
    return weighing.no(Reason.FULL)


_TESTS: Final[tuple[Callable[[_Weighing], Decision | None], ...]] = (
    _kind,
    _signature,
    _validity,
    _health,
    _lists,
    _assurance,
    _role_and_zone,
    _hours,
    _just_scanned,
    _used,
    _passback,
    _capacity,
)


def _passed(weighing: _Weighing) -> Decision:
    direction = _direction(weighing)
    sign = Sign.ACCEPT_IN if direction is Direction.IN else Sign.ACCEPT_OUT
    return weighing.answer(Verdict.ACCEPT, Reason.LISTED if weighing.listed else Reason.ACCEPTED, sign, direction)


def _direction(weighing: _Weighing) -> Direction:
    """The gate's own, or in turn: out after in, and in again after a long time, when the way out was most likely missed."""
    last = weighing.memory.last
    if weighing.rules.direction is not None:
        return weighing.rules.direction
    return Direction.IN if last is None or last.direction is Direction.OUT or _long_ago(weighing) else Direction.OUT


def _long_ago(weighing: _Weighing) -> bool:
    return weighing.since_ns is not None and weighing.since_ns >= weighing.rules.in_out_reset_ns
