"""The CloudEvents envelope of the record's events, as a gate publishes them and as a consumer reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from device.core.timeline import ClockState
from device.core.wire.base import SEQ_LIMIT, Code, Digest, Heard, Said, Sequence, Signature, Time, Uuid
from device.core.wire.facts import Audit, Checkin

CHECKIN_TYPE: Final = "vn.gate.checkin.v1"
AUDIT_TYPE: Final = "vn.gate.audit.v1"
CHECKIN_SCHEMA: Final = "urn:gate:schema:checkin:v1"
AUDIT_SCHEMA: Final = "urn:gate:schema:audit:v1"


class _Event(Said):
    """CloudEvents 1.0, structured. The extension attributes begin at ``epoch``."""

    specversion: Literal["1.0"]
    id: Uuid
    """UUIDv7; says nothing about order."""
    source: Annotated[str, Field(pattern=r"^/gates/[a-z0-9-]{3,32}$")]
    type: Literal["vn.gate.checkin.v1", "vn.gate.audit.v1"]
    time: Time
    """Best estimate of when it happened; `clock` says how it is known."""
    datacontenttype: Literal["application/json"]
    dataschema: Literal["urn:gate:schema:checkin:v1", "urn:gate:schema:audit:v1"]
    epoch: Uuid
    """Made once for each journal file. (source, epoch, sequence) is the key of an event."""
    sequence: Sequence
    """Place within the epoch, from 1, never used twice; 19 digits so that it sorts as a string."""
    bootid: Annotated[str, Field(min_length=1, max_length=64)]
    """The boot of the machine in which it happened."""
    clock: ClockState
    uncertaintyms: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """How far `time` may be off; absent when nobody can say."""
    earliest: Time | None = None
    """It happened no earlier than this, where `time` is not known better."""
    latest: Time | None = None
    """It happened no later than this, where `time` is not known better."""


class CheckinEvent(_Event):
    """One decision, as it is published."""

    type: Literal["vn.gate.checkin.v1"]
    dataschema: Literal["urn:gate:schema:checkin:v1"]
    data: Checkin
    signature: Signature | None = None
    """By the gate's own key, over the bytes of the body as it stands without this last member."""


class AuditEvent(_Event):
    """Something about the gate itself, as it is published."""

    type: Literal["vn.gate.audit.v1"]
    dataschema: Literal["urn:gate:schema:audit:v1"]
    data: Audit
    signature: Signature | None = None
    """By the gate's own key, over the bytes of the body as it stands without this last member."""


@dataclass(frozen=True, slots=True)
class HeardGap:
    """A range that is lost, and the digest at which the chain goes on behind it; None when none of it ever had a body."""

    first: int
    last: int
    digest: str | None


class HeardData(Heard):
    """The part of ``data`` that whoever keeps events must understand; the rest may be newer than the reader."""

    prev: Digest | None
    what: Code | None = None
    first: Any = None
    last: Any = None
    digest: Any = None

    @property
    def gap(self) -> HeardGap | None:
        """The range that a gap event declares lost."""
        if self.what != "gap" or type(self.first) is not int or type(self.last) is not int:
            return None
        if not 0 < self.first <= self.last <= SEQ_LIMIT:
            return None
        return HeardGap(self.first, self.last, self.digest if isinstance(self.digest, str) else None)


class HeardEvent(Heard):
    """An event as a consumer reads it: the key, the chain and the kind, tolerant of everything that newer gates add."""

    specversion: Literal["1.0"]
    id: Uuid
    source: Annotated[str, Field(pattern=r"^/gates/[a-z0-9-]{3,32}$")]
    type: Literal["vn.gate.checkin.v1", "vn.gate.audit.v1"]
    time: Time
    epoch: Uuid
    sequence: Sequence
    data: HeardData
    signature: Signature | None = None

    @property
    def seq(self) -> int:
        """Place within the epoch."""
        return int(self.sequence)
