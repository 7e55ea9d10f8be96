"""Who may pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from device.core.policy import (
    WARN_CLOCK_UNKNOWN,
    WARN_PASSBACK,
    WARN_PASSBACK_BLIND,
    decide,
    elapsed_ns,
)
from device.core.reasons import Reason
from device.core.rules import (
    HealthRules,
    ListRule,
    ListUse,
    Passback,
    PassbackMode,
    Reliance,
    Remembered,
    Rules,
    Span,
    Standing,
    Window,
)
from device.core.types import (
    Assurance,
    ClockReading,
    Credential,
    Decision,
    Direction,
    HealthEvent,
    HealthStatement,
    Kind,
    Passage,
    Rejection,
    Sign,
    SignedTerms,
    SubjectClass,
    Verdict,
)

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
WHO = "ab" * 32
OTHER = "cd" * 32
CARD = Credential(Kind.CITIZEN_CARD, "7", SubjectClass.CITIZEN, "064090001234", warnings=("sex_mismatch",))
RULES = Rules(
    frozenset({Kind.CITIZEN_CARD}),
    Direction.IN,
    duplicate_window_ns=10 * SECOND,
    in_out_reset_ns=16 * HOUR,
    unknown_clock=Verdict.REFER,
    utc_offset_min=420,
)
CAREFUL = {
    Standing.FRESH: Reliance.USE,
    Standing.AGEING: Reliance.USE,
    Standing.STALE: Reliance.WARN,
    Standing.EXPIRED: Reliance.REFER,
    Standing.MISSING: Reliance.REFER,
}
WEEK = frozenset(range(7))


def local(text: str) -> int:
    """Nanoseconds since 1970 of a local time in Viet Nam."""
    return int(datetime.fromisoformat(text + "+07:00").astimezone(UTC).timestamp()) * SECOND


def moment(boot_s: float = 100, *, wall: str = "2026-11-23 08:00", boot: str = "b1", trusted: bool = True) -> ClockReading:
    """All clocks at one moment: so long after boot, at that local time."""
    ns = int(boot_s * SECOND)
    return ClockReading(ns, ns, local(wall), boot, trusted)


def passed(direction: Direction, at: ClockReading) -> Passage:
    """A remembered passage."""
    return Passage(WHO, direction, at)


def test_an_accepted_code_lets_in_and_keeps_its_warnings() -> None:
    """The plain case: accepted, in, declared, with the parser's warnings."""
    decision = decide(CARD, WHO, moment(), rules=RULES)
    assert (decision.verdict, decision.reason, decision.sign) == (Verdict.ACCEPT, Reason.ACCEPTED, Sign.ACCEPT_IN)
    assert (decision.direction, decision.assurance, decision.subject) == (Direction.IN, Assurance.DECLARED, WHO)
    assert decision.warnings == ("sex_mismatch",)


def test_a_rejected_code_keeps_its_own_reason_and_names_nobody() -> None:
    """What the parser refused is refused with the parser's reason."""
    decision = decide(Rejection(Kind.PAYMENT, Reason.PAYMENT_CODE, 90), None, moment(), rules=RULES)
    assert (decision.verdict, decision.reason, decision.sign) == (Verdict.REJECT, Reason.PAYMENT_CODE, Sign.REJECT)
    assert decision.kind is Kind.PAYMENT
    assert decision.subject is None
    assert decision.direction is None


def test_a_kind_that_the_site_does_not_take_is_refused() -> None:
    """With its own reason; a bare number says what it is."""
    for kind, reason in ((Kind.NATIONAL_QR, Reason.KIND_NOT_ACCEPTED), (Kind.BARE_NUMBER, Reason.BARE_NUMBER)):
        decision = decide(replace(CARD, kind=kind), WHO, moment(), rules=RULES)
        assert (decision.verdict, decision.reason, decision.kind) == (Verdict.REJECT, reason, kind)


def test_a_bare_number_passes_where_the_site_allows_it() -> None:
    """`bare_number` may be added to the accepted kinds."""
    rules = replace(RULES, accept=frozenset({Kind.BARE_NUMBER}))
    assert decide(replace(CARD, kind=Kind.BARE_NUMBER), WHO, moment(), rules=rules).verdict is Verdict.ACCEPT


