"""Enrolment: a new gate gets its certificate over the broker alone, once; whatever is cut, altered or repeated, nobody else does."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from device.core import wire
from provisioning.enrolment.issuing import FilesIssuer, Issuer, IssuerFailed
from provisioning.registry.tables import Claim, ClaimState, Gate, GateState
from tests.provisioning.enrolment.requests import a_request, new_key
from tests.provisioning.enrolment_kit import PHRASE, Province, province


def claim_row(town: Province, gate: Gate) -> Claim:
    """The newest claim of a gate."""
    with town.registry.change() as session:
        return session.scalars(select(Claim).where(Claim.gate == gate.id).order_by(Claim.issued.desc(), Claim.state)).all()[-1]


def test_neither_the_registry_nor_the_wire_knows_a_private_key(town: Province, tmp_path: Path) -> None:
    """The site's key goes sealed; the registry holds no secret; the card holds only what burns."""
    gate = town.gate()
    files = town.files(gate)
    key = new_key()
    answer = town.desk().answer(wire.read(wire.Bundle, files["bundle.json"]).claim, a_request(gate.id, key))  # type: ignore[union-attr] # it is a bundle
    assert answer is not None
    site_key = town.authority.site_keys(PHRASE)(gate.site)
    for path in tmp_path.glob("registry.sqlite*"):
        content = path.read_bytes()
        assert site_key not in content
        assert site_key.hex().encode() not in content
        assert b"PRIVATE" not in content
    assert site_key.hex() not in wire.encode(answer).decode()
    assert [name for name, content in files.items() if b"PRIVATE" in content] == ["claim.key.pem"]
    assert site_key.hex().encode() not in b"".join(files.values())


def test_the_same_request_gets_the_same_certificate_and_another_key_none(town: Province) -> None:
    """An answer may be lost; a copied card may not be used beside the first."""
    gate = town.gate()
    claim = wire.read(wire.Bundle, town.files(gate)["bundle.json"])
    assert isinstance(claim, wire.Bundle)
    key = new_key()
    desk = town.desk()
    first, again = (desk.answer(claim.claim, a_request(gate.id, key)) for _ in range(2))
    assert first is not None
    assert again is not None
    assert first.chain == again.chain
    thief = desk.answer(claim.claim, a_request(gate.id, new_key()))
    assert thief is not None
    assert (thief.status, thief.reason) == ("refused", "claim_used")
    assert desk.answer(claim.claim, wire.EnrolRequest(gate=gate.id, phase="done")) is None
    burnt = desk.answer(claim.claim, a_request(gate.id, key))
    assert burnt is not None
    assert burnt.reason == "claim_used"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("another gate", "foreign_claim"),
        ("another name in the request", "bad_request"),
        ("no request", "bad_request"),
        ("a key of another kind", "bad_request"),
        ("an altered request", "bad_request"),
        ("an old claim", "claim_expired"),
        ("a newer card", "claim_void"),
        ("a gate that has gone", "not_expected"),
    ],
)
def test_what_does_not_fit_is_refused_and_noted(town: Province, name: str, reason: str) -> None:
    """And gets no certificate."""
    gate, other = town.gate(), town.gate()
    manifest = wire.read(wire.Bundle, town.files(gate)["bundle.json"])
    assert isinstance(manifest, wire.Bundle)
    request, now = a_request(gate.id, new_key()), datetime.now(UTC)
    match name:
        case "another gate":
            request = a_request(other.id, new_key())
        case "another name in the request":
            request = a_request(gate.id, new_key(), other.id)
        case "no request":
            request = wire.EnrolRequest(gate=gate.id, phase="request")
        case "a key of another kind":
            request = a_request(gate.id, ec.generate_private_key(ec.SECP384R1()))
        case "an altered request":
            der = bytearray(base64.b64decode(request.csr or ""))
            der[-1] ^= 1
            request = wire.EnrolRequest(gate=gate.id, phase="request", csr=base64.b64encode(der).decode())
        case "an old claim":
            now += timedelta(days=15)
        case "a newer card":
            town.files(gate)
        case "a gate that has gone":
            town.registry.move(gate.id, GateState.DECOMMISSIONED)
    answer = town.desk().answer(manifest.claim, request, now)
    assert answer is not None
    assert (answer.status, answer.reason, answer.chain, answer.site_key) == ("refused", reason, [], None)
    assert town.registry.gate(gate.id).state != GateState.ENROLLED
    if name != "another gate":
        assert [row.outcome for row in town.registry.audit(gate.id)] == [reason]


class FailingIssuer(Issuer):
    """Another authority's road, or one that is down: fails as long as it is told to."""

    def __init__(self, behind: Issuer) -> None:
        self.behind, self.down = behind, True

    def issue(self, gate: str, key: ec.EllipticCurvePublicKey) -> Sequence[x509.Certificate]:
        """What the issuer behind gives, when it is up."""
        if self.down:
            raise IssuerFailed("503: come back later")
        return self.behind.issue(gate, key)


def test_an_issuer_that_is_down_burns_no_claim_and_the_gate_asks_again(town: Province, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of it is in the registry; the log says why; then the same request gets its certificate."""
    gate, key = town.gate(), new_key()
    claim = wire.read(wire.Bundle, town.files(gate)["bundle.json"])
    assert isinstance(claim, wire.Bundle)
    issuer = FailingIssuer(FilesIssuer.of(town.authority, PHRASE))
    desk = replace(town.desk(), issuer=issuer)
    assert desk.answer(claim.claim, a_request(gate.id, key)) is None
    assert f"no certificate for {claim.claim}: 503: come back later" in caplog.text
    assert claim_row(town, gate).state == ClaimState.OPEN
    assert town.registry.audit(gate.id) == []
    issuer.down = False
    answer = desk.answer(claim.claim, a_request(gate.id, key))
    assert answer is not None
    assert answer.status == "issued"


def test_an_issuer_under_another_root_makes_no_gate(town: Province, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its certificates are good, but no gate would take them: nothing is registered, and the log says why."""
    (tmp_path / "stranger").mkdir()
    stranger = province(tmp_path / "stranger", stranger=True)
    stranger.registry.close()
    gate = town.gate()
    claim = wire.read(wire.Bundle, town.files(gate)["bundle.json"])
    assert isinstance(claim, wire.Bundle)
    desk = replace(town.desk(), issuer=FilesIssuer.of(stranger.authority, PHRASE))
    assert desk.answer(claim.claim, a_request(gate.id, new_key())) is None
    assert "is not for the gates of this province: it does not lead to the province's root" in caplog.text
    assert claim_row(town, gate).state == ClaimState.OPEN
    assert town.registry.audit(gate.id) == []
