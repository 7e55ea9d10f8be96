"""Whether a gate's certificate is the province's, for this gate and for the key that it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from device.edges.keys.signer import VerifyingKey


class BadChain(ValueError):
    """A certificate does not count for this gate. The text says why."""


def check_chain(root: Path, gate: str, key: VerifyingKey, chain: Sequence[x509.Certificate], now_s: float) -> None:
    """`check_chain_to` the roots in a PEM file. OSError where it cannot be read."""
    try:
        roots = x509.load_pem_x509_certificates(root.read_bytes())
    except ValueError as error:
        raise BadChain(f"it does not lead to the province's root: {error}") from error
    check_chain_to(roots, gate, key, chain, now_s)


def check_chain_to(
    roots: Sequence[x509.Certificate], gate: str, key: CertificatePublicKeyTypes | None, chain: Sequence[x509.Certificate], now_s: float
) -> None:
    """Raises BadChain unless the first certificate is for this gate and key, and the rest leads to one of the roots.

    ``now_s`` is the time to judge by, seconds since 1970.
    """
    try:
        anchors = verification.Store(list(roots))
        # Gates are clients and have no host name, so the names are compared here and not by the verifier.
        policy = verification.ExtensionPolicy.permit_all()
        builder = verification.PolicyBuilder().store(anchors).time(datetime.fromtimestamp(now_s, UTC))
        builder = builder.extension_policies(ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=policy)
        builder.build_client_verifier().verify(chain[0], list(chain[1:]))
        names = [name.value for name in chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        right = names == [gate] and chain[0].public_key() == key
    except (ValueError, IndexError, verification.VerificationError) as error:
        raise BadChain(f"it does not lead to the province's root: {error}") from error
    if not right:
        raise BadChain("it is for another gate or another key")
