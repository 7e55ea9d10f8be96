"""What all messages of the contract share: strictness, small types, compact JSON, and reading without raising."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

if TYPE_CHECKING:
    from device.core.types import Json

SEQ_LIMIT: Final = 2**63 - 1
SEQUENCE_DIGITS: Final = 19
_LATEST_S: Final = 253_402_300_799
"""The last second of the year 9999, the end of RFC 3339."""

Text = Annotated[str, StringConstraints(max_length=256)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
"""A stable word for machines."""
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+_-]{1,64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}$")]
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 or HMAC-SHA256 in lower-case hexadecimal digits."""
Sequence = Annotated[str, StringConstraints(pattern=rf"^[0-9]{{{SEQUENCE_DIGITS}}}$")]
Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$")]
"""RFC 3339 in UTC."""
Signature = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z+/=_.:-]{16,1024}$")]
Seq = Annotated[int, Field(ge=0, le=SEQ_LIMIT)]
Count = Annotated[int, Field(ge=0, le=SEQ_LIMIT)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Said(BaseModel):
    """Something a gate says: nothing unknown, nothing coerced. Its published schema lets consumers ignore what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Heard(BaseModel):
    """Something that comes from elsewhere: types are exact, members that are not known are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that is not what its topic promises. ``where`` names the member, never its content."""

    where: str


HeardT = TypeVar("HeardT", bound=Heard)


def read(model: type[HeardT], payload: bytes) -> HeardT | Unreadable:
    """The message in ``payload``. Never raises, whatever the bytes."""
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        return Unreadable(".".join(str(part) for part in first["loc"]) or first["type"])


def encode(message: BaseModel) -> bytes:
    """Compact JSON in UTF-8, members in the order of the model, without those that are None."""
    return compact(message.model_dump(mode="json", exclude_none=True))


def compact(value: Json) -> bytes:
    """Compact JSON in UTF-8. A lone surrogate, which no UTF-8 can hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def time_text(wall_ns: int) -> str:
    """A wall time as it stands in messages: RFC 3339, UTC, milliseconds, kept within 1970 to 9999."""
    milliseconds = min(max(wall_ns // 1_000_000, 0), _LATEST_S * 1000 + 999)
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def seconds_of(text: str) -> int:
    """The whole seconds since 1970 of a time as it stands in messages. Raises ValueError for a date that no calendar has."""
    return int(datetime.fromisoformat(f"{text[:19]}+00:00").timestamp())


def _is_moment(text: str) -> str:
    seconds_of(text)
    return text


Moment = Annotated[Time, AfterValidator(_is_moment)]
"""A time that is compared with the clock: of a date that exists."""


def sequence_text(seq: int) -> str:
    """The ``sequence`` attribute: of fixed width, because CloudEvents wants it to sort as a string."""
    return f"{seq:0{SEQUENCE_DIGITS}d}"
