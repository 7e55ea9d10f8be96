"""The commissioning order ``GC1:``: what the province tells a gate through its camera, on paper or on a screen.

It says which lane and direction a gate has, or brings a new certificate to
one whose own has ended. Both are public; the key of a new site is sealed to
the gate. It counts once, for one gate, for a day at most, and only in a window
that somebody at the gate opened with the button.

Pure: whether the signature is the province's, and which orders were used, is
asked by the caller. Form: COSE_Sign1 (RFC 9052), CWT claims (RFC 8392).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from device.core.credentials.cbor import BadCbor
from device.core.credentials.cose import base45_bytes, claims, split_sign1
from device.core.credentials.signed import COMMISSIONING_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.core.credentials.cbor import Cbor
    from device.core.credentials.cose import Sign1
    from device.core.types import ClockReading

SUBJECT: Final = 2
EXPIRES: Final = 4
ISSUED: Final = 6
ID: Final = 7
"""Registered CWT claims: gate, end and making in seconds since 1970, a random number of 8 bytes."""
BOARD: Final = -65537
"""Ours, of the private range: serial number of the board, where the province knows it."""
LANE: Final = -65538
DIRECTION: Final = -65539
SITE: Final = -65540
SITE_KEY: Final = -65541
"""Sealed to the gate's key (HPKE); needed with a site."""
CERTIFICATE: Final = -65542
"""DER, for the key that the gate has."""

LIFE_S: Final = 24 * 3600
ID_BYTES: Final = 8
SITE_KEY_INFO: Final = b"gate-site-order/1/"
"""Before the gate's id and the site's: what the sealed key is bound to."""

Direction: TypeAlias = Literal["in", "out", "both"]
_GATE: Final = re.compile(r"[a-z0-9-]{3,32}")
_SITE: Final = re.compile(r"[a-z0-9-]{3,64}")
_LANE: Final = re.compile(r"[a-z0-9-]{1,16}")
_BOARD: Final = re.compile(r"[ -~]{1,64}")
_SEALED_LIMIT_BYTES: Final = 256
_CERTIFICATE_LIMIT_BYTES: Final = 1200


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gate stands. ``site`` and ``site_key`` come together, or not at all."""

    lane: str
    direction: Direction
    site: str | None = None
    site_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class CameraOrder:
    """One order. Exactly one of ``place`` and ``certificate`` is there. Times are seconds since 1970."""

    gate: str
    id: bytes
    issued_s: int
    expires_s: int
    board: str | None
    place: Place | None
    certificate: bytes | None


def is_order(payload: bytes) -> bool:
    """Whether a code says that it is an order, before anything else is looked at."""
    return payload.startswith(COMMISSIONING_PREFIX.encode())


def token_of(payload: bytes) -> Sign1:
    """The token in a code, not yet verified. Raises BadCbor."""
    try:
        text = payload.decode("ascii")
    except UnicodeDecodeError:
        raise BadCbor("not ASCII") from None
    return split_sign1(base45_bytes(text.removeprefix(COMMISSIONING_PREFIX)))


def order_of(token: Sign1) -> CameraOrder:
    """What a verified token says. Raises BadCbor for a form that is not this version's."""
    found = claims(token)
    number = found.get(ID)
    if not isinstance(number, bytes) or len(number) != ID_BYTES:
        raise BadCbor("id")
    place, certificate = _place(found), _bytes(found, CERTIFICATE, _CERTIFICATE_LIMIT_BYTES)
    if (place is None) == (certificate is None):
        raise BadCbor("a place or a certificate")
    board = None if BOARD not in found else _text(found, BOARD, _BOARD)
    return CameraOrder(_text(found, SUBJECT, _GATE), number, _second(found, ISSUED), _second(found, EXPIRES), board, place, certificate)


def fault_of(order: CameraOrder, gate: str, board: str, now: ClockReading, floor_ns: int) -> str | None:
    """Why an order does not count, or None.

    Without the time an order is taken unless it is certainly over: it is by
    camera that a gate is set up which has no line yet. ``floor_ns`` is the
    latest moment that has certainly passed.
    """
    if order.gate != gate or (order.board is not None and order.board != board):
        return "foreign"
    if not 0 < order.expires_s - order.issued_s <= LIFE_S:
        return "life_too_long"
    earliest_ns = now.wall_ns - now.uncertainty_ms * 1_000_000 if now.trusted else floor_ns
    if earliest_ns >= order.expires_s * 1_000_000_000:
        return "expired"
    if now.trusted and now.wall_ns + now.uncertainty_ms * 1_000_000 + _AHEAD_NS < order.issued_s * 1_000_000_000:
        return "not_yet"
    return None


_AHEAD_NS: Final = 300_000_000_000
"""The clock of the laptop that makes an order may be a little ahead."""


def _place(found: Mapping[Cbor, Cbor]) -> Place | None:
    if LANE not in found and DIRECTION not in found and SITE not in found:
        return None
    direction = _text(found, DIRECTION, re.compile("in|out|both"))
    site = None if SITE not in found else _text(found, SITE, _SITE)
    key = _bytes(found, SITE_KEY, _SEALED_LIMIT_BYTES)
    if (site is None) != (key is None):
        raise BadCbor("site and its key")
    return Place(_text(found, LANE, _LANE), cast("Direction", direction), site, key)


def _text(found: Mapping[Cbor, Cbor], key: int, form: re.Pattern[str]) -> str:
    value = found.get(key)
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise BadCbor(f"claim {key}")
    return value


def _bytes(found: Mapping[Cbor, Cbor], key: int, limit: int) -> bytes | None:
    value = found.get(key)
    if value is None and key not in found:
        return None
    if not isinstance(value, bytes) or not 0 < len(value) <= limit:
        raise BadCbor(f"claim {key}")
    return value


def _second(found: Mapping[Cbor, Cbor], key: int) -> int:
    value = found.get(key)
    if type(value) is not int or not 0 < value < 2**32:
        raise BadCbor(f"claim {key}")
    return value
