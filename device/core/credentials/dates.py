"""Dates as Vietnamese documents write them.

Digits are ASCII digits, days exist in the calendar, and a birth of which the
register knows only the year says so in its precision.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from device.core.types import DatePrecision, PartialDate

_CARD: Final = re.compile(r"(?:([0-9]{2})([0-9]{2}))?([0-9]{4})")
_SLASHED: Final = re.compile(r"(?:([0-9]{2})/([0-9]{2})/)?([0-9]{4})")
_ISO: Final = re.compile(r"([0-9]{4}|\*{4})-([0-9]{2}|\*{2})-([0-9]{2}|\*{2})")
_LEAP_YEAR: Final = "2000"
"""Stands in for a masked year, so that 29 February is possible."""


def from_card(text: str) -> PartialDate | None:
    """``ddmmyyyy`` of the citizen card, or ``yyyy`` or ``0000yyyy`` where only the year is known. None when it is no date."""
    found = _CARD.fullmatch(text)
    return _day_month_year(*found.groups()) if found else None


def from_slashed(text: str) -> PartialDate | None:
    """``dd/mm/yyyy`` of the health-insurance card, or its year alone, or ``00/00/yyyy``. None when it is no date."""
    found = _SLASHED.fullmatch(text)
    return _day_month_year(*found.groups()) if found else None


def looks_iso(text: str) -> bool:
    """Whether a field has the form of an ISO 8601 date, masked with ``*`` or not; the day need not exist."""
    return _ISO.fullmatch(text) is not None


def from_iso(text: str) -> PartialDate | None:
    """``yyyy-mm-dd``, any part of which may be masked (``1990-**-**``). None when it is no date.

    Of a masked date the parts before the first mask are kept; they may be none.
    """
    found = _ISO.fullmatch(text)
    if not found:
        return None
    year, month, day = found.groups()
    if "*" not in text:
        return _day_month_year(day, month, year)
    known = [part for part in text.partition("*")[0].split("-") if part]
    imagined = _day_month_year(day.replace("**", "01"), month.replace("**", "01"), year.replace("****", _LEAP_YEAR))
    return PartialDate("-".join(known), DatePrecision.MASKED) if imagined else None


def year_of(stated: PartialDate) -> int | None:
    """The year, where the document tells it."""
    return int(stated.text[:4]) if stated.text else None


def _day_month_year(day: str | None, month: str | None, year: str) -> PartialDate | None:
    if (day or "00") == (month or "00") == "00":
        return PartialDate(year, DatePrecision.YEAR) if int(year) > 0 else None
    try:
        known = date(int(year), int(month or 0), int(day or 0))
    except ValueError:
        return None
    return PartialDate(known.isoformat(), DatePrecision.DAY)
