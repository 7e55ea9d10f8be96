"""What the eye tells the gate: the datagrams of the socket between the two processes.

One message is one datagram of at most ``DATAGRAM_LIMIT_BYTES``: a JSON object
with a version. The eye parses hostile images with C libraries, so the gate
trusts nothing here: ``decode`` checks every field and its bounds.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from device.core.types import PAYLOAD_LIMIT_BYTES, Box, Cause, Sighting, View

LINK_VERSION: Final = 1
DATAGRAM_LIMIT_BYTES: Final = 8192
OVERSIZE_KEPT_BYTES: Final = PAYLOAD_LIMIT_BYTES + 1
"""Of a payload over the limit, so many bytes cross the link: enough to see that it is too long."""

PARENT_VARIABLE: Final = "GATE_EYE_PARENT"
"""Environment of an eye that a gate started for itself: the gate's process id. Such an eye ends with its gate."""

_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
_Pixels = Annotated[int, Field(ge=-100_000, le=100_000)]
_Name = Annotated[str, Field(max_length=64)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Hello(_Message):
    """First message of a connection: which eye this is."""

    v: Literal[1] = LINK_VERSION
    type: Literal["hello"] = "hello"
    pid: _Count
    source: _Name
    decoders: Annotated[list[_Name], Field(max_length=8)]


class Beat(_Message):
    """Sign of life, every half second, from the loop that reads frames and never from a timer.

    Counts are since the eye started; ``refused`` frames were not looked at
    because the budget of processor time was spent. ``taken_ns`` is
    CLOCK_MONOTONIC of the newest frame, 0 before the first.
    """

    v: Literal[1] = LINK_VERSION
    type: Literal["beat"] = "beat"
    frames: _Count
    skipped: _Count
    empty: _Count
    read: _Count
    taken_ns: _Count
    cpu_ms: _Count
    refused: _Count = 0
    view: Annotated[View, Field(strict=False)] = View.OK


class Glimpse(_Message):
    """A code-like pattern is in view and could not be read in this frame: why, and how large its modules are, where that is known."""

    v: Literal[1] = LINK_VERSION
    type: Literal["glimpse"] = "glimpse"
    frame: _Count
    taken_ns: _Count
    cause: Annotated[Cause, Field(strict=False)] = Cause.UNREADABLE
    px_per_module: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] | None = None


class Trouble(_Message):
    """Something in the eye is not well: a stable code and what it was about (a file's name, a camera)."""

    v: Literal[1] = LINK_VERSION
    type: Literal["trouble"] = "trouble"
    code: Literal["unreadable_frame", "camera_missing", "camera_stopped", "source_ended"]
    what: Annotated[str, Field(max_length=512)]


class Seen(_Message):
    """A symbol was read: the datagram form of ``Sighting``."""

    v: Literal[1] = LINK_VERSION
    type: Literal["seen"] = "seen"
    payload: Annotated[str, Field(max_length=(OVERSIZE_KEPT_BYTES + 2) // 3 * 4)]
    frame: _Count
    taken_ns: _Count
    read_ns: _Count
    left: _Pixels
    top: _Pixels
    width: _Pixels
    height: _Pixels
    step: _Name
    partial: bool = False


Notice = Hello | Beat | Glimpse | Trouble
Message = Sighting | Notice
_ADAPTER: Final[TypeAdapter[Notice | Seen]] = TypeAdapter(Annotated[Notice | Seen, Field(discriminator="type")])


class BadDatagram(ValueError):
    """The eye sent something that is no message of this version. The datagram is dropped and counted."""


def encode(message: Message) -> bytes:
    """One datagram. A payload over the limit is cut to ``OVERSIZE_KEPT_BYTES``."""
    return (_seen(message) if isinstance(message, Sighting) else message).model_dump_json().encode()


def decode(datagram: bytes) -> Message:
    """The message in a datagram. Raises BadDatagram, without quoting the content, on anything else."""
    if len(datagram) > DATAGRAM_LIMIT_BYTES:
        raise BadDatagram(f"datagram of {len(datagram)} bytes; the limit is {DATAGRAM_LIMIT_BYTES}")
    try:
        message = _ADAPTER.validate_json(datagram)
        return _sighting(message) if isinstance(message, Seen) else message
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise BadDatagram(f"datagram of {len(datagram)} bytes is no message of version {LINK_VERSION}: {where}") from None
    except (binascii.Error, ValueError):
        raise BadDatagram("payload is not base64") from None


def _seen(sighting: Sighting) -> Seen:
    return Seen(
        payload=base64.b64encode(sighting.payload[:OVERSIZE_KEPT_BYTES]).decode("ascii"),
        frame=sighting.frame,
        taken_ns=sighting.taken_ns,
        read_ns=sighting.read_ns,
        left=sighting.box.left,
        top=sighting.box.top,
        width=sighting.box.width,
        height=sighting.box.height,
        step=sighting.step,
        partial=sighting.partial,
    )


def _sighting(seen: Seen) -> Sighting:
    return Sighting(
        payload=base64.b64decode(seen.payload, validate=True),
        frame=seen.frame,
        taken_ns=seen.taken_ns,
        read_ns=seen.read_ns,
        box=Box(seen.left, seen.top, seen.width, seen.height),
        step=seen.step,
        partial=seen.partial,
    )
