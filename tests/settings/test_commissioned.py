"""What was told by camera, laid over the configuration file at each start: only what the province signed, and nothing that is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from device import config as configuration
from device.config import GateConfig
from device.core import commissioning as claim
from device.edges.orders.by_camera import CERTIFICATE, PLACE, SITE_KEY
from device.errors import ConfigError
from device.settings import commissioned
from provisioning.authority.authority import Authority
from tests.edges.orders.by_camera_kit import GATE, NOW_S, SUITE, Place, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def place(tmp_path: Path, authority: Authority) -> Place:
    """A gate."""
    return Place(tmp_path, authority)


def test_what_somebody_else_put_into_the_folder_changes_nothing(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Only the province's signature makes it count, at each start anew."""
    assert place.take(place.order()) == "taken"
    path = place.folder / "commissioned" / PLACE
    for content in (place.order(key=ed25519.Ed25519PrivateKey.generate()), b"GC1:??", place.order(SUBJECT="g0000000xx"), b"\xff"):
        path.write_bytes(content)
        caplog.clear()
        assert commissioned.load(place.path).gate.lane == "1"
        assert str(path) in caplog.text


def test_a_renewed_key_ends_the_certificate_from_the_camera(place: Place) -> None:
    """Otherwise the gate would show one certificate and hold the key of another."""
    assert place.take(place.order(LANE=None, DIRECTION=None, CERTIFICATE=place.fresh())) == "taken"
    key = ec.generate_private_key(ec.SECP256R1())
    start = datetime.fromtimestamp(NOW_S, UTC)
    made = place.made(start, start + timedelta(days=30), key=key)
    (place.folder / "gate.cert").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    broker = commissioned.load(place.path).broker
    assert broker is not None
    assert broker.cert == place.folder / "gate.cert"


def told(place: Place) -> GateConfig:
    """The configuration with what was told laid over it."""
    return commissioned.load(place.path)


def certificate_in_use(place: Place) -> Path:
    """The file of the certificate that the gate would show."""
    broker = told(place).broker
    assert broker is not None
    assert broker.cert is not None
    return broker.cert


def write_certificate(place: Place, where: str, valid: tuple[timedelta, timedelta], **changes: object) -> None:
    """A certificate of the gate, from and until so long after now, with its issuer: where the camera's lies, or the card's."""
    start = datetime.fromtimestamp(NOW_S, UTC)
    made = place.made(start + valid[0], start + valid[1], **changes)  # type: ignore[arg-type]  # passed on as they come
    issuer = (place.folder / "gate.cert").read_bytes().partition(b"-----END CERTIFICATE-----\n")[2]
    path = place.folder / where
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + issuer)


FRESH = (timedelta(hours=-1), timedelta(days=90))


def test_without_a_folder_the_file_alone_counts(place: Place) -> None:
    """As in a gate that was set up by card."""
    assert told(place) == configuration.load(place.path)
    assert commissioned.read_tree(place.path) == configuration.read_tree(place.path)


def test_a_file_that_is_no_configuration_is_refused(place: Place) -> None:
    """Its name and the key are in the error, whatever was told by camera."""
    assert place.take(place.order()) == "taken"
    place.path.write_text(place.path.read_text().replace('lane = "1"', 'lane = "1"\nwidth = 2'))
    with pytest.raises(ConfigError, match=r"gate\.toml: gate\.width: no such key"):
        told(place)


def test_a_place_changes_lane_and_direction_and_nothing_else(place: Place) -> None:
    """Relative paths are still meant from the folder of the file."""
    before = configuration.load(place.path)
    assert place.take(place.order()) == "taken"
    after = told(place)
    assert (after.gate.lane, after.gate.direction, after.gate.site) == ("7", "out", "s-old")
    assert after.model_copy(update={"gate": before.gate}) == before
    assert after.privacy.site_key == place.folder / "site.key"


def test_a_new_site_has_a_key_of_its_own(place: Place) -> None:
    """What was hashed with the old one is nothing to the new site."""
    sealed = SUITE.encrypt(b"k" * 32, place.key.public_key(), claim.SITE_KEY_INFO + f"{GATE}/s-new".encode())
    assert place.take(place.order(SITE="s-new", SITE_KEY=sealed)) == "taken"
    after = told(place)
    assert after.gate.site == "s-new"
    assert after.privacy.site_key == place.folder / "commissioned" / SITE_KEY
    assert after.privacy.purpose == configuration.load(place.path).privacy.purpose


