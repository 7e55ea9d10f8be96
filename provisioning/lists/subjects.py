"""Whom a site's own list names: read from a file, checked, hashed with the site's key, and forgotten.

No number is kept or printed: a list in the registry holds keyed hashes, and a
refusal names the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from device.core import identity
from device.core.rules import ListUse
from device.core.types import SubjectClass
from provisioning.desk.errors import Refused
from provisioning.desk.input_files import csv_rows, text_of

NUMBERS: Final[Mapping[SubjectClass, re.Pattern[str]]] = {
    SubjectClass.CITIZEN: re.compile(r"[0-9]{12}"),
    SubjectClass.HEALTH_INSURANCE: re.compile(r"[0-9]{10}|[A-Z]{2}[0-9]{13}"),
    SubjectClass.BADGE: re.compile(r"[0-9a-f]{16}"),
}
"""How the number of each class stands in a code; what a gate could never read is refused here."""
PEOPLE_LIMIT: Final = 200_000


def read_subjects(path: Path, use: ListUse, site_key: bytes) -> Sequence[bytes]:
    """The keyed hash of each row's number.

    A CSV file with the column ``number``, and ``class`` where it is not a
    citizen's. Raises Refused: E130 to E132 for the file, E193 for a row that
    holds no number of its class, E194 for more people than a list may hold,
    or nobody: an empty list of those who may pass would close the gate.
    """
    rows = csv_rows(path, text_of(path))
    if not (0 if use is ListUse.DENY else 1) <= len(rows) <= PEOPLE_LIMIT:
        raise Refused("E194", path=path, count=len(rows), most=PEOPLE_LIMIT)
    return [bytes.fromhex(identity.subject(site_key, *_checked(path, row, at))) for at, row in rows.items()]


def _checked(path: Path, row: Mapping[str, str], at: int) -> tuple[SubjectClass, str]:
    named = row.get("class", SubjectClass.CITIZEN.value).strip().lower()
    known = next((one for one in NUMBERS if one.value == named), None)
    if known is None:
        raise Refused("E132", path=path, row=at, column="class", why=", ".join(NUMBERS))
    number = re.sub(r"\s", "", row.get("number", ""))
    number = number.lower() if known is SubjectClass.BADGE else number.upper()
    if not NUMBERS[known].fullmatch(number):
        raise Refused("E193", path=path, row=at, kind=known.value, length=len(number))
    return known, number
