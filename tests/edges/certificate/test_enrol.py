"""A first boot: from what is on the card to the gate's own certificate, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device import config as configuration
from device.cli import main
from device.edges.certificate import enrol as gate_side
from device.edges.certificate import exchange
from device.edges.certificate.enrol import Places, enrol
from device.edges.certificate.exchange import CERT, KEY, SITE_KEY
from device.errors import EnrolmentRefused
from provisioning.registry.tables import ClaimState, GateState
from tests.provisioning.enrolment.requests import Cut
from tests.provisioning.enrolment.test_worker import claim_row
from tests.provisioning.enrolment_kit import PHRASE, Province, province
from tests.waiting import until


@pytest.fixture
def serving(town: Province) -> Iterator[Province]:
    """A province at work."""
    with town.brokers(), town.working():
        yield town


def test_a_card_becomes_a_gate(serving: Province, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command line: certificate and keys are there, the configuration is good, the claim is burnt, the card is empty."""
    # A real lgpio, where there is one, starts a thread that never ends; lamps are looked at in `tests/verbs/test_enrol.py`.
    monkeypatch.setattr("device.verbs.enrol.waiting_lamps", lambda _: nullcontext())
    gate = serving.gate()
    places = serving.places(gate)
    words = ["enrol", "--card", str(places.card), "--etc", str(places.etc), "--store", str(places.store), "--wait", "20"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{gate.id}: enrolled\n"
    # The gate's last word is taken by the broker; the worker notes it in its own time, the audit at last.
    until(lambda: [row.outcome for row in serving.registry.audit(gate.id)] == ["issued", "done"])
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