def test_a_newer_certificate_for_the_key_in_use_is_shown(place: Place) -> None:
    """Beside the key on the card, and with everything else of the broker as it was."""
    before = configuration.load(place.path).broker
    write_certificate(place, f"commissioned/{CERTIFICATE}", FRESH)
    assert certificate_in_use(place) == place.folder / "commissioned" / CERTIFICATE
    after = told(place).broker
    assert before is not None
    assert after == before.model_copy(update={"cert": place.folder / "commissioned" / CERTIFICATE})
    assert len(x509.load_pem_x509_certificates(certificate_in_use(place).read_bytes())) == 2


def test_a_certificate_that_does_not_last_longer_is_left_out(place: Place) -> None:
    """A renewal over the network came later and has the last word; one that ends in the same second is no newer."""
    write_certificate(place, f"commissioned/{CERTIFICATE}", FRESH)
    for end in (FRESH[1], FRESH[1] + timedelta(seconds=1)):
        write_certificate(place, "gate.cert", (FRESH[0], end))
        assert certificate_in_use(place) == place.folder / "gate.cert"
    write_certificate(place, "gate.cert", (FRESH[0], FRESH[1] - timedelta(seconds=1)))
    assert certificate_in_use(place) == place.folder / "commissioned" / CERTIFICATE


def test_a_certificate_that_is_not_the_province_s_is_left_out_and_said(
    place: Place, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another gate's, and one of a foreign authority: the gate goes on with its own."""
    write_certificate(place, f"commissioned/{CERTIFICATE}", FRESH, name="another")
    assert certificate_in_use(place) == place.folder / "gate.cert"
    assert "what was told by camera cannot be used: it is for another gate or another key" in caplog.text
    caplog.clear()
    place.authority = make_authority(tmp_path / "foreign")
    write_certificate(place, f"commissioned/{CERTIFICATE}", FRESH)
    assert certificate_in_use(place) == place.folder / "gate.cert"
    assert "it does not lead to the province's root" in caplog.text
    assert place.authority is not authority


def test_a_certificate_that_has_begun_and_ended_is_judged_by_its_own_beginning(place: Place) -> None:
    """A gate whose clock is wrong still shows the newest that it has."""
    write_certificate(place, f"commissioned/{CERTIFICATE}", (timedelta(days=-9), timedelta(days=-5)))
    assert certificate_in_use(place) == place.folder / "commissioned" / CERTIFICATE


def test_a_gate_without_a_broker_takes_its_place_all_the_same(place: Place) -> None:
    """There is nobody to show a certificate to."""
    assert place.take(place.order()) == "taken"
    write_certificate(place, f"commissioned/{CERTIFICATE}", FRESH)
    place.path.write_text(place.path.read_text().partition("[broker]")[0])
    assert (told(place).gate.lane, told(place).broker) == ("7", None)


def test_a_place_counts_beside_a_bad_certificate(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """What was told is laid over one by one: the place is in force although the certificate is rubbish."""
    assert place.take(place.order()) == "taken"
    (place.folder / "commissioned" / CERTIFICATE).write_bytes(b"rubbish")
    assert told(place).gate.lane == "7"
    assert certificate_in_use(place) == place.folder / "gate.cert"
    assert "what was told by camera cannot be used" in caplog.text


def test_an_order_larger_than_any_is_not_read(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """64 KiB are more than a code can hold."""
    order = place.order()
    assert place.take(order) == "taken"
    (place.folder / "commissioned" / PLACE).write_bytes(order + b" " * 64 * 1024)
    assert told(place).gate.lane == "1"
    assert "larger than 65536 bytes" in caplog.text


def test_a_key_of_the_lists_places_no_gate(place: Place) -> None:
    """Whoever sends lists each day cannot move a gate to another lane."""
    assert place.take(place.order()) == "taken"
    pem = (place.folder / "orders.pem").read_bytes()
    (place.folder / "orders.pem").write_bytes(b"signs: lists\n" + pem)
    assert told(place).gate.lane == "1"
    (place.folder / "orders.pem").write_bytes(b"signs: orders\n" + pem)
    assert told(place).gate.lane == "7"