@pytest.mark.parametrize(
    ("after_s", "reason"),
    [(0, Reason.JUST_SCANNED), (9.999, Reason.JUST_SCANNED), (10, Reason.ACCEPTED), (3600, Reason.ACCEPTED)],
)
def test_the_same_person_within_the_window_was_just_scanned(after_s: float, reason: Reason) -> None:
    """No second passage inside the duplicate window, a new one from its end on."""
    decision = decide(CARD, WHO, moment(100 + after_s), Remembered(passed(Direction.IN, moment(100))), rules=RULES)
    assert decision.reason is reason
    assert decision.verdict is Verdict.ACCEPT
    assert (decision.direction is None) is (reason is Reason.JUST_SCANNED)
    assert (decision.sign is Sign.ALREADY) is (reason is Reason.JUST_SCANNED)


def test_the_window_holds_over_a_restart_of_the_machine_when_the_clock_is_known() -> None:
    """Two boots share only the wall clock, and only when both trust it."""
    before = passed(Direction.IN, moment(5000, wall="2026-11-23 08:00:00"))
    soon = moment(3, wall="2026-11-23 08:00:05", boot="b2")
    assert decide(CARD, WHO, soon, Remembered(before), rules=RULES).reason is Reason.JUST_SCANNED
    assert decide(CARD, WHO, replace(soon, trusted=False), Remembered(before), rules=RULES).reason is Reason.ACCEPTED


def test_in_and_out_alternate_for_each_person() -> None:
    """in, out, in … whatever the time between, below the reset."""
    rules = replace(RULES, direction=None)
    last, signs = None, []
    for turn in range(4):
        decision = decide(CARD, WHO, moment(100 + turn * 3600), Remembered(last), rules=rules)
        assert decision.direction is not None
        last = passed(decision.direction, moment(100 + turn * 3600))
        signs.append(decision.sign)
    assert signs == [Sign.ACCEPT_IN, Sign.ACCEPT_OUT, Sign.ACCEPT_IN, Sign.ACCEPT_OUT]


def test_a_missed_way_out_is_forgotten_after_the_reset() -> None:
    """Who came in yesterday and was not seen leaving comes in again."""
    rules = replace(RULES, direction=None)
    last = passed(Direction.IN, moment(0))
    assert decide(CARD, WHO, moment(16 * 3600 - 1), Remembered(last), rules=rules).direction is Direction.OUT
    assert decide(CARD, WHO, moment(16 * 3600), Remembered(last), rules=rules).direction is Direction.IN


def test_in_and_out_go_on_when_no_clock_can_tell_the_time_between() -> None:
    """After a restart with an unknown clock the turn is kept."""
    rules = replace(RULES, direction=None)
    last = passed(Direction.IN, moment(100, trusted=False))
    assert decide(CARD, WHO, moment(5, boot="b2", trusted=False), Remembered(last), rules=rules).direction is Direction.OUT


@dataclass
class Listed:
    """A list as the rules see it."""

    members: frozenset[bytes] | None
    age: Standing = Standing.FRESH
    name: str = "staff"
    asked: list[ClockReading] = field(default_factory=list)

    def standing(self, now: ClockReading) -> Standing:
        """How old it is said to be, at the moment of the showing."""
        self.asked.append(now)
        return self.age


def listing(use: ListUse, *subjects: str, age: Standing = Standing.FRESH, ladder: Mapping[Standing, Reliance] = CAREFUL) -> ListRule:
    """A rule about a list of these subjects."""
    return ListRule(use, Listed(frozenset(map(bytes.fromhex, subjects)), age), ladder)


def weighed(*lists: ListRule) -> Decision:
    """A card under these lists."""
    return decide(CARD, WHO, moment(), rules=replace(RULES, lists=lists))


