"""Real Mosquitto brokers for tests: plain, or with mutual TLS and the contract's access list; killed and restarted at will."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port

ACCESS_LIST = """
pattern write gates/v1/%u/up/#
pattern read gates/v1/%u/down/#
pattern read gates/v1/all/down/#
user collector
topic read gates/v1/+/up/#
topic write gates/v1/+/down/#
topic write gates/v1/all/down/#
"""
"""The first three lines are the contract's; the others are for the collector."""


@dataclass(frozen=True)
class Papers:
    """PEM files of somebody: the authority's certificate, and the own one with its key."""

    ca: Path
    cert: Path
    key: Path


class Authority:
    """A made-up certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        self._certificate = (
            self._builder(self._name, now - timedelta(days=1000), now + timedelta(days=1000))
            .public_key(self._key.public_key())
            .add_extension(constraints, critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, starts_days: float = -1, ends_days: float = 30, hosts: tuple[str, ...] = ()) -> Papers:
        """A certificate for ``name``, valid from and until so many days from now; ``hosts`` are names or addresses of a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, now + timedelta(days=starts_days), now + timedelta(days=ends_days)).public_key(key.public_key())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        papers = Papers(self.ca, self.folder / f"{name}.cert.pem", self.folder / f"{name}.key.pem")
        papers.cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        papers.key.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return papers

    def revoke(self, papers: Papers) -> Path:
        """A list of revoked certificates that holds this one, valid from yesterday."""
        now = datetime.now(UTC)
        serial = x509.load_pem_x509_certificate(papers.cert.read_bytes()).serial_number
        gone = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - timedelta(days=1)).build()
        listed = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - timedelta(days=1))
            .next_update(now + timedelta(days=30))
            .add_revoked_certificate(gone)
            .sign(self._key, hashes.SHA256())
        )
        path = self.folder / "revoked.pem"
        path.write_bytes(listed.public_bytes(serialization.Encoding.PEM))
        return path

    def _builder(self, subject: x509.Name, starts: datetime, ends: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(starts)
            .not_valid_after(ends)
            # From Python 3.13 on a default context insists on it.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


class Broker(MosquittoProcess):
    """A Mosquitto for tests on a free port of loopback."""

    host = LOOPBACK

    @classmethod
    def plain(cls, folder: Path, *, persistent: bool = False, settings: str = "") -> Broker:
        """Anonymous and without TLS. ``persistent`` writes its state to disk every second message."""
        port = free_port()
        return cls(folder, port, f"listener {port} {LOOPBACK}\nallow_anonymous true\n{_persistence(folder, on=persistent)}{settings}")

    @classmethod
    def mutual(cls, folder: Path, server: Papers, clients_ca: Path, *, settings: str = "") -> Broker:
        """With TLS, client certificates and the contract's access list."""
        port = free_port()
        acl = folder / "acl"
        acl.write_text(ACCESS_LIST, encoding="ascii")
        acl.chmod(0o600)
        lines = [
            f"listener {port} {LOOPBACK}",
            f"cafile {clients_ca}",
            f"certfile {server.cert}",
            f"keyfile {server.key}",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
            "allow_anonymous false",
            f"acl_file {acl}",
        ]
        return cls(folder, port, "\n".join(lines) + "\n" + _persistence(folder, on=False) + settings)


@contextlib.contextmanager
def running(broker: Broker) -> Iterator[Broker]:
    """The broker, started, and stopped whatever happens."""
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def _persistence(folder: Path, *, on: bool) -> str:
    if not on:
        return "persistence false\n"
    return f"persistence true\npersistence_location {folder}/\nautosave_interval 2\nautosave_on_changes true\n"


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
