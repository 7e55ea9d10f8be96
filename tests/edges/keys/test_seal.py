"""Sealing to the province, checked against an HPKE written here from RFC 9180 and held to its own test vector."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from device.edges.keys.seal import HpkeSealer, OpeningKey, SealBroken, SealingKey, open_sealed
from device.errors import KeyUnusable
from device.ports import Sealer

PLAIN = "Nguyễn Văn An|064090001234".encode()
INFO = b"gate.identity.v1"


# An independent HPKE in base mode for opening: RFC 9180 sections 4.1, 5.1 and 6.1, KDF HKDF-SHA256, AEAD AES-128-GCM.


def extract(salt: bytes, suite: bytes, label: bytes, keying: bytes) -> bytes:
    """LabeledExtract."""
    return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + keying, hashlib.sha256).digest()


def expand(secret: bytes, suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand, for at most one block."""
    return hmac.new(secret, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01", hashlib.sha256).digest()[:length]


def raw_public(key: SealingKey) -> bytes:
    """SerializePublicKey."""
    if isinstance(key, x25519.X25519PublicKey):
        return key.public_bytes_raw()
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def exchange(private: OpeningKey, enc: bytes) -> tuple[bytes, bytes]:
    """Diffie-Hellman with the encapsulated key, and the KEM's suite id."""
    if isinstance(private, x25519.X25519PrivateKey):
        return private.exchange(x25519.X25519PublicKey.from_public_bytes(enc)), b"KEM\x00\x20"
    return private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), enc)), b"KEM\x00\x10"


def independent_open(private: OpeningKey, enc: bytes, ciphertext: bytes, info: bytes, aad: bytes = b"") -> bytes:
    """What RFC 9180 says the plaintext is."""
    shared, kem = exchange(private, enc)
    context = enc + raw_public(private.public_key())
    secret = expand(extract(b"", kem, b"eae_prk", shared), kem, b"shared_secret", context, 32)
    suite = b"HPKE" + kem[3:] + b"\x00\x01\x00\x01"
    schedule = b"\x00" + extract(b"", suite, b"psk_id_hash", b"") + extract(b"", suite, b"info_hash", info)
    prk = extract(secret, suite, b"secret", b"")
    key, nonce = expand(prk, suite, b"key", schedule, 16), expand(prk, suite, b"base_nonce", schedule, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, aad)


def test_the_independent_computation_meets_the_vector_of_rfc_9180() -> None:
    """Appendix A.1.1.1, sequence number 0: the yardstick of this file is itself right."""
    private = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8"))
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    ciphertext = bytes.fromhex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a")
    plain = independent_open(private, enc, ciphertext, b"Ode on a Grecian Urn", b"Count-0")
    assert plain == b"Beauty is truth, truth beauty"


def private_keys() -> list[OpeningKey]:
    """One key of each kind that the province may choose."""
    return [x25519.X25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())]


def write_public(folder: Path, key: SealingKey) -> Path:
    """The public key as the gate gets it."""
    path = folder / "province.pem"
    path.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.mark.parametrize(("private", "enc_length"), list(zip(private_keys(), [32, 65], strict=True)), ids=["x25519", "p256"])
def test_what_is_sealed_is_what_the_rfc_says(tmp_path: Path, private: OpeningKey, enc_length: int) -> None:
    """Base64 of the encapsulated key and the ciphertext, opened by our own reading of the RFC."""
    sealer: Sealer = HpkeSealer(write_public(tmp_path, private.public_key()))
    sealed = base64.b64decode(sealer.seal(PLAIN, INFO), validate=True)
    assert independent_open(private, sealed[:enc_length], sealed[enc_length:], INFO) == PLAIN
    assert len(sealed) == enc_length + len(PLAIN) + 16


@pytest.mark.parametrize("private", private_keys(), ids=["x25519", "p256"])
def test_the_province_opens_it(tmp_path: Path, private: OpeningKey) -> None:
    """The holder of the private key reads it back exactly."""
    sealed = HpkeSealer(write_public(tmp_path, private.public_key())).seal(PLAIN, INFO)
    assert open_sealed(private, sealed, INFO) == PLAIN


def test_the_same_identity_sealed_twice_looks_different(tmp_path: Path) -> None:
    """Nobody on the way can tell that the same person passed twice."""
    sealer = HpkeSealer(write_public(tmp_path, x25519.X25519PrivateKey.generate().public_key()))
    assert sealer.seal(PLAIN, INFO) != sealer.seal(PLAIN, INFO)


@pytest.mark.parametrize("private", private_keys(), ids=["x25519", "p256"])
def test_nothing_changed_is_opened(tmp_path: Path, private: OpeningKey) -> None:
    """Another key, another purpose, a flipped bit at any byte, a cut: all are refused alike."""
    sealed = HpkeSealer(write_public(tmp_path, private.public_key())).seal(PLAIN, INFO)
    raw = bytearray(base64.b64decode(sealed))
    for place in range(len(raw)):
        raw[place] ^= 0x01
        with pytest.raises(SealBroken):
            open_sealed(private, base64.b64encode(raw).decode(), INFO)
        raw[place] ^= 0x01
    wrong: list[tuple[OpeningKey, str, bytes]] = [
        (private, sealed[:8] + "\n" + sealed[8:], INFO),
        (x25519.X25519PrivateKey.generate(), sealed, INFO),
        (ec.generate_private_key(ec.SECP256R1()), sealed, INFO),
        (private, sealed, INFO + b"x"),
        (private, sealed[:-4], INFO),
        (private, "", INFO),
        (private, "not base64!", INFO),
    ]
    for other, text, info in wrong:
        with pytest.raises(SealBroken):
            open_sealed(other, text, info)


@given(text=st.text(max_size=200))
def test_no_text_raises_anything_but_broken(text: str) -> None:
    """Whatever stands where a sealed identity should, the province gets one error."""
    with pytest.raises(SealBroken):
        open_sealed(KEYS[0], text, INFO)


KEYS = private_keys()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a public key in PEM form"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key in PEM form"),
        (ed25519.Ed25519PrivateKey.generate(), "this is Ed25519PublicKey"),
        (ec.generate_private_key(ec.SECP384R1()), "needs an X25519 or P-256 public key"),
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), "this is RSAPublicKey"),
    ],
    ids=["empty", "rubbish", "ed25519", "p384", "rsa"],
)
def test_a_key_that_cannot_seal_is_named(
    tmp_path: Path, content: bytes | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, why: str
) -> None:
    """The start stops with the file's name and what is wrong with the key in it."""
    if not isinstance(content, bytes):
        content = content.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "province.pem").write_bytes(content)
    with pytest.raises(KeyUnusable, match=rf"province\.pem: .*{why}"):
        HpkeSealer(tmp_path / "province.pem")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    """A file that is not there is told with its name."""
    with pytest.raises(KeyUnusable, match=r"province\.pem: .*No such file"):
        HpkeSealer(tmp_path / "province.pem")


def test_what_is_wrong_with_a_seal_is_said(tmp_path: Path) -> None:
    """Whether it is no seal at all, or one that this key does not open."""
    sealed = HpkeSealer(write_public(tmp_path, KEYS[0].public_key())).seal(PLAIN, INFO)
    with pytest.raises(SealBroken, match=r"^not base64$"):
        open_sealed(KEYS[0], sealed + "!", INFO)
    with pytest.raises(SealBroken, match=r"^cannot be opened with this key and purpose$"):
        open_sealed(KEYS[1], sealed, INFO)
