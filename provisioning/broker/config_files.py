"""The folder of a single machine's two brokers: configurations, access lists, whom each trusts, and the server's own certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning.authority.authority import Authority
from provisioning.authority.certificates import BEHIND, leaf, pem
from provisioning.authority.keys import Purpose
from provisioning.broker import mosquitto
from provisioning.common import times
from provisioning.common.errors import Refused

SERVICE_DAYS: Final = 365
GATES_PORT: Final = 8883
ENROL_PORT: Final = 8884
PRIVATE: Final = (".key.pem", ".acl")
"""The ends of names of files that only their owner may read."""


def service(authority: Authority, passphrase: str, name: str, hosts: Sequence[str] = ()) -> Mapping[str, bytes]:
    """A certificate with its issuer's, and its key, for one of the province's programs, or for a server of these names. Raises Refused."""
    # A client may not be called like a gate or a claim; a server is known by its hosts.
    if not name.isascii() or not name.replace("-", "").isalnum() or (not hosts and name.startswith(("g", "claim-"))):
        raise Refused("E147", name=name)
    now = times.now()
    key = ec.generate_private_key(ec.SECP256R1())
    above = authority.certificate(Purpose.SERVICES)
    valid = (now - BEHIND, now + timedelta(days=SERVICE_DAYS))
    made = leaf(name, key.public_key(), above, authority.issuer_key(Purpose.SERVICES, passphrase), valid, hosts=hosts)
    return {
        f"{name}.cert.pem": pem(made, above),
        f"{name}.key.pem": key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    }


def mosquitto_files(
    authority: Authority, passphrase: str, hosts: Sequence[str], folder: Path, data: Path, gone: Sequence[str] = ()
) -> Mapping[str, bytes]:
    """Everything for both brokers, which will find it in ``folder``. Raises Refused like the authority."""
    return {
        "gates.conf": mosquitto.gates(folder, GATES_PORT, data).encode(),
        "gates.acl": mosquitto.gates_access(gone).encode(),
        "gates-clients.pem": authority.anchor(Purpose.GATES) + authority.anchor(Purpose.SERVICES),
        "enrol.conf": mosquitto.enrolment(folder, ENROL_PORT).encode(),
        "enrol.acl": mosquitto.ENROL_ACCESS.encode(),
        "enrol-clients.pem": b"".join(map(authority.anchor, (Purpose.CLAIMS, Purpose.GATES, Purpose.SERVICES))),
        **service(authority, passphrase, "server", hosts),
    }
