"""Keys, tokens and certificates of nobody, made for each test."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any, Final

import base45
import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from device.core.credentials.cose import PublicKey
from device.core.credentials.trust import KeyUse, Trust, TrustedKey

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

NOW_S: Final = int(datetime(2026, 11, 23, 5, tzinfo=UTC).timestamp())
YEAR_S: Final = 365 * 86_400
ALGORITHMS: Final = {"ES256": -7, "EdDSA": -8, "PS256": -37}

VACCINATION: Final[dict[str, Any]] = {
    "ver": "1.3.0",
    "nam": {"fn": "Rơ Châm", "gn": "H'Blui", "fnt": "RO<CHAM", "gnt": "H<BLUI"},
    "dob": "1990-02-05",
    "v": [
        {
            "tg": "840539006",
            "vp": "1119349007",
            "dn": 2,
            "sd": 2,
            "dt": "2026-09-01",
            "co": "VN",
            "is": "Test",
            "ci": "URN:UVCI:01:VN:TEST/1#X",
        }
    ],
}


def trust(*keys: tuple[KeyUse, bytes, PublicKey], until_s: int = NOW_S + YEAR_S) -> Trust:
    """A list of these keys."""
    found: dict[tuple[KeyUse, bytes], tuple[TrustedKey, ...]] = {}
    for use, kid, key in keys:
        found[use, kid] = (*found.get((use, kid), ()), TrustedKey(key, NOW_S - YEAR_S, until_s))
    return Trust(1, until_s, found)


def signature(key: PrivateKey, signed: bytes) -> bytes:
    """A COSE signature by whatever the key is for."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(signed)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def token(key: PrivateKey, payload: bytes, protected: dict[int, Any], unprotected: dict[int, Any], tags: tuple[int, ...] = (18,)) -> bytes:
    """A COSE_Sign1 with these headers, in these tags from the outside in."""
    header = cbor2.dumps(protected)
    item: Any = [header, unprotected, payload, signature(key, cbor2.dumps(["Signature1", header, b"", payload]))]
    for tag in reversed(tags):
        item = cbor2.CBORTag(tag, item)
    return cbor2.dumps(item)


def certificate(
    key: PrivateKey,
    *,
    alg: int,
    kid: bytes = b"12345678",
    content: object = VACCINATION,
    issued_s: float = NOW_S - 1000,
    expires_s: float = NOW_S + 1000,
    kid_protected: bool = True,
    tags: tuple[int, ...] = (18,),
) -> bytes:
    """A health certificate as it stands in a QR code."""
    payload = cbor2.dumps({1: "VN", 4: expires_s, 6: issued_s, -260: {1: content}})
    protected = {1: alg} | ({4: kid} if kid_protected else {})
    return packed(token(key, payload, protected, {} if kid_protected else {4: kid}, tags))


def packed(data: bytes) -> bytes:
    """A token on its way into a code."""
    return b"HC1:" + bytes(base45.b45encode(zlib.compress(data)))
