"""Local time, opening hours, holidays and grace: whether a moment lies in a span, and how."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from device.core.rules import Calendar, Rules, Span
    from device.core.types import ClockReading

DAY_MIN: Final = 24 * 60


class Fit(Enum):
    """How a moment lies to some hours, best first."""

    INSIDE = 0
    EARLY = 1
    LATE = 2
    OUTSIDE = 3


@dataclass(frozen=True, slots=True)
class Local:
    """A moment by the clock on the wall: the date and minutes after midnight."""

    day: date
    minute: int


def local(now: ClockReading, utc_offset_min: int) -> Local:
    """The wall time of a reading whose time is known."""
    moment = datetime.fromtimestamp(now.wall_ns / 1e9, UTC) + timedelta(minutes=utc_offset_min)
    return Local(moment.date(), moment.hour * 60 + moment.minute)


def is_holiday(day: date, calendar: Calendar) -> bool:
    """Whether a date keeps holiday hours."""
    return day in calendar.holidays


def opening(now: ClockReading, rules: Rules) -> Fit:
    """How a known moment lies to the site's hours. On a holiday its own hours count instead, and none means closed."""
    moment = local(now, rules.utc_offset_min)
    return min((_fit(moment, day_offset, rules) for day_offset in (-1, 0, 1)), key=lambda fit: fit.value)


def lies_in(now: ClockReading, spans: Iterable[Span], rules: Rules) -> bool:
    """Whether a known moment lies in one of ``spans``, without any grace."""
    moment = local(now, rules.utc_offset_min)
    return any(
        _in_span(span, moment.minute - DAY_MIN * offset) is Fit.INSIDE
        for offset in (-1, 0)
        for span in _begun(spans, moment.day + timedelta(days=offset), rules.calendar)
    )


def _fit(moment: Local, day_offset: int, rules: Rules) -> Fit:
    """How the moment lies to the spans that begin on the day before, on the same day, or (for who is early) on the next."""
    day = moment.day + timedelta(days=day_offset)
    holiday = is_holiday(day, rules.calendar)
    if not holiday and not rules.hours:
        return Fit.OUTSIDE if day_offset else Fit.INSIDE
    spans = rules.calendar.holiday_hours if holiday else rules.hours
    minute = moment.minute - DAY_MIN * day_offset
    return min((_in_span(span, minute) for span in _begun(spans, day, rules.calendar)), key=lambda fit: fit.value, default=Fit.OUTSIDE)


def _begun(spans: Iterable[Span], day: date, calendar: Calendar) -> list[Span]:
    weekday = calendar.swapped.get(day, day.weekday())
    return [span for span in spans if weekday in span.days]


def _in_span(span: Span, minute: int) -> Fit:
    """``minute`` counts from the midnight before the span's own start."""
    end = span.end_min if span.end_min > span.start_min else span.end_min + DAY_MIN
    if span.start_min <= minute < end:
        return Fit.INSIDE
    if span.start_min - span.grace_before_min <= minute < span.start_min:
        return Fit.EARLY
    return Fit.LATE if end <= minute < end + span.grace_after_min else Fit.OUTSIDE
