"""The authority's keys and certificates, as files: made once, each for one purpose, locked with a passphrase.

```
root ─┬─ gates      issues certificates to gates
      ├─ claims     issues the single-use certificates on new cards
      └─ services   issues certificates to the broker, the collector, the enrolment worker
orders, lists, badges (Ed25519)   sign what gates obey, whom they know, what people hold up
records (Ed25519)                 signs acceptances
sealing (X25519)                  opens what gates seal
sites (X25519)                    each site's key for hashing identities is derived from it
```
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from device.core import wire
from device.core.credentials.trust import KeyUse
from device.edges.keys.trust_files import Signs
from provisioning.desk.errors import Refused

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey

LEAST_PASSPHRASE: Final = 12
ROOT_YEARS: Final = 20
ISSUER_YEARS: Final = 5
BADGE_KEY_YEARS: Final = 5
BADGE_KID: Final = 1
SALT: Final = "salt"
STRETCH_COST = 2**16
"""Of scrypt: 64 MiB and a quarter of a second for each guess."""
PUBLIC: Final = "public"
"""The folder of what everybody may have: gates, brokers, officers."""
NEXT: Final = "next"
FORMER: Final = "former"
"""While one root takes over from another (`provisioning.authority.rotation`): the one that comes, and the one that goes."""


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


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority in a folder."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether it was made."""
        return (self.folder / PUBLIC / "trust.json").exists()

    def certificate(self, purpose: Purpose) -> x509.Certificate:
        """Of the root or an issuer. Raises Refused (E140, E141)."""
        return x509.load_pem_x509_certificate(self._read(f"{purpose}.cert.pem"))

    def anchor(self, purpose: Purpose) -> bytes:
        """An issuer's certificate signed by itself, in PEM: for a broker that must trust this issuer and not its siblings.

        OpenSSL follows a chain to a certificate that signs itself; with the root for that, a broker
        would take claims for gates. While roots change, of both. Raises Refused (E140, E141).
        """
        name = f"{purpose}.anchor.pem"
        others = [self.folder / one / name for one in (NEXT, FORMER)]
        return self._read(name) + b"".join(path.read_bytes() for path in others if path.exists())

    def roots(self) -> list[x509.Certificate]:
        """Those that count now. Raises Refused (E140, E141)."""
        return x509.load_pem_x509_certificates(self._read(f"{PUBLIC}/root.pem"))

    def lock(self, passphrase: str) -> bytes:
        """What locks the key files. Raises Refused (E140, E141)."""
        return _stretched(passphrase, self._read(SALT))

    def key(self, purpose: Purpose, passphrase: str) -> PrivateKey:
        """A private key. Raises Refused: E140 without an authority, E141 without the file, E142 for a wrong passphrase."""
        content = self._read(f"{purpose}.key.pem")
        try:
            found = serialization.load_pem_private_key(content, _stretched(passphrase, self._read(SALT)))
        except ValueError as error:
            raise Refused("E142", path=self.folder / f"{purpose}.key.pem") from error
        if not isinstance(found, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey):
            raise Refused("E141", path=self.folder / f"{purpose}.key.pem", why=type(found).__name__)
        return found

    def signer(self, purpose: Purpose, passphrase: str) -> ed25519.Ed25519PrivateKey:
        """A key that signs orders, lists or badges. Raises like ``key``."""
        found = self.key(purpose, passphrase)
        if not isinstance(found, ed25519.Ed25519PrivateKey):
            raise Refused("E141", path=self.folder / f"{purpose}.key.pem", why=type(found).__name__)
        return found

    def site_keys(self, passphrase: str) -> Callable[[str], bytes]:
        """From a site's id to its key of 32 bytes: derived (HKDF), so that no site's key is kept anywhere. Raises like ``key``."""
        found = self.key(Purpose.SITES, passphrase)
        if not isinstance(found, x25519.X25519PrivateKey):
            raise Refused("E141", path=self.folder / f"{Purpose.SITES}.key.pem", why=type(found).__name__)
        master = found.private_bytes_raw()
        return lambda site: HKDF(hashes.SHA256(), 32, None, b"gate-site-key/1/" + site.encode()).derive(master)

    def fingerprints(self) -> Mapping[str, str]:
        """SHA-256 of each certificate, and of each public key that has none, to be compared aloud. Raises Refused (E140, E141)."""
        found = {}
        for purpose in Purpose:
            if purpose is Purpose.ROOT or purpose in ISSUERS:
                found[str(purpose)] = self.certificate(purpose).fingerprint(hashes.SHA256()).hex()
            else:
                public = serialization.load_pem_public_key(self._read(f"{purpose}.pub.pem"))
                found[str(purpose)] = hashlib.sha256(_spki(public)).hexdigest()
        return found

    def _read(self, name: str) -> bytes:
        if not self.exists:
            raise Refused("E140", path=self.folder)
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise Refused("E141", path=self.folder / name, why=error.strerror) from error


