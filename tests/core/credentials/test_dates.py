"""Dates as documents write them: days that exist, years alone, and parts that are masked."""

from __future__ import annotations

import pytest

from device.core.credentials.dates import from_card, from_iso, from_slashed, looks_iso, year_of
from device.core.types import DatePrecision, PartialDate

DAY, YEAR, MASKED = DatePrecision.DAY, DatePrecision.YEAR, DatePrecision.MASKED


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("05021990", PartialDate("1990-02-05", DAY)),
        ("29022000", PartialDate("2000-02-29", DAY)),
        ("29021999", None),
        ("1990", PartialDate("1990", YEAR)),
        ("00001990", PartialDate("1990", YEAR)),
        ("0000", None),
        ("00021990", None),
        ("05001990", None),
        ("050219901", None),
        ("\u0660\u0665\u0660\u0662\u0661\u0669\u0669\u0660", None),
        ("", None),
    ],
)
def test_the_citizen_card_writes_day_month_year_or_the_year(text: str, date: PartialDate | None) -> None:
    """In ASCII digits."""
    assert from_card(text) == date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("05/02/1990", PartialDate("1990-02-05", DAY)),
        ("00/00/1990", PartialDate("1990", YEAR)),
        ("1990", PartialDate("1990", YEAR)),
        ("31/04/1990", None),
        ("5/2/1990", None),
        ("05021990", None),
    ],
)
def test_the_insurance_card_writes_slashes(text: str, date: PartialDate | None) -> None:
    """Two digits, two, four."""
    assert from_slashed(text) == date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("1990-02-05", PartialDate("1990-02-05", DAY)),
        ("1990-02-30", None),
        ("1990-**-**", PartialDate("1990", MASKED)),
        ("1990-02-**", PartialDate("1990-02", MASKED)),
        ("****-02-29", PartialDate("", MASKED)),
        ("****-13-01", None),
        ("1990-**-31", PartialDate("1990", MASKED)),
        ("1990-02", None),
    ],
)
def test_iso_dates_may_be_masked_and_keep_what_stands_before_the_mask(text: str, date: PartialDate | None) -> None:
    """What is masked may be anything that a calendar has."""
    assert from_iso(text) == date


def test_a_field_looks_like_a_date_by_its_form_alone() -> None:
    """The day need not exist."""
    assert [looks_iso(text) for text in ("1990-02-30", "****-**-**", "1990-2-3", "x1990-02-03")] == [True, True, False, False]


def test_the_year_is_told_where_the_document_tells_it() -> None:
    """And none otherwise."""
    assert year_of(PartialDate("1990-02-05", DAY)) == year_of(PartialDate("1990", YEAR)) == 1990
    assert year_of(PartialDate("", MASKED)) is None
