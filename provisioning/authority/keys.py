"""The authority's keys: what each is for, and the files that hold them, locked with a stretched passphrase.

| key | kind | for |
|---|---|---|
| root | P-384 | issues the three issuers |
| gates, claims, services | P-256 | issue certificates |
| orders, lists, badges | Ed25519 | sign what gates obey, whom they know, what people hold up |
| records | Ed25519 | signs acceptances |
| sealing | X25519 | opens what gates seal |
| sites | X25519 | each site's key for hashing identities is derived from it |
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey

LEAST_PASSPHRASE: Final = 12
"""A passphrase has at least so many characters."""
STRETCH_COST = 2**16
"""Of scrypt: 64 MiB and a quarter of a second for each guess."""


class Purpose(StrEnum):
    """What a key is for; no key is for two things."""

    ROOT = "root"
    GATES = "gates"
    CLAIMS = "claims"
    SERVICES = "services"
    ORDERS = "orders"
    LISTS = "lists"
    BADGES = "badges"
    RECORDS = "records"
    SEALING = "sealing"
    SITES = "sites"


ISSUERS: Final = (Purpose.GATES, Purpose.CLAIMS, Purpose.SERVICES)
SIGNERS: Final = (Purpose.ORDERS, Purpose.LISTS, Purpose.BADGES, Purpose.RECORDS)


@lru_cache(maxsize=4)
def stretched(passphrase: str, salt: bytes) -> bytes:
    """What locks the key files: PKCS #8 by itself would stretch a passphrase by 2,048 rounds alone."""
    return Scrypt(salt=salt, length=32, n=STRETCH_COST, r=8, p=1).derive(passphrase.encode()).hex().encode()


def locked(key: PrivateKey, lock: bytes) -> bytes:
    """A private key as the content of its file (PEM, PKCS #8), which only the same ``lock`` opens."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(lock))


def opened(content: bytes, lock: bytes) -> PrivateKey:
    """The key in a file's content. Raises ValueError for another lock, TypeError for a key of a kind that the authority never makes."""
    found = serialization.load_pem_private_key(content, lock)
    if not isinstance(found, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey):
        raise TypeError(type(found).__name__)
    return found


def public_pem(key: PublicKeyTypes) -> bytes:
    """A public key as the content of its file."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_der(key: PublicKeyTypes) -> bytes:
    """A public key as it is fingerprinted, and told in the list of keys."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def site_key(master: x25519.X25519PrivateKey, site: str) -> bytes:
    """A site's key of 32 bytes, derived (HKDF) from the sites' key and the site's id, so that none is kept anywhere."""
    return HKDF(hashes.SHA256(), 32, None, b"gate-site-key/1/" + site.encode()).derive(master.private_bytes_raw())
