"""The authority: openssl believes its certificates, the gate's own loaders believe its keys, and it is made whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from provisioning.authority.authority import Authority
from provisioning.authority.creation import make
from provisioning.authority.keys import SIGNERS, Purpose
from provisioning.common.errors import Refused
from tests.provisioning.authority.made import PHRASE, openssl


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


def test_a_wrong_passphrase_opens_nothing(made: Authority) -> None:
    """E142."""
    for purpose in SIGNERS:
        with pytest.raises(Refused, match="E142"):
            made.signer(purpose, PHRASE + "x")


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
