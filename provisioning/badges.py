"""Issues site badges and phone codes: the only place where their private key is needed."""

from __future__ import annotations

from typing import Final

import base45
import cbor2
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.credentials.badge import BADGE_PREFIX, PHONE_LIFE_S, PHONE_PREFIX, claims_of
from device.core.credentials.cbor import TAG_SIGN1
from device.core.credentials.cose import HEADER_ALGORITHM, HEADER_KID, Algorithm

_PROTECTED: Final = cbor2.dumps({HEADER_ALGORITHM: int(Algorithm.EDDSA)})


class Issuer:
    """Signs with one Ed25519 key under its key id of one byte."""

    def __init__(self, key: Ed25519PrivateKey, kid: int) -> None:
        """Raises ValueError for a key id that is not one byte."""
        if not 0 <= kid <= 255:  # noqa: PLR2004 - one byte
            raise ValueError(f"a key id is 0 to 255, this is {kid}")
        self._key = key
        self._kid = bytes([kid])

    def badge(self, subject: bytes, expires_s: int, *, role: int = 0, zone: int = 0) -> str:
        """The text of a badge for a random ``subject`` of 8 bytes. Raises ValueError for what a badge cannot hold."""
        return BADGE_PREFIX + self._token(subject, expires_s, role, zone)

    def phone_code(self, subject: bytes, now_s: int, *, role: int = 0, zone: int = 0) -> str:
        """The text that a telephone shows from ``now_s`` on, for one period. Raises ValueError like ``badge``."""
        return PHONE_PREFIX + self._token(subject, now_s + PHONE_LIFE_S, role, zone)

    def _token(self, subject: bytes, expires_s: int, role: int, zone: int) -> str:
        payload = cbor2.dumps(claims_of(subject, expires_s, role, zone))
        signature = self._key.sign(cbor2.dumps(["Signature1", _PROTECTED, b"", payload]))
        token = cbor2.dumps(cbor2.CBORTag(TAG_SIGN1, [_PROTECTED, {HEADER_KID: self._kid}, payload, signature]))
        return bytes(base45.b45encode(token)).decode("ascii")


def symbol(text: str) -> segno.QRCode:
    """The QR symbol of a badge or phone code: never a Micro QR, error correction M."""
    return segno.make_qr(text, error="m", boost_error=False)
