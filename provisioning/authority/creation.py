"""Makes an authority: every key and certificate at once, or none of them."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from device.core import wire
from device.core.credentials.trust import KeyUse
from device.edges.keys.trust_files import Signs
from provisioning.authority.authority import PUBLIC, ROOT_FILE, SALT, TRUST_FILE, Authority
from provisioning.authority.certificates import BEHIND, issuing, pem
from provisioning.authority.keys import (
    ISSUERS,
    LEAST_PASSPHRASE,
    SIGNERS,
    PrivateKey,
    Purpose,
    locked,
    public_der,
    public_pem,
    stretched,
)
from provisioning.common import times
from provisioning.common.errors import Refused
from provisioning.common.signing import signed

ROOT_YEARS: Final = 20
ISSUER_YEARS: Final = 5
BADGE_KEY_YEARS: Final = 5
BADGE_KID: Final = 1
"""The key id of the authority's only key for badges and phone codes."""


def check_absent(folder: Path) -> None:
    """Raises Refused (E143) where there is an authority, or anything else."""
    if folder.exists():
        raise Refused("E143", path=folder)


def check_passphrase(passphrase: str) -> None:
    """Raises Refused (E144) for a short one."""
    if len(passphrase) < LEAST_PASSPHRASE:
        raise Refused("E144", least=LEAST_PASSPHRASE)


def make(folder: Path, name: str, passphrase: str, now: datetime | None = None) -> Authority:
    """A new authority called ``name``.

    All of it appears at once: it is written beside its place, and moved there when it
    is whole. Raises Refused: E143 where there is one, E144 for a short passphrase,
    E145 where it cannot be written.
    """
    check_absent(folder)
    check_passphrase(passphrase)
    growing = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(growing, ignore_errors=True)
        (growing / PUBLIC).mkdir(parents=True)
        growing.chmod(0o700)
        salt = secrets.token_bytes(16)
        _write(growing / SALT, salt)
        _fill(growing, name, stretched(passphrase, salt), times.now() if now is None else now)
        growing.rename(folder)
    except OSError as error:
        raise Refused("E145", path=folder, why=error.strerror) from error
    return Authority(folder)


def make_issuers(folder: Path, name: str, lock: bytes, now: datetime) -> x509.Certificate:
    """A root and what issues under it, as files in a folder. The root's certificate. Raises OSError."""
    top, key = f"{name} root", ec.generate_private_key(ec.SECP384R1())
    root = issuing(top, key.public_key(), top, key, _life(now, ROOT_YEARS), path_length=1)
    _write_pair(folder, Purpose.ROOT, key, lock, root)
    for purpose in ISSUERS:
        own, below = f"{name} {purpose}", ec.generate_private_key(ec.SECP256R1())
        life = _life(now, ISSUER_YEARS)
        _write_pair(folder, purpose, below, lock, issuing(own, below.public_key(), top, key, life, path_length=0))
        _write(folder / f"{purpose}.anchor.pem", pem(issuing(own, below.public_key(), own, below, life, path_length=0)))
    return root


def _fill(folder: Path, name: str, lock: bytes, now: datetime) -> None:
    root = make_issuers(folder, name, lock, now)
    signers = {purpose: ed25519.Ed25519PrivateKey.generate() for purpose in SIGNERS}
    for purpose, signer in signers.items():
        _write_pair(folder, purpose, signer, lock)
    for purpose in (Purpose.SEALING, Purpose.SITES):
        _write_pair(folder, purpose, x25519.X25519PrivateKey.generate(), lock)
    public = folder / PUBLIC
    # Which key signs what stands before it: a gate takes no order that the lists' key signed.
    signing = ((Signs.ORDERS, Purpose.ORDERS), (Signs.LISTS, Purpose.LISTS))
    province = [f"signs: {use}\n".encode() + (folder / f"{purpose}.pub.pem").read_bytes() for use, purpose in signing]
    _write(public / ROOT_FILE, pem(root))
    _write(public / "province.pem", b"".join(province))
    _write(public / "seal.pem", (folder / f"{Purpose.SEALING}.pub.pem").read_bytes())
    _write(public / TRUST_FILE, _trust_list(signers[Purpose.BADGES], signers[Purpose.LISTS], now))


def _trust_list(badges: ed25519.Ed25519PrivateKey, lists: ed25519.Ed25519PrivateKey, now: datetime) -> bytes:
    """The list of keys with the first key for badges and phone codes, signed by the lists' key."""
    start, end = times.on_the_wire(now), times.on_the_wire(now + timedelta(days=365 * BADGE_KEY_YEARS))
    key = {"kid": f"{BADGE_KID:02x}", "key": base64.b64encode(public_der(badges.public_key())).decode()}
    entry = {"use": str(KeyUse.BADGES), **key, "not_before": start, "not_after": end}
    return signed(
        {"type": "vn.gate.trust.v1", "gate": wire.ALL, "version": 1, "issued": start, "expires": end, "keys": [entry]},
        lists,
    )


def _life(now: datetime, years: int) -> tuple[datetime, datetime]:
    return now - BEHIND, now + timedelta(days=365 * years)


def _write_pair(folder: Path, purpose: Purpose, key: PrivateKey, lock: bytes, certificate: x509.Certificate | None = None) -> None:
    """A private key, and beside it what everybody may know of it: its certificate, or without one its public key."""
    _write(folder / f"{purpose}.key.pem", locked(key, lock), 0o600)
    if certificate is None:
        _write(folder / f"{purpose}.pub.pem", public_pem(key.public_key()))
    else:
        _write(folder / f"{purpose}.cert.pem", pem(certificate))


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
