"""What is odd warns; it refuses nobody."""

from __future__ import annotations

from datetime import date

import pytest

from device.core.credentials import parse, plausibility
from device.core.credentials.plausibility import (
    PROVINCES,
    WARN_BIRTH_IN_FUTURE,
    WARN_BIRTH_YEAR_MISMATCH,
    WARN_ISSUED_IN_FUTURE,
    WARN_NUMBER_IMPLAUSIBLE,
    WARN_SEX_MISMATCH,
)
from device.core.types import Credential


def warnings(number: str, born: str = "05021990", sex: str = "Nam", issued: str = "15042021", today: date | None = None) -> tuple[str, ...]:
    """What a citizen card of such content warns of."""
    found = parse(f"{number}||Nguyễn Văn An|{born}|{sex}|Gia Lai|{issued}".encode(), today)
    assert isinstance(found, Credential)
    return found.warnings


@pytest.mark.parametrize(
    ("number", "born", "sex"),
    [
        ("064090001234", "05021990", "Nam"),
        ("064190001234", "05021990", "Nữ"),
        ("064210001234", "05022010", "Nam"),
        ("052310001234", "05022010", "Nữ"),
        ("112090001234", "1990", "Nam"),
        ("064000001234", "00001900", "Nam"),
    ],
)
def test_plausible_card_warns_of_nothing(number: str, born: str, sex: str) -> None:
    """Sex, century and year agree with the number; a province code abroad is plausible too."""
    assert warnings(number, born, sex, today=date(2026, 1, 1)) == ()


@pytest.mark.parametrize(
    ("number", "born", "sex", "expected"),
    [
        ("064090001234", "05021990", "Nữ", (WARN_SEX_MISMATCH,)),
        ("064190001234", "05021990", "Nam", (WARN_SEX_MISMATCH,)),
        ("064091001234", "05021990", "Nam", (WARN_BIRTH_YEAR_MISMATCH,)),
        ("064290001234", "05021990", "Nam", (WARN_BIRTH_YEAR_MISMATCH,)),
        ("064090001234", "1991", "Nam", (WARN_BIRTH_YEAR_MISMATCH,)),
        ("064490001234", "05022190", "Nam", (WARN_NUMBER_IMPLAUSIBLE,)),
        ("000090001234", "05021990", "Nam", (WARN_NUMBER_IMPLAUSIBLE,)),
        ("097090001234", "05021990", "Nam", (WARN_NUMBER_IMPLAUSIBLE,)),
        ("003991001234", "05021990", "Nam", (WARN_NUMBER_IMPLAUSIBLE, WARN_SEX_MISMATCH, WARN_BIRTH_YEAR_MISMATCH)),
    ],
)
def test_number_that_disagrees_with_the_document_warns(number: str, born: str, sex: str, expected: tuple[str, ...]) -> None:
    """Each disagreement has its own code, and they stand in a fixed order."""
    assert warnings(number, born, sex) == expected


@pytest.mark.parametrize(
    ("born", "issued", "expected"),
    [
        ("05021990", "01062025", ()),
        ("05021990", "02062025", (WARN_ISSUED_IN_FUTURE,)),
        ("02061990", "01062025", ()),
        ("02062025", "01062025", (WARN_BIRTH_YEAR_MISMATCH, WARN_BIRTH_IN_FUTURE)),
        ("2025", "01062025", (WARN_BIRTH_YEAR_MISMATCH,)),
        ("2026", "01062025", (WARN_BIRTH_YEAR_MISMATCH, WARN_BIRTH_IN_FUTURE)),
    ],
)
def test_dates_after_today_warn(born: str, issued: str, expected: tuple[str, ...]) -> None:
    """Today itself is not the future, nor is this year."""
    assert warnings("064090001234", born, issued=issued, today=date(2025, 6, 1)) == expected


def test_without_todays_date_nothing_lies_in_the_future() -> None:
    """A gate that does not know the date does not pretend to."""
    assert warnings("064090001234", issued="31129999") == ()


def test_partly_masked_birth_warns_only_when_it_surely_lies_ahead() -> None:
    """A masked day may be past or to come, so its month decides."""
    for born, expected in (("2025-06-**", ()), ("2025-07-**", (WARN_BIRTH_IN_FUTURE,))):
        found = parse(f"******001234|AN|{born}|0|162979388586171100|".encode(), date(2025, 6, 1))
        assert isinstance(found, Credential)
        assert found.warnings == expected


def test_insurance_number_is_not_read_as_a_citizens_number() -> None:
    """Only a citizen's number has a structure to be checked."""
    found = parse(b"0000000000|-|05/02/1990|1|$")
    assert isinstance(found, Credential)
    assert WARN_NUMBER_IMPLAUSIBLE not in found.warnings


def test_register_of_provinces_is_that_of_the_63() -> None:
    """Gia Lai, Bình Định and the last of the list are in it, the gaps are not."""
    assert len(PROVINCES) == 63
    assert {"001", "052", "064", "096"} <= PROVINCES
    assert not {"000", "003", "063", "097"} & PROVINCES


def test_every_warning_has_its_place_in_the_list() -> None:
    """A new warning cannot be left out of what is documented from the list."""
    defined = [value for name, value in vars(plausibility).items() if name.startswith("WARN_")]
    assert list(plausibility.WARNINGS) == defined
