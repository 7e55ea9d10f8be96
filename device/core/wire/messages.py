"""The messages beside the record: what a gate says of its state, and what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from device.core.credentials.trust import KeyUse
from device.core.timeline import ClockState
from device.core.types import Cause, View
from device.core.wire.base import (
    SEQ_LIMIT,
    Amount,
    Code,
    Count,
    Digest,
    Heard,
    Moment,
    Name,
    Said,
    Seq,
    Signature,
    Time,
    Uuid,
    Version,
    compact,
)
from device.core.wire.facts import CommandStatus, ConfigStatus, ListInUse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.core.types import Json

RANGES_LIMIT = 1000
"""So many separate ranges fit one ack; the rest waits for the next."""

BLOB_LIMIT_BYTES = 64 * 1024 * 1024
"""Four million entries of a list."""

DETAIL_LIMIT = 65_536
"""So many letters may come with the end of an order."""

Range = Annotated[list[Seq], Field(min_length=2, max_length=2)]
Percent = Annotated[float, Field(ge=0, le=100)]


class StateMessage(Said):
    """Whether the gate is connected. Retained; the offline form is also the connection's will."""

    online: bool
    session: Uuid
    """One connection: an offline state that names another one is old."""
    boot: Annotated[str, Field(min_length=1, max_length=64)]
    version: Version
    since: Time
    """The connection's start, by the gate's own clock."""


class HelloMessage(Said):
    """The first message of a connection: what the gate holds, so that the province can answer with acks, configuration and commands."""

    session: Uuid
    epoch: Uuid
    oldest: Seq
    """The oldest event that the province has not confirmed; 0 when there is none."""
    newest: Seq
    """The newest such event; 0 when there is none."""
    waiting: Count
    version: Version
    config: Version | None = None
    """Version of the configuration in force."""
    lists: tuple[ListInUse, ...] = ()
    clock: ClockState | None = None


class HeardHello(Heard):
    """A hello as the province reads it."""

    epoch: Uuid
    oldest: Seq
    newest: Seq


class HeardNotice(Heard):
    """Any message beside the record, as whoever only keeps the latest reads it: a JSON object."""


class Percentiles(Said):
    """Of the newest values of a quantity."""

    p50: Amount | None = None
    p95: Amount | None = None
    p99: Amount | None = None


class LaneFigures(Said):
    """Events waiting in one lane."""

    depth: Count
    oldest_s: Amount | None = None
    """Age of the oldest."""


class HealthMessage(Said):
    """How the gate is. What is not fitted or not known is absent."""

    time: Time
    version: Version
    boot: Annotated[str, Field(min_length=1, max_length=64)]
    session: Uuid
    live: LaneFigures | None = None
    """Events of the last minute that the province has not confirmed; counted at most."""
    backlog: LaneFigures | None = None
    """Older ones."""
    published: Count
    """Events taken by the broker since the program started, resent ones counted again."""
    acked: Count
    resent: Count
    offline_s: Amount
    """Time without a connection since the program started."""
    ack_ms: Percentiles
    """From first publishing to confirmation."""
    hold: Code | None = None
    """Why events are held back although the broker is there."""
    dead_letters: Count | None = None
    dropped: Count | None = None
    fsync_ms: Percentiles | None = None
    decide_ms: Percentiles | None = None
    lamp_ms: Percentiles | None = None
    """From the frame taken to the lamp."""
    fsync_over_budget: Count | None = None
    """Lamps that did not wait for the record."""
    record_failed: Count | None = None
    """Decisions whose event the disk refused at first: it is held in memory and written later, or a strict gate referred the person."""
    decisions: Count | None = None
    frames: Count | None = None
    frame_age_s: Amount | None = None
    frames_read: Count | None = None
    """Frames in which a code was read."""
    frames_refused: Count | None = None
    """Frames not looked at because the budget of processor time was spent."""
    sighting_age_ms: Percentiles | None = None
    """From the frame taken to the code read."""
    unreadable: dict[Cause, Count] | None = None
    """Codes held up that could not be read, by what was wrong."""
    camera_view: View | None = None
    read_percent: Percent | None = None
    """Of the frames with a code in view, those that were read."""
    eye_restarts: Count | None = None
    cpu_celsius: float | None = None
    throttled_bits: Count | None = None
    """The Pi firmware's bits: under-voltage, frequency capped, throttled, too hot."""
    memory_available_bytes: Count | None = None
    resident_bytes: Count | None = None
    disk_free_bytes: Count | None = None
    storage_state: Code | None = None
    clock: ClockState | None = None
    certificate_days: int | None = None
    """Days until the gate's certificate expires; negative when it has."""
    lists: tuple[ListInUse, ...] | None = None
    config: Version | None = None
    uptime_s: Amount | None = None
    restarts: Count | None = None


