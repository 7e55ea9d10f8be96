"""What is odd about a credential without being wrong.

Registers hold errors and people change their sex and their papers, so none of
this refuses anybody: it is a warning that travels with the event. The codes
are stable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.core.credentials.dates import year_of
from device.core.types import Sex, SubjectClass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from device.core.types import Credential, PartialDate

WARN_NUMBER_IMPLAUSIBLE: Final = "number_implausible"
"""The citizen's number begins with no province of the register, or with a century that has not begun."""

WARN_SEX_MISMATCH: Final = "sex_mismatch"
"""The sex on the document is not the one that the citizen's number states."""

WARN_BIRTH_YEAR_MISMATCH: Final = "birth_year_mismatch"
"""The birth year on the document is not the one that the citizen's number states."""

WARN_BIRTH_IN_FUTURE: Final = "birth_in_future"
"""The birth date lies after today. Given only where the gate knows the date."""

WARN_ISSUED_IN_FUTURE: Final = "issued_in_future"
"""The document says it was issued after today. Given only where the gate knows the date."""

WARN_FIELD_COUNT: Final = "field_count_unusual"
"""The code has more or fewer fields than any published form of its kind; the fields that are used are whole."""

WARNINGS: Final = (
    WARN_NUMBER_IMPLAUSIBLE,
    WARN_SEX_MISMATCH,
    WARN_BIRTH_YEAR_MISMATCH,
    WARN_BIRTH_IN_FUTURE,
    WARN_ISSUED_IN_FUTURE,
    WARN_FIELD_COUNT,
)
"""Every warning that a credential can carry."""

# fmt: off
_PROVINCE_CODES: Final = (
    1, 2, 4, 6, 8, 10, 11, 12, 14, 15, 17, 19, 20, 22, 24, 25, 26, 27, 30, 31, 33, 34, 35, 36, 37, 38, 40, 42, 44, 45, 46, 48,
    49, 51, 52, 54, 56, 58, 60, 62, 64, 66, 67, 68, 70, 72, 74, 75, 77, 79, 80, 82, 83, 84, 86, 87, 89, 91, 92, 93, 94, 95, 96,
)
# fmt: on

PROVINCES: Final = frozenset(f"{code:03}" for code in _PROVINCE_CODES)
"""Provinces of birth registration in a citizen's number: the 63 of before July 2025, of which today's 34 keep some."""

_CENTURIES_BEGUN: Final = 2
_FIRST_CENTURY: Final = 1900


def warnings(credential: Credential, today: date | None) -> tuple[str, ...]:
    """The warnings that a credential earns by its content. ``today`` is None when the gate does not know the date."""
    return (*_number_warnings(credential), *_future_warnings(credential, today))


def _number_warnings(credential: Credential) -> Iterator[str]:
    if credential.subject_class is not SubjectClass.CITIZEN:
        return
    number = credential.number
    century, female = divmod(int(number[3]), 2)
    if century >= _CENTURIES_BEGUN or (number.startswith("0") and number[:3] not in PROVINCES):
        yield WARN_NUMBER_IMPLAUSIBLE
    if credential.sex not in {None, Sex.FEMALE if female else Sex.MALE}:
        yield WARN_SEX_MISMATCH
    birth_year = year_of(credential.birth) if credential.birth else None
    if birth_year not in {None, _FIRST_CENTURY + 100 * century + int(number[4:6])}:
        yield WARN_BIRTH_YEAR_MISMATCH


def _future_warnings(credential: Credential, today: date | None) -> Iterator[str]:
    if today is None:
        return
    if credential.birth and _is_after(credential.birth, today):
        yield WARN_BIRTH_IN_FUTURE
    if credential.issued and _is_after(credential.issued, today):
        yield WARN_ISSUED_IN_FUTURE


def _is_after(stated: PartialDate, today: date) -> bool:
    """Whether a date surely lies after today: in ISO 8601 the text decides, and a beginning of today's date does not come after it."""
    return stated.text > today.isoformat()
