"""Renewal, expiry and revocation, against real Mosquittos with TLS: what a gate keeps, and what nobody else gets."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.core import wire
from device.edges.certificate.enrol import Places
from device.edges.certificate.exchange import KEY, request_of
from device.edges.keys.signer import Signer
from provisioning.registry.tables import Gate, GateState
from tests.provisioning.enrolment_kit import Province
from tests.provisioning.renewal_kit import enrolled_yesterday, working_province


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Province]:
    """A province whose brokers and worker run."""
    with working_province(tmp_path) as one:
        yield one


@pytest.fixture
def enrolled(town: Province) -> tuple[Gate, Places]:
    """A gate that enrolled a day ago."""
    return enrolled_yesterday(town)


def request(gate: str, key: ec.EllipticCurvePrivateKey, proof_key: Path | None) -> wire.EnrolRequest:
    """A request for a renewal, proved with the key in a file."""
    csr = request_of(gate, key)
    proof = None if proof_key is None else Signer(proof_key).sign(wire.RENEWAL_PROOF + csr)
    return wire.EnrolRequest(gate=gate, phase="request", csr=base64.b64encode(csr).decode(), proof=proof)


def test_a_connection_in_a_gates_name_alone_gets_no_certificate(enrolled: tuple[Gate, Places], town: Province, tmp_path: Path) -> None:
    """Whoever stole the claims' authority can have one: the worker asks for the key in use."""
    gate, _ = enrolled
    stranger = ec.generate_private_key(ec.SECP256R1())
    own = tmp_path / "own.key"
    own.write_bytes(stranger.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    for proof in (None, own):
        answer = town.desk().answer(gate.id, request(gate.id, stranger, proof))
        assert answer is not None
        assert (answer.status, answer.reason) == ("refused", "bad_proof")


def test_what_else_is_refused(enrolled: tuple[Gate, Places], town: Province) -> None:
    """Another gate's name, a certificate that has ended, an impatient gate, a gate that was revoked."""
    gate, places = enrolled
    other = town.gate(GateState.ENROLLED)
    key = places.store / KEY

    def why(asker: str, asked: wire.EnrolRequest, now: datetime | None = None) -> str | None:
        answer = town.desk().answer(asker, asked, now)
        assert answer is not None
        return answer.reason

    fresh = ec.generate_private_key(ec.SECP256R1())
    assert why(other.id, request(gate.id, fresh, key)) == "foreign_claim"
    assert why(other.id, request(other.id, fresh, key)) == "not_expected"
    assert why(gate.id, request(gate.id, fresh, key), datetime.now(UTC) + timedelta(days=91)) == "bad_proof"
    assert why(gate.id, request(gate.id, fresh, key), datetime.now(UTC) + timedelta(hours=10)) == "too_soon"
    assert why(gate.id, wire.EnrolRequest(gate=gate.id, phase="request", csr="AAAA")) == "bad_request"
    assert why(gate.id, request(gate.id, fresh, key), datetime.now(UTC) + timedelta(hours=13)) is None
    # The same request again gets the same answer, since the first may have been lost.
    assert why(gate.id, request(gate.id, fresh, key), datetime.now(UTC) + timedelta(hours=13)) is None
    town.registry.move(gate.id, GateState.REVOKED)
    assert why(gate.id, request(gate.id, ec.generate_private_key(ec.SECP256R1()), key)) == "not_expected"