def test_revoked_goes_before_denied_before_allowed() -> None:
    """Whatever the order in the configuration; who is on the allow list has the assurance `listed`."""
    allow, deny, status = (listing(use, WHO) for use in (ListUse.ALLOW, ListUse.DENY, ListUse.STATUS))
    assert weighed(allow, deny, status).reason is Reason.REVOKED
    assert weighed(allow, deny).reason is Reason.DENY_LISTED
    assert weighed(listing(ListUse.ALLOW, OTHER), listing(ListUse.DENY, OTHER)).reason is Reason.NOT_ON_ALLOW_LIST
    admitted = weighed(allow, listing(ListUse.DENY, OTHER))
    assert (admitted.reason, admitted.assurance) == (Reason.LISTED, Assurance.LISTED)


@pytest.mark.parametrize("use", list(ListUse))
def test_a_list_that_is_not_there_refers_everybody_or_is_ignored_openly(use: ListUse) -> None:
    """Neither letting everybody in nor turning everybody away is right, unless the site says so."""
    decision = weighed(ListRule(use, Listed(None), CAREFUL))
    assert (decision.verdict, decision.reason, decision.sign) == (Verdict.REFER, Reason.LIST_UNAVAILABLE, Sign.REFER)
    ignoring = weighed(ListRule(use, Listed(None), {Standing.MISSING: Reliance.IGNORE}))
    assert (ignoring.verdict, ignoring.assurance) == (Verdict.ACCEPT, Assurance.DECLARED)
    assert f"{use.value}_list_missing" in ignoring.warnings


def test_an_old_list_counts_as_its_ladder_says() -> None:
    """A list too old to let anybody pass still turns away whom it names."""
    for age, reason in ((Standing.AGEING, Reason.ACCEPTED), (Standing.STALE, Reason.ACCEPTED), (Standing.EXPIRED, Reason.LIST_TOO_OLD)):
        decision = weighed(listing(ListUse.DENY, OTHER, age=age))
        assert decision.reason is reason
        assert ("deny_list_stale" in decision.warnings) is (age is Standing.STALE)
        assert weighed(listing(ListUse.DENY, WHO, age=age)).reason is Reason.DENY_LISTED


BADGE = Credential(Kind.SITE_BADGE, "1", SubjectClass.BADGE, "00" * 8, assurance=Assurance.SIGNED, claim=SignedTerms(role=1, zone=2))
BADGES = replace(RULES, accept=frozenset({Kind.SITE_BADGE, Kind.PHONE_CODE, Kind.CITIZEN_CARD, Kind.HEALTH_CERTIFICATE}))
NOON_S = local("2026-11-23 12:00") // SECOND


def at_noon(after_s: float = 0, *, doubt_s: float = 0, trusted: bool = True) -> ClockReading:
    """Noon and so long after, by a clock that may be off."""
    return replace(moment(trusted=trusted), wall_ns=int((NOON_S + after_s) * SECOND), uncertainty_ms=int(doubt_s * 1000))


@pytest.mark.parametrize(
    ("after_s", "doubt_s", "reason"),
    [
        (-0.5, 0, Reason.NOT_YET_VALID),
        (0, 0, Reason.ACCEPTED),
        (99.9, 0, Reason.ACCEPTED),
        (100.1, 0, Reason.EXPIRED),
        (-2, 3, Reason.VALIDITY_UNCERTAIN),
        (2, 3, Reason.VALIDITY_UNCERTAIN),
        (50, 3, Reason.ACCEPTED),
        (98, 3, Reason.VALIDITY_UNCERTAIN),
        (104, 3, Reason.EXPIRED),
    ],
)
def test_a_badge_counts_within_its_time_and_is_referred_where_the_clock_cannot_tell(after_s: float, doubt_s: float, reason: Reason) -> None:
    """The doubt is the gate's: it never turns anybody away."""
    badge = replace(BADGE, claim=SignedTerms(NOON_S, NOON_S + 100))
    assert decide(badge, WHO, at_noon(after_s, doubt_s=doubt_s), rules=BADGES).reason is reason


