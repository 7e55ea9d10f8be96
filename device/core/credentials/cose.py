"""COSE_Sign1 (RFC 9052) in Base45 (RFC 9285): what a signed code is made of, and whether its signature is good.

Only public keys are ever needed. Three algorithms are known, and a key is
good for its own alone: a header cannot choose another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import base45
import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from device.core.credentials.cbor import TAG_CWT, TAG_SIGN1, BadCbor, loads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.core.credentials.cbor import Cbor

PublicKey: TypeAlias = "ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey"


class Algorithm(IntEnum):
    """Registered COSE algorithms."""

    ES256 = -7
    EDDSA = -8
    PS256 = -37


HEADER_ALGORITHM: Final = 1
HEADER_KID: Final = 4

_PARTS: Final = 4
_KID_LIMIT_BYTES: Final = 64
_P256_BYTES: Final = 32
_RSA_BITS: Final = range(2048, 8193)
_CONTEXT: Final = "Signature1"
_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


@dataclass(frozen=True, slots=True, repr=False)
class Sign1:
    """A token taken apart, not yet verified. ``kid`` is of the protected header where both have one."""

    algorithm: int
    kid: bytes
    protected: bytes
    payload: bytes
    signature: bytes


def algorithm_of(key: PublicKey) -> Algorithm | None:
    """The one algorithm that a key is good for; None for a key of another kind, curve or size."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Algorithm.EDDSA
    if isinstance(key, ec.EllipticCurvePublicKey):
        return Algorithm.ES256 if isinstance(key.curve, ec.SECP256R1) else None
    return Algorithm.PS256 if key.key_size in _RSA_BITS else None


def base45_bytes(text: str) -> bytes:
    """The bytes that a code's text stands for. Raises BadCbor where it is not Base45."""
    # The library drops a line end, which the alphabet does not have.
    if text.endswith("\n"):
        raise BadCbor("not Base45")
    try:
        return bytes(base45.b45decode(text))
    except ValueError:
        raise BadCbor("not Base45") from None


def split_sign1(data: bytes) -> Sign1:
    """The token in ``data``: tag 18, alone or inside tag 61 or around it. Raises BadCbor for any other structure."""
    item = loads(data)
    tags: set[int] = set()
    while isinstance(item, cbor2.CBORTag):
        if item.tag in tags or item.tag not in {TAG_SIGN1, TAG_CWT}:
            raise BadCbor("tags")
        tags.add(item.tag)
        item = item.value
    if TAG_SIGN1 not in tags or not isinstance(item, list) or len(item) != _PARTS:
        raise BadCbor("no COSE_Sign1")
    protected, unprotected, payload, signature = item
    if not (isinstance(protected, bytes) and isinstance(unprotected, dict) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise BadCbor("no COSE_Sign1")
    header = _map(protected)
    algorithm = header.get(HEADER_ALGORITHM)
    kid = header.get(HEADER_KID, unprotected.get(HEADER_KID))
    if type(algorithm) is not int or not isinstance(kid, bytes) or len(kid) > _KID_LIMIT_BYTES:
        raise BadCbor("header")
    return Sign1(algorithm, kid, protected, payload, signature)


def claims(token: Sign1) -> Mapping[Cbor, Cbor]:
    """The map that is signed. Raises BadCbor where the payload is something else."""
    return _map(token.payload)


def is_signed_by(token: Sign1, key: PublicKey) -> bool:
    """Whether the signature is good and of this key, by the algorithm that the key is for."""
    if token.algorithm != algorithm_of(key):
        return False
    signed = cbor2.dumps([_CONTEXT, token.protected, b"", token.payload])
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(token.signature, signed)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(token.signature, signed, _PSS, hashes.SHA256())
        else:
            key.verify(_der(token.signature), signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _map(data: bytes) -> dict[Cbor, Cbor]:
    found = loads(data)
    if not isinstance(found, dict):
        raise BadCbor("no map")
    return found


def _der(raw: bytes) -> bytes:
    """An ECDSA signature of two bare numbers, as the library wants it."""
    if len(raw) != 2 * _P256_BYTES:
        raise ValueError("not a P-256 signature")
    return utils.encode_dss_signature(int.from_bytes(raw[:_P256_BYTES], "big"), int.from_bytes(raw[_P256_BYTES:], "big"))
