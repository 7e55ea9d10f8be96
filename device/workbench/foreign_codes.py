"""Codes that people hold up by mistake or out of malice, each with the answer that a gate owes it.

All are invented: no account, network, telephone or certificate in them exists.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from device.core.credentials.foreign import payment_checksum
from device.core.reasons import Reason
from device.core.types import PAYLOAD_LIMIT_BYTES, Kind

if TYPE_CHECKING:
    from random import Random

_BASE45: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_CONTACT: Final = "BEGIN:VCARD\nVERSION:3.0\nFN:Cửa hàng Hoa Sữa\nTEL:0900000000\nEND:VCARD"


@dataclass(frozen=True, slots=True)
class ForeignCode:
    """A code that opens no gate, with the class it is of and the reason why a gate refuses it."""

    name: str
    payload: bytes
    kind: Kind
    reason: Reason


def foreign_codes(rng: Random) -> tuple[ForeignCode, ...]:
    """At least one code of every class that is refused by default, with the expected answer."""
    return (*_everyday(rng), *_certificates(rng), *_signed(rng), *_unknown(rng))


def payment_code(account: str, bank: str = "970400") -> bytes:
    """A VietQR payment code with a right checksum: nested tag, length, value."""
    beneficiary = _tlv("00", bank) + _tlv("01", account)
    merchant = _tlv("00", "A000000727") + _tlv("01", beneficiary) + _tlv("02", "QRIBFTTA")
    body = _tlv("00", "01") + _tlv("01", "11") + _tlv("38", merchant) + _tlv("53", "704") + _tlv("58", "VN") + "6304"
    return f"{body}{payment_checksum(body.encode()):04X}".encode()


def _everyday(rng: Random) -> tuple[ForeignCode, ...]:
    return (
        ForeignCode("payment", payment_code(_digits(rng, 12)), Kind.PAYMENT, Reason.PAYMENT_CODE),
        ForeignCode("wifi", f"WIFI:T:WPA;S:Quan Ca Phe;P:{_digits(rng, 8)};;".encode(), Kind.UTILITY, Reason.NOT_A_PERSON),
        ForeignCode("contact", _CONTACT.encode(), Kind.UTILITY, Reason.NOT_A_PERSON),
        ForeignCode("telephone", f"tel:0900{_digits(rng, 6)}".encode(), Kind.UTILITY, Reason.NOT_A_PERSON),
        ForeignCode("place", f"https://qr.tokhaiyte.vn/?code={_digits(rng, 10)}".encode(), Kind.PLACE, Reason.PLACE_CODE),
        ForeignCode("web address", b"https://www.example.org/thuc-don", Kind.WEB_ADDRESS, Reason.WEB_ADDRESS),
        ForeignCode("bare number", f"0640900{_digits(rng, 5)}".encode(), Kind.BARE_NUMBER, Reason.BARE_NUMBER),
    )


def _certificates(rng: Random) -> tuple[ForeignCode, ...]:
    seal = {"data": {"hdr": {"t": "icao.vacc", "v": 1, "is": "UTO"}, "msg": {"uvci": _digits(rng, 12)}}, "sig": {"alg": "ES256"}}
    return (
        ForeignCode("SMART health card", f"shc:/{_digits(rng, 400)}".encode(), Kind.SMART_HEALTH_CARD, Reason.UNSUPPORTED),
        ForeignCode("travel health proof", json.dumps(seal).encode(), Kind.TRAVEL_HEALTH_PROOF, Reason.UNSUPPORTED),
    )


def _signed(rng: Random) -> tuple[ForeignCode, ...]:
    return (
        ForeignCode("site badge", _base45("G1:", rng, 150), Kind.SITE_BADGE, Reason.NOT_ENABLED),
        ForeignCode("phone code", _base45("G2:", rng, 150), Kind.PHONE_CODE, Reason.NOT_ENABLED),
        ForeignCode("commissioning order", _base45("GC1:", rng, 200), Kind.COMMISSIONING_ORDER, Reason.NOT_ENABLED),
        ForeignCode("health certificate", _base45("HC1:", rng, 480), Kind.HEALTH_CERTIFICATE, Reason.NOT_ENABLED),
    )


def _unknown(rng: Random) -> tuple[ForeignCode, ...]:
    return (
        ForeignCode("random text", f"Vé gửi xe số {_digits(rng, 5)}".encode(), Kind.UNKNOWN, Reason.UNRECOGNISED),
        ForeignCode("not UTF-8", b"\xff\xfe" + rng.randbytes(30), Kind.UNKNOWN, Reason.UNDECODABLE),
        ForeignCode("too long", _digits(rng, PAYLOAD_LIMIT_BYTES + 1).encode(), Kind.UNKNOWN, Reason.TOO_LONG),
        ForeignCode("nothing but NUL", bytes(8), Kind.UNKNOWN, Reason.EMPTY),
        ForeignCode("broken card", b"064090001234||A|99999999|Nam|Gia Lai|15042021", Kind.CITIZEN_CARD, Reason.MALFORMED),
    )


def _tlv(tag: str, value: str) -> str:
    return f"{tag}{len(value):02}{value}"


def _digits(rng: Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _base45(prefix: str, rng: Random, length: int) -> bytes:
    return (prefix + "".join(rng.choices(_BASE45, k=length))).encode()
