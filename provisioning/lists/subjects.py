"""Whom a site's lists name: the badges that were revoked, or the people in a file, checked, hashed with the site's key, and forgotten.

No number is kept or printed: a list in the registry holds keyed hashes, and a
refusal names the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import select

from device.core import identity
from device.core.rules import ListUse
from device.core.types import SubjectClass
from provisioning.common.errors import Refused
from provisioning.common.input_files import csv_rows, text_of
from provisioning.places.site_policy import lists_of
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Badge, Site

NUMBERS: Final[Mapping[SubjectClass, re.Pattern[str]]] = {
    SubjectClass.CITIZEN: re.compile(r"[0-9]{12}"),
    SubjectClass.HEALTH_INSURANCE: re.compile(r"[0-9]{10}|[A-Z]{2}[0-9]{13}"),
    SubjectClass.BADGE: re.compile(r"[0-9a-f]{16}"),
}
"""How the number of each class stands in a code; what a gate could never read is refused here."""
PEOPLE_LIMIT: Final = 200_000
REVOKED: Final = "revoked"
"""The list that is made of the registry; a card's configuration names it, unless the site has a policy of its own."""


def subjects_of(registry: Registry, site: Site, name: str, people: Path | None, site_key: bytes) -> Sequence[bytes]:
    """The keyed hashes of everybody on one of a site's lists.

    The list of revoked badges is made of the registry alone, every other one of
    the file ``people`` alone. Raises Refused: E192 for a list that the site's policy
    does not name, E133 where the file does not fit the list, and like ``read_subjects``.
    """
    named = lists_of(site.policy)
    if name not in named:
        raise Refused("E192", id=site.id, name=name, known=", ".join(named) or "-")
    if (people is None) != (name == REVOKED):
        raise Refused("E133", value="--people", why=f"--name {name}")
    return revoked_badges(registry, site.id, site_key) if people is None else read_subjects(people, named[name], site_key)


def revoked_badges(registry: Registry, site: str, site_key: bytes) -> Sequence[bytes]:
    """The keyed hashes of a site's badges that were revoked and have not ended by themselves."""
    now = datetime.now(UTC)
    with registry.change() as session:
        badges = session.scalars(select(Badge).where(Badge.site == site, Badge.revoked.is_not(None), Badge.expires > now)).all()
    return [bytes.fromhex(identity.subject(site_key, SubjectClass.BADGE, badge.subject)) for badge in badges]


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
