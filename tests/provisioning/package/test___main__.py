"""``python -m provisioning.package``: sign, public-key and verify as those who release use them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning.package.__main__ import main


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """The file of a release key."""
    made = Ed25519PrivateKey.generate()
    text = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "release.pem").write_bytes(text)
    return tmp_path / "release.pem"


def run(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    """The exit code of one call."""
    monkeypatch.setattr(sys, "argv", ["package", *map(str, words)])
    return main()


def test_what_was_signed_here_is_good_by_the_public_key_printed_here(
    tmp_path: Path, pem: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A release from key to check, with what each step prints; afterwards another byte is refused with exit code 1."""
    package, keys = tmp_path / "gate_9.9.9_arm64.deb", tmp_path / "keys"
    package.write_bytes(b"a package")
    keys.mkdir()
    assert run(monkeypatch, "public-key", "--key", pem) == 0
    (keys / "release.pub").write_bytes(capfdbinary.readouterr().out)
    assert run(monkeypatch, "sign", "--key", pem, package) == 0
    assert capfdbinary.readouterr().out.decode() == f"{package}.sig\n"
    assert run(monkeypatch, "verify", "--keys", keys, package) == 0
    assert capfdbinary.readouterr().out.decode() == f"{package}: good\n"
    package.write_bytes(b"b package")
    assert run(monkeypatch, "verify", "--keys", keys, package) == 1
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.startswith(b"package: ")
    assert b"not the one that was signed" in err


def test_what_cannot_be_done_is_said_and_is_exit_code_1(
    tmp_path: Path, pem: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that is none, and a package that is not there: the file is named."""
    (tmp_path / "no.pem").write_text("no key")
    assert run(monkeypatch, "public-key", "--key", tmp_path / "no.pem") == 1
    assert "no.pem" in capsys.readouterr().err
    assert run(monkeypatch, "sign", "--key", pem, tmp_path / "nowhere.deb") == 1
    assert "nowhere.deb" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["sign"], ["sign", "x.deb"], ["verify", "x.deb"], ["build", "--arch", "vax"], ["publish"]])
def test_a_wrong_line_is_usage(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and nothing was done."""
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *words)
    assert caught.value.code == 2
