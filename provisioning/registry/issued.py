"""The certificates that gates were given, as the registry keeps them."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Certificate


def row_of(gate: str, chain: Sequence[x509.Certificate]) -> Certificate:
    """A certificate as a row: the gate's own, then those between it and the root."""
    own = chain[0]
    pem = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in chain)
    return Certificate(serial=f"{own.serial_number:x}", gate=gate, starts=own.not_valid_before_utc, ends=own.not_valid_after_utc, pem=pem)


def keep(registry: Registry, gate: str, chain: Sequence[x509.Certificate]) -> None:
    """Note what a gate was given."""
    with registry.change() as session:
        session.add(row_of(gate, chain))


def newest_key(registry: Registry, gate: str) -> ec.EllipticCurvePublicKey:
    """The public key of the newest certificate that a gate was given. Raises Refused (E181) for a gate that has none."""
    with registry.change() as session:
        row = session.scalars(select(Certificate).where(Certificate.gate == gate).order_by(Certificate.starts.desc()).limit(1)).first()
    key = None if row is None else x509.load_pem_x509_certificate(row.pem.encode()).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Refused("E181", id=gate)
    return key
