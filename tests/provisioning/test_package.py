"""The package's wheels, its signature and who may have it installed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device.edges.keys.release import load_keys, verify
from device.errors import Unsigned, UpdateRefused
from device.verbs import update
from provisioning.package.build import BuildError, Source, date, lay_out, own_wheel, source
from provisioning.package.sign import BadKeyError, load, public_key, signature
from provisioning.package.wheelhouse import LOCK, TARGETS, WheelhouseError, check_machine, pins
from tests.lab.releases import CHANGES


@pytest.fixture(autouse=True)
def dated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the project without git is built, too."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def test_without_git_and_without_a_date_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dated by the hour of the build, the package would never be the same twice."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        source(tmp_path)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(BuildError, match="SOURCE_DATE_EPOCH"):
        source(tmp_path)


@pytest.mark.parametrize("architecture", TARGETS)
def test_the_lock_is_read_for_the_gates_machine_and_not_for_this_one(architecture: str) -> None:
    """Markers are judged for Python 3.13 on the target; each pin keeps its hashes and loses its marker."""
    found = pins(LOCK.read_text(encoding="utf-8"), TARGETS[architecture])
    assert {"pydantic", "zxing-cpp", "cryptography", "paho-mqtt", "gpiozero"} <= set(found)
    assert "colorama" not in found
    assert found["numpy"].lines.startswith("numpy==")
    assert " ; " not in found["zxing-cpp"].lines
    assert all("--hash=sha256:" in pin.lines for pin in found.values())


def wheel(folder: Path, machine: int) -> Path:
    """A wheel with one library for a machine of this ELF number."""
    path = folder / "made_up-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_up/library.so", b"\x7fELF" + bytes(14) + machine.to_bytes(2, "little") + bytes(20))
    return path


@pytest.mark.parametrize("version", CHANGES)
def test_what_the_laboratory_changes_in_its_releases_is_still_there(version: str) -> None:
    """Found here in a moment, not in the laboratory after half an hour."""
    for name, (old, _) in CHANGES[version].items():
        assert (source().root / name).read_text(encoding="utf-8").count(old) == 1, name


def test_a_library_for_another_processor_is_found(tmp_path: Path) -> None:
    """A wheel's name can lie; the library's own header does not."""
    check_machine(wheel(tmp_path, 62), TARGETS["amd64"])
    check_machine(wheel(tmp_path, 183), TARGETS["arm64"])
    with pytest.raises(WheelhouseError, match=r"made_up/library\.so is for ELF machine 62, not for arm64"):
        check_machine(wheel(tmp_path, 62), TARGETS["arm64"])


def test_our_own_wheel_is_the_same_twice_and_carries_the_units(tmp_path: Path) -> None:
    """The same commit, built in two folders, is the same bytes."""
    project = Source(source().root, source().version, 1_700_000_000)
    built = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        own_wheel(project, tmp_path / name)
        built += [path.read_bytes() for path in (tmp_path / name).iterdir()]
    assert built[0] == built[1]
    (path,) = (tmp_path / "one").iterdir()
    names = zipfile.ZipFile(path).namelist()
    assert any(name.endswith("data/share/gate/systemd/gate.service") for name in names)
    assert not any("__pycache__" in name for name in names)


def test_what_is_laid_out_has_its_rights_and_its_date_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are links through the current version; what belongs to the package is a plain file."""
    monkeypatch.setattr("os.umask", lambda _: 0)
    lay_out(source(), tmp_path)
    date(tmp_path, 1_700_000_000)
    unit = tmp_path / "usr/lib/systemd/system/gate.service"
    assert str(unit.readlink()) == "/opt/gate/current/share/gate/systemd/gate.service"
    assert not (tmp_path / "usr/lib/systemd/system/gate-trial.service").is_symlink()
    for path in tmp_path.rglob("*"):
        assert path.lstat().st_mtime == 1_700_000_000
        if not path.is_symlink():
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() or path.name == "gate-switch" else 0o644)


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
