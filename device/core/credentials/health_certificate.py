"""Health certificate ``HC1:``, of the European Union and of Viet Nam's vaccine passport (CWT in zlib in Base45).

Its content is medical and stays with the rules: an event says that there was
one, and whether it met them.
"""

from __future__ import annotations

import re
import zlib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from device.core.credentials import dates
from device.core.credentials.cbor import BadCbor
from device.core.credentials.cose import claims
from device.core.credentials.text import is_name
from device.core.types import Assurance, Credential, HealthEvent, HealthStatement, Kind, SignedTerms, SubjectClass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.core.credentials.cbor import Cbor
    from device.core.credentials.cose import Sign1
    from device.core.credentials.trust import TrustedKey

PREFIX: Final = "HC1:"
INFLATED_LIMIT_BYTES: Final = 65_536
"""One symbol can inflate to 2.9 MB."""

CLAIM_EXPIRES: Final = 4
CLAIM_ISSUED: Final = 6
CLAIM_HEALTH: Final = -260
_CERTIFICATE: Final = 1

_GROUPS: Final = {"v": HealthEvent.VACCINATION, "t": HealthEvent.TEST, "r": HealthEvent.RECOVERY}
_NEGATIVE: Final = "260415000"
_RAPID: Final = "LP217198-3"
"""SNOMED CT: not detected; LOINC: rapid immunoassay."""
_ID: Final = re.compile(r"[0-9A-Za-z:/#._+-]{1,100}")
_TIME_LIMIT: Final = 2**33
_MIDNIGHT: Final = "T00:00:00"


def inflate(packed: bytes) -> bytes:
    """The token in its zlib stream. Raises BadCbor where it is none, is cut off, too large, or followed by something."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, INFLATED_LIMIT_BYTES)
    except zlib.error:
        raise BadCbor("not zlib") from None
    if not stream.eof or stream.unused_data:
        raise BadCbor("not one whole zlib stream of a size that is taken")
    return data


def certificate(token: Sign1, key: TrustedKey) -> Credential:
    """The holder of a verified certificate. Raises BadCbor where anything that the rules need is missing or of another form.

    The person is known by the certificate's own id, because it names no
    document. It is valid as long as both it and its key are.
    """
    signed = claims(token)
    issued_s, expires_s = _seconds(signed.get(CLAIM_ISSUED)), _seconds(signed.get(CLAIM_EXPIRES))
    content = _member(_map(signed.get(CLAIM_HEALTH)), _CERTIFICATE)
    groups = [name for name in _GROUPS if content.get(name)]
    if len(groups) != 1:
        raise BadCbor("one group of entries is needed")
    entries = content[groups[0]]
    if not isinstance(entries, list) or len(entries) != 1:
        raise BadCbor("one entry is needed")
    entry = _map(entries[0])
    number = _text(entry, "ci")
    if not _ID.fullmatch(number):
        raise BadCbor("id")
    return Credential(
        Kind.HEALTH_CERTIFICATE,
        "1",
        SubjectClass.HEALTH_CERTIFICATE,
        number,
        name=_name(content),
        birth=dates.from_iso(dob) if isinstance(dob := content.get("dob"), str) and dob else None,
        assurance=Assurance.SIGNED,
        claim=SignedTerms(max(issued_s, key.not_before_s), min(expires_s, key.not_after_s)),
        health=_health(_GROUPS[groups[0]], entry),
    )


def _health(event: HealthEvent, entry: Mapping[Cbor, Cbor]) -> HealthStatement:
    if event is HealthEvent.VACCINATION:
        given, needed = entry.get("dn"), entry.get("sd")
        if type(given) is not int or type(needed) is not int:
            raise BadCbor("doses")
        return HealthStatement(event, _moment(_text(entry, "dt")), complete=0 < needed <= given)
    if event is HealthEvent.TEST:
        negative = _text(entry, "tr") == _NEGATIVE
        return HealthStatement(event, _moment(_text(entry, "sc")), negative=negative, rapid=_text(entry, "tt") == _RAPID)
    return HealthStatement(event, _moment(_text(entry, "fr")))


def _name(content: Mapping[Cbor, Cbor]) -> str | None:
    """Family name, then given name, as written in Viet Nam."""
    names = _map(content.get("nam"))
    parts = [part for key in ("fn", "gn") if isinstance(part := names.get(key), str) and part]
    if not parts or not all(is_name(part) for part in parts):
        raise BadCbor("name")
    return " ".join(parts)


def _moment(text: str) -> int:
    """Seconds since 1970 of a date, or of a time with its offset."""
    try:
        moment = datetime.fromisoformat(text if "T" in text else f"{date.fromisoformat(text).isoformat()}{_MIDNIGHT}")
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise BadCbor("date") from None


def _seconds(value: Cbor) -> int:
    """A claim of time: CBOR knows whole numbers, fractions, NaN and infinity."""
    if type(value) not in {int, float} or not isinstance(value, int | float) or not 0 <= value < _TIME_LIMIT:
        raise BadCbor("time")
    return int(value)


def _map(value: Cbor) -> Mapping[Cbor, Cbor]:
    if not isinstance(value, dict):
        raise BadCbor("no map")
    return value


def _member(value: Mapping[Cbor, Cbor], key: int) -> Mapping[Cbor, Cbor]:
    return _map(value.get(key))


def _text(entry: Mapping[Cbor, Cbor], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise BadCbor(key)
    return value
