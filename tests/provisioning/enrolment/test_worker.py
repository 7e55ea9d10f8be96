"""Enrolment: a new gate gets its certificate over the broker alone, once; whatever is cut, altered or repeated, nobody else does."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from device import config as configuration
from device.cli import main
from device.core import wire
from device.edges.certificate import enrol as gate_side
from device.edges.certificate import exchange
from device.edges.certificate.enrol import Places, enrol
from device.edges.certificate.exchange import CERT, KEY, SITE_KEY, chain_in, site_key_in
from device.errors import EnrolmentRefused
from provisioning.enrolment.issuing import FilesIssuer, Issuer, IssuerFailed
from provisioning.registry.tables import Claim, ClaimState, Gate, GateState
from tests.provisioning.enrolment.requests import Cut, a_request, new_key
from tests.provisioning.enrolment_kit import PHRASE, Province, province


@pytest.fixture
def serving(town: Province) -> Iterator[Province]:
    """A province at work."""
    with town.brokers(), town.working():
        yield town


def claim_row(town: Province, gate: Gate) -> Claim:
    """The newest claim of a gate."""
    with town.registry.change() as session:
        return session.scalars(select(Claim).where(Claim.gate == gate.id).order_by(Claim.issued.desc(), Claim.state)).all()[-1]


def test_a_card_becomes_a_gate(serving: Province, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command line: certificate and keys are there, the configuration is good, the claim is burnt, the card is empty."""
    gate = serving.gate()
    places = serving.places(gate)
    words = ["enrol", "--card", str(places.card), "--etc", str(places.etc), "--store", str(places.store), "--wait", "20"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{gate.id}: enrolled\n"
    assert serving.registry.gate(gate.id).state == GateState.ENROLLED
    assert claim_row(serving, gate).state == ClaimState.BURNT
    assert list(places.card.iterdir()) == []
    made = x509.load_pem_x509_certificate((places.store / CERT).read_bytes())
    own = serialization.load_pem_private_key((places.store / KEY).read_bytes(), None)
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    assert made.public_key() == own.public_key()
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 90
    assert bytes.fromhex((places.store / SITE_KEY).read_text()) == serving.authority.site_keys(PHRASE)(gate.site)
    assert configuration.load(places.etc / "gate.toml").gate.id == gate.id
    assert {path.name for path in places.store.iterdir()} == {CERT, KEY, SITE_KEY}
    assert [row.outcome for row in serving.registry.audit(gate.id)] == ["issued", "done"]
    # Run again, as each boot does: nothing happens.
    assert main(words) == 0


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


STEPS = ("_own_key", "ask", "chain_in", "site_key_in", "_install", "_try_it", "swap", "finish_swap", "shred")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_power_cut_at_any_step_is_mended_by_the_next_start(
    serving: Province, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    """With the same certificate where one was issued; never with two."""
    gate = serving.gate()
    places = serving.places(gate)
    # Half of a swap lies between two renames, which are elsewhere.
    where = exchange if step == "finish_swap" else gate_side
    real: Callable[..., object] = getattr(where, step)

    def cut(*words: object) -> object:
        if when == "after":
            real(*words)
        raise Cut

    monkeypatch.setattr(where, step, cut)
    with pytest.raises(Cut):
        enrol(places, 20)
    monkeypatch.undo()
    assert enrol(places, 20) == gate.id
    issued = [row for row in serving.registry.audit(gate.id) if row.outcome == "issued"]
    assert len(issued) == 1
    made = x509.load_pem_x509_certificate((places.store / CERT).read_bytes())
    assert f"{made.serial_number:x}" == issued[0].facts["serial"]
    own = serialization.load_pem_private_key((places.store / KEY).read_bytes(), None)
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    assert made.public_key() == own.public_key()
    assert (places.etc / "gate.toml").exists()
    assert list(places.card.iterdir()) == []


def test_a_gate_waits_for_the_line_and_for_the_worker(town: Province, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them it says what is missing; with them it goes on by itself."""
    gate = town.gate()
    places = town.places(gate)
    monkeypatch.setattr(exchange, "ANSWER_S", 1.0)
    with pytest.raises(EnrolmentRefused, match="not enrolled yet: the connection ended: connection_refused"):
        enrol(places, 0)
    with town.brokers():
        with pytest.raises(EnrolmentRefused, match="not enrolled yet"):
            enrol(places, 0)
        with town.working():
            assert enrol(places, 20) == gate.id


def test_a_certificate_that_does_not_work_is_not_swapped_in(serving: Province) -> None:
    """The gates' broker is elsewhere: the old pair stays, the card stays, the claim is not burnt."""
    gate = serving.gate()
    serving.gates_port += 1
    with serving.registry.change() as session:
        from provisioning.registry.tables import Site  # noqa: PLC0415 - this test alone changes a site

        site = session.get(Site, gate.site)
        assert site is not None
        site.broker_port = 1
    places = serving.places(gate)
    places.store.mkdir()
    (places.store / CERT).write_text("old")
    with pytest.raises(EnrolmentRefused, match="connection_refused"):
        enrol(places, 0)
    assert (places.store / CERT).read_text() == "old"
    assert claim_row(serving, gate).state == ClaimState.ISSUED
    assert (places.card / "bundle.json").exists()


@pytest.mark.parametrize("name", ["gate.toml", "root.pem", "province.pem", "claim.cert.pem"])
def test_an_altered_card_is_refused(town: Province, name: str) -> None:
    """Each file for which the province vouches."""
    places = town.places(town.gate())
    path = places.card / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(EnrolmentRefused, match=f"{name}: not what the province signed"):
        enrol(places, 0)


def test_a_foreign_an_old_and_a_torn_card_are_refused(town: Province, tmp_path: Path) -> None:
    """Each with its own words."""
    old = town.places(town.gate(), "old", datetime.now(UTC) - timedelta(days=15))
    with pytest.raises(EnrolmentRefused, match="the claim ended on"):
        enrol(old, 0)
    torn = town.places(town.gate(), "torn")
    (torn.card / "seal.pem").unlink()
    with pytest.raises(EnrolmentRefused, match=r"seal\.pem"):
        enrol(torn, 0)
    manifest = torn.card / "bundle.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    with pytest.raises(EnrolmentRefused, match="not a bundle"):
        enrol(torn, 0)
    # A gate that was set up before takes no card of another province.
    (tmp_path / "other").mkdir()
    other = province(tmp_path / "other", stranger=True)
    foreign = other.places(other.gate())
    mine = town.places(town.gate(), "mine")
    mine.etc.mkdir()
    (mine.etc / "province.pem").write_bytes((mine.card / "province.pem").read_bytes())
    with pytest.raises(EnrolmentRefused, match="the signature is not the province's"):
        enrol(Places(foreign.card, mine.etc, mine.store), 0)
    other.registry.close()


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


@pytest.mark.parametrize("fault", ["key", "name", "root", "site key"])
def test_an_answer_that_is_not_right_is_refused_by_the_gate(town: Province, tmp_path: Path, fault: str) -> None:
    """A worker in the wrong hands cannot give it another's name, another authority or another key."""
    gate = town.gate()
    places = town.places(gate)
    key, other = new_key(), new_key()
    manifest = wire.read(wire.Bundle, (places.card / "bundle.json").read_bytes())
    assert isinstance(manifest, wire.Bundle)
    good = town.desk().answer(manifest.claim, a_request(gate.id, key))
    assert good is not None
    chain_in(places.card / "root.pem", gate.id, key, good)
    root = places.card / "root.pem"
    if fault == "root":
        (tmp_path / "other").mkdir()
        stranger = province(tmp_path / "other", stranger=True)
        root = stranger.authority.folder / "public" / "root.pem"
        stranger.registry.close()
    own, name = (other if fault in {"key", "site key"} else key), ("gother" if fault == "name" else gate.id)
    look = partial(site_key_in, name) if fault == "site key" else partial(chain_in, root, name)
    with pytest.raises(EnrolmentRefused):
        look(own, good)


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
