"""Whether a certificate is the province's, for this gate and its key."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device.edges.keys.certificate_chain import BadChain, check_chain, check_chain_to
from provisioning.authority.authority import Authority
from provisioning.authority.certificates import leaf
from provisioning.authority.creation import make
from provisioning.authority.keys import Purpose

GATE = "g4k7m2xp9a"
PHRASE = "ba bon nam sau"
NOW = datetime(2026, 11, 27, tzinfo=UTC)
NOW_S = NOW.timestamp()
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The province's authority, a year old."""
    return make(tmp_path_factory.mktemp("authority") / "authority", "Test", PHRASE, NOW - timedelta(days=400))


def chain(authority: Authority, name: str = GATE, days: tuple[int, int] = (-1, 30)) -> list[x509.Certificate]:
    """A gate's certificate for some days around now, and the one that issued it."""
    issuer = authority.certificate(Purpose.GATES)
    valid = (NOW + timedelta(days=days[0]), NOW + timedelta(days=days[1]))
    return [leaf(name, KEY.public_key(), issuer, authority.issuer_key(Purpose.GATES, PHRASE), valid), issuer]


def root_of(authority: Authority) -> Path:
    """The root in a PEM file."""
    return authority.folder / "public" / "root.pem"


def test_a_certificate_of_the_province_for_this_gate_and_key_is_good(authority: Authority) -> None:
    """The root may come in a file, or as a certificate at hand."""
    check_chain(root_of(authority), GATE, KEY.public_key(), chain(authority), NOW_S)
    roots = x509.load_pem_x509_certificates(root_of(authority).read_bytes())
    check_chain_to(roots, GATE, KEY.public_key(), chain(authority), NOW_S)


def test_another_gate_s_name_and_another_key_are_refused(authority: Authority) -> None:
    """A gate that showed one certificate and held the key of another would be refused by every broker."""
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    for gate, key in (("another", KEY.public_key()), (GATE, stranger)):
        with pytest.raises(BadChain, match="it is for another gate or another key"):
            check_chain(root_of(authority), gate, key, chain(authority), NOW_S)
    with pytest.raises(BadChain, match="another gate or another key"):
        check_chain_to(x509.load_pem_x509_certificates(root_of(authority).read_bytes()), GATE, None, chain(authority), NOW_S)


def test_the_time_to_judge_by_is_the_caller_s(authority: Authority) -> None:
    """From the first second of the certificate to its last; a gate without a clock asks with the time of its order."""
    made = chain(authority)
    first_s, last_s = made[0].not_valid_before_utc.timestamp(), made[0].not_valid_after_utc.timestamp()
    for good_s in (first_s, last_s):
        check_chain(root_of(authority), GATE, KEY.public_key(), made, good_s)
    for bad_s in (first_s - 1, last_s + 1):
        with pytest.raises(BadChain, match="it does not lead to the province's root"):
            check_chain(root_of(authority), GATE, KEY.public_key(), made, bad_s)


def test_what_does_not_lead_to_the_root_is_refused(authority: Authority, tmp_path: Path) -> None:
    """A missing link, an empty chain, a foreign root, a file that holds none."""
    made = chain(authority)
    foreign = make(tmp_path / "foreign", "Other", PHRASE, NOW - timedelta(days=400))
    (tmp_path / "rubbish.pem").write_bytes(b"rubbish")
    for root, links in (
        (root_of(authority), made[:1]),
        (root_of(authority), []),
        (root_of(foreign), made),
        (tmp_path / "rubbish.pem", made),
    ):
        with pytest.raises(BadChain, match="it does not lead to the province's root: "):
            check_chain(root, GATE, KEY.public_key(), links, NOW_S)


def test_a_root_that_cannot_be_read_is_an_error_of_the_file(authority: Authority, tmp_path: Path) -> None:
    """Nothing is said of the certificate then."""
    with pytest.raises(FileNotFoundError):
        check_chain(tmp_path / "none.pem", GATE, KEY.public_key(), chain(authority), NOW_S)


@pytest.fixture
def in_vietnam(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is seven hours ahead."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "ICT-7")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_vietnam")
def test_the_machine_s_time_zone_plays_no_part(authority: Authority) -> None:
    """Seconds since 1970 are the same everywhere."""
    made = chain(authority)
    check_chain(root_of(authority), GATE, KEY.public_key(), made, made[0].not_valid_after_utc.timestamp())
    check_chain(root_of(authority), GATE, KEY.public_key(), made, made[0].not_valid_before_utc.timestamp())
