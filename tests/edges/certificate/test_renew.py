"""The next certificate, in good time, and a pair of files that works whatever happens."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device.cli import main
from device.core import wire
from device.edges.certificate import exchange, renew
from device.edges.certificate.enrol import Places
from device.edges.certificate.exchange import CERT, KEY, SITE_KEY
from device.edges.certificate.renew import PAST
from device.edges.keys.signer import load_signing_key
from device.edges.orders.by_camera import CERTIFICATE
from device.errors import EnrolmentRefused
from device.settings import commissioned
from provisioning.authority.certificates import leaf
from provisioning.authority.keys import Purpose
from provisioning.registry.tables import Certificate, Gate, GateState
from tests.provisioning.enrolment.requests import Cut
from tests.provisioning.enrolment_kit import PHRASE, Province, province
from tests.provisioning.renewal_kit import enrolled_yesterday, working_province

DAY_S = 86_400


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Province]:
    """A province whose brokers and worker run."""
    with working_province(tmp_path) as one:
        yield one


@pytest.fixture
def enrolled(town: Province) -> tuple[Gate, Places]:
    """A gate that enrolled a day ago."""
    return enrolled_yesterday(town)


def day(count: float) -> float:
    """The time after so many days, in seconds since 1970."""
    return time.time() + count * DAY_S


def serial(places: Places) -> int:
    """Of the certificate in use."""
    return x509.load_pem_x509_certificate((places.store / CERT).read_bytes()).serial_number


def matches(places: Places) -> bool:
    """Whether certificate and key belong together."""
    made = x509.load_pem_x509_certificate((places.store / CERT).read_bytes())
    return made.public_key() == load_signing_key(places.store / KEY).public_key()


def test_a_certificate_is_renewed_from_day_thirty_on(
    enrolled: tuple[Gate, Places], town: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before; with another key; the one before is kept to verify what was signed in its time."""
    monkeypatch.setattr("provisioning.enrolment.worker.LEAST_AGE", timedelta())
    gate, places = enrolled
    before, key = serial(places), (places.store / KEY).read_bytes()
    site_key = (places.store / SITE_KEY).read_bytes()
    assert not renew.renew(places.etc, places.store, 20, now_s=day(29.9)).done
    assert serial(places) == before
    assert renew.renew(places.etc, places.store, 20, now_s=day(30.1)).done
    assert serial(places) != before
    assert (places.store / KEY).read_bytes() != key
    assert matches(places)
    assert (places.store / SITE_KEY).read_bytes() == site_key
    past = x509.load_pem_x509_certificates((places.etc / PAST).read_bytes())
    assert [one.serial_number for one in past] == [before]
    assert {path.name for path in places.store.iterdir()} == {CERT, KEY, SITE_KEY}
    assert not renew.renew(places.etc, places.store, 20).done
    outcomes = [row.outcome for row in town.registry.audit(gate.id)]
    assert outcomes[-2:] == ["issued", "renewed"]


