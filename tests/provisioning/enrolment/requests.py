"""What a gate asks of the worker, and the power cut in between."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.core import wire


def a_request(gate: str, key: ec.EllipticCurvePrivateKey, name: str | None = None) -> wire.EnrolRequest:
    """What a gate asks."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gate if name is None else name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return wire.EnrolRequest(gate=gate, phase="request", csr=base64.b64encode(csr.public_bytes(serialization.Encoding.DER)).decode())


def new_key() -> ec.EllipticCurvePrivateKey:
    """As a gate makes it."""
    return ec.generate_private_key(ec.SECP256R1())


class Cut(BaseException):
    """The power goes."""
