"""step-ca as the issuer: a server over real TLS that checks the documented exchange as step-ca does, and every way in which it fails."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm

from device.core import wire
from device.edges.broker.values import Peer
from device.edges.certificate.enrol import enrol
from device.workbench.broker import LOOPBACK, free_port
from provisioning.authority.authority import Authority, Purpose, leaf, make
from provisioning.desk.errors import Refused
from provisioning.enrolment.issuing import IssuerFailed
from provisioning.enrolment.step_ca import StepIssuer
from provisioning.enrolment.worker import WORKER, EnrolmentDesk, Worker
from provisioning.registry.tables import Claim, ClaimState
from tests.provisioning.enrolment.test_worker import a_request, new_key
from tests.provisioning.enrolment_kit import PHRASE, Province, province

GATE = "g4k7m2xp9a"
PROVISIONER = "gates"


class StepCa:
    """Answers ``POST /1.0/sign`` as step-ca's source has it. ``spoil`` changes an answer, or raises an HTTP status."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority, self.port, self.used = authority, free_port(), set[str]()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.spoil: Callable[[dict[str, Any]], bytes | int] = lambda told: json.dumps(told).encode()
        jwk = {**json.loads(ECAlgorithm.to_jwk(self.key)), "kid": "kid-of-gates", "alg": "ES256"}
        self.jwk, self.root = folder / "provisioner.jwk", authority.folder / "public" / "root.pem"
        self.jwk.write_text(json.dumps(jwk))
        self._server = http.server.ThreadingHTTPServer((LOOPBACK, self.port), self._handler())
        self._server.socket = self._context(folder).wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def issuer(self) -> StepIssuer:
        """A client of it."""
        return StepIssuer.of(self.url, self.root, PROVISIONER, self.jwk)

    def sign(self, body: bytes) -> bytes | int:
        """One request: checked, then signed."""
        asked = json.loads(body)
        claims = jwt.decode(asked["ott"], self.key.public_key(), ["ES256"], audience=f"{self.url}/1.0/sign", issuer=PROVISIONER)
        assert jwt.get_unverified_header(asked["ott"])["kid"] == "kid-of-gates"
        csr = x509.load_pem_x509_csr(asked["csr"].encode())
        names = [name.value for name in csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if not csr.is_signature_valid or names != [claims["sub"]] or claims["sans"] != names or claims["jti"] in self.used:
            return 403
        assert claims["exp"] - claims["iat"] <= 300
        assert (asked["notBefore"], asked["notAfter"]) == ("-1h", "2160h")
        self.used.add(claims["jti"])
        key = csr.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        chain = [self.leaf(claims["sub"], key), *(self.authority.certificate(one) for one in (Purpose.GATES, Purpose.ROOT))]
        pem = [one.public_bytes(serialization.Encoding.PEM).decode() for one in chain]
        return self.spoil({"crt": pem[0], "ca": pem[1], "certChain": pem})

    def leaf(self, name: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        """A certificate of this authority."""
        now = datetime.now(UTC).replace(microsecond=0)
        above = self.authority.certificate(Purpose.GATES)
        return leaf(name, key, above, self.authority.key(Purpose.GATES, PHRASE), (now, now + timedelta(days=90)))

    def _context(self, folder: Path) -> ssl.SSLContext:
        now = datetime.now(UTC)
        key, above = ec.generate_private_key(ec.SECP256R1()), self.authority.certificate(Purpose.SERVICES)
        valid = (now - timedelta(hours=1), now + timedelta(days=1))
        made = leaf("step-ca", key.public_key(), above, self.authority.key(Purpose.SERVICES, PHRASE), valid, hosts=(LOOPBACK,))
        (folder / "ca.pem").write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (made, above)))
        raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "ca.key").write_bytes(raw)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.pem", folder / "ca.key")
        return context

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        ca = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = ca.sign(body) if self.path == "/1.0/sign" else 404
                if isinstance(answer, int):
                    status, answer = answer, b'{"status": 0, "message": "The request was forbidden by the CA"}'
                else:
                    status = 201
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all."""
    return make(tmp_path_factory.mktemp("step") / "authority", "Test", PHRASE)


@pytest.fixture
def ca(tmp_path: Path, authority: Authority) -> Iterator[StepCa]:
    """At work."""
    with StepCa(tmp_path, authority) as made:
        yield made


def a_csr(name: str = GATE) -> x509.CertificateSigningRequest:
    """Of a new key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(new_key(), hashes.SHA256())


def test_a_certificate_comes_with_those_between_it_and_the_root(ca: StepCa, authority: Authority) -> None:
    """Each request has a token of its own; the root stays out."""
    csr = a_csr()
    made, above = ca.issuer().issue(GATE, csr)
    assert made.public_key() == csr.public_key()
    assert above == authority.certificate(Purpose.GATES)
    assert ca.issuer().issue(GATE, a_csr())[0] != made
    assert len(ca.used) == 2


def test_what_step_ca_refuses_is_said(ca: StepCa) -> None:
    """A request for another name than the token's."""
    with pytest.raises(IssuerFailed, match="403: 'The request was forbidden by the CA'"):
        ca.issuer().issue(GATE, a_csr("gother0000"))


