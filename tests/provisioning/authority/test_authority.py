"""The authority: openssl believes its certificates, the gate's own loaders believe its keys, and it is made whole or not at all."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519

from device.core import wire
from device.core.credentials.trust import KeyUse
from device.edges.keys.seal import HpkeSealer, load_sealing_key
from device.edges.keys.trust_files import Signs, load_province, load_trust
from provisioning.authority import creation, keys
from provisioning.authority.authority import PUBLIC, Authority
from provisioning.authority.creation import make
from provisioning.authority.keys import ISSUERS, SIGNERS, Purpose
from provisioning.badges.issuer import BadgeIssuer
from provisioning.common.errors import Refused

PHRASE = "ba bon nam sau"
NOW = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority."""
    return make(tmp_path_factory.mktemp("home") / "authority", "Test", PHRASE, NOW)


def openssl(*words: object) -> str:
    """What openssl says."""
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("issuer", ISSUERS)
def test_openssl_follows_each_issuer_to_the_root(made: Authority, issuer: Purpose) -> None:
    """Under its strictest rules."""
    root, cert = made.folder / "root.cert.pem", made.folder / f"{issuer}.cert.pem"
    assert "OK" in openssl("verify", "-x509_strict", "-attime", int(NOW.timestamp()), "-CAfile", root, cert)
    assert "pathlen:0" in openssl("x509", "-in", cert, "-noout", "-ext", "basicConstraints")


@pytest.mark.usefixtures("slow_passphrase")
def test_a_guess_at_the_passphrase_costs_memory_and_time(tmp_path: Path) -> None:
    """64 MiB for each; and with another cost the files do not open."""
    assert keys.STRETCH_COST == 2**16
    one = make(tmp_path / "authority", "Test", PHRASE, NOW)
    assert one.signer(Purpose.ORDERS, PHRASE).sign(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "STRETCH_COST", 2**4)
        keys.stretched.cache_clear()  # what was stretched once is remembered
        with pytest.raises(Refused, match="E142"):
            one.signer(Purpose.ORDERS, PHRASE)
    keys.stretched.cache_clear()


def test_no_key_is_for_two_things(made: Authority) -> None:
    """As many public keys as purposes."""
    assert len(set(made.fingerprints().values())) == len(Purpose)
    raw = {
        made.key(purpose, PHRASE).public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        for purpose in Purpose
    }
    assert len(raw) == len(Purpose)


def test_fingerprints_are_those_that_openssl_gives(made: Authority) -> None:
    """Of a certificate."""
    told = openssl("x509", "-in", made.folder / "gates.cert.pem", "-noout", "-fingerprint", "-sha256")
    assert told.strip().partition("=")[2].replace(":", "").lower() == made.fingerprints()["gates"]


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


def test_a_wrong_passphrase_opens_nothing(made: Authority) -> None:
    """E142."""
    for purpose in SIGNERS:
        with pytest.raises(Refused, match="E142"):
            made.signer(purpose, PHRASE + "x")


def test_the_passphrase_alone_does_not_open_a_copied_key_file(made: Authority) -> None:
    """It is stretched first; guessing costs 64 MiB and a fraction of a second a word."""
    command = ["openssl", "pkey", "-in", str(made.folder / "orders.key.pem"), "-passin", f"pass:{PHRASE}", "-noout"]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode != 0


def test_a_root_key_in_the_safe_is_missed_only_where_it_is_needed(tmp_path: Path) -> None:
    """The others work without it."""
    one = make(tmp_path / "a", "Test", PHRASE)
    (one.folder / "root.key.pem").unlink()
    assert one.signer(Purpose.ORDERS, PHRASE).sign(b"x")
    with pytest.raises(Refused, match="E141"):
        one.key(Purpose.ROOT, PHRASE)
    with pytest.raises(Refused, match="E141"):
        one.signer(Purpose.SEALING, PHRASE)
    with pytest.raises(Refused, match="E140"):
        Authority(tmp_path / "none").fingerprints()


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
