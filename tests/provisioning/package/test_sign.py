"""Releases are signed so that a gate takes them. What a gate refuses is shown with its own part, `device.edges.keys.release`."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.edges.keys.release import load_keys, verify
from device.errors import Unsigned
from provisioning.package.sign import BadKeyError, load, public_key, signature


def test_what_was_signed_is_taken(tmp_path: Path) -> None:
    """By any of several keys, so that a new one can come before the old one goes; and by no other."""
    key, package, keys = Ed25519PrivateKey.generate(), tmp_path / "gate_9.9.9_amd64.deb", tmp_path / "keys"
    package.write_bytes(b"a package")
    keys.mkdir()
    (keys / "another.pub").write_bytes(public_key(Ed25519PrivateKey.generate()))
    with pytest.raises(Unsigned, match="does not know"):
        verify(b"a package", signature(key, package), load_keys(keys))
    (keys / "release.pub").write_bytes(public_key(key))
    verify(b"a package", signature(key, package), load_keys(keys))


def test_a_secret_key_of_another_kind_is_named(tmp_path: Path) -> None:
    """Before anything is signed."""
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(BadKeyError, match=r"key.pem"):
        load(tmp_path / "key.pem")
    made = Ed25519PrivateKey.generate()
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    assert public_key(load(tmp_path / "key.pem")) == public_key(made)
