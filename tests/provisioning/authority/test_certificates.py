"""Certificates: openssl takes each for what it is and for nothing else, and none outlives its issuer."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from provisioning.authority.certificates import issuing, leaf, pem

NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
YEAR = (NOW, NOW + timedelta(days=365))
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def root() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A root of its own, and its key."""
    key = ec.generate_private_key(ec.SECP384R1())
    return issuing("root", key.public_key(), "root", key, YEAR, path_length=0), key


def openssl(folder: Path, made: x509.Certificate, root: x509.Certificate, *more: str) -> bool:
    """Whether openssl follows a certificate to the root, by its strictest rules, in the year of the tests."""
    (folder / "root.pem").write_bytes(pem(root))
    (folder / "made.pem").write_bytes(pem(made))
    command = ["openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp()) + 1), "-CAfile", str(folder / "root.pem"), *more]
    return subprocess.run([*command, str(folder / "made.pem")], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("hosts", [(), ("broker.example.org",)])
def test_a_leaf_is_a_client_or_with_hosts_a_server(
    tmp_path: Path, root: tuple[x509.Certificate, ec.EllipticCurvePrivateKey], hosts: tuple[str, ...]
) -> None:
    """Never both."""
    made = leaf("one", KEY.public_key(), *root, YEAR, hosts=hosts)
    assert openssl(tmp_path, made, root[0], "-purpose", "sslserver") is bool(hosts)
    assert openssl(tmp_path, made, root[0], "-purpose", "sslclient") is not bool(hosts)


def test_a_leaf_issues_nothing(tmp_path: Path, root: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> None:
    """Even where the path could be longer, and it says so of itself."""
    long = issuing("long", root[1].public_key(), "long", root[1], YEAR, path_length=3)
    above = leaf("above", KEY.public_key(), long, root[1], YEAR)
    assert not above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    made = leaf("below", ec.generate_private_key(ec.SECP256R1()).public_key(), above, KEY, YEAR)
    (tmp_path / "above.pem").write_bytes(pem(above))
    assert not openssl(tmp_path, made, long, "-untrusted", str(tmp_path / "above.pem"))


def test_a_leaf_ends_with_its_issuer_at_the_latest(root: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> None:
    """Whatever was asked for; and before it where it was asked for less."""
    for asked, ends in ((timedelta(days=400), YEAR[1]), (timedelta(days=90), NOW + timedelta(days=90))):
        assert leaf("one", KEY.public_key(), *root, (NOW, NOW + asked)).not_valid_after_utc == ends


def test_an_issuer_has_so_many_below_it_and_no_more(tmp_path: Path, root: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> None:
    """A root for leaves alone vouches for no issuer's leaf."""
    between = issuing("between", KEY.public_key(), "root", root[1], YEAR, path_length=0)
    made = leaf("below", ec.generate_private_key(ec.SECP256R1()).public_key(), between, KEY, YEAR)
    (tmp_path / "between.pem").write_bytes(pem(between))
    assert not openssl(tmp_path, made, root[0], "-untrusted", str(tmp_path / "between.pem"))
    wider = issuing("root", root[1].public_key(), "root", root[1], YEAR, path_length=1)
    assert openssl(tmp_path, made, wider, "-untrusted", str(tmp_path / "between.pem"))
