"""Who issues gates' certificates: by one interface, for the worker and for orders by camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning.authority.authority import Authority
from provisioning.authority.certificates import BEHIND, leaf
from provisioning.authority.keys import Purpose
from provisioning.common import times

DAYS: Final = 90
"""A gate renews from day 30 on."""


class IssuerFailed(Exception):
    """No certificate could be had now. The text says why, for the log."""


class Issuer(Protocol):
    """Makes a certificate for a gate whose request was checked before."""

    def issue(self, gate: str, key: ec.EllipticCurvePublicKey) -> Sequence[x509.Certificate]:
        """The gate's certificate, then those between it and the root. Raises IssuerFailed."""
        ...


@dataclass(frozen=True, slots=True)
class FilesIssuer:
    """The authority's own files. A certificate is good for so many ``days`` from now on."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    days: int = DAYS

    @classmethod
    def of(cls, authority: Authority, passphrase: str, days: int = DAYS) -> FilesIssuer:
        """Raises Refused like the authority."""
        return cls(authority.certificate(Purpose.GATES), authority.issuer_key(Purpose.GATES, passphrase), days)

    def issue(self, gate: str, key: ec.EllipticCurvePublicKey) -> Sequence[x509.Certificate]:
        """See ``Issuer``."""
        now = times.now()
        return leaf(gate, key, self.certificate, self.key, (now - BEHIND, now + timedelta(days=self.days))), self.certificate
