"""Issues site badges and phone codes: the only place where their private key is needed."""

from __future__ import annotations

import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.credentials.badge import BADGE_PREFIX, PHONE_LIFE_S, PHONE_PREFIX, claims_of
from provisioning.badges.tokens import token


class BadgeIssuer:
    """Signs with one Ed25519 key under its key id of one byte."""

    def __init__(self, key: Ed25519PrivateKey, kid: int) -> None:
        """Raises ValueError for a key id that is not one byte."""
        if not 0 <= kid <= 255:  # noqa: PLR2004 - one byte
            raise ValueError(f"a key id is 0 to 255, this is {kid}")
        self._key = key
        self._kid = bytes([kid])

    def badge(self, subject: bytes, expires_s: int, *, role: int = 0, zone: int = 0) -> str:
        """The text of a badge for a random ``subject`` of 8 bytes. Raises ValueError for what a badge cannot hold."""
        return token(BADGE_PREFIX, claims_of(subject, expires_s, role, zone), self._key, self._kid)

    def phone_code(self, subject: bytes, now_s: int, *, role: int = 0, zone: int = 0) -> str:
        """The text that a telephone shows from ``now_s`` on, for one period. Raises ValueError like ``badge``."""
        return token(PHONE_PREFIX, claims_of(subject, now_s + PHONE_LIFE_S, role, zone), self._key, self._kid)


def symbol(text: str) -> segno.QRCode:
    """The QR symbol of a badge or phone code: never a Micro QR, error correction M."""
    return segno.make_qr(text, error="m", boost_error=False)
