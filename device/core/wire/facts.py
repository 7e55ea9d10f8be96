"""What stands in ``data`` of an event: one decision, or one fact about the gate itself.

Every event, once published, is frozen: these forms may gain optional members
and lose none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field

from device.core.reasons import Reason
from device.core.timeline import ClockState
from device.core.types import Assurance, Channel, Decision, Direction, Kind, Verdict, View
from device.core.wire.base import Amount, Code, Count, Digest, Name, Said, Seq, Text, Time, Uuid, Version

if TYPE_CHECKING:
    from collections.abc import Sequence as Many

    from device.core.types import JsonObject

Trouble = Literal["held", "resumed", "refused", "taken_over"]
ConfigStatus = Literal["applied", "rejected", "rolled_back"]
CommandStatus = Literal["received", "executing", "succeeded", "failed", "rejected", "expired", "interrupted"]


def _always_said(schema: dict[str, Any]) -> None:
    """Members that have a default here and yet stand in every published event."""
    always = [name for name in ("what", "prev") if name in schema["properties"]]
    schema["required"] = always + schema.get("required", [])
    for name in always:
        schema["properties"][name].pop("default", None)


class Fact(Said):
    """The ``data`` of an event. ``prev`` is added when the event is frozen."""

    model_config = ConfigDict(json_schema_extra=_always_said)

    prev: Digest | None = None
    """SHA-256 of the whole previous body in the order of the record, its signature included; null for the first of an epoch."""

    def data(self) -> JsonObject:
        """As an entry of the record holds it: without the chain and without what is None."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"prev"})


class ListInUse(Said):
    """A list of persons that a decision could rest on."""

    name: Name
    version: Version
    age_s: Count | None = None
    """Seconds since the list was issued."""


class Checkin(Fact):
    """One decision about one showing of one code."""

    decision: Verdict
    reason: Reason
    kind: Kind
    """The class of the code."""
    variant: Annotated[str, Field(max_length=32)] | None = None
    """Form within the class: `7`, `11`, `masked`, `new`, `old` …"""
    assurance: Assurance | None = None
    """How sure the gate is of the identity. A code without a signature is a claim: `declared`."""
    subject: Digest | None = None
    """HMAC-SHA256 of the person's number under the site's key: the only identity that is kept in the clear."""
    sealed: Annotated[str, Field(pattern=r"^[0-9A-Za-z+/]{4,8192}={0,2}$")] | None = None
    """The identity, encrypted to the province's key (HPKE, RFC 9180 single shot), base64."""
    direction: Direction | None = None
    """Which way the person passed; absent when nobody passed."""
    lane: Name
    site: Name
    policy: Version
    """Which version of the site's rules decided."""
    lists: tuple[ListInUse, ...] = ()
    warnings: tuple[Code, ...] = ()
    """Content of the code that is implausible but possible. Refuses nobody."""
    decide_ms: Amount
    """From the code's bytes to the decision, in milliseconds."""
    purpose: Text
    legal_basis: Text
    payload_length: Count | None = None
    """Of a refused code: its length in bytes. Nothing else of it is kept but its digest."""
    payload_digest: Digest | None = None
    """Of a refused code: HMAC-SHA256 of its bytes under the site's key, so that the same code is known again."""


class Start(Fact):
    """The gate's program started."""

    what: Literal["start"] = "start"
    version: Version
    policy: Version | None = None
    previous: Literal["clean", "unclean", "first"] | None = None
    """How the run before this one ended."""


class Stop(Fact):
    """An orderly stop."""

    what: Literal["stop"] = "stop"
    reason: Code | None = None


class Gap(Fact):
    """Events that were recorded and then dropped before the province had them: all from ``first`` to ``last`` that it does not hold."""

    what: Literal["gap"] = "gap"
    first: Seq
    last: Seq
    count: Count
    """How many were dropped; fewer than the span when the province has some of it."""
    cause: Code
    oldest: Time | None = None
    newest: Time | None = None
    digest: Digest | None = None
    """SHA-256 of the last dropped body, which the event after it names as `prev`; absent when none had a body yet."""


class DeadLetter(Fact):
    """An event that no broker will take; it is kept at the gate and not sent again."""

    what: Literal["dead_letter"] = "dead_letter"
    seq: Seq
    reason: Code
    channel: Channel | None = None


