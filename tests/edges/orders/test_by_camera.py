"""Orders by camera: what counts, once, and what is refused and recorded. The signature, the seal and the certificates are real."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from device import config as configuration
from device.core import commissioning as claim
from device.core import wire
from device.edges.orders.book import BOOK_LIMIT, OrderBook, OrderNote
from device.edges.orders.by_camera import CERTIFICATE, board_serial, forget
from device.settings import commissioned
from provisioning.authority.authority import Authority
from tests.edges.orders.by_camera_kit import BOARD, GATE, NOW_S, SUITE, Place, make_authority, reading


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def place(tmp_path: Path, authority: Authority) -> Place:
    """A gate."""
    return Place(tmp_path, authority)


def test_a_place_is_taken_once_and_laid_over_the_configuration(place: Place) -> None:
    """At the next start the gate has its new lane and direction; the order counts no second time, after a start neither."""
    order = place.order()
    assert place.take(order) == "taken"
    told = commissioned.load(place.path).gate
    assert (told.lane, told.direction, told.site) == ("7", "out", "s-old")
    place.commissioner = place.start()
    assert place.take(order) == "already_used"
    assert not place.start().is_open(61 * 1_000_000_000)


def test_a_site_brings_its_key_sealed_to_the_gate(place: Place) -> None:
    """Nobody who photographs the order learns the key; what the gate keeps of it only the gate reads."""
    sealed = SUITE.encrypt(b"k" * 32, place.key.public_key(), claim.SITE_KEY_INFO + f"{GATE}/s-new".encode())
    assert place.take(place.order(SITE="s-new", SITE_KEY=sealed)) == "taken"
    config = commissioned.load(place.path)
    assert config.gate.site == "s-new"
    assert config.privacy.site_key.read_text() == (b"k" * 32).hex()
    assert stat.S_IMODE(config.privacy.site_key.stat().st_mode) == 0o600
    forget(config.trust.commissioned)
    assert commissioned.load(place.path).gate.site == "s-old"


def test_an_expired_gate_takes_a_certificate_for_its_own_key(place: Place) -> None:
    """It has been away for long, so it takes one without knowing the time too."""
    assert place.take(place.order(LANE=None, DIRECTION=None, CERTIFICATE=place.fresh()), trusted=False) == "taken"
    broker = commissioned.load(place.path).broker
    assert broker is not None
    assert broker.cert == place.folder / "commissioned" / CERTIFICATE
    assert len(x509.load_pem_x509_certificates(broker.cert.read_bytes())) == 2
    config = configuration.load(place.path)
    assert config.broker is not None
    assert config.broker.cert == place.folder / "gate.cert"


def bad_orders(place: Place) -> dict[str, tuple[bytes, str]]:
    """What somebody might hold up, and what becomes of it."""
    other, stranger = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    good, bare = place.order(), {"LANE": None, "DIRECTION": None}
    elsewhere = SUITE.encrypt(b"k" * 32, other.public_key(), claim.SITE_KEY_INFO + f"{GATE}/s-new".encode())
    short = SUITE.encrypt(b"k" * 31, place.key.public_key(), claim.SITE_KEY_INFO + f"{GATE}/s-new".encode())
    start = datetime.fromtimestamp(NOW_S, UTC)
    old = place.made(start - timedelta(days=200), start - timedelta(days=11)).public_bytes(serialization.Encoding.DER)
    return {
        "another gate's": (place.order(SUBJECT="g0000000xx"), "foreign"),
        "another board's": (place.order(BOARD="other"), "foreign"),
        "a stranger's": (place.order(key=stranger), "bad_signature"),
        "altered": (good[:-1] + (b"A" if good[-1:] != b"A" else b"B"), "bad_signature"),
        "over": (place.order(ISSUED=NOW_S - 7200, EXPIRES=NOW_S - 1), "expired"),
        "too long": (place.order(EXPIRES=NOW_S + 86_400), "life_too_long"),
        "backwards": (place.order(ISSUED=NOW_S, EXPIRES=NOW_S - 1), "life_too_long"),
        "from the future": (place.order(ISSUED=NOW_S + 3600, EXPIRES=NOW_S + 7200), "not_yet"),
        "nothing": (b"GC1:", "malformed"),
        "lower case": (b"GC1:abc", "malformed"),
        "not ASCII": (b"GC1:\xff", "malformed"),
        "without an id": (place.order(ID=None), "malformed"),
        "without a purpose": (place.order(**bare), "malformed"),
        "with two purposes": (place.order(CERTIFICATE=place.fresh()), "malformed"),
        "a lane of another form": (place.order(LANE="a b"), "malformed"),
        "a way that there is not": (place.order(DIRECTION="up"), "malformed"),
        "a site without its key": (place.order(SITE="s-new"), "malformed"),
        "a key sealed to another": (place.order(SITE="s-new", SITE_KEY=elsewhere), "sealed_to_another"),
        "a key for another site": (place.order(SITE="s-two", SITE_KEY=short), "sealed_to_another"),
        "a key that is short": (place.order(SITE="s-new", SITE_KEY=short), "malformed"),
        "no certificate": (place.order(**bare, CERTIFICATE=b"x"), "bad_certificate"),
        "another key's certificate": (place.order(**bare, CERTIFICATE=place.fresh(key=other)), "bad_certificate"),
        "another gate's certificate": (place.order(**bare, CERTIFICATE=place.fresh(name="g0000000xx")), "bad_certificate"),
        "an older certificate": (place.order(**bare, CERTIFICATE=old), "bad_certificate"),
    }


def test_what_does_not_count_is_refused_recorded_and_changes_nothing(place: Place) -> None:
    """Every refusal has the reason that tells a technician what to mend."""
    before = commissioned.load(place.path)
    for name, (payload, reason) in bad_orders(place).items():
        assert (name, place.take(payload)) == (name, reason)
    assert commissioned.load(place.path) == before
    assert not (place.folder / "commissioned").exists()
    assert place.take(place.order()) == "taken"


def test_a_certificate_that_ends_no_later_than_the_one_in_use_is_refused(place: Place) -> None:
    """It would shorten what the gate has; one second more is newer."""
    bare = {"LANE": None, "DIRECTION": None}
    start, end = datetime.fromtimestamp(NOW_S, UTC) - timedelta(hours=1), datetime.fromtimestamp(NOW_S, UTC) + timedelta(days=9)
    issuer = (place.folder / "gate.cert").read_bytes().partition(b"-----END CERTIFICATE-----\n")[2]
    (place.folder / "gate.cert").write_bytes(place.made(start, end).public_bytes(serialization.Encoding.PEM) + issuer)
    for late, answer in ((timedelta(), "not_newer"), (timedelta(seconds=1), "taken")):
        made = place.made(start, end + late).public_bytes(serialization.Encoding.DER)
        assert place.take(place.order(**bare, CERTIFICATE=made)) == answer


def test_a_gate_without_a_key_of_its_own_takes_no_secret_and_no_certificate(place: Place) -> None:
    """Neither could be for it; its lane it still takes."""
    whole, fresh, bare = place.path.read_text(), place.fresh(), {"LANE": None, "DIRECTION": None}
    sealed = SUITE.encrypt(b"k" * 32, place.key.public_key(), claim.SITE_KEY_INFO + f"{GATE}/s-new".encode())
    ed = ed25519.Ed25519PrivateKey.generate()
    for damage in ("missing", "another kind", "no broker"):
        (place.folder / "gate.key").unlink(missing_ok=True)
        if damage == "another kind":
            raw = ed.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            (place.folder / "gate.key").write_bytes(raw)
        if damage == "no broker":
            place.path.write_text(whole.partition("[broker]")[0])
        place.commissioner = place.start()
        assert place.take(place.order(SITE="s-new", SITE_KEY=sealed)) == "no_key"
        assert place.take(place.order(**bare, CERTIFICATE=fresh)) == "no_key"
    assert place.take(place.order()) == "taken"


def test_a_gate_on_loopback_without_an_authority_takes_no_certificate(place: Place) -> None:
    """There is no root to which it could lead."""
    text = place.path.read_text().replace("broker.example.org", "127.0.0.1").replace('ca = "root.pem"\n', "")
    place.path.write_text(text)
    place.commissioner = place.start()
    assert place.take(place.order(LANE=None, DIRECTION=None, CERTIFICATE=place.fresh())) == "no_key"


def test_without_the_time_only_what_is_certainly_over_is_refused(place: Place) -> None:
    """The floor of the clock stands in for it."""
    order = place.order(ISSUED=NOW_S - 7200, EXPIRES=NOW_S - 3600)
    place.floor_s = NOW_S
    assert place.take(order, trusted=False) == "expired"
    place.floor_s = NOW_S - 86_400
    assert place.take(order, trusted=False) == "taken"


def test_a_full_disk_refuses_and_the_same_order_counts_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that could not be kept is not used up."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert place.take(place.order()) == "storage"
    assert place.take(place.order()) == "taken"


def test_the_window_is_recorded_and_shuts_by_itself_and_after_an_order(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Who held the button is not known, but that it was held."""
    commissioner = place.start()
    caplog.clear()
    commissioner.open(5)
    assert caplog.messages == ["the button opened the window for a technician's order, for 60 s"]
    assert place.facts == [wire.WindowOpened(open_s=60)]
    assert commissioner.is_open(5 + 59_000_000_000)
    assert not commissioner.is_open(5 + 60_000_000_000)
    place.facts.clear()
    assert place.take(place.order()) == "taken"
    assert not place.commissioner.is_open(0)


