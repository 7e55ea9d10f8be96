"""Signatures on the gate's packages, in the format of OpenBSD's signify.

A signature file is a comment line and a line of base64: ``Ed``, the eight
bytes that number the key, and an Ed25519 signature of the whole file. A public
key is the same with the key in place of the signature. So Debian's
``signify-openbsd`` makes and checks them too. Several keys may be valid at a
time: a new one can be brought in before the old one goes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from device.errors import Unsigned

ALGORITHM: Final = b"Ed"
NUMBER_BYTES: Final = 8
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SMALL_FILE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """A public key whose holder may release packages."""

    number: bytes
    key: Ed25519PublicKey


def load_keys(folder: Path) -> list[ReleaseKey]:
    """The public keys in ``folder`` (``*.pub``). Raises Unsigned, naming the file, where there is none or one cannot be read."""
    keys = []
    for path in sorted(folder.glob("*.pub")):
        number, key = _decode(path, KEY_BYTES)
        keys.append(ReleaseKey(number, Ed25519PublicKey.from_public_bytes(key)))
    if not keys:
        raise Unsigned(f"{folder}: holds no release key (*.pub), so no package can be trusted")
    return keys


def verify(package: bytes, signature: Path, keys: Iterable[ReleaseKey]) -> None:
    """Check that the file ``signature`` signs ``package`` with one of ``keys``. Raises Unsigned, naming the file, where it does not."""
    number, signed = _decode(signature, SIGNATURE_BYTES)
    fitting = [one for one in keys if one.number == number]
    if not fitting:
        raise Unsigned(f"{signature}: signed with the key {number.hex()}, which this gate does not know")
    for one in fitting:
        try:
            one.key.verify(signed, package)
        except InvalidSignature:
            continue
        return
    raise Unsigned(f"{signature}: the package is not the one that was signed")


def encode(comment: str, number: bytes, content: bytes) -> bytes:
    """The text of a file with a key or a signature as its ``content``, under the key's ``number``."""
    return f"untrusted comment: {comment}\n".encode() + base64.b64encode(ALGORITHM + number + content) + b"\n"


def _decode(path: Path, length: int) -> tuple[bytes, bytes]:
    try:
        with path.open("rb") as file:
            text = file.read(SMALL_FILE_BYTES)
        raw = base64.b64decode(text.split(b"\n")[1], validate=True)
    except (OSError, IndexError, binascii.Error) as error:
        raise Unsigned(f"{path}: no key or signature can be read: {error}") from error
    if raw[:2] != ALGORITHM or len(raw) != len(ALGORITHM) + NUMBER_BYTES + length:
        raise Unsigned(f"{path}: not an Ed25519 key or signature in signify's format")
    return raw[2 : 2 + NUMBER_BYTES], raw[2 + NUMBER_BYTES :]
