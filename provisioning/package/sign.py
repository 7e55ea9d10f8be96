"""Signs packages with a release key, so that gates take them: see ``device.edges.keys.release`` for the format.

The secret key is an Ed25519 key in PEM (``openssl genpkey -algorithm ed25519``),
kept where packages are released and nowhere else.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.edges.keys.release import NUMBER_BYTES, encode


class BadKeyError(Exception):
    """The file holds no Ed25519 secret key. The message names it."""


def load(path: Path, password: bytes | None = None) -> Ed25519PrivateKey:
    """The secret key in a PEM file. Raises BadKeyError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password)
    except (OSError, ValueError, TypeError) as error:
        raise BadKeyError(f"{path}: cannot be used as a secret key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKeyError(f"{path}: not an Ed25519 key")
    return key


def public_key(key: Ed25519PrivateKey) -> bytes:
    """The text of the public key's file, for ``/etc/gate/release-keys``."""
    raw = _raw(key)
    return encode("release key of the gate", _number(raw), raw)


def signature(key: Ed25519PrivateKey, package: Path) -> Path:
    """Sign ``package``, and return the signature's file beside it."""
    signed = encode(f"signature of {package.name}", _number(_raw(key)), key.sign(package.read_bytes()))
    place = Path(f"{package}.sig")
    place.write_bytes(signed)
    return place


def _raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _number(raw: bytes) -> bytes:
    """Which key it was, so that a gate with several asks the right one. No secret, and no proof of anything."""
    return hashlib.sha256(raw).digest()[:NUMBER_BYTES]
