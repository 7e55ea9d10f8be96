"""Tokens: another implementation than ours reads them, and only under the key that signed."""

from __future__ import annotations

import base45
import cwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cwt.cose_key_interface import COSEKeyInterface

from provisioning.badges.tokens import token

KID = b"\x01"


def known(key: Ed25519PublicKey) -> COSEKeyInterface:
    """A key as the other implementation has it."""
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return cwt.COSEKey.from_pem(pem, kid=KID)


def test_another_implementation_reads_and_verifies_a_token() -> None:
    """Prefix, Base45, COSE_Sign1 with EdDSA, and the claims as they were given."""
    key = Ed25519PrivateKey.generate()
    text = token("GX:", {4: 2_000_000_000, 7: b"12345678"}, key, KID)
    assert text.startswith("GX:")
    raw = base45.b45decode(text.removeprefix("GX:"))
    assert cwt.decode(raw, known(key.public_key())) == {4: 2_000_000_000, 7: b"12345678"}
    with pytest.raises(cwt.VerifyError):
        cwt.decode(raw, known(Ed25519PrivateKey.generate().public_key()))
