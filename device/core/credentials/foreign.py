"""Codes that people hold up by mistake, each with the refusal that helps them most.

A payment or Wi-Fi code may be somebody's bank account or password: nothing of
it leaves this module but its class.
"""

from __future__ import annotations

import json
import re
from binascii import crc_hqx
from typing import TYPE_CHECKING, Final

from device.core.reasons import Reason
from device.core.types import Kind

if TYPE_CHECKING:
    from device.core.credentials.text import Text
    from device.core.types import Rejection

PLACE_HOSTS: Final = frozenset({"qr.tokhaiyte.vn", "qr.pccovid.gov.vn"})
"""Web hosts whose addresses stand on posters at the entrance of a place."""

UTILITY_PREFIXES: Final = ("wifi:", "begin:vcard", "mecard:", "tel:", "mailto:", "smsto:", "geo:", "otpauth:")
"""How utility codes begin, in lower case: schemes count the same in either case (RFC 3986, section 3.1)."""

_VDS_TYPES: Final = ("icao.test", "icao.vacc")
_JSON_BRACKETS_LIMIT: Final = 256
"""A real travel proof has about twenty; Python's JSON reader recurses once for each that is open."""

_PAYMENT: Final = re.compile(r"000201.*6304([0-9A-Fa-f]{4})", re.DOTALL)
_CRC_DIGITS: Final = 4
_WEB: Final = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]*)", re.IGNORECASE)


def smart_health_card(text: Text) -> Rejection | None:
    """A SMART Health Card, which is not used in Vietnam."""
    return text.refuse(Kind.SMART_HEALTH_CARD, Reason.UNSUPPORTED) if text.nfc[:5].lower() == "shc:/" else None


def travel_health_proof(text: Text) -> Rejection | None:
    """An ICAO visible digital seal for travel (VDS-NC): JSON that names itself so."""
    if not text.nfc.lstrip().startswith("{") or text.nfc.count("{") + text.nfc.count("[") > _JSON_BRACKETS_LIMIT:
        return None
    try:
        header: object = json.loads(text.nfc, parse_int=str, parse_float=str)
    except ValueError:
        return None
    for key in ("data", "hdr", "t"):
        header = header.get(key) if isinstance(header, dict) else None
    return text.refuse(Kind.TRAVEL_HEALTH_PROOF, Reason.UNSUPPORTED) if header in _VDS_TYPES else None


def payment(text: Text) -> Rejection | None:
    """A VietQR or other EMVCo payment code, known by its first object and its checksum over all that stands before it."""
    found = _PAYMENT.fullmatch(text.wire)
    if not found or int(found[1], 16) != payment_checksum(text.wire[:-_CRC_DIGITS].encode()):
        return None
    return text.refuse(Kind.PAYMENT, Reason.PAYMENT_CODE)


def payment_checksum(data: bytes) -> int:
    """CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF, nothing reflected), with which EMVCo's codes end."""
    return crc_hqx(data, 0xFFFF)


def utility(text: Text) -> Rejection | None:
    """A code that tells a phone to do something: join a network, call, save a contact."""
    return text.refuse(Kind.UTILITY, Reason.NOT_A_PERSON) if text.nfc.lower().startswith(UTILITY_PREFIXES) else None


def address(text: Text) -> Rejection | None:
    """A web address, or the code of a place, which is one on a known host."""
    found = _WEB.match(text.nfc)
    if not found:
        return None
    if found[1].lower().rstrip(".") in PLACE_HOSTS:
        return text.refuse(Kind.PLACE, Reason.PLACE_CODE)
    return text.refuse(Kind.WEB_ADDRESS, Reason.WEB_ADDRESS)
