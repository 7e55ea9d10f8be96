"""The folder of one machine's brokers: whom each trusts, and the certificates of the province's programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from provisioning.authority.keys import Purpose
from provisioning.broker.config_files import PRIVATE, mosquitto_files, service
from provisioning.common.errors import Refused
from tests.provisioning.enrolment_kit import PHRASE, Province, province


@pytest.fixture
def town(tmp_path: Path) -> Province:
    """A province without brokers."""
    made = province(tmp_path)
    made.registry.close()
    return made


def verified(town: Province, made: bytes, purpose: str) -> str:
    """What openssl says of a certificate with its issuer behind it."""
    (town.folder / "made.pem").write_bytes(made)
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", str(town.authority.folder / "root.cert.pem")]
    done = subprocess.run(
        [*command, "-untrusted", str(town.folder / "made.pem"), str(town.folder / "made.pem")], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_openssl_takes_a_server_for_a_server_and_a_program_for_a_client(town: Province) -> None:
    """And neither for the other."""
    server = service(town.authority, PHRASE, "server", ["broker.example.org", "127.0.0.1"])["server.cert.pem"]
    client = service(town.authority, PHRASE, "desk")["desk.cert.pem"]
    assert ": OK" in verified(town, server, "sslserver")
    assert ": OK" in verified(town, client, "sslclient")
    assert ": OK" not in verified(town, server, "sslclient")
    assert ": OK" not in verified(town, client, "sslserver")


def test_a_server_is_known_by_its_names_and_addresses(town: Province) -> None:
    """As whoever connects compares them."""
    made = x509.load_pem_x509_certificate(service(town.authority, PHRASE, "server", ["broker.example.org", "127.0.0.1"])["server.cert.pem"])
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example.org"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


@pytest.mark.parametrize("name", ["g4k7m2xp9", "claim-x", "a b", "ü", ""])
def test_a_program_is_not_called_like_a_gate_or_a_claim(town: Province, name: str) -> None:
    """E147: it would speak for one."""
    with pytest.raises(Refused, match="E147"):
        service(town.authority, PHRASE, name)


def test_each_broker_trusts_its_own_issuers_alone(town: Province) -> None:
    """The gates' broker takes no claim, whoever signed it."""
    made = mosquitto_files(town.authority, PHRASE, ["127.0.0.1"], town.folder, town.folder)
    gates, claims, services = (town.authority.anchor(one) for one in (Purpose.GATES, Purpose.CLAIMS, Purpose.SERVICES))
    assert made["gates-clients.pem"] == gates + services
    assert made["enrol-clients.pem"] == claims + gates + services
    assert {name for name in made if name.endswith(PRIVATE)} == {"gates.acl", "enrol.acl", "server.key.pem"}
