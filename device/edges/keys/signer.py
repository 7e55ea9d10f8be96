"""The gate's own signature under what it publishes.

ECDSA on P-256 with SHA-256 is what TLS certificates of small devices use and
what secure elements offer; Ed25519 is taken where the gate's key is one.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from device.errors import KeyUnusable

SigningKey: TypeAlias = "ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey"
VerifyingKey: TypeAlias = "ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey"

_ECDSA: Final = ec.ECDSA(hashes.SHA256())


class Signer:
    """Signs with the private key in a PEM file. May be used from any thread."""

    def __init__(self, key_pem: Path) -> None:
        """Raises KeyUnusable, naming the file, unless it holds a P-256 or Ed25519 private key without a password."""
        self._key = load_signing_key(key_pem)

    @property
    def algorithm(self) -> str:
        """The JOSE name of the algorithm: ``ES256`` or ``EdDSA``."""
        return "EdDSA" if isinstance(self._key, ed25519.Ed25519PrivateKey) else "ES256"

    @property
    def public_key(self) -> VerifyingKey:
        """The public key with which others verify what was signed here."""
        return self._key.public_key()

    def sign(self, content: bytes) -> str:
        """Base64 of the signature: 64 bytes for Ed25519, a DER sequence of at most 72 for ECDSA, different each time."""
        key = self._key
        raw = key.sign(content) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(content, _ECDSA)
        return base64.b64encode(raw).decode("ascii")


def verify(key: VerifyingKey | x509.Certificate, content: bytes, signature: str) -> bool:
    """Whether ``signature`` (base64) under ``content`` is of this key, or of the key in this certificate.

    Anything malformed is simply not a signature: False. Raises KeyUnusable
    only for a certificate whose key is of another kind.
    """
    public = _verifying(key)
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(raw, content)
        else:
            public.verify(raw, content, _ECDSA)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def load_signing_key(path: Path) -> SigningKey:
    """The gate's private key. Raises KeyUnusable, naming the file and never its content."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyUnusable(f"{path}: the key to sign with cannot be read: {error.strerror}") from error
    except TypeError as error:
        raise KeyUnusable(f"{path}: the private key has a password, which nobody is there to type") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path}: not a private key in PEM form") from error
    if isinstance(key, ed25519.Ed25519PrivateKey) or (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)):
        return key
    raise KeyUnusable(f"{path}: signing needs a P-256 or Ed25519 private key, this is {type(key).__name__}")


def load_certificate(path: Path) -> x509.Certificate:
    """The certificate in a PEM file, to verify with. Raises KeyUnusable, naming the file."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise KeyUnusable(f"{path}: the certificate to verify with cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise KeyUnusable(f"{path}: not a certificate in PEM form") from error


def _verifying(key: VerifyingKey | x509.Certificate) -> VerifyingKey:
    public = key.public_key() if isinstance(key, x509.Certificate) else key
    if isinstance(public, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return public
    raise KeyUnusable(f"the certificate's key is {type(public).__name__}; events are signed with P-256 or Ed25519")
