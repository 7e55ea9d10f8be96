"""Releases are signed so that a gate takes them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.edges.keys.release import load_keys, verify
from device.errors import Unsigned
from provisioning.package.sign import BadKeyError, load, public_key, signature


@pytest.fixture
def key() -> Ed25519PrivateKey:
    """A made-up release key."""
    return Ed25519PrivateKey.generate()


@pytest.fixture
def keys(tmp_path: Path, key: Ed25519PrivateKey) -> Path:
    """The gate's folder of release keys."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "release.pub").write_bytes(public_key(key))
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Something to sign."""
    path = tmp_path / "gate_9.9.9_amd64.deb"
    path.write_bytes(b"a package")
    return path


def test_what_was_signed_is_taken(package: Path, key: Ed25519PrivateKey, keys: Path) -> None:
    """By any of several keys, so that a new one can come before the old one goes."""
    (keys / "another.pub").write_bytes(public_key(Ed25519PrivateKey.generate()))
    verify(package.read_bytes(), signature(key, package), load_keys(keys))


def test_whatever_was_not_signed_is_refused(package: Path, key: Ed25519PrivateKey, keys: Path) -> None:
    """Another byte, another key, half a signature, none, a signature of something else."""
    signed = signature(key, package)
    good = signed.read_bytes()
    known = load_keys(keys)
    with pytest.raises(Unsigned, match="not the one that was signed"):
        verify(b"b package", signed, known)
    with pytest.raises(Unsigned, match="does not know"):
        verify(package.read_bytes(), signature(Ed25519PrivateKey.generate(), package), known)
    for broken in (good[:40], b"", good.replace(b"\n", b"\n!", 1), b"untrusted comment: x\n" + b"QUJD\n"):
        signed.write_bytes(broken)
        with pytest.raises(Unsigned, match=str(signed)):
            verify(package.read_bytes(), signed, known)
    signed.unlink()
    with pytest.raises(Unsigned, match=str(signed)):
        verify(package.read_bytes(), signed, known)


def test_a_gate_without_release_keys_takes_nothing(tmp_path: Path) -> None:
    """Said as what it is, and not as a bad signature."""
    with pytest.raises(Unsigned, match="holds no release key"):
        load_keys(tmp_path)


def test_a_secret_key_of_another_kind_is_named(tmp_path: Path) -> None:
    """Before anything is signed."""
    (tmp_path / "key.pem").write_text("nothing")
    with pytest.raises(BadKeyError, match=r"key.pem"):
        load(tmp_path / "key.pem")
    made = Ed25519PrivateKey.generate()
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    assert public_key(load(tmp_path / "key.pem")) == public_key(made)
