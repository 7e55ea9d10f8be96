"""Invented people of Gia Lai, and the codes that their papers would carry.

Everybody is made up from a seed: the same seed gives the same people. Names
follow the customs of the Kinh, Jrai, Bahnar and Ê Đê, numbers follow the
structure of the real ones, and neither belongs to anyone.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from device.core.types import Sex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KINH_FAMILIES: Final = (
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Huỳnh",
    "Phan",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
)
_KINH_NAMES: Final = {
    Sex.MALE: (
        ("Văn", "Hữu", "Đức", "Quốc", "Minh", "Thế", "Đình", "Xuân"),
        ("An", "Bình", "Cường", "Dũng", "Hiếu", "Khôi", "Lộc", "Nghĩa", "Phước", "Quyết", "Sỹ", "Thượng", "Tuấn", "Vượng"),
    ),
    Sex.FEMALE: (
        ("Thị", "Ngọc", "Thúy", "Kim", "Mỹ", "Như", "Bảo", "Diễm"),
        ("Ánh", "Bưởi", "Chữ", "Diệu", "Hạnh", "Huyền", "Lễ", "Nguyệt", "Nữ", "Phượng", "Quỳnh", "Thảo", "Tuyết", "Yến"),
    ),
}
_JRAI_CLANS: Final = ("Rơ Châm", "Rơ Mah", "Rơ Lan", "Ksor", "Siu", "Kpă", "Nay", "Rah Lan", "Rcom", "Puih")
_JRAI_NAMES: Final = {
    Sex.MALE: ("Blĕ", "Hyưm", "Thŭ", "Djơ\u0306", "Klă", "Phŏ", "Hlŭn", "Chŭk", "Krĭn"),
    Sex.FEMALE: ("H'Blui", "H'Lĭm", "H'Nhŭ", "H'Đơ\u0306k", "H'Srĕ", "H'Mlŏ", "H\u2019Bơ\u0306", "H'Ƀia"),
}
_BAHNAR_NAMES: Final = {
    Sex.MALE: ("A Nhŏm", "A Blơ\u0306ng", "Đinh Hmrơi", "Đinh Klŭ", "Đinh Ƀlĭk", "A Kuên", "Đinh Hnhơ\u0306t"),
    Sex.FEMALE: ("Y Byêng", "Y Krô\u0306", "Đinh Thị Prŏi", "Đinh Thị Čơm", "Y Nhŭi", "Đinh Thị Mơ\u0306k", "Y Hlĕnh"),
}
_EDE_CLANS: Final = ("Niê", "Mlô", "Byă", "Êban", "Ayŭn", "Kbuôr", "Ênuôl", "Hđơk", "Niê Kdăm")
_EDE_NAMES: Final = {
    Sex.MALE: ("Y Bliŭ", "Y Khoa", "Y Ƀlăk", "Y Djuê", "Y Wĭng", "Y Nguôm"),
    Sex.FEMALE: ("H'Bliă", "H'Djuôn", "H'Ƀuôn", "H'Nguêr", "H'Wĭn", "H'Čăm"),
}
_VILLAGES: Final = ("Tổ 5", "Tổ 12", "Làng Ốp", "Làng Kép", "Thôn 3", "Số 7/4 Trần Phú", "Làng Pleiku Roh - Hẻm 2", "Làng Mơ H'ra")
_COMMUNES: Final = (
    "Diên Hồng, Pleiku",
    "Hoa Lư, Pleiku",
    "Biển Hồ",
    "Ia Grai",
    "Chư Sê",
    "Đak Đoa",
    "Kbang",
    "An Khê",
    "Quy Nhơn",
    "Tây Sơn",
)
_BIRTH_PROVINCES: Final = ("064", "064", "064", "052", "052", "066", "049", "001", "079", "112")
"""Most were registered in Gia Lai (064) or Bình Định (052), a few elsewhere, one of ten abroad."""

_FIRST_BIRTH: Final = date(1935, 1, 1)
_LAST_BIRTH: Final = date(2012, 12, 31)
_OLD_CARDS_UNTIL: Final = 2000
"""Who was born later never had a card of nine digits."""
_OLD_CARDS_SHARE: Final = 0.6

_FIRST_ISSUE: Final = date(2021, 3, 1)
_CAN_CUOC_SINCE: Final = date(2024, 7, 1)
_LAST_ISSUE: Final = date(2025, 12, 31)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist.

    ``name`` is in canonical composition (NFC). ``old_number`` is that of the
    nine-digit identity card, empty for who never had one. ``cccd_issued`` and
    ``can_cuoc_issued`` are the days of issue of the card of seven and of the
    one of eleven fields.
    """

    number: str
    old_number: str
    name: str
    birth: date
    sex: Sex
    address: str
    cccd_issued: date
    can_cuoc_issued: date
    qid: str
    insurance_number: str
    phone: str

    @property
    def latin_name(self) -> str:
        """In upper case without diacritics, as the national personal QR code writes it."""
        parts = unicodedata.normalize("NFD", self.name.replace("đ", "d").replace("Đ", "D").replace("ƀ", "b").replace("Ƀ", "B"))
        return "".join(char for char in parts if not unicodedata.combining(char)).upper()

    @property
    def old_insurance_number(self) -> str:
        """Of fifteen characters, as on the health-insurance cards of before 2021: group, benefit, province, number."""
        return f"DK464{self.insurance_number}"