def test_a_code_of_the_moment_gets_the_doubt_of_the_clock_up_to_one_period() -> None:
    """Beyond a period it is referred, and without the time always, whatever the site says."""
    live = replace(
        BADGE, kind=Kind.PHONE_CODE, assurance=Assurance.SIGNED_LIVE, claim=SignedTerms(NOON_S, NOON_S + 90, period_s=30, once=b"x")
    )
    assert decide(live, WHO, at_noon(95, doubt_s=10), rules=BADGES).reason is Reason.ACCEPTED
    assert decide(live, WHO, at_noon(95, doubt_s=31), rules=BADGES).reason is Reason.VALIDITY_UNCERTAIN
    assert decide(live, WHO, at_noon(95), rules=BADGES).reason is Reason.EXPIRED
    assert decide(live, WHO, at_noon(50), Remembered(used=True), rules=BADGES).reason is Reason.ALREADY_USED
    for verdict in Verdict:
        unknown = decide(live, WHO, at_noon(trusted=False), rules=replace(BADGES, unknown_clock=verdict))
        assert (unknown.verdict, unknown.reason) == (Verdict.REFER, Reason.CLOCK_UNKNOWN)


def test_a_badge_without_the_time_is_referred_or_let_pass_with_a_warning_and_never_rejected() -> None:
    """As the site says about an unknown clock."""
    badge = replace(BADGE, claim=SignedTerms(NOON_S, NOON_S + 100))
    for verdict, expected in ((Verdict.REFER, Verdict.REFER), (Verdict.REJECT, Verdict.REFER), (Verdict.ACCEPT, Verdict.ACCEPT)):
        assert decide(badge, WHO, at_noon(trusted=False), rules=replace(BADGES, unknown_clock=verdict)).verdict is expected


def test_signed_codes_are_referred_when_the_list_of_keys_is_too_old() -> None:
    """A key may have been withdrawn since. Unsigned codes do not need the list."""
    rules = replace(BADGES, trust_expires_s=NOON_S)
    assert decide(BADGE, WHO, at_noon(-1), rules=rules).reason is Reason.ACCEPTED
    assert decide(BADGE, WHO, at_noon(0), rules=rules).reason is Reason.TRUST_TOO_OLD
    assert decide(CARD, WHO, at_noon(0), rules=rules).reason is Reason.ACCEPTED


@pytest.mark.parametrize(
    ("health", "hours_old", "good"),
    [
        (HealthStatement(HealthEvent.VACCINATION, 0, complete=True), 24 * 14, True),
        (HealthStatement(HealthEvent.VACCINATION, 0, complete=True), 24 * 13, False),
        (HealthStatement(HealthEvent.VACCINATION, 0, complete=True), 24 * 271, False),
        (HealthStatement(HealthEvent.VACCINATION, 0), 24 * 20, False),
        (HealthStatement(HealthEvent.TEST, 0, negative=True), 71, True),
        (HealthStatement(HealthEvent.TEST, 0, negative=True), 73, False),
        (HealthStatement(HealthEvent.TEST, 0), 1, False),
        (HealthStatement(HealthEvent.TEST, 0, negative=True), -1, False),
        (HealthStatement(HealthEvent.TEST, 0, negative=True, rapid=True), 25, False),
        (HealthStatement(HealthEvent.RECOVERY, 0), 24 * 20, False),
    ],
)
def test_a_certificate_meets_the_rules_of_the_site_or_not_and_no_reason_tells_which(
    health: HealthStatement,
    hours_old: float,
    good: bool,  # noqa: FBT001 - a parameter of the case
) -> None:
    """Recovery is not taken here; the medical content does not reach the decision's words."""
    day = 86_400
    rules = HealthRules({HealthEvent.VACCINATION: (14 * day, 270 * day), HealthEvent.TEST: (0, 72 * 3600)}, (0, 24 * 3600))
    held = replace(BADGE, kind=Kind.HEALTH_CERTIFICATE, claim=SignedTerms(), health=replace(health, at_s=NOON_S - int(hours_old * 3600)))
    decision = decide(held, WHO, at_noon(), rules=replace(BADGES, health=rules))
    assert decision.reason is (Reason.ACCEPTED if good else Reason.HEALTH_RULES)
    assert decision.warnings == CARD.warnings or not decision.warnings


