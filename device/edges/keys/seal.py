"""Sealing: what is encrypted here only the province can read, and this gate cannot open again.

HPKE (RFC 9180) in base mode, single shot, with AES-128-GCM and HKDF-SHA256;
the key encapsulation is DHKEM(X25519) or DHKEM(P-256), as the province's key
says.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from device.errors import KeyUnusable

SealingKey: TypeAlias = "x25519.X25519PublicKey | ec.EllipticCurvePublicKey"
OpeningKey: TypeAlias = "x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey"

SEAL_INFO: Final = "vn.gate.identity.v1/"
"""What sealed identities are bound to, before the gate's id: HPKE's ``info``."""
_X25519: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
_P256: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


class SealBroken(ValueError):
    """What was to be opened is not whole, or was sealed to another key or for another purpose."""


class HpkeSealer:
    """``ports.Sealer`` to the public key in a PEM file. May be used from any thread."""

    def __init__(self, public_key_pem: Path) -> None:
        """Raises KeyUnusable, naming the file, unless it holds an X25519 or P-256 public key."""
        self._key = load_sealing_key(public_key_pem)

    def seal(self, plaintext: bytes, info: bytes) -> str:
        """Base64 of the encapsulated key followed by the ciphertext: 48 bytes longer than the plaintext, 81 with P-256.

        ``info`` must be the same when it is opened, so a sealed identity cannot
        be passed off as belonging to another event.
        """
        return base64.b64encode(_suite(self._key).encrypt(plaintext, self._key, info)).decode("ascii")


def load_sealing_key(path: Path) -> SealingKey:
    """The province's public key from a PEM file. Raises KeyUnusable, naming the file, unless it is X25519 or P-256."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeyUnusable(f"{path}: the key to seal to cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path}: not a public key in PEM form") from error
    if isinstance(key, x25519.X25519PublicKey) or (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        return key
    raise KeyUnusable(f"{path}: sealing needs an X25519 or P-256 public key, this is {type(key).__name__}")


def open_sealed(private_key: OpeningKey, sealed: str, info: bytes) -> bytes:
    """What was sealed to this key with this ``info``, from base64. Raises SealBroken."""
    try:
        raw = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SealBroken("not base64") from error
    return open_sealed_bytes(private_key, raw, info)


def open_sealed_bytes(private_key: OpeningKey, sealed: bytes, info: bytes) -> bytes:
    """What was sealed to this key with this ``info``, from bytes. Raises SealBroken."""
    try:
        return _suite(private_key).decrypt(sealed, private_key, info)
    except (ValueError, InvalidTag) as error:
        raise SealBroken("cannot be opened with this key and purpose") from error


def _suite(key: SealingKey | OpeningKey) -> hpke.Suite:
    return _X25519 if isinstance(key, x25519.X25519PublicKey | x25519.X25519PrivateKey) else _P256
