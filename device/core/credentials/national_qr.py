"""The national personal QR code, version 1.1 of 2021 (PC-Covid, Bluezone, NCOVI …): six fields divided by ``|``.

By default its number and birth date are masked with ``*``; then the only key
to the person is the QID, which the national platform gave.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from device.core.credentials import dates
from device.core.credentials.text import is_name
from device.core.reasons import Reason
from device.core.types import Credential, Kind, SubjectClass

if TYPE_CHECKING:
    from device.core.credentials.text import Text
    from device.core.types import Rejection

_FIELDS: Final = 6
_DECLARED_BY: Final = ("0", "1")
"""The fourth field: declared by the person, or by somebody else for them."""
_CITIZEN_NUMBER: Final = re.compile(r"[0-9]{12}")
_DOCUMENT_NUMBER: Final = re.compile(r"[0-9A-Za-z*]{0,20}")
"""Of any document: the citizen's number, the older one of nine digits, a passport's."""
_QID: Final = re.compile(r"[0-9]{6,32}")
"""Eighteen digits in every published sample; no rule for its length is known."""


def parse(text: Text) -> Credential | Rejection | None:
    """The person declared: number or QID, name and birth date.

    The number counts where it is a whole citizen's number, so that one person
    is one subject whether the card or the telephone is shown. The extension
    is dropped; the code for the sex in it is not published, so the sex is not
    taken. None when the code is of another class; a refusal when it is of
    this one and its content cannot be used.
    """
    fields = text.nfc.split("|")
    if len(fields) != _FIELDS or not dates.looks_iso(fields[2]) or fields[3] not in _DECLARED_BY:
        return None
    document, name, born, _, qid, _ = fields
    birth = dates.from_iso(born)
    subject = _subject(document, qid)
    if subject is None or birth is None or not is_name(name):
        return text.refuse(Kind.NATIONAL_QR, Reason.MALFORMED)
    return Credential(
        kind=Kind.NATIONAL_QR,
        variant="masked" if "*" in document else "plain",
        subject_class=subject[0],
        number=subject[1],
        name=name,
        birth=birth if birth.text else None,
    )


def _subject(document: str, qid: str) -> tuple[SubjectClass, str] | None:
    """What identifies the person. None when nothing does, or when a field is not of its form."""
    if not _DOCUMENT_NUMBER.fullmatch(document) or (qid and not _QID.fullmatch(qid)):
        return None
    if _CITIZEN_NUMBER.fullmatch(document):
        return SubjectClass.CITIZEN, document
    return (SubjectClass.NATIONAL_QR, qid) if qid else None
