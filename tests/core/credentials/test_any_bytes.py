"""No bytes whatever raise, and every person's code comes back as the person."""

from __future__ import annotations

import unicodedata
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.core.credentials import parse
from device.core.credentials.plausibility import WARNINGS
from device.core.types import Credential, DatePrecision, Kind, PartialDate, Rejection, Sex, SubjectClass
from device.workbench.foreign_codes import foreign_codes
from device.workbench.people import (
    PAPERS,
    Person,
    can_cuoc,
    citizen_card,
    health_insurance,
    national_qr,
    old_health_insurance,
    people,
    seeded,
)

PEOPLE = people(400, seeded(400))
SEEDS = [paper(person) for person in PEOPLE[:20] for paper in PAPERS] + [code.payload for code in foreign_codes(seeded(7))]
TODAY = date(2026, 1, 1)
quick = settings(max_examples=120, deadline=None, database=None)

CONTENTS = ("064090001234", "6400012345", "GD4646400012345", "4e", "Nam", "Nữ", "u\u031b\u0303", "1990-**-**", "00001990", "0", "1")
MARKS = ("|", "$", "-", "*", "<", ":", " ", "@", "{", "[", "\x00", "\r", "\ufeff", "\u202e")
BEGINNINGS = ("000201", "6304", '"data"', '{"data":{"hdr":{"t":', "G1:", "https://")
PIECES = st.sampled_from(CONTENTS + MARKS + BEGINNINGS)
DEEP = st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode())


def check(payload: bytes) -> None:
    """What holds for any answer to any bytes."""
    found = parse(payload, TODAY)
    if isinstance(found, Rejection):
        assert found.length == len(payload)
        return
    assert isinstance(found, Credential)
    assert found.kind in {Kind.CITIZEN_CARD, Kind.NATIONAL_QR, Kind.HEALTH_INSURANCE, Kind.BARE_NUMBER}
    assert found.number.isascii()
    assert found.number.isalnum()
    assert len(found.number) >= 6
    assert found.name is None or found.name == unicodedata.normalize("NFC", found.name) != ""
    assert set(found.warnings) <= set(WARNINGS)
    assert parse(payload, TODAY) == found


@quick
@given(st.binary(max_size=300))
def test_no_bytes_raise(payload: bytes) -> None:
    """Noise of any length is a value, never an exception."""
    check(payload)


@quick
@given(st.text(max_size=300))
def test_no_text_raises(text: str) -> None:
    """Nor does text in any script."""
    check(text.encode("utf-8", "surrogatepass"))


@quick
@given(DEEP)
def test_no_heap_of_the_grammars_own_pieces_raises(payload: bytes) -> None:
    """Pieces of all the grammars in any order get further into the parsers than noise does."""
    check(payload)


@quick
@given(st.data())
def test_no_damage_to_a_real_code_raises(data: st.DataObject) -> None:
    """A code with bytes cut out, changed or put in is answered like any other."""
    payload = bytearray(data.draw(st.sampled_from(SEEDS))[:2000])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(payload)))
        end = data.draw(st.integers(start, min(start + 8, len(payload))))
        payload[start:end] = data.draw(st.binary(max_size=4) | PIECES.map(str.encode))
    check(bytes(payload))


@quick
@given(st.data())
def test_no_field_of_a_card_raises_whatever_it_holds(data: st.DataObject) -> None:
    """With the shape intact, each field in turn may hold any text."""
    fields = data.draw(st.sampled_from(SEEDS[:100])).decode().split("|")
    fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(st.text(max_size=20))
    check("|".join(fields).encode("utf-8", "surrogatepass"))


