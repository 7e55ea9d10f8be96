"""The citizen card, of seven fields and of eleven."""

from __future__ import annotations

import unicodedata

import pytest

from device.core.credentials import parse
from device.core.credentials.plausibility import WARN_FIELD_COUNT
from device.core.reasons import Reason
from device.core.types import Assurance, Credential, DatePrecision, Kind, PartialDate, Rejection, Sex, SubjectClass

CCCD = "064190001235|230123456|Rơ Châm H'Blui|05021990|Nữ|Làng Ốp, Hoa Lư, Pleiku, Gia Lai|22122021"
CAN_CUOC = "052190001234||Nguyễn Thị Bình|05021990|Nữ|Tổ 3, Quy Nhơn, Gia Lai|01082025||||"


def card(text: str) -> Credential:
    """The credential in a payload that must be accepted."""
    found = parse(text.encode())
    assert isinstance(found, Credential), found
    return found


def altered(place: int, value: str) -> str:
    """The card of seven fields with one of them changed."""
    fields = CCCD.split("|")
    fields[place] = value
    return "|".join(fields)


def test_card_of_seven_fields_gives_its_holder_and_nothing_else() -> None:
    """The old number and the address stand in no field of the credential."""
    assert card(CCCD) == Credential(
        kind=Kind.CITIZEN_CARD,
        variant="7",
        subject_class=SubjectClass.CITIZEN,
        number="064190001235",
        name="Rơ Châm H'Blui",
        birth=PartialDate("1990-02-05", DatePrecision.DAY),
        sex=Sex.FEMALE,
        issued=PartialDate("2021-12-22", DatePrecision.DAY),
        assurance=Assurance.DECLARED,
    )


def test_card_of_eleven_fields_keeps_its_empty_fields_in_place() -> None:
    """Empty fields shift no column, and the variant tells the newer card."""
    found = card(CAN_CUOC)
    assert (found.variant, found.number, found.name, found.sex) == ("11", "052190001234", "Nguyễn Thị Bình", Sex.FEMALE)
    assert found.issued == PartialDate("2025-08-01", DatePrecision.DAY)
    assert found.warnings == ()


def test_four_extra_fields_are_dropped_whatever_they_hold() -> None:
    """Parents' names and a cancelled number change nothing in the credential."""
    assert card(CAN_CUOC.removesuffix("||||") + "|052190009999|Nguyễn Văn Cha|Trần Thị Mẹ|\u202e") == card(CAN_CUOC)


@pytest.mark.parametrize("count", [8, 9, 10, 12, 40])
def test_other_number_of_fields_is_taken_with_a_warning(count: int) -> None:
    """A card with a field more or less than any published form still names its holder."""
    found = card(CCCD + "|" * (count - 7))
    assert (found.variant, found.number, found.warnings) == ("11", "064190001235", (WARN_FIELD_COUNT,))


@pytest.mark.parametrize("old", ["", "230123456", "064090000001", "B 1234"])
@pytest.mark.parametrize("address", ["", "Số 7/4 Trần Phú - Hẻm 2, P. Hoa Lư, Mơ H'ra", "\x00"])
def test_dropped_fields_are_not_judged(old: str, address: str) -> None:
    """What is dropped unread refuses nobody."""
    fields = CCCD.split("|")
    assert card("|".join([fields[0], old, *fields[2:5], address, fields[6]])) == card(CCCD)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("05021990", PartialDate("1990-02-05", DatePrecision.DAY)),
        ("29022000", PartialDate("2000-02-29", DatePrecision.DAY)),
        ("1990", PartialDate("1990", DatePrecision.YEAR)),
        ("00001990", PartialDate("1990", DatePrecision.YEAR)),
    ],
)
def test_birth_may_be_a_day_or_only_a_year(written: str, meant: PartialDate) -> None:
    """The precision says how much the register knows."""
    assert card(altered(3, written)).birth == meant


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (2, ""),
        (2, "   "),
        (2, "Nguyễn\x00Văn An"),
        (2, "Nguyễn\u202eVăn An"),
        (2, "Nguyễn\u2028Văn An"),
        (3, "31021990"),
        (3, "29021990"),
        (3, "00051990"),
        (3, "99999999"),
        (3, "00000000"),
        (3, "0000"),
        (6, ""),
        (6, "32122021"),
        (6, "2021-12-22"),
    ],
)
def test_card_with_a_broken_field_is_malformed(place: int, value: str) -> None:
    """The shape makes it a citizen card; a name or date that cannot be used then refuses it."""
    payload = altered(place, value).encode()
    assert parse(payload) == Rejection(Kind.CITIZEN_CARD, Reason.MALFORMED, len(payload))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "06419000123"),
        (0, "0641900012350"),
        (0, "٠٦٤١٩٠٠٠١٢٣٥"),
        (0, " 064190001235"),
        (3, "5021990"),
        (3, "05/02/1990"),
        (3, "۰۵۰۲۱۹۹۰"),
        (4, "nữ"),
        (4, "Nu"),
        (4, ""),
        (4, "Nam "),
    ],
)
def test_text_without_the_shape_of_a_card_is_unrecognised(place: int, value: str) -> None:
    """Number, birth date and sex make the class; digits are ASCII digits."""
    found = parse(altered(place, value).encode())
    assert isinstance(found, Rejection)
    assert (found.kind, found.reason) == (Kind.UNKNOWN, Reason.UNRECOGNISED)


def test_six_fields_are_no_card() -> None:
    """A card that lost its last field is of no class."""
    found = parse(CCCD.rpartition("|")[0].encode())
    assert isinstance(found, Rejection)
    assert found.reason is Reason.UNRECOGNISED


@pytest.mark.parametrize("label", ["CCCD:", "CCCD: ", "cccd:", "Căn cước:", "Số CCCD:", "Căn cước công dân: "])
def test_label_before_the_number_is_passed_over(label: str) -> None:
    """Some printers put the name of the document before its number."""
    assert card(label + CCCD) == card(CCCD)
    assert card(unicodedata.normalize("NFD", label + CCCD)) == card(CCCD)


@pytest.mark.parametrize("label", [":", "12:", "a|b:", "CCCD", "C" * 30 + ":", "CCCD::", "x\n:"])
def test_what_is_no_label_is_not_passed_over(label: str) -> None:
    """A label is a few words of letters and one colon."""
    assert isinstance(parse((label + CCCD).encode()), Rejection)


def test_label_inside_the_card_removes_nothing() -> None:
    """Only what stands at the very beginning can be a label."""
    assert card(altered(2, "Lê A")).name == "Lê A"
    assert isinstance(parse(("|" + "CCCD:" + CCCD).encode()), Rejection)


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize("suffix", ["", "\x00", "\r", "\r\n", "\x00\x00\r\n"])
def test_marks_of_printers_around_the_content_are_passed_over(prefix: str, suffix: str) -> None:
    """A byte order mark before and NUL, CR or LF after a card change nothing."""
    assert card(prefix + CCCD + suffix) == card(CCCD)


def test_decomposed_text_gives_the_composed_name() -> None:
    """Both canonical forms of one card are one credential, sex included."""
    decomposed = unicodedata.normalize("NFD", CCCD)
    assert decomposed != CCCD
    assert card(decomposed) == card(CCCD)


def test_credential_prints_nothing_personal() -> None:
    """A log line or a failed assertion that shows a credential shows no number and no name."""
    shown = repr(card(CCCD))
    assert "064190001235" not in shown
    assert "Blui" not in shown
