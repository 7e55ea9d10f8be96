"""`gate update`: who may have what installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.errors import UpdateRefused
from device.verbs import update
from provisioning.package.sign import public_key, signature


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


@pytest.fixture
def signed(package: Path, key: Ed25519PrivateKey) -> Path:
    """The same, with its signature beside it."""
    signature(key, package)
    return package


class Machine:
    """A pretended dpkg: what the package says of itself, and what is installed. Notes what was installed."""

    def __init__(self, fields: str, installed: str = "1.0.0") -> None:
        self.fields = fields
        self.installed = installed
        self.done: list[str] = []

    def said(self, program: str, *arguments: str) -> str:
        """What dpkg and its like answer."""
        answers = {"dpkg-deb": self.fields, "dpkg": "amd64", "dpkg-query": self.installed}
        assert arguments
        return answers[program]

    def install(self, package: Path, offer: update.Offer, _state: Path) -> int:
        """Note it, with what it would have been installed from."""
        self.done.append(f"{offer.version} {package.read_bytes().decode()}")
        return 0


def machine(monkeypatch: pytest.MonkeyPatch, fields: str) -> Machine:
    """Put in the place of Debian's programs; versions are compared by the real dpkg."""
    pretended = Machine(fields)
    monkeypatch.setattr(update, "_said", pretended.said)
    monkeypatch.setattr(update, "_install", pretended.install)
    return pretended


NEWER = "Package: gate\nVersion: 1.0.1\nArchitecture: amd64"


def test_a_signed_newer_package_is_installed_from_a_private_copy(
    tmp_path: Path, package: Path, key: Ed25519PrivateKey, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked is what is installed, and nothing is left."""
    signature(key, package)
    here = machine(monkeypatch, NEWER)
    state = tmp_path / "state"
    assert update.run_update(package, older=False, keys=keys, state=state) == 0
    assert here.done == ["1.0.1 a package"]
    assert list(state.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (NEWER.replace("gate", "other"), "not gate"),
        (NEWER.replace("amd64", "arm64"), "this machine is amd64"),
        (NEWER.replace("1.0.1", "1.0.0"), "not newer"),
        (NEWER.replace("1.0.1", "1.0.1~rc1").replace("1.0.1~rc1", "0.9"), "not newer"),
        ("", "no Debian package"),
    ],
)
def test_a_signed_package_for_something_else_is_refused_and_reported(
    tmp_path: Path, signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, fields: str, why: str
) -> None:
    """Another package, another processor, an older version replayed, no package at all."""
    here = machine(monkeypatch, fields)
    state = tmp_path / "state"
    with pytest.raises(UpdateRefused, match=why):
        update.run_update(signed, older=False, keys=keys, state=state)
    assert here.done == []
    report = json.loads((state / "last-update.json").read_text())
    assert (report["result"], why in report["reason"]) == ("refused", True)


def test_what_was_handed_in_is_taken_away_whether_it_was_good_or_not(
    tmp_path: Path, package: Path, key: Ed25519PrivateKey, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the service that waits for it would start for ever; and only what is said to be whole is looked at."""
    here = machine(monkeypatch, NEWER)
    folder = tmp_path / "handed-in"
    folder.mkdir()
    for name, signed, ready in (("good", True, True), ("bad", False, True), ("half", True, False)):
        path = folder / f"{name}.deb"
        path.write_bytes(name.encode())
        if signed:
            signature(key, path)
        if ready:
            (folder / f"{name}.deb.ready").touch()
    assert package.exists()
    assert update.run_handed_in(folder, keys=keys, state=tmp_path / "state") == 1
    assert here.done == ["1.0.1 good"]
    assert sorted(path.name for path in folder.iterdir()) == ["half.deb", "half.deb.sig"]


def test_a_link_handed_in_is_not_followed(tmp_path: Path, package: Path, keys: Path) -> None:
    """The one who hands in has fewer rights than the one who reads."""
    link = tmp_path / "link.deb"
    link.symlink_to(package)
    with pytest.raises(UpdateRefused, match="cannot be read"):
        update.run_update(link, older=False, keys=keys, state=tmp_path / "state")
