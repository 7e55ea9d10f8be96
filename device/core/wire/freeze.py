"""From an entry of the record to the bytes that are published, and back to what was signed.

A body is made once, at the first publishing, and sent byte for byte the same
ever after: its digest stands in the next one (``data.prev``), so a deleted,
changed or inserted event shows.

Who checks a signature takes the received bytes and cuts the last member off:
``split_signature`` gives back exactly the bytes that were signed. Nothing is
parsed and written again in between, so no canonical form of JSON is needed.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from device.core.types import Channel
from device.core.wire import topics
from device.core.wire.base import compact, sequence_text, time_text
from device.core.wire.events import AUDIT_SCHEMA, AUDIT_TYPE, CHECKIN_SCHEMA, CHECKIN_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.core.timeline import Stamp
    from device.core.types import Json, Stored

_KINDS: Final = {Channel.CHECKIN: (CHECKIN_TYPE, CHECKIN_SCHEMA), Channel.AUDIT: (AUDIT_TYPE, AUDIT_SCHEMA)}
_INTEGER_LIMIT: Final = 2**31 - 1
"""A CloudEvents Integer has 32 bits."""
_SIGNED: Final = re.compile(rb',"signature":"([0-9A-Za-z+/=_.:-]{16,1024})"}\Z')


def freeze_event(
    stored: Stored,
    stamp: Stamp,
    prev: bytes | None,
    sign: Callable[[bytes], str] | None,
    gate: str,
) -> bytes:
    """The body of an event, final.

    ``prev`` is the SHA-256 digest (32 bytes) of the whole body frozen before
    this one in the same epoch, None for the first; the record keeps it when
    that body is gone. ``sign`` makes the signature of given bytes, None leaves the
    body unsigned. A row written by an older version is published as it is.
    """
    kind, schema = _KINDS[stored.channel]
    attributes: dict[str, Json] = {
        "specversion": "1.0",
        "id": stored.id,
        "source": topics.source(gate),
        "type": kind,
        "time": time_text(stamp.time_ns),
        "datacontenttype": "application/json",
        "dataschema": schema,
        "epoch": stored.epoch,
        "sequence": sequence_text(stored.seq),
        "bootid": stored.at.boot_id,
        "clock": stamp.clock.value,
    }
    if stamp.uncertainty_ms is not None:
        attributes["uncertaintyms"] = min(stamp.uncertainty_ms, _INTEGER_LIMIT)
    if stamp.earliest_ns is not None:
        attributes["earliest"] = time_text(stamp.earliest_ns)
    if stamp.latest_ns is not None:
        attributes["latest"] = time_text(stamp.latest_ns)
    attributes["data"] = {**stored.data, "prev": None if prev is None else prev.hex()}
    body = compact(attributes)
    return body if sign is None else with_signature(body, sign(body))


def body_digest(body: bytes) -> str:
    """What the next body says of this one: SHA-256 of the whole, signature included."""
    return hashlib.sha256(body).hexdigest()


def split_signature(body: bytes) -> tuple[bytes, str | None]:
    """The bytes that were signed, and the signature; the body itself and None where there is none.

    A signed body ends with the member ``signature``; without that member, and
    with the closing brace put back, it is what the gate's key signed. No
    content can imitate this: an unsigned body ends with ``data``, an object.
    """
    match = _SIGNED.search(body)
    if match is None:
        return body, None
    return body[: match.start()] + b"}", match[1].decode("ascii")


def with_signature(body: bytes, signature: str) -> bytes:
    """``body`` with the signature of its bytes as last member. Raises ValueError for what ``split_signature`` would not find again."""
    signed = body[:-1] + b',"signature":"' + signature.encode("ascii") + b'"}'
    if split_signature(signed) != (body, signature):
        raise ValueError("a signature of letters, digits and +/=_.:- is needed, 16 to 1024 long")
    return signed