class ClockStep(Fact):
    """The wall clock was set, by more than two seconds."""

    what: Literal["clock_step"] = "clock_step"
    step_ms: int
    """How far it moved; positive is forward."""


class ClockKnown(Fact):
    """How the time is known changed."""

    what: Literal["clock"] = "clock"
    state: ClockState
    before: ClockState | None = None


class EyeLost(Fact):
    """No sign of life from the process that reads frames: the gate is out of service."""

    what: Literal["eye_lost"] = "eye_lost"
    silent_ms: Count | None = None


class EyeBack(Fact):
    """The process that reads frames is back."""

    what: Literal["eye_back"] = "eye_back"
    away_ms: Count | None = None


class CameraView(Fact):
    """The camera no longer sees what it was put up to see, or sees it again."""

    what: Literal["camera_view"] = "camera_view"
    view: View
    before: View | None = None


class Storage(Fact):
    """The state of the card under the record changed."""

    what: Literal["storage"] = "storage"
    state: Code
    error: Code | None = None
    lost: Count | None = None
    """Events that could not be kept meanwhile."""


class JournalReplaced(Fact):
    """The record's file was unusable and a new one was begun, with a new epoch."""

    what: Literal["journal_replaced"] = "journal_replaced"
    cause: Code
    old_epoch: Uuid | None = None
    salvaged: Count = 0
    """Events of the old file that were carried over, under new numbers."""
    unreadable: Count = 0
    """Places of the old file that could not be read: at least so many events may be lost."""
    dropped: Count = 0
    """Events that the old file had dropped and not yet told the province of."""
    kept_as: Text | None = None
    """Name of the old file, without its folder."""


class UplinkTrouble(Fact):
    """The broker takes no events for a reason that somebody must see to, or takes them again."""

    what: Literal["uplink"] = "uplink"
    state: Trouble
    reason: Code


class CommandFate(Fact):
    """What became of a command."""

    what: Literal["command"] = "command"
    id: Name
    order: Name | None = None
    """What was ordered, where the order was begun."""
    state: CommandStatus
    reason: Code | None = None


class WindowOpened(Fact):
    """Somebody at the gate held its button: for a while it takes a technician's order from the camera."""

    what: Literal["window"] = "window"
    open_s: Count


class ConfigFate(Fact):
    """What became of a configuration that the province desired."""

    what: Literal["config"] = "config"
    version: Seq | None = None
    status: ConfigStatus
    reason: Code | None = None


class ListFate(Fact):
    """What became of a list that the province announced."""

    what: Literal["list"] = "list"
    name: Name
    version: Seq | None = None
    status: Literal["applied", "rejected", "expired"]
    reason: Code | None = None


AuditFact = (
    Start
    | Stop
    | Gap
    | DeadLetter
    | ClockStep
    | ClockKnown
    | EyeLost
    | EyeBack
    | CameraView
    | Storage
    | JournalReplaced
    | UplinkTrouble
    | CommandFate
    | WindowOpened
    | ConfigFate
    | ListFate
)
Audit = Annotated[AuditFact, Field(discriminator="what")]


@dataclass(frozen=True, slots=True)
class Terms:
    """What stands in every check-in of a gate. ``policy`` is the version of the rules, a hash of their configuration."""

    site: str
    lane: str
    policy: str
    purpose: str
    legal_basis: str


def checkin_data(
    decision: Decision,
    terms: Terms,
    *,
    decide_ms: float,
    lists: Many[ListInUse] = (),
    sealed: str | None = None,
    payload_length: int | None = None,
    payload_digest: str | None = None,
) -> JsonObject:
    """The data member of a check-in. Length in bytes and keyed digest of the code are kept only of one that named nobody."""
    named = decision.subject is not None
    return Checkin(
        decision=decision.verdict,
        reason=decision.reason,
        kind=decision.kind,
        variant=decision.variant or None,
        assurance=decision.assurance,
        subject=decision.subject,
        sealed=sealed,
        direction=decision.direction,
        lane=terms.lane,
        site=terms.site,
        policy=terms.policy,
        lists=tuple(lists),
        warnings=decision.warnings,
        decide_ms=round(max(decide_ms, 0.0), 3),
        purpose=terms.purpose,
        legal_basis=terms.legal_basis,
        payload_length=None if named else payload_length,
        payload_digest=None if named else payload_digest,
    ).data()


def audit_data(fact: AuditFact) -> JsonObject:
    """The data member of an audit event."""
    return fact.data()
