"""The making of an authority: openssl believes its certificates, the gate's own loaders its keys, and it is made whole or not at all."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from device.core import wire
from device.core.credentials.trust import KeyUse
from device.edges.keys.seal import HpkeSealer, load_sealing_key
from device.edges.keys.trust_files import Signs, load_province, load_trust
from provisioning.authority import creation
from provisioning.authority.authority import PUBLIC, Authority
from provisioning.authority.creation import make
from provisioning.authority.keys import ISSUERS, Purpose
from provisioning.badges.issuer import BadgeIssuer
from provisioning.common.errors import Refused
from tests.provisioning.authority.made import NOW, PHRASE, openssl


@pytest.mark.parametrize("issuer", ISSUERS)
def test_openssl_follows_each_issuer_to_the_root(made: Authority, issuer: Purpose) -> None:
    """Under its strictest rules."""
    root, cert = made.folder / "root.cert.pem", made.folder / f"{issuer}.cert.pem"
    assert "OK" in openssl("verify", "-x509_strict", "-attime", int(NOW.timestamp()), "-CAfile", root, cert)
    assert "pathlen:0" in openssl("x509", "-in", cert, "-noout", "-ext", "basicConstraints")


def test_a_gate_believes_the_public_files(made: Authority) -> None:
    """The province's keys, the list of keys, and the key to seal to: by the loaders that a gate uses."""
    public = made.folder / PUBLIC
    province = load_province(public / "province.pem", Signs.LISTS)
    trust = load_trust(public / "trust.json", province)
    assert (KeyUse.BADGES, b"\x01") in trust.keys
    opened = made.key(Purpose.SEALING, PHRASE)
    assert isinstance(opened, x25519.X25519PrivateKey)
    assert HpkeSealer(public / "seal.pem").seal(b"x", b"y")
    assert isinstance(load_sealing_key(public / "seal.pem"), x25519.X25519PublicKey)
    assert BadgeIssuer(made.signer(Purpose.BADGES, PHRASE), 1).badge(b"12345678", int(NOW.timestamp()) + 1000).startswith("G1:")


def test_the_desk_that_sends_lists_cannot_order_a_gate_about(made: Authority) -> None:
    """Each key counts for its own purpose alone."""
    path = made.folder / PUBLIC / "province.pem"
    for use, mine, other in ((Signs.ORDERS, Purpose.ORDERS, Purpose.LISTS), (Signs.LISTS, Purpose.LISTS, Purpose.ORDERS)):
        signed = {
            one: wire.with_signature(b'{"a":1}', base64.b64encode(made.signer(one, PHRASE).sign(b'{"a":1}')).decode())
            for one in (mine, other)
        }
        province = load_province(path, use)
        assert (province.vouches(signed[mine]), province.vouches(signed[other])) == (True, False)


def test_private_keys_are_locked_and_only_their_owners(made: Authority) -> None:
    """Each file; nothing private lies among the public things."""
    for purpose in Purpose:
        path = made.folder / f"{purpose}.key.pem"
        assert "ENCRYPTED" in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    assert all(b"PRIVATE" not in path.read_bytes() for path in (made.folder / PUBLIC).iterdir())


def test_an_authority_is_never_written_over(tmp_path: Path) -> None:
    """E143, and a short passphrase makes none."""
    before = make(tmp_path / "a", "Test", PHRASE).fingerprints()
    with pytest.raises(Refused, match="E143"):
        make(tmp_path / "a", "Test", PHRASE)
    assert Authority(tmp_path / "a").fingerprints() == before
    with pytest.raises(Refused, match="E144"):
        make(tmp_path / "b", "Test", "short")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("nth", range(1, 27))
def test_an_interruption_leaves_no_half_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """At each file; the next run makes it."""
    count = 0
    real = creation._write  # noqa: SLF001 - the place where the disk fails

    def failing(path: Path, content: bytes, mode: int = 0o644) -> None:
        nonlocal count
        count += 1
        if count == nth:
            raise OSError(28, os.strerror(28))
        real(path, content, mode)

    monkeypatch.setattr(creation, "_write", failing)
    with pytest.raises(Refused, match="E145"):
        make(tmp_path / "a", "Test", PHRASE)
    assert not (tmp_path / "a").exists()
    monkeypatch.undo()
    assert make(tmp_path / "a", "Test", PHRASE).exists
