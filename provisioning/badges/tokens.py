"""Signed tokens for the camera: COSE_Sign1 with EdDSA, in Base45, behind a prefix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import base45
import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.core.credentials.cbor import TAG_SIGN1
from device.core.credentials.cose import HEADER_ALGORITHM, HEADER_KID, Algorithm

_PROTECTED: Final = cbor2.dumps({HEADER_ALGORITHM: int(Algorithm.EDDSA)})


def token(prefix: str, claims: Mapping[int, Any], key: Ed25519PrivateKey, kid: bytes) -> str:
    """The text of a code."""
    payload = cbor2.dumps(claims)
    signature = key.sign(cbor2.dumps(["Signature1", _PROTECTED, b"", payload]))
    made = cbor2.dumps(cbor2.CBORTag(TAG_SIGN1, [_PROTECTED, {HEADER_KID: kid}, payload, signature]))
    return prefix + bytes(base45.b45encode(made)).decode("ascii")