def seeded(seed: int) -> Random:
    """A generator of invented data, which gives the same for the same seed."""
    return Random(seed)  # noqa: S311 - repeatable is what is wanted here; no secret comes from it


def people(count: int, rng: Random) -> list[Person]:
    """So many invented people, no two with the same number."""
    found: dict[str, Person] = {}
    while len(found) < count:
        person = _person(rng)
        found.setdefault(person.number, person)
    return list(found.values())


def citizen_card(person: Person) -> bytes:
    """The code on the front of a CCCD: seven fields."""
    return "|".join((*_card_fields(person), _ddmmyyyy(person.cccd_issued))).encode()


def can_cuoc(person: Person, extra: Sequence[str] = ("", "", "", "")) -> bytes:
    """The code on the back of a Căn cước: eleven fields, of which the last four are as a rule empty."""
    return "|".join((*_card_fields(person), _ddmmyyyy(person.can_cuoc_issued), *extra)).encode()


def national_qr(person: Person, *, masked: bool = True) -> bytes:
    """The national personal QR code, by default with number and birth date masked, as the apps show it.

    The sex is left out, as any item of the extension may be: its code is not published.
    """
    number, born = person.number, person.birth.isoformat()
    if masked:
        number, born = "*" * 6 + number[6:], f"{born[:4]}-**-**"
    extension = f"<<{person.insurance_number}<{person.phone}"
    return f"{number}|{person.latin_name}|{born}|0|{person.qid}|{extension}".encode()


def health_insurance(person: Person) -> bytes:
    """The code on a health-insurance card since 2021: seventeen fields."""
    start, issued = person.cccd_issued.strftime("%d/%m/%Y"), person.can_cuoc_issued.strftime(" %d/%m/%Y")
    tail = (_hex(person.address), "64 - 001", start, "-", issued, "64", "-", "4", start, "0", "1", "-", "$")
    return "|".join((person.insurance_number, *_insured(person), *tail)).encode()


def old_health_insurance(person: Person) -> bytes:
    """The code on a health-insurance card of before 2021: ten fields."""
    tail = (_hex(person.address), "64 - 001", "01/01/2020", "31/12/2020", "-", "$")
    return "|".join((person.old_insurance_number, *_insured(person), *tail)).encode()


PAPERS: Final[tuple[Callable[[Person], bytes], ...]] = (citizen_card, can_cuoc, national_qr, health_insurance, old_health_insurance)
"""Every kind of code of a person that a gate accepts, in its usual form."""


def _person(rng: Random) -> Person:
    sex = rng.choice((Sex.MALE, Sex.FEMALE))
    birth = _day(rng, _FIRST_BIRTH, _LAST_BIRTH)
    return Person(
        number=f"{rng.choice(_BIRTH_PROVINCES)}{_century(birth, sex)}{birth.year % 100:02}{rng.randrange(10**6):06}",
        old_number=f"23{rng.randrange(10**7):07}" if birth.year < _OLD_CARDS_UNTIL and rng.random() < _OLD_CARDS_SHARE else "",
        name=unicodedata.normalize("NFC", rng.choice((_kinh, _kinh, _jrai, _bahnar, _ede))(rng, sex)),
        birth=birth,
        sex=sex,
        address=f"{rng.choice(_VILLAGES)}, {rng.choice(_COMMUNES)}, Gia Lai",
        cccd_issued=_day(rng, _FIRST_ISSUE, _CAN_CUOC_SINCE - timedelta(days=1)),
        can_cuoc_issued=_day(rng, _CAN_CUOC_SINCE, _LAST_ISSUE),
        qid=f"16{rng.randrange(10**14):014}00",
        insurance_number=f"64{rng.randrange(10**8):08}",
        phone=f"0900{rng.randrange(10**6):06}",
    )


def _kinh(rng: Random, sex: Sex) -> str:
    middle, given = _KINH_NAMES[sex]
    return f"{rng.choice(_KINH_FAMILIES)} {rng.choice(middle)} {rng.choice(given)}"


def _jrai(rng: Random, sex: Sex) -> str:
    return f"{rng.choice(_JRAI_CLANS)} {rng.choice(_JRAI_NAMES[sex])}"


def _bahnar(rng: Random, sex: Sex) -> str:
    return rng.choice(_BAHNAR_NAMES[sex])


def _ede(rng: Random, sex: Sex) -> str:
    return f"{rng.choice(_EDE_NAMES[sex])} {rng.choice(_EDE_CLANS)}"


def _century(birth: date, sex: Sex) -> int:
    return 2 * (birth.year // 100 - 19) + (sex is Sex.FEMALE)


def _day(rng: Random, first: date, last: date) -> date:
    return first + timedelta(days=rng.randrange((last - first).days + 1))


def _card_fields(person: Person) -> tuple[str, ...]:
    sex = "Nam" if person.sex is Sex.MALE else "Nữ"
    return person.number, person.old_number, person.name, _ddmmyyyy(person.birth), sex, person.address


def _insured(person: Person) -> tuple[str, str, str]:
    return _hex(person.name), person.birth.strftime("%d/%m/%Y"), "1" if person.sex is Sex.MALE else "2"


def _ddmmyyyy(day: date) -> str:
    return day.strftime("%d%m%Y")


def _hex(text: str) -> str:
    return text.encode().hex()
