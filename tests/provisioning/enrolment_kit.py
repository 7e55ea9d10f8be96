"""A province for enrolment: an authority, a registry, two real Mosquittos with TLS, and a worker."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Peer
from device.edges.certificate.enrol import Places, enrol
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from provisioning.authority.authority import Authority
from provisioning.authority.certificates import leaf
from provisioning.authority.creation import make
from provisioning.authority.keys import Purpose
from provisioning.broker import mosquitto
from provisioning.cli import main
from provisioning.enrolment.claims import Enrolment, bundle
from provisioning.enrolment.issuing import FilesIssuer
from provisioning.enrolment.worker import WORKER, EnrolmentDesk, Worker
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Gate, GateState, Site
from tests.provisioning.registry.rows import a_gate, a_site

PHRASE = "ba bon nam sau"


@dataclass
class Province:
    """Everything on one machine."""

    folder: Path
    authority: Authority
    registry: Registry
    gates_port: int = field(default_factory=free_port)
    enrol_port: int = field(default_factory=free_port)
    gates_broker: MosquittoProcess = field(init=False)
    """While the brokers run."""

    def gate(self, state: GateState = GateState.WRITTEN) -> Gate:
        """A gate of a new site, whose card was written."""
        site = a_site(broker_host=LOOPBACK, broker_port=self.gates_port)
        self.registry.add(site)
        gate = a_gate(site, state)
        self.registry.add(gate)
        return gate

    def site(self, gate: Gate) -> Site:
        """Where it stands."""
        return self.registry.site(gate.site)

    def files(self, gate: Gate, now: datetime | None = None) -> Mapping[str, bytes]:
        """What its card carries."""
        return bundle(self.registry, self.authority, gate, Enrolment(LOOPBACK, self.enrol_port), PHRASE, now)

    def places(self, gate: Gate, name: str = "pi", now: datetime | None = None) -> Places:
        """A new Pi with its card."""
        root = self.folder / name
        places = Places(root / "card", root / "etc", root / "store")
        places.card.mkdir(parents=True)
        for one, content in self.files(gate, now).items():
            (places.card / one).write_bytes(content)
        return places

    def papers(
        self, name: str, issuer: Purpose = Purpose.SERVICES, *, hosts: tuple[str, ...] = (), days: tuple[float, float] = (-1, 30)
    ) -> TlsFiles:
        """A certificate of one of the authority's issuers, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        above = self.authority.certificate(issuer)
        valid = (now + timedelta(days=days[0]), now + timedelta(days=days[1]))
        made = leaf(name, key.public_key(), above, self.authority.issuer_key(issuer, PHRASE), valid, hosts=hosts)
        cert, private = self.folder / f"{issuer}-{name}.cert.pem", self.folder / f"{issuer}-{name}.key.pem"
        cert.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (made, above)))
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return TlsFiles(self.authority.folder / "public" / "root.pem", cert, private)

    def desk(self) -> EnrolmentDesk:
        """Who decides."""
        return EnrolmentDesk(
            self.registry, FilesIssuer.of(self.authority, PHRASE), self.authority.site_keys(PHRASE), self.authority.roots()
        )

    @contextlib.contextmanager
    def brokers(self) -> Iterator[None]:
        """Both brokers, as the templates describe them."""
        etc = self.folder / "mosquitto"
        etc.mkdir(exist_ok=True)
        server = self.papers("server", hosts=(LOOPBACK,))
        assert server.cert is not None
        assert server.key is not None
        (etc / "server.cert.pem").write_bytes(server.cert.read_bytes())
        (etc / "server.key.pem").write_bytes(server.key.read_bytes())
        for name, issuers, access in (
            ("gates", (Purpose.GATES, Purpose.SERVICES), mosquitto.gates_access()),
            ("enrol", (Purpose.CLAIMS, Purpose.GATES, Purpose.SERVICES), mosquitto.ENROL_ACCESS),
        ):
            (etc / f"{name}-clients.pem").write_bytes(b"".join(map(self.authority.anchor, issuers)))
            (etc / f"{name}.acl").write_text(access, encoding="ascii")
            (etc / f"{name}.acl").chmod(0o600)
        for name in ("gates", "enrol", "data"):
            (self.folder / name).mkdir(exist_ok=True)
        data = self.folder / "data"
        one = MosquittoProcess(self.folder / "gates", self.gates_port, mosquitto.gates(etc, self.gates_port, data, LOOPBACK))
        self.gates_broker = one
        two = MosquittoProcess(self.folder / "enrol", self.enrol_port, mosquitto.enrolment(etc, self.enrol_port, LOOPBACK))
        with contextlib.ExitStack() as stack:
            for broker in (one, two):
                broker.start()
                stack.callback(broker.stop)
            yield

    @contextlib.contextmanager
    def working(self) -> Iterator[Worker]:
        """A worker at the enrolment broker."""
        worker = Worker(Peer(LOOPBACK, self.enrol_port, self.papers(WORKER), WORKER), self.desk())
        stop = threading.Event()
        thread = threading.Thread(target=worker.run, args=(stop,), name="enrolment worker")
        thread.start()
        try:
            assert worker.ready.wait(10)
            yield worker
        finally:
            stop.set()
            worker.wake()
            thread.join(10)


