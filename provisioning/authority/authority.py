"""The authority as it lies in its folder: keys and certificates, each for one purpose.

```
root ─┬─ gates      issues certificates to gates
      ├─ claims     issues the single-use certificates on new cards
      └─ services   issues certificates to the broker, the collector, the enrolment worker
```
The other keys are those of `provisioning.authority.keys`; `provisioning.authority.creation` makes all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519

from provisioning.authority import keys
from provisioning.authority.keys import ISSUERS, PrivateKey, Purpose
from provisioning.common.errors import Refused

SALT: Final = "salt"
PUBLIC: Final = "public"
"""The folder of what everybody may have: gates, brokers, officers."""
ROOT_FILE: Final = "root.pem"
"""In the public folder: the roots that count."""
TRUST_FILE: Final = "trust.json"
"""In the public folder, and written last: the signed list of keys."""
NEXT: Final = "next"
FORMER: Final = "former"
"""While one root takes over from another (`provisioning.authority.rotation`): the one that comes, and the one that goes."""


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority in a folder."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether it was made."""
        return (self.folder / PUBLIC / TRUST_FILE).exists()

    @property
    def root_file(self) -> Path:
        """The certificates of the roots that count, for whoever connects to the province's brokers."""
        return self.folder / PUBLIC / ROOT_FILE

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
        return x509.load_pem_x509_certificates(self._read(f"{PUBLIC}/{ROOT_FILE}"))

    def public(self, name: str) -> bytes:
        """What stands in a public file. Raises Refused (E140, E141)."""
        return self._read(f"{PUBLIC}/{name}")

    def lock(self, passphrase: str) -> bytes:
        """What locks the key files. Raises Refused (E140, E141)."""
        return keys.stretched(passphrase, self._read(SALT))

    def key(self, purpose: Purpose, passphrase: str) -> PrivateKey:
        """A private key. Raises Refused: E140 without an authority, E141 without the file, E142 for a wrong passphrase."""
        content = self._read(f"{purpose}.key.pem")
        try:
            return keys.opened(content, self.lock(passphrase))
        except ValueError as error:
            raise Refused("E142", path=self._path(purpose)) from error
        except TypeError as error:
            raise Refused("E141", path=self._path(purpose), why=error) from error

    def issuer_key(self, purpose: Purpose, passphrase: str) -> ec.EllipticCurvePrivateKey:
        """The key of the root or an issuer. Raises like ``key``."""
        found = self.key(purpose, passphrase)
        if isinstance(found, ec.EllipticCurvePrivateKey):
            return found
        raise self._unfit(purpose, found)

    def signer(self, purpose: Purpose, passphrase: str) -> ed25519.Ed25519PrivateKey:
        """A key that signs orders, lists, badges or records. Raises like ``key``."""
        found = self.key(purpose, passphrase)
        if isinstance(found, ed25519.Ed25519PrivateKey):
            return found
        raise self._unfit(purpose, found)

    def sealing_key(self, passphrase: str) -> x25519.X25519PrivateKey:
        """The key that opens what gates seal. Raises like ``key``."""
        return self._agreement_key(Purpose.SEALING, passphrase)

    def site_keys(self, passphrase: str) -> Callable[[str], bytes]:
        """From a site's id to its key of 32 bytes. Raises like ``key``."""
        return partial(keys.site_key, self._agreement_key(Purpose.SITES, passphrase))

    def fingerprints(self) -> Mapping[str, str]:
        """SHA-256 of each certificate, and of each public key that has none, to be compared aloud. Raises Refused (E140, E141)."""
        found = {}
        for purpose in Purpose:
            if purpose is Purpose.ROOT or purpose in ISSUERS:
                found[str(purpose)] = self.certificate(purpose).fingerprint(hashes.SHA256()).hex()
            else:
                public = serialization.load_pem_public_key(self._read(f"{purpose}.pub.pem"))
                found[str(purpose)] = hashlib.sha256(keys.public_der(public)).hexdigest()
        return found

    def _agreement_key(self, purpose: Purpose, passphrase: str) -> x25519.X25519PrivateKey:
        found = self.key(purpose, passphrase)
        if isinstance(found, x25519.X25519PrivateKey):
            return found
        raise self._unfit(purpose, found)

    def _unfit(self, purpose: Purpose, found: PrivateKey) -> Refused:
        return Refused("E141", path=self._path(purpose), why=type(found).__name__)

    def _path(self, purpose: Purpose) -> Path:
        return self.folder / f"{purpose}.key.pem"

    def _read(self, name: str) -> bytes:
        if not self.exists:
            raise Refused("E140", path=self.folder)
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise Refused("E141", path=self.folder / name, why=error.strerror) from error
