"""The health-insurance card, old and new."""

from __future__ import annotations

import unicodedata

import pytest

from device.core.credentials import parse
from device.core.credentials.plausibility import WARN_FIELD_COUNT
from device.core.reasons import Reason
from device.core.types import Credential, DatePrecision, Kind, PartialDate, Rejection, Sex, SubjectClass

NAME = "Đinh Thị Prŏi"
NEW = f"6400012345|{NAME.encode().hex()}|05/02/1990|2|-|64 - 001|01/01/2024|-| 18/12/2023|64|-|4|01/01/2024|0|1|-|$"
OLD = f"GD4646400012345|{NAME.encode().hex().upper()}| 05/02/1990|2|-|64 - 001|01/01/2020|31/12/2020|-|$"


def altered(text: str, place: int, value: str) -> str:
    """A card with one of its fields changed."""
    fields = text.split("|")
    fields[place] = value
    return "|".join(fields)


def card(text: str) -> Credential:
    """The credential in a payload that must be accepted."""
    found = parse(text.encode())
    assert isinstance(found, Credential), found
    return found


@pytest.mark.parametrize(("text", "variant", "number"), [(NEW, "new", "6400012345"), (OLD, "old", "GD4646400012345")])
def test_card_gives_number_name_birth_and_sex_and_nothing_else(text: str, variant: str, number: str) -> None:
    """Both forms of the card name their holder; address, hospital and dates of validity are dropped."""
    assert card(text) == Credential(
        kind=Kind.HEALTH_INSURANCE,
        variant=variant,
        subject_class=SubjectClass.HEALTH_INSURANCE,
        number=number,
        name=NAME,
        birth=PartialDate("1990-02-05", DatePrecision.DAY),
        sex=Sex.FEMALE,
    )


@pytest.mark.parametrize("empty", ["", "-"])
def test_empty_fields_are_not_stated(empty: str) -> None:
    """The number alone is enough: what the card leaves empty is None."""
    found = card(f"6400012345|{empty}|{empty}|{empty}" + "|-" * 12 + "|$")
    assert (found.name, found.birth, found.sex, found.warnings) == (None, None, None, ())


@pytest.mark.parametrize("born", ["\t05/02/1990", "05/02/1990\u00a0"])
def test_a_birth_date_is_padded_with_spaces_and_nothing_else(born: str) -> None:
    """No card that was issued has another."""
    assert isinstance(parse(altered(NEW, 2, born).encode()), Rejection)


@pytest.mark.parametrize("born", ["1990", " 1990", "00/00/1990"])
def test_birth_may_be_only_a_year(born: str) -> None:
    """Many older people's cards state no day."""
    assert card(altered(NEW, 2, born)).birth == PartialDate("1990", DatePrecision.YEAR)


def test_male_is_one() -> None:
    """The card writes 1 for male and 2 for female."""
    assert card(altered(NEW, 3, "1")).sex is Sex.MALE


def test_decomposed_name_in_hexadecimal_comes_out_composed() -> None:
    """Canonical composition reaches into the hexadecimal field as well."""
    decomposed = unicodedata.normalize("NFD", NAME).encode().hex()
    assert card(altered(NEW, 1, decomposed)).name == NAME


def test_new_card_with_other_fields_than_seventeen_is_taken_with_a_warning() -> None:
    """The fields that are used are the first four."""
    assert card(NEW.removesuffix("|$") + "|x|$").warnings == (WARN_FIELD_COUNT,)


@pytest.mark.parametrize("text", [NEW, OLD])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, "4e6"),
        (1, "xyz0"),
        (1, "4e 67"),
        (1, "ff"),
        (1, "c3"),
        (1, "20"),
        (1, "4e00"),
        (1, "e280ae"),
        (2, "30/02/1990"),
        (2, "05-02-1990"),
        (2, "05/02/90"),
        (2, "\u0660\u0665/02/1990"),
        (2, "00/00/0000"),
        (3, "0"),
        (3, "Nam"),
        (3, "\uff11"),
    ],
)
def test_card_with_a_broken_field_is_malformed(text: str, place: int, value: str) -> None:
    """The number and the closing sign make the class; name, birth date and sex must then be readable."""
    payload = altered(text, place, value).encode()
    assert parse(payload) == Rejection(Kind.HEALTH_INSURANCE, Reason.MALFORMED, len(payload))


@pytest.mark.parametrize("text", ["6400012345|$", "6400012345|-|-|$", "GD4646400012345|$"])
def test_card_with_too_few_fields_is_malformed(text: str) -> None:
    """Four fields and the closing sign are the least that can be understood."""
    found = parse(text.encode())
    assert isinstance(found, Rejection)
    assert (found.kind, found.reason) == (Kind.HEALTH_INSURANCE, Reason.MALFORMED)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, "640001234"), (0, "64000123456"), (0, "gd4646400012345"), (0, "G4646400012345"), (0, "٦٤٠٠٠١٢٣٤٥"), (-1, "$ "), (-1, "")],
)
def test_text_without_the_shape_of_the_card_is_unrecognised(place: int, value: str) -> None:
    """A number of another form or another end is of no class."""
    found = parse(altered(NEW, place, value).encode())
    assert isinstance(found, Rejection)
    assert (found.kind, found.reason) == (Kind.UNKNOWN, Reason.UNRECOGNISED)


def test_number_alone_is_no_card() -> None:
    """Ten digits without a field are unrecognised, and are not mistaken for a bare number."""
    found = parse(b"6400012345")
    assert isinstance(found, Rejection)
    assert found.reason is Reason.UNRECOGNISED