def spoilt(ca: StepCa, how: str) -> Callable[[dict[str, Any]], bytes | int]:
    """An answer that is wrong in one way."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()

    def first(made: x509.Certificate) -> Callable[[dict[str, Any]], bytes]:
        pem = made.public_bytes(serialization.Encoding.PEM).decode()
        return lambda told: json.dumps({**told, "certChain": [pem, *told["certChain"][1:]]}).encode()

    ways: dict[str, Callable[[dict[str, Any]], bytes | int]] = {
        "status": lambda _: 500,
        "nonsense": lambda _: b"<html>",
        "a list": lambda _: b"[]",
        "empty chain": lambda told: json.dumps({**told, "certChain": []}).encode(),
        "no certificate": lambda told: json.dumps({**told, "certChain": ["x"]}).encode(),
        "numbers": lambda told: json.dumps({**told, "certChain": [1]}).encode(),
        "too large": lambda told: json.dumps({**told, "more": "x" * 70_000}).encode(),
        "another key": first(ca.leaf(GATE, other)),
        "another name": first(ca.leaf("gother0000", other)),
    }
    return ways[how]


WAYS = ("status", "nonsense", "a list", "empty chain", "no certificate", "numbers", "too large", "another key", "another name")


@pytest.mark.parametrize("how", WAYS)
def test_an_answer_that_is_wrong_is_no_certificate(ca: StepCa, how: str) -> None:
    """Whatever is wrong with it."""
    issuer = ca.issuer()
    ca.spoil = spoilt(ca, how)
    with pytest.raises(IssuerFailed, match=ca.url):
        issuer.issue(GATE, a_csr())


def test_an_unreachable_or_foreign_server_is_no_issuer(ca: StepCa, tmp_path: Path) -> None:
    """Nobody answers, or somebody whose root is another."""
    silent = StepIssuer.of(f"https://{LOOPBACK}:{free_port()}", ca.root, PROVISIONER, ca.jwk)
    with pytest.raises(IssuerFailed, match="refused"):
        silent.issue(GATE, a_csr())
    stranger = make(tmp_path / "other", "Other", PHRASE)
    foreign = StepIssuer.of(ca.url, stranger.folder / "public" / "root.pem", PROVISIONER, ca.jwk)
    with pytest.raises(IssuerFailed, match="CERTIFICATE_VERIFY_FAILED"):
        foreign.issue(GATE, a_csr())
    assert ca.used == set()


def test_keys_that_cannot_be_used_are_named(ca: StepCa, tmp_path: Path) -> None:
    """E195, before anything is asked."""
    bad = tmp_path / "bad.jwk"
    public = json.loads(ca.jwk.read_text())
    del public["d"]
    for content in ("{", "{}", json.dumps(public), json.dumps({**json.loads(ca.jwk.read_text()), "kid": ""})):
        bad.write_text(content)
        with pytest.raises(Refused, match="E195"):
            StepIssuer.of(ca.url, ca.root, PROVISIONER, bad)
    with pytest.raises(Refused, match="E195"):
        StepIssuer.of("http://plain.example.org", ca.root, PROVISIONER, ca.jwk)
    with pytest.raises(Refused, match="E195"):
        StepIssuer.of(ca.url, tmp_path / "none.pem", PROVISIONER, ca.jwk)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Province]:
    """A province."""
    (tmp_path / "town").mkdir()
    made = province(tmp_path / "town")
    yield made
    made.registry.close()


def test_a_step_ca_under_another_root_makes_no_gate(town: Province, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its certificates are good, but no gate would take them: nothing is registered, and the log says why."""
    (tmp_path / "ca").mkdir()
    (tmp_path / "stranger").mkdir()
    stranger = province(tmp_path / "stranger", stranger=True)
    stranger.registry.close()
    with StepCa(tmp_path / "ca", stranger.authority) as ca:
        desk = EnrolmentDesk(town.registry, ca.issuer(), town.authority.site_keys(PHRASE), town.authority.roots())
        gate = town.gate()
        claim = wire.read(wire.Bundle, town.files(gate)["bundle.json"])
        assert isinstance(claim, wire.Bundle)
        assert desk.answer(claim.claim, a_request(gate.id, new_key())) is None
    assert "is not for the gates of this province: it does not lead to the province's root" in caplog.text
    with town.registry.change() as session:
        assert session.get_one(Claim, claim.claim).state == ClaimState.OPEN
    assert town.registry.audit(gate.id) == []


def test_a_failure_burns_no_claim_and_the_gate_enrols_when_it_is_over(town: Province, tmp_path: Path) -> None:
    """With real brokers: the gate asks again by itself, and gets what step-ca signs."""
    (tmp_path / "ca").mkdir()
    with StepCa(tmp_path / "ca", town.authority) as ca, town.brokers():
        desk = EnrolmentDesk(town.registry, ca.issuer(), town.authority.site_keys(PHRASE), town.authority.roots())
        gate = town.gate()
        places = town.places(gate)
        claim = wire.read(wire.Bundle, (places.card / "bundle.json").read_bytes())
        assert isinstance(claim, wire.Bundle)
        good, ca.spoil = ca.spoil, spoilt(ca, "status")
        assert desk.answer(claim.claim, a_request(gate.id, new_key())) is None
        with town.registry.change() as session:
            assert session.get_one(Claim, claim.claim).state == ClaimState.OPEN
        assert town.registry.audit(gate.id) == []
        ca.spoil = good
        worker = Worker(Peer(LOOPBACK, town.enrol_port, town.papers(WORKER), WORKER), desk)
        stop = threading.Event()
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            assert worker.ready.wait(10)
            assert enrol(places, 20) == gate.id
        finally:
            stop.set()
            worker.wake()
            thread.join(10)
    made = x509.load_pem_x509_certificates((places.store / "gate.cert").read_bytes())
    assert len(made) == 2
