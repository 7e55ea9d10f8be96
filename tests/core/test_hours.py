"""Local hours, nights, holidays and grace: how a moment lies to them, to the minute."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.hours import Fit, local, opening
from device.core.policy import (
    WARN_EARLY,
    WARN_LATE,
    decide,
)
from device.core.reasons import Reason
from device.core.rules import (
    Calendar,
    Span,
)
from device.core.types import (
    Verdict,
)
from tests.core.test_policy import CARD, RULES, WEEK, WHO, moment


def test_grace_lets_pass_with_a_warning() -> None:
    """Ten minutes before, five after."""
    rules = replace(RULES, hours=(Span(WEEK, 6 * 60, 18 * 60, 10, 5),))
    for wall, warning in (("05:50", WARN_EARLY), ("06:00", None), ("18:04", WARN_LATE)):
        decision = decide(CARD, WHO, moment(wall=f"2026-11-23 {wall}"), rules=rules)
        assert decision.verdict is Verdict.ACCEPT
        assert (warning in decision.warnings) if warning else not {WARN_EARLY, WARN_LATE} & set(decision.warnings)
    for wall in ("05:49", "18:05"):
        assert decide(CARD, WHO, moment(wall=f"2026-11-23 {wall}"), rules=rules).reason is Reason.OUTSIDE_HOURS


def test_grace_before_midnight_belongs_to_the_next_day() -> None:
    """A shift that begins at midnight may be begun a little earlier."""
    rules = replace(RULES, hours=(Span(frozenset({1}), 0, 6 * 60, 10),))
    assert opening(moment(wall="2026-11-23 23:55"), rules) is Fit.EARLY
    assert opening(moment(wall="2026-11-24 23:55"), rules) is Fit.OUTSIDE


def test_holidays_and_swapped_days() -> None:
    """A holiday has hours of its own or none; a Saturday may be worked as a Monday."""
    monday = (Span(frozenset({0}), 6 * 60, 18 * 60),)
    holiday = date(2026, 11, 23)
    closed = replace(RULES, hours=monday, calendar=Calendar(frozenset({holiday})))
    assert decide(CARD, WHO, moment(), rules=closed).reason is Reason.CLOSED_TODAY
    short = replace(closed, calendar=Calendar(frozenset({holiday}), (Span(WEEK, 7 * 60, 9 * 60),)))
    assert decide(CARD, WHO, moment(), rules=short).reason is Reason.ACCEPTED
    assert decide(CARD, WHO, moment(wall="2026-11-23 10:00"), rules=short).reason is Reason.CLOSED_TODAY
    saturday = moment(wall="2026-11-28 08:00")
    assert decide(CARD, WHO, saturday, rules=replace(RULES, hours=monday)).reason is Reason.OUTSIDE_HOURS
    swapped = replace(RULES, hours=monday, calendar=Calendar(swapped={date(2026, 11, 28): 0}))
    assert decide(CARD, WHO, saturday, rules=swapped).reason is Reason.ACCEPTED
    always = replace(RULES, calendar=Calendar(frozenset({holiday})))
    assert decide(CARD, WHO, moment(), rules=always).reason is Reason.CLOSED_TODAY
    assert decide(CARD, WHO, saturday, rules=always).reason is Reason.ACCEPTED


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
    assert decide(CARD, WHO, moment(wall=wall), rules=rules).reason is expected


def test_a_night_shift_runs_over_midnight_into_the_next_day() -> None:
    """Sunday 22:00 to Monday 06:00 belongs to Sunday."""
    rules = replace(RULES, hours=(Span(frozenset({6}), 22 * 60, 6 * 60),))
    verdicts = [
        decide(CARD, WHO, moment(wall=wall), rules=rules).verdict
        for wall in ("2026-11-22 21:59", "2026-11-22 22:00", "2026-11-23 05:59", "2026-11-23 06:00", "2026-11-23 22:30")
    ]
    assert verdicts == [Verdict.REJECT, Verdict.ACCEPT, Verdict.ACCEPT, Verdict.REJECT, Verdict.REJECT]


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 6), st.integers(0, 1439))
def test_a_span_and_the_span_from_its_end_to_its_start_share_no_minute(start: int, end: int, day: int, minute: int) -> None:
    """Of two complementary spans on all days exactly one holds."""
    if start == end:
        return
    now = moment(wall=f"2026-11-{23 + day} {minute // 60:02}:{minute % 60:02}")
    fits = {opening(now, replace(RULES, hours=(span,))) for span in (Span(WEEK, start, end), Span(WEEK, end, start))}
    assert fits == {Fit.INSIDE, Fit.OUTSIDE}


def test_of_several_spans_of_a_day_the_best_counts() -> None:
    """Two shifts: open in each, early before each, closed between; where grace and hours meet, open."""
    rules = replace(RULES, hours=(Span(WEEK, 6 * 60, 10 * 60, 30, 30), Span(WEEK, 14 * 60, 18 * 60, 30), Span(WEEK, 10 * 60 + 20, 11 * 60)))
    fits = {"05:45": Fit.EARLY, "07:00": Fit.INSIDE, "10:10": Fit.LATE, "10:25": Fit.INSIDE, "12:00": Fit.OUTSIDE, "13:45": Fit.EARLY}
    assert {wall: opening(moment(wall=f"2026-11-23 {wall}"), rules) for wall in fits} == fits
    assert opening(moment(wall="2026-11-23 15:00"), rules) is Fit.INSIDE


@pytest.mark.parametrize("zone", ["Asia/Ho_Chi_Minh", "America/New_York", "UTC"])
def test_the_sites_time_is_its_own_wherever_the_machine_believes_to_be(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The offset is the policy's: a card on which somebody set the time zone adds nothing to it."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        found = local(moment(wall="2026-11-23 08:15"), 420)
    time.tzset()
    assert (found.day, found.minute) == (date(2026, 11, 23), 8 * 60 + 15)