def province(folder: Path, *, stranger: bool = False) -> Province:
    """A new one. All but a ``stranger`` have the same authority, because stretching its passphrase takes long."""
    registry = Registry(f"sqlite:///{folder / 'registry.sqlite'}")
    if stranger:
        return Province(folder, make(folder / "authority", "Stranger", PHRASE), registry)
    shutil.copytree(_authority(), folder / "authority")
    return Province(folder, Authority(folder / "authority"), registry)


@functools.cache
def _authority() -> Path:
    """Made once in this process, and removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="gate-authority-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make(folder / "authority", "Test", PHRASE).folder


@contextlib.contextmanager
def at_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Province]:
    """A province whose brokers and worker run, in the folder of the tool itself, which speaks English."""
    for name, value in {"HOME": str(folder), "PASSPHRASE": PHRASE, "LANG": "en"}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{name}", value)
    one = province(folder)
    with one.brokers(), one.working():
        yield one
    one.registry.close()


def enrolled_gate(town: Province, monkeypatch: pytest.MonkeyPatch) -> tuple[Gate, Places]:
    """A gate that has enrolled; what it reads as credentials is its own store."""
    gate = town.gate()
    places = town.places(gate)
    enrol(places, 20)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(places.store))
    return town.registry.gate(gate.id), places


def on_this_machine(town: Province, places: Places, frames: Path) -> Path:
    """An enrolled gate's configuration, made to see a folder's pictures, to have no real pins and keep its state in ``town``'s folder."""
    path, state = places.etc / "gate.toml", town.folder / "state"
    text = path.read_text().replace('socket = "/run/gate/eye/eye.sock"', "cpu_share = 1.0")
    text = text.replace('source = "picamera2"', f'source = "folder:{frames}"\nfps = 6.0')
    text = text.replace("[signals]\n", '[signals]\npin_factory = "mock"\n')
    own = "".join(f'{name} = "{state / name}"\n' for name in ("lists", "orders", "desired", "commissioned"))
    text = text.replace("[trust]\n", f"[trust]\n{own}").replace("[gate]\n", f'[gate]\nruntime_dir = "{town.folder / "run"}"\n')
    text = text.replace("[broker]\n", "[broker]\nfirst_connect_spread_s = 0.0\n")
    (town.folder / "run").mkdir()
    path.write_text(text + f'\n[journal]\npath = "{state / "journal.sqlite"}"\nunsynced_grace_s = 0.0\n')
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    """What a verb says as JSON: a result, or with 2 why it is refused."""
    capsys.readouterr()
    assert main([*words, "--json", "--yes"]) == code, capsys.readouterr().err
    shown = capsys.readouterr()
    told: dict[str, Any] = json.loads(shown.err if code == 2 else shown.out)
    return told