def test_assurance_roles_and_zones() -> None:
    """Roles and zones limit badges and nobody else."""
    signed = replace(BADGES, min_assurance=Assurance.SIGNED)
    assert decide(CARD, WHO, moment(), rules=signed).reason is Reason.ASSURANCE_TOO_LOW
    assert decide(BADGE, WHO, moment(), rules=signed).reason is Reason.ACCEPTED
    assert decide(BADGE, WHO, moment(), rules=replace(BADGES, roles=frozenset({3}))).reason is Reason.ROLE_NOT_ADMITTED
    assert decide(BADGE, WHO, moment(), rules=replace(BADGES, zones=frozenset({3}))).reason is Reason.ZONE_NOT_ADMITTED
    assert decide(BADGE, WHO, moment(), rules=replace(BADGES, roles=frozenset({1}), zones=frozenset({2}))).reason is Reason.ACCEPTED
    assert decide(CARD, WHO, moment(), rules=replace(BADGES, roles=frozenset({3}), zones=frozenset({3}))).reason is Reason.ACCEPTED


def test_a_window_has_terms_of_its_own_and_an_unknown_clock_the_strictest() -> None:
    """At night only signed badges of one role."""
    night = Window((Span(WEEK, 22 * 60, 6 * 60),), min_assurance=Assurance.SIGNED, roles=frozenset({9}))
    rules = replace(BADGES, windows=(night,))
    assert decide(CARD, WHO, moment(wall="2026-11-23 21:59"), rules=rules).reason is Reason.ACCEPTED
    assert decide(CARD, WHO, moment(wall="2026-11-24 05:59"), rules=rules).reason is Reason.ASSURANCE_TOO_LOW
    assert decide(BADGE, WHO, moment(wall="2026-11-23 22:00"), rules=rules).reason is Reason.ROLE_NOT_ADMITTED
    assert decide(CARD, WHO, moment(wall="2026-11-24 06:00"), rules=rules).reason is Reason.ACCEPTED
    assert decide(CARD, WHO, moment(trusted=False), rules=rules).reason is Reason.ASSURANCE_TOO_LOW
    cards = replace(rules, windows=(replace(night, accept=frozenset({Kind.SITE_BADGE})),))
    assert decide(CARD, WHO, moment(wall="2026-11-23 23:00"), rules=cards).reason is Reason.KIND_NOT_ACCEPTED


def test_passing_twice_the_same_way() -> None:
    """Hard refuses until it is forgiven, timed for a while, soft only says so; a silent gate of the site makes all of them soft."""
    came = passed(Direction.IN, moment(100))

    def again(after_s: float, mode: PassbackMode, *, blind: bool = False) -> Decision:
        rules = replace(RULES, passback=Passback(mode, timed_ns=60 * SECOND, forget_ns=16 * HOUR))
        return decide(CARD, WHO, moment(100 + after_s), Remembered(came, blind=blind), rules=rules)

    assert again(20, PassbackMode.HARD).reason is Reason.PASSBACK
    assert again(20, PassbackMode.TIMED).reason is Reason.PASSBACK
    assert WARN_PASSBACK in again(61, PassbackMode.TIMED).warnings
    assert WARN_PASSBACK in again(20, PassbackMode.SOFT).warnings
    assert WARN_PASSBACK_BLIND in again(20, PassbackMode.HARD, blind=True).warnings
    forgiven = again(16 * 3600, PassbackMode.HARD)
    assert (forgiven.reason, forgiven.warnings) == (Reason.ACCEPTED, CARD.warnings)
    left = passed(Direction.OUT, moment(100))
    hard = replace(RULES, passback=Passback(PassbackMode.HARD, timed_ns=0, forget_ns=16 * HOUR))
    assert decide(CARD, WHO, moment(200), Remembered(left), rules=hard).reason is Reason.ACCEPTED


