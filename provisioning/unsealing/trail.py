"""The record of who opened what: a chain in the registry. Without a durable row nothing is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Unsealing


def note(registry: Registry, who: str, verb: str, reason: str, facts: Mapping[str, Any]) -> int:
    """One row, durable on return. Its number. Raises Refused (E205) where it cannot be written: then nothing may be opened."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    told = json.dumps(dict(facts), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    try:
        with registry.change() as session:
            last = session.scalars(select(Unsealing).order_by(Unsealing.number.desc()).limit(1).with_for_update()).first()
            number, before = (1, "") if last is None else (last.number + 1, last.digest)
            row = Unsealing(number=number, at=at, who=who[:100], verb=verb, reason=reason, facts=told, digest="")
            row.digest = digest_of(row, before)
            session.add(row)
    except SQLAlchemyError as error:
        raise Refused("E205", why=type(error).__name__) from error
    return number


def opened(
    registry: Registry, who: str, verb: str, reason: str, facts: Mapping[str, Any], do: Callable[[], Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Open something: a row that it begins, durable before ``do`` runs; then a row of how it ended, with what ``do`` tells.

    Raises Refused (E205) where the first row cannot be written, and whatever ``do`` raises, which is noted too.
    """
    note(registry, who, f"{verb} begins", reason, facts)
    try:
        told = do()
    except BaseException:
        # Whatever it was, an interrupt too: that somebody tried stands in the record, and the error goes on.
        note(registry, who, f"{verb} fails", reason, {})
        raise
    note(registry, who, f"{verb} ends", reason, told)
    return told


def digest_of(row: Unsealing, before: str) -> str:
    """SHA-256 over a row and the digest of the one before it, in hexadecimal digits."""
    told = json.dumps([before, row.number, row.at, row.who, row.verb, row.reason, row.facts], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()


def rows(registry: Registry) -> Sequence[Unsealing]:
    """All, oldest first."""
    with registry.change() as session:
        return session.scalars(select(Unsealing).order_by(Unsealing.number)).all()


def first_fault(found: Sequence[Unsealing]) -> int | None:
    """The number of the first row that is not what was written, or before which one is missing. None where all is whole.

    That the newest rows were taken off shows only to whoever noted their number or digest elsewhere.
    """
    before = ""
    for expected, row in enumerate(found, start=1):
        if row.number != expected or row.digest != digest_of(row, before):
            return row.number
        before = row.digest
    return None
