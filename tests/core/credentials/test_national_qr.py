"""The national personal QR code."""

from __future__ import annotations

import pytest

from device.core.credentials import parse
from device.core.reasons import Reason
from device.core.types import Credential, DatePrecision, Kind, PartialDate, Rejection, SubjectClass

PLAIN = "064090001234|NGUYEN VAN AN|1990-01-31|0|162979388586171100|<1<00<0900000000"
MASKED = "******001234|NGUYEN VAN AN|1990-**-**|0|162979388586171100|<1<<"


def altered(text: str, place: int, value: str) -> str:
    """A code with one of its six fields changed."""
    fields = text.split("|")
    fields[place] = value
    return "|".join(fields)


def code(text: str) -> Credential:
    """The credential in a payload that must be accepted."""
    found = parse(text.encode())
    assert isinstance(found, Credential), found
    return found


def test_plain_code_is_known_by_the_citizens_number() -> None:
    """Card and telephone of one person are one subject; the extension, with its telephone number, is dropped."""
    assert code(PLAIN) == Credential(
        kind=Kind.NATIONAL_QR,
        variant="plain",
        subject_class=SubjectClass.CITIZEN,
        number="064090001234",
        name="NGUYEN VAN AN",
        birth=PartialDate("1990-01-31", DatePrecision.DAY),
    )


def test_masked_code_is_known_by_its_qid() -> None:
    """Masked digits identify nobody; the platform's own number does."""
    assert code(MASKED) == Credential(
        kind=Kind.NATIONAL_QR,
        variant="masked",
        subject_class=SubjectClass.NATIONAL_QR,
        number="162979388586171100",
        name="NGUYEN VAN AN",
        birth=PartialDate("1990", DatePrecision.MASKED),
    )


@pytest.mark.parametrize("document", ["230123456", "B1234567", "", "***123456"])
def test_document_that_is_no_citizens_number_leaves_the_qid(document: str) -> None:
    """An identity card of nine digits or a passport is not hashed as if it were a citizen's number."""
    found = code(altered(PLAIN, 0, document))
    assert (found.subject_class, found.number) == (SubjectClass.NATIONAL_QR, "162979388586171100")


def test_variant_tells_whether_the_number_is_masked() -> None:
    """A masked birth date alone does not make the code a masked one, nor does a whole one unmask it."""
    assert code(altered(PLAIN, 2, "1990-**-**")).variant == "plain"
    assert code(altered(MASKED, 2, "1990-01-31")).variant == "masked"


def test_whole_number_needs_no_qid() -> None:
    """The number alone identifies the person, so a missing QID refuses nobody."""
    assert code(altered(PLAIN, 4, "")).number == "064090001234"


@pytest.mark.parametrize("extension", ["", "<<<", "1<GD4640000000001<0900000000", "<1<00<09<<<<<", "\x00"])
def test_extension_is_not_judged(extension: str) -> None:
    """Its items may be missing, and none of them is used."""
    assert code(altered(PLAIN, 5, "x" + extension)) == code(PLAIN)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1990-**-**", PartialDate("1990", DatePrecision.MASKED)),
        ("1990-12-**", PartialDate("1990-12", DatePrecision.MASKED)),
        ("1990-**-31", PartialDate("1990", DatePrecision.MASKED)),
        ("****-**-**", None),
        ("****-02-29", None),
    ],
)
def test_of_a_masked_birth_date_the_known_beginning_is_kept(written: str, meant: PartialDate | None) -> None:
    """What stands behind a mask is not guessed."""
    assert code(altered(MASKED, 2, written)).birth == meant


@pytest.mark.parametrize("declared_by", ["0", "1"])
def test_declared_by_oneself_or_by_another_is_taken(declared_by: str) -> None:
    """A child's code is declared by somebody else."""
    assert code(altered(MASKED, 3, declared_by)).number == "162979388586171100"


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        (PLAIN, 0, "064090001234; DROP"),
        (PLAIN, 0, "0" * 21),
        (PLAIN, 1, ""),
        (PLAIN, 1, "NGUYEN\x07"),
        (PLAIN, 2, "1990-02-30"),
        (PLAIN, 2, "0000-01-01"),
        (PLAIN, 4, "QID"),
        (MASKED, 2, "1990-13-**"),
        (MASKED, 2, "****-02-30"),
        (MASKED, 2, "1990-**-00"),
        (MASKED, 2, "0000-**-**"),
        (MASKED, 4, ""),
        (MASKED, 4, "12345"),
        (MASKED, 4, "1" * 33),
    ],
)
def test_code_with_a_broken_field_is_malformed(text: str, place: int, value: str) -> None:
    """The shape makes it a national code; a field that cannot be used then refuses it."""
    payload = altered(text, place, value).encode()
    assert parse(payload) == Rejection(Kind.NATIONAL_QR, Reason.MALFORMED, len(payload))


@pytest.mark.parametrize(
    ("place", "value"),
    [(2, "31/01/1990"), (2, "1990-1-31"), (2, "199*-**-**"), (2, "\uff11\uff19\uff19\uff10-01-31"), (3, "2"), (3, ""), (3, "00"), (5, "|")],
)
def test_text_without_the_shape_of_the_code_is_unrecognised(place: int, value: str) -> None:
    """Six fields, an ISO date and the mark of who declared make the class."""
    found = parse(altered(PLAIN, place, value).encode())
    assert isinstance(found, Rejection)
    assert (found.kind, found.reason) == (Kind.UNKNOWN, Reason.UNRECOGNISED)
