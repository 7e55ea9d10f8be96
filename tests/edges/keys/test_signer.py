"""The gate's signature under what it publishes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from device.edges.keys.signer import Signer, SigningKey, load_certificate, verify
from device.errors import KeyUnusable

CONTENT = b'{"id":"1","sequence":"7"}'
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


def write(folder: Path, key: SigningKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> Path:
    """The private key as commissioning leaves it."""
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path = folder / "gate.key"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))
    return path


def certificate(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> x509.Certificate:
    """A certificate over the key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate-01")])
    start = datetime(2026, 11, 5, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    return builder.not_valid_before(start).not_valid_after(start + timedelta(days=1)).sign(key, hashes.SHA256())


@pytest.mark.parametrize(("key", "algorithm"), [(P256, "ES256"), (ED25519, "EdDSA")], ids=["p256", "ed25519"])
def test_a_signature_verifies_under_its_own_key_and_content_only(tmp_path: Path, key: SigningKey, algorithm: str) -> None:
    """Another content, another key, any flipped bit: not this gate's signature."""
    signer = Signer(write(tmp_path, key))
    signature = signer.sign(CONTENT)
    assert signer.algorithm == algorithm
    assert verify(signer.public_key, CONTENT, signature)
    assert not verify(signer.public_key, CONTENT + b" ", signature)
    assert not verify(signer.public_key, CONTENT, f"{signature[:8]}\n{signature[8:]}")
    for other in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        assert not verify(other.public_key(), CONTENT, signature)
    raw = bytearray(base64.b64decode(signature))
    for place in range(len(raw)):
        raw[place] ^= 0x80
        assert not verify(signer.public_key, CONTENT, base64.b64encode(raw).decode())
        raw[place] ^= 0x80


def test_the_certificate_is_enough_to_verify(tmp_path: Path) -> None:
    """The province verifies with the certificate that the gate shows the broker."""
    signature = Signer(write(tmp_path, P256)).sign(CONTENT)
    assert verify(certificate(P256), CONTENT, signature)
    assert not verify(certificate(ec.generate_private_key(ec.SECP256R1())), CONTENT, signature)


def test_a_certificate_of_another_kind_is_unusable() -> None:
    """An RSA certificate cannot have signed an event, and says so instead of merely failing."""
    with pytest.raises(KeyUnusable, match="RSAPublicKey"):
        verify(certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048)), CONTENT, "")


@given(signature=st.text(max_size=120))
def test_malformed_signatures_are_simply_false(signature: str) -> None:
    """Hostile input is a value: no text raises."""
    assert not verify(P256.public_key(), CONTENT, signature)
    assert not verify(ED25519.public_key(), CONTENT, signature)


def test_unusable_keys_are_named(tmp_path: Path) -> None:
    """Missing, rubbish, locked with a password, of another curve or kind: the file and the reason, never its content."""
    path = tmp_path / "gate.key"
    with pytest.raises(KeyUnusable, match=r"gate\.key: .*No such file"):
        Signer(path)
    path.write_bytes(b"rubbish")
    with pytest.raises(KeyUnusable, match=r"gate\.key: not a private key"):
        Signer(path)
    with pytest.raises(KeyUnusable, match=r"gate\.key: .*password"):
        Signer(write(tmp_path, P256, b"secret"))
    with pytest.raises(KeyUnusable, match=r"gate\.key: .*needs a P-256"):
        Signer(write(tmp_path, ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(KeyUnusable, match=r"gate\.key: .*this is RSA"):
        Signer(write(tmp_path, rsa.generate_private_key(public_exponent=65537, key_size=2048)))


def test_a_certificate_is_read_from_its_file_or_named(tmp_path: Path) -> None:
    """What is in the file is what verifies; a file that is missing or holds none is said with its name."""
    path = tmp_path / "gate.pem"
    with pytest.raises(KeyUnusable, match=r"gate\.pem: the certificate to verify with cannot be read: No such file"):
        load_certificate(path)
    path.write_bytes(b"rubbish")
    with pytest.raises(KeyUnusable, match=r"gate\.pem: not a certificate in PEM form"):
        load_certificate(path)
    path.write_bytes(certificate(P256).public_bytes(serialization.Encoding.PEM))
    assert verify(load_certificate(path), CONTENT, Signer(write(tmp_path, P256)).sign(CONTENT))
