"""The times that the tool writes and reads: UTC in the registry and on the wire, Viet Nam's on paper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from device.core import wire

HERE: Final = timezone(timedelta(hours=7))
"""Viet Nam has one time all the year."""


def now() -> datetime:
    """The present moment in UTC, in whole seconds, as certificates, messages and pages have it."""
    return datetime.now(UTC).replace(microsecond=0)


def aware(moment: datetime) -> datetime:
    """A time out of the registry with its zone: SQLite gives times back without one, and all of them are UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def on_the_wire(moment: datetime) -> str:
    """A moment as messages say it: RFC 3339 in UTC, cut down to the second."""
    return wire.time_text(int(moment.timestamp()) * 1_000_000_000)
