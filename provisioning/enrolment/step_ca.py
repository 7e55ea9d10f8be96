"""Smallstep's step-ca as who signs gates' certificates.

The exchange, as step-ca's own source has it (api/sign.go, authority/provisioner/jwk.go):
``POST {url}/1.0/sign`` over TLS with the JSON object ``{"csr": PEM, "ott": JWT, "notBefore": …, "notAfter": …}``.
The one-time token is signed with the key of a JWK provisioner (ES256, ``kid``
of that key) and says ``iss`` the provisioner's name, ``aud`` the address asked,
``sub`` and ``sans`` the gate, ``iat``, ``nbf``, ``exp`` and a random ``jti``. step-ca
demands that the request's common name is ``sub``; a request without other names
is taken. It answers 201 with ``{"crt": PEM, "ca": PEM, "certChain": [PEM, …]}``,
or an error as ``{"status": …, "message": …}``.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.edges.broker.tls import context_for
from provisioning.desk.errors import Refused
from provisioning.enrolment.issuing import DAYS, IssuerFailed

TOKEN_LIFE_S: Final = 300
TIMEOUT_S: Final = 10.0
LIFE: Final = {"notBefore": "-1h", "notAfter": f"{DAYS * 24}h"}
"""Without it step-ca gives a day. The provisioner has to allow it (``maxTLSCertDuration``), or the CA refuses."""
ANSWER_LIMIT_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True, repr=False)
class StepIssuer:
    """``Issuer`` at a step-ca. ``key`` is the provisioner's, ``kid`` its id there. For any thread."""

    url: str
    context: ssl.SSLContext
    provisioner: str
    key: ec.EllipticCurvePrivateKey
    kid: str

    @classmethod
    def of(cls, url: str, root: Path, provisioner: str, jwk: Path) -> StepIssuer:
        """``root`` is step-ca's own root in PEM, ``jwk`` the provisioner's private key as JSON. Raises Refused (E195)."""
        try:
            found = jwt.PyJWK(json.loads(jwk.read_text(encoding="utf-8")), algorithm="ES256")
            context = context_for(root)
        except (OSError, ValueError, jwt.PyJWTError) as error:
            # Only the kind of it: PyJWT's words may repeat the key.
            raise Refused("E195", path=jwk, why=type(error).__name__) from None
        if not isinstance(found.key, ec.EllipticCurvePrivateKey) or not found.key_id or not url.startswith("https://"):
            raise Refused("E195", path=jwk, why="https, EC P-256, kid")
        return cls(url.rstrip("/"), context, provisioner, found.key, found.key_id)

    def issue(self, gate: str, csr: x509.CertificateSigningRequest) -> Sequence[x509.Certificate]:
        """See ``Issuer``."""
        asked = {"csr": csr.public_bytes(serialization.Encoding.PEM).decode(), "ott": self._token(gate), **LIFE}
        told = self._ask(json.dumps(asked).encode())
        try:
            chain = [x509.load_pem_x509_certificate(pem.encode()) for pem in told["certChain"]]
            names = [name.value for name in chain[0].subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise IssuerFailed(f"{self.url}: no chain of certificates in the answer") from error
        if names != [gate] or chain[0].public_key() != csr.public_key():
            raise IssuerFailed(f"{self.url}: the certificate is for another name or another key")
        # A root at the end is of no use to a broker, which has its own.
        return [one for one in chain if one.issuer != one.subject]

    def _token(self, gate: str) -> str:
        now_s = int(time.time())
        claims: dict[str, Any] = {"iss": self.provisioner, "aud": f"{self.url}/1.0/sign", "sub": gate, "sans": [gate]}
        claims |= {"iat": now_s, "nbf": now_s, "exp": now_s + TOKEN_LIFE_S, "jti": secrets.token_hex(32)}
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": self.kid})

    def _ask(self, body: bytes) -> dict[str, Any]:
        # That the address is https was checked when it was read.
        request = urllib.request.Request(f"{self.url}/1.0/sign", body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310 - see above
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=self.context) as answer:  # noqa: S310 - see above
                content = answer.read(ANSWER_LIMIT_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise IssuerFailed(f"{self.url}: {error.code}: {_message(error.read(1000))}") from error
        except OSError as error:
            raise IssuerFailed(f"{self.url}: {error}") from error
        if len(content) > ANSWER_LIMIT_BYTES:
            raise IssuerFailed(f"{self.url}: the answer is too large")
        try:
            told: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise IssuerFailed(f"{self.url}: the answer is not JSON") from error
        return told


def _message(content: bytes) -> str:
    try:
        return ascii(json.loads(content)["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return ascii(content)[:100]
