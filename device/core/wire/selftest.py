"""What a gate says of itself at its acceptance: each part tried, and what stands in its record of the tries. Signed by the gate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from device.core.wire.base import Code, Count, Heard, Moment, Name, Uuid, Version

DEEDS_LIMIT = 2_000
DEEDS_H = 24
"""Tries count for so many hours."""


class Tried(Heard):
    """One part."""

    part: Name
    grade: Literal["pass", "warn", "fail"]
    value: Annotated[str, Field(max_length=1_000)]


class Deed(Heard):
    """One event of the record, without anything of a person: a decision and its reason, or a start and how the run before it ended."""

    seq: Count
    what: Literal["checkin", "start"]
    decision: Code | None = None
    reason: Code | None = None
    previous: Code | None = None


class SelftestReport(Heard):
    """The whole of it; the signature is the last member."""

    type: Literal["vn.gate.selftest.v1"] = "vn.gate.selftest.v1"
    gate: Name
    version: Version
    time: Moment
    epoch: Uuid
    rows: Annotated[list[Tried], Field(max_length=50)]
    deeds: Annotated[list[Deed], Field(max_length=DEEDS_LIMIT)]
    """Of the last 24 hours, oldest first. What the province has already confirmed may be missing."""
