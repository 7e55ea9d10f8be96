"""Who may pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.policy import WARN_CLOCK_UNKNOWN, Listing, Rules, Span, decide, elapsed_ns
from device.core.reasons import Reason
from device.core.types import (
    Assurance,
    ClockReading,
    Credential,
    Direction,
    Kind,
    Passage,
    Rejection,
    Sign,
    SubjectClass,
    Verdict,
)

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
WHO = "ab" * 32
OTHER = "cd" * 32
CARD = Credential(Kind.CITIZEN_CARD, "7", SubjectClass.CITIZEN, "064090001234", warnings=("sex_mismatch",))
RULES = Rules(frozenset({Kind.CITIZEN_CARD}), Direction.IN, duplicate_window_ns=10 * SECOND, in_out_reset_ns=16 * HOUR)
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
    decision = decide(CARD, WHO, moment(), None, RULES)
    assert (decision.verdict, decision.reason, decision.sign) == (Verdict.ACCEPT, Reason.ACCEPTED, Sign.ACCEPT_IN)
    assert (decision.direction, decision.assurance, decision.subject) == (Direction.IN, Assurance.DECLARED, WHO)
    assert decision.warnings == ("sex_mismatch",)


def test_a_rejected_code_keeps_its_own_reason_and_names_nobody() -> None:
    """What the parser refused is refused with the parser's reason."""
    decision = decide(Rejection(Kind.PAYMENT, Reason.PAYMENT_CODE, 90), None, moment(), None, RULES)
    assert (decision.verdict, decision.reason, decision.sign) == (Verdict.REJECT, Reason.PAYMENT_CODE, Sign.REJECT)
    assert decision.subject is None
    assert decision.direction is None


def test_a_kind_that_the_site_does_not_take_is_refused() -> None:
    """With its own reason; a bare number says what it is."""
    for kind, reason in ((Kind.NATIONAL_QR, Reason.KIND_NOT_ACCEPTED), (Kind.BARE_NUMBER, Reason.BARE_NUMBER)):
        decision = decide(replace(CARD, kind=kind), WHO, moment(), None, RULES)
        assert (decision.verdict, decision.reason, decision.kind) == (Verdict.REJECT, reason, kind)


def test_a_bare_number_passes_where_the_site_allows_it() -> None:
    """`bare_number` may be added to the accepted kinds."""
    rules = replace(RULES, accept=frozenset({Kind.BARE_NUMBER}))
    assert decide(replace(CARD, kind=Kind.BARE_NUMBER), WHO, moment(), None, rules).verdict is Verdict.ACCEPT


@pytest.mark.parametrize(
    ("after_s", "reason"),
    [(0, Reason.JUST_SCANNED), (9.999, Reason.JUST_SCANNED), (10, Reason.ACCEPTED), (3600, Reason.ACCEPTED)],
)
def test_the_same_person_within_the_window_was_just_scanned(after_s: float, reason: Reason) -> None:
    """No second passage inside the duplicate window, a new one from its end on."""
    decision = decide(CARD, WHO, moment(100 + after_s), passed(Direction.IN, moment(100)), RULES)
    assert decision.reason is reason
    assert decision.verdict is Verdict.ACCEPT
    assert (decision.direction is None) is (reason is Reason.JUST_SCANNED)
    assert (decision.sign is Sign.ALREADY) is (reason is Reason.JUST_SCANNED)


def test_the_window_holds_over_a_restart_of_the_machine_when_the_clock_is_known() -> None:
    """Two boots share only the wall clock, and only when both trust it."""
    before = passed(Direction.IN, moment(5000, wall="2026-11-23 08:00:00"))
    soon = moment(3, wall="2026-11-23 08:00:05", boot="b2")
    assert decide(CARD, WHO, soon, before, RULES).reason is Reason.JUST_SCANNED
    assert decide(CARD, WHO, replace(soon, trusted=False), before, RULES).reason is Reason.ACCEPTED


def test_in_and_out_alternate_for_each_person() -> None:
    """in, out, in … whatever the time between, below the reset."""
    rules = replace(RULES, direction=None)
    last, signs = None, []
    for turn in range(4):
        decision = decide(CARD, WHO, moment(100 + turn * 3600), last, rules)
        assert decision.direction is not None
        last = passed(decision.direction, moment(100 + turn * 3600))
        signs.append(decision.sign)
    assert signs == [Sign.ACCEPT_IN, Sign.ACCEPT_OUT, Sign.ACCEPT_IN, Sign.ACCEPT_OUT]


def test_a_missed_way_out_is_forgotten_after_the_reset() -> None:
    """Who came in yesterday and was not seen leaving comes in again."""
    rules = replace(RULES, direction=None)
    last = passed(Direction.IN, moment(0))
    assert decide(CARD, WHO, moment(16 * 3600 - 1), last, rules).direction is Direction.OUT
    assert decide(CARD, WHO, moment(16 * 3600), last, rules).direction is Direction.IN


