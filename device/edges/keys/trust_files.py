"""Public keys from files: the province's, and through its signature all others that count."""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from device.core import wire
from device.core.credentials.cose import PublicKey, Sign1, algorithm_of, is_signed_by
from device.core.credentials.trust import KeyUse, Trust, TrustedKey
from device.edges.keys.signer import verify
from device.edges.machine.files import read_plain
from device.errors import KeyUnusable

PROVINCE_KEYS_LIMIT: Final = 4
_PEM: Final = re.compile(rb"(?:^signs: ([a-z]+)\r?\n)?^(-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----)", re.DOTALL | re.MULTILINE)
_FILE_LIMIT_BYTES: Final = 4 << 20

SignedT = TypeVar("SignedT", bound=wire.Signed)


class Signs(StrEnum):
    """What a key of the province is for. The desk that sends lists each day cannot order a gate about."""

    ORDERS = "orders"
    """The key signs orders by the broker and by camera, configurations, and what stands on a card."""
    LISTS = "lists"
    """The key signs lists of persons, and the list of keys."""


class Province:
    """Tells what the province itself has signed. Two keys at a time, so that one can take over from the other."""

    def __init__(self, keys: tuple[ed25519.Ed25519PublicKey, ...] = ()) -> None:
        """``keys`` are the province's; without any, nothing counts as signed."""
        self._keys = keys

    @property
    def known(self) -> bool:
        """Whether the province has any key here."""
        return bool(self._keys)

    def vouches(self, body: bytes) -> bool:
        """Whether ``body`` ends with a good signature of one of the keys. Never raises."""
        content, signature = wire.split_signature(body)
        return signature is not None and any(verify(key, content, signature) for key in self._keys)

    def signed(self, token: Sign1) -> bool:
        """Whether one of the keys signed a token, such as an order that the camera sees. Never raises."""
        return any(is_signed_by(token, key) for key in self._keys)

    def read(self, model: type[SignedT], body: bytes) -> SignedT | str:
        """The message in ``body``, or why it does not count: ``not_enabled``, ``malformed`` or ``unsigned``."""
        if not self._keys:
            return "not_enabled"
        message = wire.read(model, body)
        if isinstance(message, wire.Unreadable):
            return "malformed"
        return message if self.vouches(body) else "unsigned"


def load_province(path: Path | None, use: Signs | None = None) -> Province:
    """The keys in a PEM file that may sign for ``use``, which may be none; all of them where no use is named.

    A line ``signs: orders`` or ``signs: lists`` before a key says what it is
    for; a key without such a line is for both. Raises KeyUnusable, naming the file.
    """
    if path is None:
        return Province()
    found = [(_use(path, label), _ed25519(path, pem)) for label, pem in _PEM.findall(_content(path, "the province's keys"))]
    if not 0 < len(found) <= PROVINCE_KEYS_LIMIT:
        raise KeyUnusable(f"{path}: one to {PROVINCE_KEYS_LIMIT} public keys in PEM form are needed, {len(found)} are there")
    return Province(tuple(key for label, key in found if use is None or label in {None, use}))


def _use(path: Path, label: bytes) -> Signs | None:
    try:
        return Signs(label.decode("ascii")) if label else None
    except ValueError:
        raise KeyUnusable(f"{path}: signs: {label.decode('ascii')!a} is not known; {' or '.join(Signs)} is") from None


def _ed25519(path: Path, pem: bytes) -> ed25519.Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(f"{path}: holds a public key that cannot be read") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise KeyUnusable(f"{path}: the province signs with Ed25519, this is {type(key).__name__}")
    return key


def load_trust(path: Path, province: Province) -> Trust:
    """The signed list of keys in a file. Raises KeyUnusable, naming the file and the entry: a list is taken whole or not at all."""
    found = province.read(wire.TrustList, _content(path, "the list of keys"))
    if isinstance(found, str):
        raise KeyUnusable(f"{path}: the list of keys does not count: {_WHY[found]}")
    keys: dict[tuple[KeyUse, bytes], tuple[TrustedKey, ...]] = {}
    for number, entry in enumerate(found.keys, start=1):
        try:
            place = (entry.use, bytes.fromhex(entry.kid))
            trusted = TrustedKey(_public_key(entry.key), wire.seconds_of(entry.not_before), wire.seconds_of(entry.not_after))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise KeyUnusable(f"{path}: key {number} cannot be used: {error}") from error
        keys[place] = (*keys.get(place, ()), trusted)
    return Trust(found.version, wire.seconds_of(found.expires), keys)


_WHY: Final = {
    "not_enabled": "trust.province names no keys that could vouch for it",
    "malformed": "it is no signed list of keys",
    "unsigned": "its signature is not the province's",
}


def _public_key(text: str) -> PublicKey:
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) and algorithm_of(key) is not None:
        return key
    raise ValueError("Ed25519, P-256 or RSA of 2,048 bits and more are taken")


def _content(path: Path, what: str) -> bytes:
    try:
        return read_plain(path, _FILE_LIMIT_BYTES)
    except OSError as error:
        raise KeyUnusable(f"{path}: {what} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise KeyUnusable(f"{path}: {what} cannot be read: {error}") from error