HOSTILE = {
    "NUL everywhere": "0640|".encode("utf-16-le"),
    "only NUL": bytes(2048),
    "byte order marks": b"\xef\xbb\xbf" * 600,
    "reversed reading": "\u202e064090001234||\u2066An\u2069|01011990|Nam||15042021".encode(),
    "largest code": b"0" * 2953,
    "pipes only": b"|" * 2048,
    "pipes and dollar": b"|" * 2047 + b"$",
    "deep lists": b"[" * 2048,
    "deep objects": b'{"data":' * 256,
    "deep but short": b'{"data":' * 128 + b"1" + b"}" * 128,
    "huge whole number": b'{"data":' + b"9" * 2000 + b"}",
    "huge exponent": b'{"data":1e999999999}',
    "not a number": b'{"data":NaN}',
    "lone surrogate in JSON": b'{"data":{"hdr":{"t":"\\ud800"}}}',
    "combining marks": b"a" + "\u0301".encode() * 1000,
    "text that grows when composed": "\ufb2c".encode() * 680,
    "payment without end": b"000201" + b"6304" * 500,
    "number of another script": "٠٦٤٠٩٠٠٠١٢٣٤".encode(),
    "label without end": b"C" * 2047 + b":",
    "at signs": b"https://" + b"@" * 2000,
    "hexadecimal without end": b"6400012345|" + b"4e" * 1000 + b"|-|1|$",
    "stars": b"*" * 20 + b"|A|****-**-**|0|1629793885|",
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_code_is_answered(payload: bytes) -> None:
    """Codes printed to break a reader get an answer like any other."""
    check(payload)


def test_deeply_nested_travel_proof_is_refused_without_being_read() -> None:
    """Brackets beyond any real proof never reach the recursive reader, even when the caller's stack is nearly used up."""
    payload = b'{"data":{"hdr":{"t":"icao.vacc"}},"x":' + b"[" * 900 + b"]" * 900 + b"}"
    found = parse(payload)
    assert isinstance(found, Rejection)
    assert found.kind is Kind.UNKNOWN


def expected(person: Person) -> tuple[str, PartialDate, Sex]:
    """Name, birth date and sex that a paper with all of them must give back."""
    return person.name, PartialDate(person.birth.isoformat(), DatePrecision.DAY), person.sex


def read(payload: bytes) -> Credential:
    """The credential in a payload that must be accepted."""
    found = parse(payload, TODAY)
    assert isinstance(found, Credential)
    assert found.warnings == ()
    return found


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_citizen_cards_of_400_people_come_back_exactly(form: str) -> None:
    """Number, name, birth date and sex are those of the person, in composed and in decomposed writing."""
    for person in PEOPLE:
        for paper in (citizen_card, can_cuoc):
            found = read(unicodedata.normalize("NFC" if form == "NFC" else "NFD", paper(person).decode()).encode())
            assert (found.subject_class, found.number) == (SubjectClass.CITIZEN, person.number)
            assert (found.name, found.birth, found.sex) == expected(person)


def test_insurance_cards_of_400_people_come_back_exactly() -> None:
    """Old and new cards give the number, name, birth date and sex of the person."""
    for person in PEOPLE:
        for paper, number in ((health_insurance, person.insurance_number), (old_health_insurance, person.old_insurance_number)):
            found = read(paper(person))
            assert (found.subject_class, found.number) == (SubjectClass.HEALTH_INSURANCE, number)
            assert (found.name, found.birth, found.sex) == expected(person)


def test_national_codes_of_400_people_come_back_exactly() -> None:
    """Plain ones by the citizen's number, masked ones by QID and birth year; the name as the code writes it."""
    for person in PEOPLE:
        plain, masked = read(national_qr(person, masked=False)), read(national_qr(person))
        assert (plain.subject_class, plain.number) == (SubjectClass.CITIZEN, person.number)
        assert plain.birth == PartialDate(person.birth.isoformat(), DatePrecision.DAY)
        assert (masked.subject_class, masked.number) == (SubjectClass.NATIONAL_QR, person.qid)
        assert masked.birth == PartialDate(str(person.birth.year), DatePrecision.MASKED)
        assert plain.name == masked.name == person.latin_name