def test_in_and_out_go_on_when_no_clock_can_tell_the_time_between() -> None:
    """After a restart with an unknown clock the turn is kept."""
    rules = replace(RULES, direction=None)
    last = passed(Direction.IN, moment(100, trusted=False))
    assert decide(CARD, WHO, moment(5, boot="b2", trusted=False), last, rules).direction is Direction.OUT


def test_the_deny_list_refuses_and_the_allow_list_admits_only_its_own() -> None:
    """Deny goes before allow; who is on the allow list has the assurance `listed`."""
    listed = Listing(frozenset({bytes.fromhex(WHO)}))
    others = Listing(frozenset({bytes.fromhex(OTHER)}))
    assert decide(CARD, WHO, moment(), None, replace(RULES, deny=listed, allow=listed)).reason is Reason.DENY_LISTED
    assert decide(CARD, WHO, moment(), None, replace(RULES, deny=others, allow=others)).reason is Reason.NOT_ON_ALLOW_LIST
    admitted = decide(CARD, WHO, moment(), None, replace(RULES, deny=others, allow=listed))
    assert (admitted.reason, admitted.assurance) == (Reason.LISTED, Assurance.LISTED)


@pytest.mark.parametrize("field", ["allow", "deny"])
def test_a_list_that_cannot_be_read_refers_everybody(field: str) -> None:
    """Neither letting everybody in nor turning everybody away is right."""
    decision = decide(CARD, WHO, moment(), None, replace(RULES, **{field: Listing(None)}))  # type: ignore[arg-type]  # one of two fields
    assert (decision.verdict, decision.reason, decision.sign) == (Verdict.REFER, Reason.LIST_UNAVAILABLE, Sign.REFER)


@pytest.mark.parametrize(
    ("wall", "open_"),
    [
        ("2026-11-23 05:59", False),
        ("2026-11-23 06:00", True),
        ("2026-11-23 17:59", True),
        ("2026-11-23 18:00", False),
        ("2026-11-22 12:00", False),
    ],
)
def test_opening_hours_are_local_and_end_before_their_end(wall: str, open_: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Monday from 06:00 until before 18:00 in Viet Nam; 23 November 2026 is a Monday."""
    rules = replace(RULES, hours=(Span(frozenset({0}), 6 * 60, 18 * 60),))
    expected = Reason.ACCEPTED if open_ else Reason.OUTSIDE_HOURS
    assert decide(CARD, WHO, moment(wall=wall), None, rules).reason is expected


def test_a_night_shift_runs_over_midnight_into_the_next_day() -> None:
    """Sunday 22:00 to Monday 06:00 belongs to Sunday."""
    rules = replace(RULES, hours=(Span(frozenset({6}), 22 * 60, 6 * 60),))
    verdicts = [
        decide(CARD, WHO, moment(wall=wall), None, rules).verdict
        for wall in ("2026-11-22 21:59", "2026-11-22 22:00", "2026-11-23 05:59", "2026-11-23 06:00", "2026-11-23 22:30")
    ]
    assert verdicts == [Verdict.REJECT, Verdict.ACCEPT, Verdict.ACCEPT, Verdict.REJECT, Verdict.REJECT]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_an_unknown_clock_is_answered_as_the_site_says(verdict: Verdict) -> None:
    """Only where a rule needs the time."""
    rules = replace(RULES, hours=(Span(WEEK, 0, 1),), unknown_clock=verdict)
    decision = decide(CARD, WHO, moment(trusted=False), None, rules)
    assert decision.verdict is verdict
    assert (WARN_CLOCK_UNKNOWN in decision.warnings) is (verdict is Verdict.ACCEPT)
    assert (decision.reason is Reason.CLOCK_UNKNOWN) is (verdict is not Verdict.ACCEPT)
    assert decide(CARD, WHO, moment(trusted=False), None, replace(rules, hours=())).verdict is Verdict.ACCEPT


def test_a_credential_without_a_subject_is_a_mistake_of_the_program() -> None:
    """Deciding without knowing whom would make everybody the same person."""
    with pytest.raises(ValueError, match="with its subject"):
        decide(CARD, None, moment(), None, RULES)


def test_a_wall_clock_that_went_back_gives_no_interval() -> None:
    """A negative interval between two boots is no interval at all."""
    assert elapsed_ns(moment(wall="2026-11-23 09:00"), moment(wall="2026-11-23 08:00", boot="b2")) is None


@given(st.integers(0, 6), st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 6), st.integers(0, 1439))
def test_a_span_and_the_span_from_its_end_to_its_start_share_no_minute(day: int, start: int, end: int, now_day: int, now: int) -> None:
    """Of two complementary spans on all days exactly one holds."""
    if start == end:
        return
    assert Span(WEEK, start, end).holds(now_day, now) is not Span(WEEK, end, start).holds(now_day, now)
    assert not Span(frozenset(), start, end).holds(day, now)