def test_the_command_says_by_its_exit_code_that_the_gate_must_start_again(
    enrolled: tuple[Gate, Places], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """3 for a new one, 0 for not due: the unit restarts the gate for 3 alone."""
    monkeypatch.setattr("provisioning.enrolment.worker.LEAST_AGE", timedelta())
    gate, places = enrolled
    words = ["renew", f"--etc={places.etc}", f"--store={places.store}", "--wait=20"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(f"{gate.id}: not due; valid until 20")
    assert main([*words, "--early"]) == 3
    assert capsys.readouterr().out.startswith(f"{gate.id}: renewed; valid until 20")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["_next_key", "ask", "_keep_roots", "chain_in", "keep_chain", "_remember", "swap", "finish_swap"])
def test_a_power_cut_during_a_renewal_leaves_a_pair_that_works(
    enrolled: tuple[Gate, Places], town: Province, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    """The old one or the new one; the next attempt ends it, with no second certificate."""
    monkeypatch.setattr("provisioning.enrolment.worker.LEAST_AGE", timedelta())
    gate, places = enrolled
    before = serial(places)
    where = exchange if step == "finish_swap" else renew
    real: Callable[..., object] = getattr(where, step)

    def cut(*words: object) -> object:
        if when == "after":
            real(*words)
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(where, step, cut)
        with pytest.raises(Cut):
            renew.renew(places.etc, places.store, 20, early=True)
    # As the next start does, before anything else.
    exchange.finish_swap(places.store)
    if serial(places) == before:
        assert renew.renew(places.etc, places.store, 20, early=True).done
    assert matches(places)
    issued = [row for row in town.registry.audit(gate.id) if row.outcome == "issued"]
    assert len(issued) == 2
    assert f"{serial(places):x}" == issued[-1].facts["serial"]


def test_a_gate_that_the_province_does_not_answer_keeps_what_it_has(enrolled: tuple[Gate, Places], town: Province) -> None:
    """It says so, and tries again another day."""
    gate, places = enrolled
    before = serial(places)
    town.registry.move(gate.id, GateState.REVOKED)
    with pytest.raises(EnrolmentRefused, match="the province refuses: not_expected"):
        renew.renew(places.etc, places.store, 5, early=True)
    assert serial(places) == before
    assert matches(places)


def test_an_expired_gate_recovers_by_camera_and_renews_from_there(
    enrolled: tuple[Gate, Places], town: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate that came by camera opens the line again; the renewal after it brings a new key."""
    monkeypatch.setattr("provisioning.enrolment.worker.LEAST_AGE", timedelta())
    gate, places = enrolled
    key = load_signing_key(places.store / KEY)
    issuer, issuer_key = town.authority.certificate(Purpose.GATES), town.authority.issuer_key(Purpose.GATES, PHRASE)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC).replace(microsecond=0)

    def chain(start: datetime, end: datetime) -> bytes:
        made = leaf(gate.id, key.public_key(), issuer, issuer_key, (start, end))
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (made, issuer))

    (places.store / CERT).write_bytes(chain(now - timedelta(minutes=60), now - timedelta(minutes=1)))
    monkeypatch.setattr(exchange, "ANSWER_S", 3.0)
    with pytest.raises(EnrolmentRefused, match="not renewed yet: the connection ended"):
        renew.renew(places.etc, places.store, 0)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(places.store))
    text = (places.etc / "gate.toml").read_text().replace("[trust]\n", f'[trust]\ncommissioned = "{town.folder / "told"}"\n')
    (places.etc / "gate.toml").write_text(text)
    (town.folder / "told").mkdir()
    (town.folder / "told" / CERTIFICATE).write_bytes(chain(now - timedelta(hours=1), now + timedelta(days=2)))
    broker = commissioned.load(places.etc / "gate.toml").broker
    assert broker is not None
    assert broker.cert == town.folder / "told" / CERTIFICATE
    with town.registry.change() as session:
        made = x509.load_pem_x509_certificate((town.folder / "told" / CERTIFICATE).read_bytes())
        row = Certificate(
            serial=f"{made.serial_number:x}", gate=gate.id, starts=now - timedelta(hours=1), ends=now + timedelta(days=2), pem=""
        )
        row.pem = (town.folder / "told" / CERTIFICATE).read_text()
        session.add(row)
    assert renew.renew(places.etc, places.store, 20, now_s=time.time() + DAY_S).done
    assert matches(places)
    broker = commissioned.load(places.etc / "gate.toml").broker
    assert broker is not None
    assert broker.cert == places.store / CERT


def test_a_root_that_takes_over_comes_with_a_renewal(enrolled: tuple[Gate, Places], town: Province, tmp_path: Path) -> None:
    """Two roots are known at once, and the second comes over a line that the first vouches for."""
    _, places = enrolled
    (tmp_path / "next").mkdir()
    other = province(tmp_path / "next", stranger=True)
    roots = (town.authority.certificate(Purpose.ROOT), other.authority.certificate(Purpose.ROOT))
    answer = wire.EnrolAnswer(
        gate="g",
        csr="0" * 64,
        status="issued",
        roots=[base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in roots],
    )
    renew._keep_roots(places.etc, answer)  # noqa: SLF001 - the step that a renewal takes
    held = x509.load_pem_x509_certificates((places.etc / "root.pem").read_bytes())
    assert [one.fingerprint(hashes.SHA256()) for one in held] == [one.fingerprint(hashes.SHA256()) for one in roots]
    other.registry.close()
