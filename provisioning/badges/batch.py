"""A site's badges: what stands on them from a file, one random number each; and revoking them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from device.core.credentials.badge import SUBJECT_BYTES
from provisioning.authority.creation import BADGE_KEY_YEARS
from provisioning.badges.issuer import BadgeIssuer
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.input_files import text_of
from provisioning.common.times import HERE
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Badge, Site

LABEL_LIMIT: Final = 60
BADGES_LIMIT: Final = 10_000
REASON_LIMIT: Final = 100
"""So many characters has the reason for which a badge is revoked."""


def labels(path: Path) -> Sequence[str]:
    """The lines of a file. Raises Refused (E130, E131, E170), naming the line."""
    lines = text_of(path).splitlines()
    found = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    for number, line in found:
        if len(line) > LABEL_LIMIT or not line.isprintable() or number > BADGES_LIMIT:
            raise Refused("E170", path=path, row=number, text=ascii(line[:LABEL_LIMIT])[1:-1])
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
    now = times.now()
    made = []
    for name in names:
        subject = secrets.token_bytes(SUBJECT_BYTES)
        text = issuer.badge(subject, int(ends.timestamp()), role=role, zone=zone)
        row = Badge(
            subject=subject.hex(), site=site.id, label=name, role=role, zone=zone, issued=now, expires=ends, revoked=None, reason=""
        )
        made.append((row, text))
    return made


def keep(registry: Registry, rows: Sequence[Badge]) -> None:
    """Note badges that were issued: all of them, or none."""
    with registry.change() as session:
        session.add_all(rows)


def checked_reason(reason: str) -> str:
    """A reason for which a badge may be revoked. Raises Refused (E133)."""
    if not 0 < len(reason) <= REASON_LIMIT or not reason.isprintable():
        raise Refused("E133", value="--reason", why=f"1-{REASON_LIMIT}")
    return reason


def revoke(registry: Registry, subject: str, reason: str) -> None:
    """Mark a badge; twice is the same as once, with the first reason. Raises Refused (E172) for an unknown one."""
    with registry.change() as session:
        row = session.get(Badge, subject)
        if row is None:
            raise Refused("E172", id=subject)
        if row.revoked is None:
            row.revoked, row.reason = datetime.now(UTC), reason
