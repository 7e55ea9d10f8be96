"""Signatures on packages: the form of signify's files, and what counts."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.edges.keys.release import encode, load_keys, verify
from device.errors import Unsigned

PACKAGE = b"a package"
NUMBER = b"number-1"
KEY = Ed25519PrivateKey.generate()


def write_key(folder: Path, name: str = "release", key: Ed25519PrivateKey = KEY, number: bytes = NUMBER) -> Path:
    """A release key as the package brings it."""
    path = folder / f"{name}.pub"
    path.write_bytes(encode(f"{name} public key", number, key.public_key().public_bytes_raw()))
    return path


def write_signature(folder: Path, key: Ed25519PrivateKey = KEY, number: bytes = NUMBER) -> Path:
    """A signature of the package."""
    path = folder / "package.sig"
    path.write_bytes(encode("verify with release.pub", number, key.sign(PACKAGE)))
    return path


def test_a_file_is_a_comment_and_a_line_of_base64(tmp_path: Path) -> None:
    """As signify(1) of OpenBSD reads and writes it: two letters for the algorithm, eight bytes that number the key, then the key."""
    comment, line, end = write_key(tmp_path).read_bytes().split(b"\n")
    assert comment == b"untrusted comment: release public key"
    assert base64.b64decode(line, validate=True) == b"Ed" + NUMBER + KEY.public_key().public_bytes_raw()
    assert end == b""


def test_what_one_of_the_keys_has_signed_is_taken(tmp_path: Path) -> None:
    """Keys are told apart by their number; two that share one are both tried."""
    write_key(tmp_path, "another", Ed25519PrivateKey.generate(), b"number-2")
    write_key(tmp_path, "first", Ed25519PrivateKey.generate())
    write_key(tmp_path)
    keys = load_keys(tmp_path)
    assert [key.number for key in keys] == [b"number-2", NUMBER, NUMBER]
    verify(PACKAGE, write_signature(tmp_path), keys)


def test_a_signature_of_something_else_or_by_somebody_else_is_refused(tmp_path: Path) -> None:
    """What is wrong is said: an unknown key by its number, another package as another package."""
    write_key(tmp_path)
    keys = load_keys(tmp_path)
    signature = write_signature(tmp_path)
    with pytest.raises(Unsigned, match=r"package\.sig: the package is not the one that was signed"):
        verify(PACKAGE + b"!", signature, keys)
    with pytest.raises(Unsigned, match=r"package\.sig: the package is not the one that was signed"):
        verify(PACKAGE, write_signature(tmp_path, Ed25519PrivateKey.generate()), keys)
    write_signature(tmp_path, number=b"number-3")
    with pytest.raises(Unsigned, match=rf"package\.sig: signed with the key {b'number-3'.hex()}, which this gate does not know"):
        verify(PACKAGE, signature, keys)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no key or signature can be read"),
        (b"untrusted comment: x", "no key or signature can be read"),
        (b"untrusted comment: x\n!!!!\n", "no key or signature can be read"),
        (encode("x", NUMBER, bytes(32)), "not an Ed25519 key or signature"),
        (encode("x", NUMBER, bytes(63)), "not an Ed25519 key or signature"),
        (encode("x", NUMBER, bytes(65)), "not an Ed25519 key or signature"),
        (b"untrusted comment: x\n" + base64.b64encode(b"RW" + NUMBER + bytes(64)), "not an Ed25519 key or signature"),
        (b"untrusted comment: " + b"x" * 5000 + b"\n" + base64.b64encode(b"Ed" + NUMBER + bytes(64)), "can be read"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    """No more than 4 KiB of it is read."""
    write_key(tmp_path)
    (tmp_path / "package.sig").write_bytes(content)
    with pytest.raises(Unsigned, match=rf"package\.sig: .*{why}"):
        verify(PACKAGE, tmp_path / "package.sig", load_keys(tmp_path))


def test_a_missing_signature_is_named(tmp_path: Path) -> None:
    """It is no signature of anything."""
    write_key(tmp_path)
    with pytest.raises(Unsigned, match=r"package\.sig: .*No such file"):
        verify(PACKAGE, tmp_path / "package.sig", load_keys(tmp_path))


def test_a_folder_without_keys_trusts_nothing_and_a_bad_key_is_named(tmp_path: Path) -> None:
    """A key that is not read is not skipped: an operator who brought it in must hear that it does not count."""
    with pytest.raises(Unsigned, match="holds no release key"):
        load_keys(tmp_path)
    write_key(tmp_path)
    (tmp_path / "worse.pub").write_bytes(encode("x", NUMBER, bytes(64)))
    with pytest.raises(Unsigned, match=r"worse\.pub"):
        load_keys(tmp_path)
