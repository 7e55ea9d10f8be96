"""The citizen card: CCCD of 2021 to 2024 (seven fields) and Căn cước since July 2024 (eleven), divided by ``|``.

The old number, the address and the four fields that the newer card adds are
dropped unread: they are not needed, nobody has published what the last hold,
and a gate keeps no more of a person than it must.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from device.core.credentials import dates
from device.core.credentials.plausibility import WARN_FIELD_COUNT
from device.core.credentials.text import is_name
from device.core.reasons import Reason
from device.core.types import Credential, Kind, Sex, SubjectClass

if TYPE_CHECKING:
    from device.core.credentials.text import Text
    from device.core.types import Rejection

NUMBER: Final = re.compile(r"[0-9]{12}")
_LABEL: Final = re.compile(r"[^\W\d_](?:[^\W\d_]| ){0,23}: *(?=[0-9]{12}\|)")
"""A label that some printers put before the number, such as ``CCCD:``."""
_BIRTH: Final = re.compile(r"[0-9]{4}(?:[0-9]{4})?")
_SEXES: Final = {"Nam": Sex.MALE, "Nữ": Sex.FEMALE}
_CCCD_FIELDS: Final = 7
_CAN_CUOC_FIELDS: Final = 11


def parse(text: Text) -> Credential | Rejection | None:
    """The card's holder: number, name, birth date, sex, and the day of issue.

    Variant ``7`` is a card of seven fields, ``11`` one of more. None when the
    code is of another class; a refusal when it is of this one and the name or
    a date cannot be used.
    """
    label = _LABEL.match(text.nfc)
    fields = text.nfc[label.end() if label else 0 :].split("|")
    if not _is_card(fields):
        return None
    number, _, name, born, sex, _, issued_on = fields[:_CCCD_FIELDS]
    birth, issued = dates.from_card(born), dates.from_card(issued_on)
    if birth is None or issued is None or not is_name(name):
        return text.refuse(Kind.CITIZEN_CARD, Reason.MALFORMED)
    return Credential(
        kind=Kind.CITIZEN_CARD,
        variant="7" if len(fields) == _CCCD_FIELDS else "11",
        subject_class=SubjectClass.CITIZEN,
        number=number,
        name=name,
        birth=birth,
        sex=_SEXES[sex],
        issued=issued,
        warnings=() if len(fields) in {_CCCD_FIELDS, _CAN_CUOC_FIELDS} else (WARN_FIELD_COUNT,),
    )


def bare_number(text: Text) -> Credential | None:
    """A citizen's number alone, which a site may choose to take.

    It must stand there without a label: behind ``STK:`` twelve digits are a
    bank account.
    """
    if not NUMBER.fullmatch(text.nfc):
        return None
    return Credential(kind=Kind.BARE_NUMBER, variant="", subject_class=SubjectClass.CITIZEN, number=text.nfc)


def _is_card(fields: list[str]) -> bool:
    return (
        len(fields) >= _CCCD_FIELDS
        and NUMBER.fullmatch(fields[0]) is not None
        and _BIRTH.fullmatch(fields[3]) is not None
        and fields[4] in _SEXES
    )
