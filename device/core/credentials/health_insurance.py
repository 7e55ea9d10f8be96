"""The health-insurance card (BHYT), old and new: fields divided by ``|``, the last of them ``$``."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from device.core.credentials import dates
from device.core.credentials.plausibility import WARN_FIELD_COUNT
from device.core.credentials.text import is_name
from device.core.reasons import Reason
from device.core.types import Credential, Kind, Sex, SubjectClass

if TYPE_CHECKING:
    from device.core.credentials.text import Text
    from device.core.types import PartialDate, Rejection

_NEW_NUMBER: Final = re.compile(r"[0-9]{10}")
_OLD_NUMBER: Final = re.compile(r"[A-Z]{2}[0-9]{13}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_NEW_FIELDS: Final = 17
_USED_FIELDS: Final = 4
_EMPTY: Final = ("", "-")
_SEXES: Final = {"1": Sex.MALE, "2": Sex.FEMALE, "-": None, "": None}


def parse(text: Text) -> Credential | Rejection | None:
    """The card's holder: number, name, birth date and sex, each but the number None where the card leaves it empty.

    None when the code is of another class; a refusal when it is of this one
    and its name, birth date or sex cannot be read.
    """
    fields = text.nfc.split("|")
    variant = _variant(fields[0])
    if variant is None or fields[-1] != "$":
        return None
    holder = _holder(fields[:-1])
    if holder is None:
        return text.refuse(Kind.HEALTH_INSURANCE, Reason.MALFORMED)
    name, birth, sex = holder
    unusual = variant == "new" and len(fields) != _NEW_FIELDS
    return Credential(
        kind=Kind.HEALTH_INSURANCE,
        variant=variant,
        subject_class=SubjectClass.HEALTH_INSURANCE,
        number=fields[0],
        name=name,
        birth=birth,
        sex=sex,
        warnings=(WARN_FIELD_COUNT,) if unusual else (),
    )


def _variant(number: str) -> str | None:
    if _NEW_NUMBER.fullmatch(number):
        return "new"
    return "old" if _OLD_NUMBER.fullmatch(number) else None


def _holder(fields: list[str]) -> tuple[str | None, PartialDate | None, Sex | None] | None:
    """Name, birth date and sex, each None where it is left empty. None when there are too few fields or one cannot be read."""
    if len(fields) < _USED_FIELDS:
        return None
    hex_name, born, sex = fields[1], fields[2].strip(" "), fields[3]
    name = None if hex_name in _EMPTY else _name(hex_name)
    birth = None if born in _EMPTY else dates.from_slashed(born)
    unreadable = (name is None) != (hex_name in _EMPTY) or (birth is None) != (born in _EMPTY) or sex not in _SEXES
    return None if unreadable else (name, birth, _SEXES[sex])


def _name(hex_name: str) -> str | None:
    """The name in hexadecimal digits of UTF-8; None when it is no such thing."""
    if not _HEX.fullmatch(hex_name):
        return None
    try:
        name = unicodedata.normalize("NFC", bytes.fromhex(hex_name).decode("utf-8", "strict"))
    except UnicodeDecodeError:
        return None
    return name if is_name(name) else None
