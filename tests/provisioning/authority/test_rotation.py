"""A new root takes over, with real brokers: in every phase every gate still gets in, and a phase that would lock one out is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Connected, Ended
from device.edges.certificate import renew
from device.edges.certificate.enrol import Places, enrol
from provisioning.authority import rotation
from provisioning.authority.authority import NEXT, Authority
from provisioning.authority.keys import Purpose
from provisioning.authority.rotation import RotationPhase
from provisioning.cli import main
from tests.provisioning.broker.clients import Client
from tests.provisioning.enrolment_kit import PHRASE, Province, province
from tests.waiting import next_second


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Province]:
    """A province in the tool's own folder; brokers and worker are started anew in each phase."""
    for name, value in {"HOME": str(tmp_path), "PASSPHRASE": PHRASE, "LANG": "en"}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{name}", value)
    monkeypatch.setattr("provisioning.enrolment.worker.LEAST_AGE", timedelta())
    one = province(tmp_path)
    yield one
    one.registry.close()


def rotate(capsys: pytest.CaptureFixture[str], phase: RotationPhase, code: int = 0) -> dict[str, Any]:
    """By the command."""
    capsys.readouterr()
    # What was issued before is older than this phase by a second at least.
    next_second()
    assert main(["authority", "rotate", "--phase", phase, "--yes", "--json"]) == code
    shown = capsys.readouterr()
    told: dict[str, Any] = json.loads(shown.err if code else shown.out)
    return told


@contextlib.contextmanager
def working(town: Province) -> Iterator[None]:
    """Brokers and worker with the authority's files as they are now."""
    with town.brokers(), town.working():
        yield


def gets_in(town: Province, places: Places, gate: str) -> bool:
    """The gate at its broker, with its own idea of the root."""
    tls = TlsFiles(places.etc / "root.pem", places.store / "gate.cert", places.store / "gate.key")
    with Client(town.gates_port, tls, gate) as one:
        assert isinstance(one.first, Connected | Ended)
        return isinstance(one.first, Connected)


def issuer(places: Places) -> str:
    """Of the gate's certificate."""
    return x509.load_pem_x509_certificate((places.store / "gate.cert").read_bytes()).issuer.rfc4514_string()


def test_no_gate_is_locked_out_while_a_new_root_takes_over(
    town: Province, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Introduce, renew, switch, renew, retire: connected after each, and only the new root is left."""
    monkeypatch.setattr(rotation, "behind", lambda *_: [])
    gate = town.gate()
    places = town.places(gate)
    with working(town):
        enrol(places, 20)
        first = issuer(places)
    old_root = (places.etc / "root.pem").read_bytes()
    rotate(capsys, RotationPhase.INTRODUCE)
    with working(town):
        assert gets_in(town, places, gate.id)
        renew.renew(places.etc, places.store, 20, early=True)
        assert len(x509.load_pem_x509_certificates((places.etc / "root.pem").read_bytes())) == 2
        assert issuer(places) == first
    rotate(capsys, RotationPhase.SWITCH)
    with working(town):
        assert gets_in(town, places, gate.id)
        renew.renew(places.etc, places.store, 20, early=True)
        assert issuer(places) != first
        assert gets_in(town, places, gate.id)
    rotate(capsys, RotationPhase.RETIRE)
    with working(town):
        assert gets_in(town, places, gate.id)
        renew.renew(places.etc, places.store, 20, early=True)
    (root,) = x509.load_pem_x509_certificates((places.etc / "root.pem").read_bytes())
    assert root == town.authority.certificate(Purpose.ROOT)
    assert (places.etc / "root.pem").read_bytes() != old_root
    # A gate that slept through all of it knows another root than the broker's, and says no to it.
    (places.etc / "root.pem").write_bytes(old_root)
    with working(town):
        assert not gets_in(town, places, gate.id)


def test_a_phase_that_would_lock_a_gate_out_is_refused(town: Province, capsys: pytest.CaptureFixture[str]) -> None:
    """By the certificates that the registry knows; and phases come in their order."""
    gate = town.gate()
    places = town.places(gate)
    with working(town):
        enrol(places, 20)
    for phase in (RotationPhase.SWITCH, RotationPhase.RETIRE):
        assert rotate(capsys, phase, 2)["error"] == "E187"
    rotate(capsys, RotationPhase.INTRODUCE)
    assert rotate(capsys, RotationPhase.INTRODUCE, 2)["error"] == "E187"
    told = rotate(capsys, RotationPhase.SWITCH, 2)
    assert told["error"] == "E188"
    assert gate.id in told["message"]
    with working(town):
        renew.renew(places.etc, places.store, 20, early=True)
    rotate(capsys, RotationPhase.SWITCH)
    assert rotate(capsys, RotationPhase.RETIRE, 2)["error"] == "E188"
    with working(town):
        renew.renew(places.etc, places.store, 20, early=True)
    rotate(capsys, RotationPhase.RETIRE)


class _Cut(BaseException):
    """The power goes."""


@pytest.mark.parametrize("after", [0, 1, 2, 3, 7, 12, 21, 22])
def test_a_power_cut_in_the_switch_is_mended_by_doing_it_again(town: Province, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Between any two renames."""
    rotation.carry_out(town.authority, RotationPhase.INTRODUCE, "Test 2", PHRASE)
    coming = (town.authority.folder / NEXT / "root.cert.pem").read_bytes()
    moves, removes, count = Path.replace, Path.rmdir, 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count > after:
            raise _Cut

    def cut(path: Path, target: Path) -> Path:
        tick()
        return moves(path, target)

    def cut_remove(path: Path) -> None:
        tick()
        removes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut)
        patch.setattr(Path, "rmdir", cut_remove)
        with pytest.raises(_Cut):
            rotation.carry_out(town.authority, RotationPhase.SWITCH, "Test 2", PHRASE)
    with monkeypatch.context() as patch:
        patch.setattr(rotation, "behind", lambda *_: [])
        rotation.check(town.authority, town.registry, RotationPhase.SWITCH)
    rotation.carry_out(town.authority, RotationPhase.SWITCH, "Test 2", PHRASE)
    again = Authority(town.authority.folder)
    assert (again.folder / "root.cert.pem").read_bytes() == coming
    assert len(again.roots()) == 2
    for purpose in (Purpose.ROOT, Purpose.GATES, Purpose.CLAIMS, Purpose.SERVICES):
        assert again.key(purpose, PHRASE).public_key() == again.certificate(purpose).public_key()
