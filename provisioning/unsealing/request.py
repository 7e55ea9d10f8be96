"""What somebody has to say before anything is opened: of which time, and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from provisioning.common.errors import Refused
from provisioning.common.times import HERE

MOST: Final = timedelta(days=31)
"""No longer span is opened at once."""
LEAST_REASON: Final = 10
MOST_REASON: Final = 200
"""A reason has so many characters; it stands in the record."""


def span(since: str, until: str) -> tuple[datetime, datetime]:
    """From when until when, in Viet Nam's time where no other is said.

    Raises Refused: E133 for what is no time, E207 for a span that ends before it begins or is too long.
    """
    start, end = _moment("--from", since), _moment("--until", until)
    if not start < end <= start + MOST:
        raise Refused("E207", since=since, until=until, days=MOST.days)
    return start, end


def checked_reason(reason: str) -> str:
    """A reason in one line that says something. Raises Refused (E208)."""
    if not LEAST_REASON <= len(reason.strip()) <= MOST_REASON or not reason.isprintable():
        raise Refused("E208", least=LEAST_REASON, most=MOST_REASON)
    return reason


def _moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused("E133", value=f"{option} {text}", why="2026-11-01T06:00") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=HERE)