def make(folder: Path, name: str, passphrase: str, now: datetime | None = None) -> Authority:
    """A new authority called ``name``.

    All of it appears at once: it is written beside its place, and moved there when it
    is whole. Raises Refused: E143 where there is one, E144 for a short passphrase,
    E145 where it cannot be written.
    """
    authority = Authority(folder)
    if folder.exists():
        raise Refused("E143", path=folder)
    if len(passphrase) < LEAST_PASSPHRASE:
        raise Refused("E144", least=LEAST_PASSPHRASE)
    now = datetime.now(UTC).replace(microsecond=0) if now is None else now
    growing = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(growing, ignore_errors=True)
        (growing / PUBLIC).mkdir(parents=True)
        growing.chmod(0o700)
        salt = secrets.token_bytes(16)
        _write(growing / SALT, salt)
        _fill(growing, name, _stretched(passphrase, salt), now)
        growing.rename(folder)
    except OSError as error:
        raise Refused("E145", path=folder, why=error.strerror) from error
    return authority


def leaf(
    name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: PrivateKey,
    valid: tuple[datetime, datetime],
    *,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """A certificate of a client, or of a server with these names and addresses. Raises Refused (E141) for a key that signs none."""
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise Refused("E141", path=name, why=type(issuer_key).__name__)
    off = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only")
    usage = x509.KeyUsage(digital_signature=True, decipher_only=False, **dict.fromkeys(off, False))
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(min(valid[1], issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def make_issuers(folder: Path, name: str, lock: bytes, now: datetime) -> x509.Certificate:
    """A root and what issues under it, as files in a folder. The root's certificate. Raises OSError."""
    root_key = ec.generate_private_key(ec.SECP384R1())
    root = _certificate(f"{name} root", root_key.public_key(), f"{name} root", root_key, now, ROOT_YEARS, path_length=1)
    _write_pair(folder, Purpose.ROOT, root_key, lock, root)
    for purpose in ISSUERS:
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(f"{name} {purpose}", key.public_key(), f"{name} root", root_key, now, ISSUER_YEARS, path_length=0)
        _write_pair(folder, purpose, key, lock, made)
        anchor = _certificate(f"{name} {purpose}", key.public_key(), f"{name} {purpose}", key, now, ISSUER_YEARS, path_length=0)
        _write(folder / f"{purpose}.anchor.pem", anchor.public_bytes(serialization.Encoding.PEM))
    return root


def _fill(folder: Path, name: str, passphrase: bytes, now: datetime) -> None:
    root = make_issuers(folder, name, passphrase, now)
    signers = {purpose: ed25519.Ed25519PrivateKey.generate() for purpose in SIGNERS}
    sealing = x25519.X25519PrivateKey.generate()
    for purpose, signer in signers.items():
        _write_pair(folder, purpose, signer, passphrase, None)
    _write_pair(folder, Purpose.SEALING, sealing, passphrase, None)
    _write_pair(folder, Purpose.SITES, x25519.X25519PrivateKey.generate(), passphrase, None)
    public = folder / PUBLIC
    # Which key signs what stands before it: a gate takes no order that the lists' key signed.
    signing = ((Signs.ORDERS, Purpose.ORDERS), (Signs.LISTS, Purpose.LISTS))
    province = [f"signs: {use}\n".encode() + (folder / f"{purpose}.pub.pem").read_bytes() for use, purpose in signing]
    _write(public / "root.pem", root.public_bytes(serialization.Encoding.PEM))
    _write(public / "province.pem", b"".join(province))
    _write(public / "seal.pem", (folder / f"{Purpose.SEALING}.pub.pem").read_bytes())
    _write(public / "trust.json", _trust_list(signers, now))


@lru_cache(maxsize=4)
def _stretched(passphrase: str, salt: bytes) -> bytes:
    """What locks the key files: PKCS #8 by itself would stretch a passphrase by 2,048 rounds alone."""
    return Scrypt(salt=salt, length=32, n=STRETCH_COST, r=8, p=1).derive(passphrase.encode()).hex().encode()


def _trust_list(signers: Mapping[Purpose, ed25519.Ed25519PrivateKey], now: datetime) -> bytes:
    """The signed list of keys with the first key for badges and phone codes, key id 1."""
    start, end = int(now.timestamp()), int((now + timedelta(days=365 * BADGE_KEY_YEARS)).timestamp())
    key = base64.b64encode(_spki(signers[Purpose.BADGES].public_key())).decode()
    entry = {"kid": f"{BADGE_KID:02x}", "key": key, "not_before": _time(start), "not_after": _time(end)}
    told = {
        "type": "vn.gate.trust.v1",
        "gate": wire.ALL,
        "version": 1,
        "issued": _time(start),
        "expires": _time(end),
        "keys": [{"use": str(KeyUse.BADGES), **entry}],
    }
    body = json.dumps(told, separators=(",", ":")).encode()
    return wire.with_signature(body, base64.b64encode(signers[Purpose.LISTS].sign(body)).decode())


def _certificate(
    name: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    years: int,
    *,
    path_length: int,
) -> x509.Certificate:
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A gate's first clock may be an hour behind.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA384() if issuer_key.curve.key_size > 256 else hashes.SHA256())  # noqa: PLR2004 - bits of P-256
    )


def _write_pair(folder: Path, purpose: Purpose, key: PrivateKey, passphrase: bytes, certificate: x509.Certificate | None) -> None:
    locked = serialization.BestAvailableEncryption(passphrase)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    _write(folder / f"{purpose}.key.pem", private, 0o600)
    if certificate is None:
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        _write(folder / f"{purpose}.pub.pem", public)
    else:
        _write(folder / f"{purpose}.cert.pem", certificate.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _time(second: int) -> str:
    return wire.time_text(second * 1_000_000_000)
