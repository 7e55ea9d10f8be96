"""TLS with the gate's own certificate, and what a failed connection was about, in stable words.

At least TLS 1.2; the broker's certificate, its name and its dates are always
checked. There is no switch to turn that off.
"""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_VERIFY_CODES: Final = {
    2: "tls_unknown_authority",
    9: "tls_not_yet_valid",
    10: "tls_expired",
    18: "tls_unknown_authority",
    19: "tls_unknown_authority",
    20: "tls_unknown_authority",
    21: "tls_unknown_authority",
    23: "tls_revoked",
    62: "tls_wrong_host",
    64: "tls_wrong_host",
}
"""X509_V_ERR_* of OpenSSL's x509_vfy.h."""

_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authority of the other side, and the own certificate with its key where the other side asks for one."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """A fresh client context, so that renewed files are taken up. Raises OSError (SSLError is one) for files that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _TidySocket
        context.load_verify_locations(self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key, password=_no_password)
        return context


def context_for(ca: Path | None) -> ssl.SSLContext:
    """For HTTPS: the machine's own authorities, and the province's. Raises OSError for a file that cannot be used."""
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    return context


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as in the class that this extends
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def failure_of(error: OSError) -> str:
    """What went wrong while connecting, as a stable word."""
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, "tls_certificate")
    if isinstance(error, ssl.SSLError):
        return tls_failure_of(error.reason or str(error))
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    if isinstance(error, ConnectionError):
        return "lost"
    return "unreachable" if error.errno in _UNREACHABLE else "connect_failed"


def tls_failure_of(text: str) -> str:
    """The same for a TLS error known by its text only. An alert comes from the broker: it does not take the gate's certificate."""
    words = text.upper()
    if "ALERT" in words:
        return "tls_own_certificate_refused"
    if any(word in words for word in ("WRONG_VERSION", "WRONG VERSION", "HTTP", "RECORD_LAYER", "RECORD LAYER")):
        return "tls_not_spoken"
    return "tls_failed"


def _no_password() -> str:
    raise ssl.SSLError("the private key has a password, which nobody is there to type")
