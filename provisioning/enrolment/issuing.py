"""Who signs gates' certificates: the authority's files, or another authority behind the same interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning.authority.authority import Authority, PrivateKey, Purpose, leaf

DAYS: Final = 90
"""A gate renews from day 30 on."""


class IssuerFailed(Exception):
    """No certificate could be had now. The text says why, for the log."""


class Issuer(Protocol):
    """Makes a certificate for a gate whose request was checked before."""

    def issue(self, gate: str, csr: x509.CertificateSigningRequest) -> Sequence[x509.Certificate]:
        """The gate's certificate, then those between it and the root. Raises IssuerFailed."""
        ...


@dataclass(frozen=True, slots=True)
class FilesIssuer:
    """The authority's own files."""

    certificate: x509.Certificate
    key: PrivateKey
    days: int = DAYS

    @classmethod
    def of(cls, authority: Authority, passphrase: str) -> FilesIssuer:
        """Raises Refused like the authority."""
        return cls(authority.certificate(Purpose.GATES), authority.key(Purpose.GATES, passphrase))

    def issue(self, gate: str, csr: x509.CertificateSigningRequest) -> Sequence[x509.Certificate]:
        """See ``Issuer``."""
        key = csr.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise IssuerFailed(f"{gate}: gates have keys on P-256")
        now = datetime.now(UTC).replace(microsecond=0)
        return (leaf(gate, key, self.certificate, self.key, (now - timedelta(hours=1), now + timedelta(days=self.days))), self.certificate)