def test_passages_are_forgiven_at_an_hour_of_the_day() -> None:
    """At three in the night, whoever came in before is taken to have left."""
    rules = replace(RULES, passback=Passback(PassbackMode.HARD, timed_ns=0, forget_ns=16 * HOUR, forgive_min=3 * 60))
    came = passed(Direction.IN, moment(100, wall="2026-11-23 02:00"))
    assert decide(CARD, WHO, moment(100 + 1800, wall="2026-11-23 02:30"), Remembered(came), rules=rules).reason is Reason.PASSBACK
    assert decide(CARD, WHO, moment(100 + 3540, wall="2026-11-23 02:59"), Remembered(came), rules=rules).reason is Reason.PASSBACK
    assert decide(CARD, WHO, moment(100 + 3600, wall="2026-11-23 03:00"), Remembered(came), rules=rules).reason is Reason.ACCEPTED
    late = passed(Direction.IN, moment(100, wall="2026-11-23 03:30"))
    assert decide(CARD, WHO, moment(100 + 3600, wall="2026-11-23 04:30"), Remembered(late), rules=rules).reason is Reason.PASSBACK


def test_a_full_house_lets_out_and_lets_nobody_else_in() -> None:
    """Whoever is counted as inside takes no second place."""
    rules = replace(RULES, direction=None, capacity=2)
    assert decide(CARD, WHO, moment(), Remembered(inside=1), rules=rules).reason is Reason.ACCEPTED
    assert decide(CARD, WHO, moment(), Remembered(inside=2), rules=rules).reason is Reason.FULL
    leaving = decide(CARD, WHO, moment(3600), Remembered(passed(Direction.IN, moment(0)), inside=2), rules=rules)
    assert leaving.direction is Direction.OUT


@pytest.mark.parametrize("verdict", list(Verdict))
def test_an_unknown_clock_is_answered_as_the_site_says(verdict: Verdict) -> None:
    """Only where a rule needs the time."""
    rules = replace(RULES, hours=(Span(WEEK, 0, 1),), unknown_clock=verdict)
    decision = decide(CARD, WHO, moment(trusted=False), rules=rules)
    assert decision.verdict is verdict
    assert (WARN_CLOCK_UNKNOWN in decision.warnings) is (verdict is Verdict.ACCEPT)
    assert (decision.reason is Reason.CLOCK_UNKNOWN) is (verdict is not Verdict.ACCEPT)
    assert decide(CARD, WHO, moment(trusted=False), rules=replace(rules, hours=())).verdict is Verdict.ACCEPT


def test_a_credential_without_a_subject_is_a_mistake_of_the_program() -> None:
    """Deciding without knowing whom would make everybody the same person."""
    with pytest.raises(ValueError, match="with its subject"):
        decide(CARD, None, moment(), rules=RULES)


def test_a_wall_clock_that_went_back_gives_no_interval() -> None:
    """A negative interval between two boots is no interval at all."""
    assert elapsed_ns(moment(wall="2026-11-23 09:00"), moment(wall="2026-11-23 08:00", boot="b2")) is None


def test_forgiveness_counts_the_seconds_of_its_minute() -> None:
    """Who came in twenty seconds before three is forgiven from three on; who came in ten seconds after is not, half a minute later."""
    rules = replace(RULES, passback=Passback(PassbackMode.HARD, timed_ns=0, forget_ns=16 * HOUR, forgive_min=3 * 60))
    three = moment(1_000, wall="2026-11-23 03:00")

    def after_three(seconds: float) -> ClockReading:
        ns = int(seconds * 1e9)
        return replace(three, monotonic_ns=three.monotonic_ns + ns, boot_ns=three.boot_ns + ns, wall_ns=three.wall_ns + ns)

    passages = ((-20, 5, Reason.ACCEPTED), (10, 40, Reason.PASSBACK), (50, 61, Reason.PASSBACK), (-1, 59, Reason.ACCEPTED))
    for came_s, now_s, reason in passages:
        came = passed(Direction.IN, after_three(came_s))
        assert decide(CARD, WHO, after_three(now_s), Remembered(came), rules=rules).reason is reason, (came_s, now_s)


def test_the_age_of_a_list_is_that_of_the_moment() -> None:
    """Not of another: a list is asked with the reading by which everything else is decided."""
    listed = Listed(frozenset())
    now = moment(wall="2026-11-23 09:30")
    decide(CARD, WHO, now, rules=replace(RULES, lists=(ListRule(ListUse.DENY, listed, CAREFUL),)))
    assert listed.asked == [now]