def test_a_board_says_its_number_or_nothing(tmp_path: Path) -> None:
    """The device tree's ends with a zero byte."""
    (tmp_path / "serial-number").write_bytes(b"10000000abcdef01\0")
    assert board_serial(tmp_path / "serial-number") == BOARD
    assert board_serial(tmp_path / "none") == ""


def test_the_record_names_the_order_and_how_it_ended(place: Place) -> None:
    """What was over is expired, all else that does not count is rejected; an order that cannot be read has no number."""
    bare = {"LANE": None, "DIRECTION": None}
    cases = [
        (place.order(ISSUED=NOW_S - 7200, EXPIRES=NOW_S - 1), (bytes(8).hex(), "camera-place", "expired", "expired")),
        (place.order(SUBJECT="g0000000xx"), (bytes(8).hex(), "camera-place", "rejected", "foreign")),
        (place.order(**bare, CERTIFICATE=b"x"), (bytes(8).hex(), "camera-certificate", "rejected", "bad_certificate")),
        (b"GC1:", ("unreadable", None, "rejected", "malformed")),
        (place.order(ID=b"12345678"), (b"12345678".hex(), "camera-place", "succeeded", None)),
    ]
    for payload, expected in cases:
        place.facts.clear()
        place.commissioner.submit(payload, reading())
        (fact,) = place.facts
        assert isinstance(fact, wire.CommandFate)
        assert (fact.id, fact.order, fact.state, fact.reason) == expected
    assert place.commissioner.taken_ns == reading().monotonic_ns


