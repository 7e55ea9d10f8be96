"""A gate in a folder that takes orders from its camera, and somebody who orders. Signature, seal and certificates are real."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from device import config as configuration
from device.core import commissioning as claim
from device.core import wire
from device.core.types import ClockReading
from device.edges.orders.book import OrderBook
from device.edges.orders.by_camera import Commissioner, Surroundings
from provisioning.authority.authority import Authority
from provisioning.authority.certificates import leaf
from provisioning.authority.creation import make
from provisioning.authority.keys import Purpose
from provisioning.badges.tokens import token
from tests.desk import Desk

NOW_S = int(datetime(2026, 11, 27, tzinfo=UTC).timestamp())
GATE = "g4k7m2xp9a"
BOARD = "10000000abcdef01"
PHRASE = "ba bon nam sau"
SUITE = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


def make_authority(folder: Path) -> Authority:
    """The province's authority, a year old."""
    return make(folder / "authority", "Test", PHRASE, datetime.fromtimestamp(NOW_S, UTC) - timedelta(days=400))


@dataclass
class Place:
    """A gate in a folder, with a certificate that has ended, and somebody who orders."""

    folder: Path
    authority: Authority
    desk: Desk = field(default_factory=Desk)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    facts: list[wire.AuditFact] = field(default_factory=list)
    floor_s: int = NOW_S - 86_400 * 30

    def __post_init__(self) -> None:
        start = datetime.fromtimestamp(NOW_S, UTC)
        ended = self.made(start - timedelta(days=100), start - timedelta(days=10))
        issuer = self.authority.certificate(Purpose.GATES)
        pem = [one.public_bytes(serialization.Encoding.PEM) for one in (ended, issuer)]
        (self.folder / "gate.cert").write_bytes(b"".join(pem))
        raw = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.folder / "gate.key").write_bytes(raw)
        (self.folder / "root.pem").write_bytes((self.authority.folder / "public" / "root.pem").read_bytes())
        (self.folder / "site.key").write_text("ab" * 32)
        self.desk.write_pem(self.folder / "orders.pem")
        self.path = self.folder / "gate.toml"
        self.path.write_text(f"""
[gate]
id = "{GATE}"
site = "s-old"
lane = "1"
[privacy]
site_key = "site.key"
[signals]
button = {{ pin = 25, window_s = 60 }}
[trust]
province = "orders.pem"
orders = "orders"
commissioned = "commissioned"
[broker]
host = "broker.example.org"
ca = "root.pem"
cert = "gate.cert"
key = "gate.key"
""")
        self.commissioner = self.start()

    def start(self) -> Commissioner:
        """The gate's program starts."""
        config = configuration.load(self.path)
        site = Surroundings(config, self.desk.province, BOARD, lambda: self.floor_s * 1_000_000_000, self.facts.append)
        made = Commissioner(site, OrderBook(config.trust.orders / "camera"))
        made.open(0)
        self.facts.clear()
        return made

    def made(self, start: datetime, end: datetime, name: str = GATE, key: ec.EllipticCurvePrivateKey | None = None) -> x509.Certificate:
        """A certificate."""
        public = (key or self.key).public_key()
        return leaf(name, public, self.authority.certificate(Purpose.GATES), self.authority.issuer_key(Purpose.GATES, PHRASE), (start, end))

    def fresh(self, name: str = GATE, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        """A new certificate in DER."""
        start = datetime.fromtimestamp(NOW_S, UTC) - timedelta(hours=1)
        return self.made(start, start + timedelta(days=90), name, key).public_bytes(serialization.Encoding.DER)

    def order(self, *, key: ed25519.Ed25519PrivateKey | None = None, **changes: object) -> bytes:
        """A signed order for lane 7, out; ``changes`` are claims by name, None leaves one out."""
        told = {
            "SUBJECT": GATE,
            "ISSUED": NOW_S - 60,
            "EXPIRES": NOW_S + 3600,
            "ID": bytes(8),
            "BOARD": BOARD,
            "LANE": "7",
            "DIRECTION": "out",
        }
        claims = {getattr(claim, name): value for name, value in {**told, **changes}.items() if value is not None}
        return token("GC1:", claims, key or self.desk.key, b"\1\2\3\4").encode()

    def take(self, payload: bytes, *, trusted: bool = True) -> str:
        """Hold it up: ``taken``, or why not."""
        taken = self.commissioner.submit(payload, reading(trusted=trusted))
        (fact,) = self.facts
        self.facts.clear()
        assert isinstance(fact, wire.CommandFate)
        assert taken == (fact.state == "succeeded")
        return fact.reason or "taken"


def reading(*, trusted: bool = True) -> ClockReading:
    """The gate's clocks."""
    return ClockReading(1_000_000_000, 1, NOW_S * 1_000_000_000 if trusted else 0, "boot", trusted=trusted)