class ConfigReport(Said):
    """What the gate did with the configuration that the province desires. Retained."""

    desired: Seq | None = None
    """Version last asked for."""
    applied: Version
    """Version in force."""
    status: ConfigStatus
    errors: tuple[Code, ...] = ()


class CommandState(Said):
    """How far a command is."""

    id: Name
    state: CommandStatus
    time: Time
    reason: Code | None = None
    detail: Annotated[str, Field(max_length=DETAIL_LIMIT)] | None = None
    """What the order asked for, where it asks for something: problems found, lines of the log, a signed report. Nothing of any person."""


class Ack(Heard):
    """The province has these events, safely. The gate may forget them."""

    epoch: Uuid
    upto: Seq
    """All events from 1 to here, as far as they were not dropped."""
    ranges: Annotated[list[Range], Field(max_length=RANGES_LIMIT)] = Field(default_factory=list)
    """Events above `upto`: closed ranges `[first, last]`."""
    server_time: Time

    @model_validator(mode="after")
    def _ordered(self) -> Ack:
        if any(first > last for first, last in self.ranges):
            raise ValueError("a range ends before it begins")
        return self

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The ranges as pairs."""
        return [(first, last) for first, last in self.ranges]


class Signed(Heard):
    """What the province signs with a key that the broker does not have, over the bytes without the last member.

    ``type`` and ``gate`` are signed too, so that nothing can be passed off as
    another message, or to another gate.
    """

    gate: Name
    """Whom it is for."""
    issued: Moment
    signature: Signature


class DesiredConfig(Signed):
    """The configuration that the province desires. Retained, and its version only ever rises."""

    type: Literal["vn.gate.config.v1"]
    version: Annotated[int, Field(ge=1, le=SEQ_LIMIT)]
    config: dict[str, Any]
    """Sections and keys of the configuration file that differ from it."""


class Command(Signed):
    """An order to one gate. Never retained."""

    type: Literal["vn.gate.command.v1"]
    id: Name
    """Never used twice."""
    name: Annotated[str, Field(pattern=r"^[a-z-]{1,32}$")]
    args: dict[str, Any] = Field(default_factory=dict)
    expires: Moment
    """Nothing is begun at or after this."""


class Blob(Heard):
    """Bytes that are fetched in parts, by their digest."""

    sha256: Digest
    bytes: Annotated[int, Field(ge=0, le=BLOB_LIMIT_BYTES)]


class ListDelta(Blob):
    """What leads from an older version of a list to the announced one."""

    base: Annotated[int, Field(ge=1, le=SEQ_LIMIT)]


class ListManifest(Signed):
    """What the newest version of a list is, and where its entries are. ``gate`` is `all` for every gate."""

    type: Literal["vn.gate.list.v1"]
    name: Name
    version: Annotated[int, Field(ge=1, le=SEQ_LIMIT)]
    snapshot: Blob
    """All entries: 16 bytes each, sorted, none twice."""
    deltas: Annotated[list[ListDelta], Field(max_length=20)] = Field(default_factory=list)
    url: Annotated[str, Field(pattern=r"^https://[!-~]{1,200}$")] | None = None
    """Where the same blobs can be fetched by name, their digest; otherwise in parts from the broker."""
    expires: Moment


class TrustKey(Heard):
    """One public key that vouches for codes."""

    use: KeyUse
    kid: Annotated[str, Field(pattern=r"^[0-9a-f]{2,128}$")]
    """Its key id in hexadecimal digits."""
    key: Annotated[str, Field(pattern=r"^[0-9A-Za-z+/]{16,2048}={0,2}$")]
    """SubjectPublicKeyInfo in DER, base64."""
    not_before: Moment
    not_after: Moment


class TrustList(Signed):
    """All keys whose signatures count at a gate: a file. ``gate`` is `all` for every gate."""

    type: Literal["vn.gate.trust.v1"]
    version: Annotated[int, Field(ge=1, le=SEQ_LIMIT)]
    expires: Moment
    keys: Annotated[list[TrustKey], Field(max_length=2000)]


SaidT = TypeVar("SaidT", bound=Said)


def gathered(model: type[SaidT], own: Mapping[str, Json], given: Mapping[str, Json]) -> tuple[SaidT, list[str]]:
    """A message of what its sender knows and what others gave, and the names of what did not fit.

    A figure that cannot be read must not silence the others, so a given member
    that the contract does not know, or of another type, is left out. Raises
    ValidationError where ``own`` itself does not fit.
    """
    fitting = {name: value for name, value in given.items() if value is not None and name not in own}
    left_out: list[str] = []
    while True:
        try:
            return model.model_validate_json(compact({**fitting, **own})), left_out
        except ValidationError as error:
            wrong = {str(item["loc"][0]) for item in error.errors(include_input=False) if item["loc"]} & fitting.keys()
            if not wrong:
                raise
            left_out += sorted(wrong)
            for name in wrong:
                del fitting[name]
