"""What a configuration names must be there and usable, and what is not is named by its key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import NameOID

from device.config import GateConfig, parse
from device.errors import ConfigError
from device.laptop import VIDEO_IS_NOT_HERE
from device.settings import checks
from device.settings.checks import check_files, check_needed

START = datetime(2026, 1, 1, tzinfo=UTC)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as a file holds it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """A self-signed certificate of that name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), START, START + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All files of a good gate."""
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "site.key").write_text("ab" * 32)
    public = X25519PrivateKey.generate().public_key()
    sealing = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "province.pem").write_bytes(sealing)
    (tmp_path / "gate.key").write_bytes(pem(key))
    (tmp_path / "gate.pem").write_bytes(certificate(key, "gate-1"))
    (tmp_path / "ca.pem").write_bytes(certificate(key, "authority"))
    orders = Ed25519PrivateKey.generate().public_key()
    (tmp_path / "orders.pem").write_bytes(orders.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "frames").mkdir()
    return tmp_path


def config(folder: Path, **changes: dict[str, object]) -> GateConfig:
    """A good configuration, but for the changes."""
    tree: dict[str, dict[str, object]] = {
        "gate": {"id": "gate-1", "site": "site-1"},
        "privacy": {"site_key": "site.key", "seal_to": "province.pem"},
        "camera": {"source": "folder:frames"},
        "policy": {"lists": [{"name": "staff", "use": "allow"}]},
        "trust": {"province": "orders.pem"},
        "broker": {"host": "broker.example", "ca": "ca.pem", "cert": "gate.pem", "key": "gate.key"},
    }
    for section, keys in changes.items():
        tree[section].update(keys)
    return parse(dict(tree), "gate.toml", folder)


def complaint(checked: GateConfig) -> str:
    """What is said of it."""
    with pytest.raises(ConfigError) as caught:
        check_files(checked, "gate.toml")
    return str(caught.value)


def test_a_good_gate_passes(folder: Path) -> None:
    """Keys, certificates, lists and frames are all there, the certificate long expired."""
    check_files(config(folder), "gate.toml")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("site.key", "privacy.site_key"),
        ("province.pem", "privacy.seal_to"),
        ("ca.pem", "broker.ca"),
        ("gate.pem", "broker.cert"),
        ("gate.key", "broker.key"),
        ("orders.pem", "trust.province"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00nonsense"])
def test_a_missing_empty_or_foreign_file_is_named_by_its_key(folder: Path, name: str, key: str, content: bytes | None) -> None:
    """The path of the file stands beside the key that names it."""
    path = folder / name
    path.unlink() if content is None else path.write_bytes(content)
    assert f"gate.toml: {key}: {path}" in complaint(config(folder))


def test_a_key_of_another_certificate_is_refused(folder: Path) -> None:
    """The broker would refuse it later, and nobody would know why."""
    (folder / "gate.key").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    names = {name: folder / name for name in ("gate.key", "gate.pem")}
    assert complaint(config(folder)) == f"gate.toml: broker.key: {names['gate.key']}: is not the key of the certificate {names['gate.pem']}"


def test_a_certificate_of_another_gate_is_refused(folder: Path) -> None:
    """Its common name is the gate's id."""
    path = folder / "gate.pem"
    expected = f"gate.toml: broker.cert: {path}: its common name is gate-1, but gate.id is gate-2"
    assert expected == complaint(config(folder, gate={"id": "gate-2"}))


def test_every_problem_is_named_at_once(folder: Path) -> None:
    """A technician mends all of them in one go, and does not meet one in each attempt."""
    (folder / "site.key").unlink()
    (folder / "ca.pem").unlink()
    (folder / "frames").rmdir()
    lines = complaint(config(folder)).split("\n")
    assert [line.split(": ")[:2] for line in lines] == [["gate.toml", key] for key in ("privacy.site_key", "broker.ca", "camera.source")]


def test_a_list_that_is_not_there_yet_is_no_mistake(folder: Path) -> None:
    """A new gate has none, and fetches it."""
    checked = config(folder)
    check_files(checked, "gate.toml")
    check_needed(checked, "gate.toml")


def test_lists_and_signed_codes_need_somebody_to_vouch_for_them(folder: Path) -> None:
    """Named by the key that is missing."""
    assert "trust.province: is needed for policy.lists" in complaint(config(folder, trust={"province": None}))
    (folder / "orders.pem").write_bytes(b"signs: orders\n" + (folder / "orders.pem").read_bytes())
    path = folder / "orders.pem"
    assert complaint(config(folder)) == f"gate.toml: trust.province: {path}: no key in it signs lists, so none of policy.lists counts"
    assert "trust.keys: is needed for site_badge" in complaint(config(folder, policy={"accept": ["site_badge"]}))


def test_the_daemon_needs_keys_and_certificates_and_nothing_else(folder: Path) -> None:
    """Frames may come later, and lists are fetched; a missing key is not mended by waiting."""
    (folder / "frames").rmdir()
    checked = config(folder, trust={"province": None})
    check_needed(checked, "gate.toml")
    for name, key in (("site.key", "privacy.site_key"), ("province.pem", "privacy.seal_to"), ("gate.key", "broker.key")):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(ConfigError, match=f"^gate.toml: {key}: .*{name}.*$"):
            check_needed(checked, "gate.toml")
        (folder / name).write_bytes(kept)


def test_a_list_of_keys_is_looked_at_with_the_keys_that_vouch_for_it(folder: Path) -> None:
    """A province whose own keys are unusable is named alone: nothing can be said of what it signed."""
    (folder / "keys.json").write_bytes(b"{}")
    checked = config(folder, trust={"keys": "keys.json"})
    assert (
        complaint(checked)
        == f"gate.toml: trust.keys: {folder / 'keys.json'}: the list of keys does not count: it is no signed list of keys"
    )
    (folder / "orders.pem").write_bytes(b"")
    message = complaint(checked)
    assert "trust.province" in message
    assert "trust.keys" not in message


def test_a_gate_of_which_little_is_known_needs_little(folder: Path) -> None:
    """Without a broker, a seal and a province there is nothing else to look for."""
    tree: dict[str, object] = {"gate": {"id": "gate-1", "site": "site-1"}, "privacy": {"site_key": "site.key"}}
    check_files(parse(tree, "gate.toml", folder), "gate.toml")


def test_frames_that_are_not_there_are_named_as_what_they_should_be(folder: Path) -> None:
    """A folder of pictures, or a video."""
    (folder / "frames").rmdir()
    assert f"camera.source: {folder / 'frames'}: no such folder, or not readable" in complaint(config(folder))
    assert "no such file, or not readable" in complaint(config(folder, camera={"source": "video:none.mp4"}))


def test_a_certificate_without_a_name_is_named(folder: Path) -> None:
    """The broker would let it be nobody."""
    key = serialization.load_pem_private_key((folder / "gate.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    nobody = x509.Name([])
    builder = x509.CertificateBuilder(nobody, nobody, key.public_key(), 1, START, START + timedelta(days=1))
    (folder / "gate.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    assert "its common name is missing, but gate.id is gate-1" in complaint(config(folder))


def test_a_gate_without_what_plays_videos_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop plays one; the package of a gate does not have it."""
    monkeypatch.setattr(checks, "is_here", lambda _: False)
    assert complaint(config(folder, camera={"source": "video:none.mp4"})) == f"gate.toml: camera.source: {VIDEO_IS_NOT_HERE}"
    check_files(config(folder), "gate.toml")