def test_used_orders_are_forgotten_a_day_after_they_expired_by_a_known_clock(place: Place) -> None:
    """Full, the book takes no further one."""
    book = OrderBook(place.folder / "orders" / "camera")
    old = OrderNote("f" * 16, "camera-place", "succeeded", NOW_S - 86_401, reported=True)
    for number in range(BOOK_LIMIT):
        book.write(replace(old, id=f"f{number:015}"))
    place.commissioner = place.start()
    assert place.take(place.order(), trusted=False) == "too_many_orders"
    assert place.take(place.order()) == "taken"
    (note,) = OrderBook(place.folder / "orders" / "camera").lines()
    assert note == OrderNote(bytes(8).hex(), "camera-place", "succeeded", NOW_S + 3600, None, reported=True)


def test_a_gate_without_a_button_has_no_window(place: Place) -> None:
    """Nobody could have held a button, so nobody opened the window."""
    place.path.write_text(place.path.read_text().replace("button = { pin = 25, window_s = 60 }", ""))
    assert not place.start().is_open(1)


def test_what_is_kept_is_for_the_gate_alone(place: Place) -> None:
    """The folder and everything in it."""
    place.path.write_text(place.path.read_text().replace('"commissioned"', '"state/commissioned"'))
    place.commissioner = place.start()
    assert place.take(place.order()) == "taken"
    folder = place.folder / "state" / "commissioned"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
