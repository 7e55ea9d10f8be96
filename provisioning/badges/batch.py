"""Issues a site's badges: what stands on them from a file, one random number each, and the pages to print."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Final

from device.core.credentials.badge import SUBJECT_BYTES
from provisioning.authority.authority import BADGE_KEY_YEARS
from provisioning.badges.issuer import BadgeIssuer
from provisioning.desk.errors import Refused
from provisioning.desk.input_files import text_of
from provisioning.registry.tables import Badge, Site

LABEL_LIMIT: Final = 60
BADGES_LIMIT: Final = 10_000
HERE: Final = timezone(timedelta(hours=7))
"""A badge ends with a day of Vietnam."""


def labels(path: Path) -> Sequence[str]:
    """The lines of a file. Raises Refused (E130, E131, E170), naming the line."""
    lines = text_of(path).splitlines()
    found = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    for number, line in found:
        if len(line) > LABEL_LIMIT or not line.isprintable() or number > BADGES_LIMIT:
            raise Refused("E170", path=path, row=number, text=line[:LABEL_LIMIT].encode("ascii", "backslashreplace").decode())
    return [line for _, line in found]


def end_of(text: str, now: datetime) -> datetime:
    """The last moment of a day in Vietnam. Raises Refused (E171) for one that is over, or beyond the key's life."""
    try:
        ends = datetime.combine(date.fromisoformat(text), time(23, 59, 59), HERE).astimezone(UTC)
    except ValueError as error:
        raise Refused("E171", date=text) from error
    if not now < ends < now + timedelta(days=365 * BADGE_KEY_YEARS):
        raise Refused("E171", date=text)
    return ends


def issue(site: Site, names: Sequence[str], ends: datetime, role: int, zone: int, issuer: BadgeIssuer) -> Sequence[tuple[Badge, str]]:
    """A row and the code's text for each. Raises ValueError for a role or zone that a badge cannot hold."""
    now = datetime.now(UTC).replace(microsecond=0)
    made = []
    for name in names:
        subject = secrets.token_bytes(SUBJECT_BYTES)
        text = issuer.badge(subject, int(ends.timestamp()), role=role, zone=zone)
        row = Badge(
            subject=subject.hex(), site=site.id, label=name, role=role, zone=zone, issued=now, expires=ends, revoked=None, reason=""
        )
        made.append((row, text))
    return made
