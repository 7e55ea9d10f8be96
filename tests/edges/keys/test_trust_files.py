"""Public keys from files: the province's, and the signed list of all others that count."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from device.core import wire
from device.core.commissioning import token_of
from device.core.credentials.trust import KeyUse
from device.core.hash_lists import snapshot
from device.edges.keys.trust_files import PROVINCE_KEYS_LIMIT, Province, Signs, load_province, load_trust
from device.errors import KeyUnusable
from provisioning.badges.tokens import token
from tests.desk import Desk

ISSUED = "2026-11-23T00:00:00Z"
ANNA = b"a" * 32


def manifest(desk: Desk, entries: bytes, version: int = 1, **changes: object) -> bytes:
    """Of a list with these entries, signed."""
    blob = {"sha256": hashlib.sha256(entries).hexdigest(), "bytes": len(entries)}
    told = {"type": "vn.gate.list.v1", "gate": "all", "issued": ISSUED, "name": "staff", "version": version, "snapshot": blob}
    return desk.sign({**told, "expires": "2026-12-23T00:00:00Z", **changes})


def pem(key: ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey) -> bytes:
    """A public key as a file holds it."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def der(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """The same as an entry of a list of keys."""
    raw = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


def test_two_keys_of_the_province_count_side_by_side(tmp_path: Path) -> None:
    """So that one can take over from the other; a third signs nothing."""
    old, new, other = Desk(), Desk(), Desk()
    (tmp_path / "orders.pem").write_bytes(pem(old.key) + b"# the next one\n" + pem(new.key))
    province = load_province(tmp_path / "orders.pem")
    body = {"a": 1}
    assert province.vouches(old.sign(dict(body)))
    assert province.vouches(new.sign(dict(body)))
    assert not province.vouches(other.sign(dict(body)))
    assert not province.vouches(b'{"a":1}')
    assert not load_province(None).vouches(old.sign(dict(body)))


def test_a_key_signs_only_what_stands_before_it(tmp_path: Path) -> None:
    """Whoever has the key of the lists orders no gate about; a key of which nothing is said signs both, and a wrong word is named."""
    orders, lists, both = Desk(), Desk(), Desk()
    path = tmp_path / "province.pem"
    path.write_bytes(b"signs: orders\n" + pem(orders.key) + b"signs: lists\r\n" + pem(lists.key) + b"# signs: orders\n" + pem(both.key))
    found = {use: [load_province(path, use).vouches(desk.sign({"a": 1})) for desk in (orders, lists, both)] for use in (*Signs, None)}
    assert found == {Signs.ORDERS: [True, False, True], Signs.LISTS: [False, True, True], None: [True, True, True]}
    path.write_bytes(b"signs: orders\n" + pem(orders.key))
    assert not load_province(path, Signs.LISTS).known
    path.write_bytes(b"signs: everything\n" + pem(orders.key))
    with pytest.raises(KeyUnusable, match=r"province\.pem: signs: 'everything' is not known; orders or lists is"):
        load_province(path)


def test_a_message_counts_only_signed_whole_and_of_its_own_kind() -> None:
    """The reason says which it was."""
    desk = Desk()
    body = manifest(desk, snapshot([ANNA]))
    assert isinstance(desk.province.read(wire.ListManifest, body), wire.ListManifest)
    assert desk.province.read(wire.ListManifest, body.replace(b'"version":1', b'"version":2')) == "unsigned"
    assert desk.province.read(wire.ListManifest, body.replace(b"vn.gate.list.v1", b"vn.gate.trust.v1")) == "malformed"
    assert desk.province.read(wire.TrustList, body) == "malformed"
    assert Province().read(wire.ListManifest, body) == "not_enabled"
    assert Desk().province.read(wire.ListManifest, body) == "unsigned"
    assert desk.province.read(wire.ListManifest, manifest(desk, b"", expires="2026-02-30T00:00:00Z")) == "malformed"


RUBBISH = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "one to 4 public keys in PEM form are needed, 0 are there"),
        (b"nonsense", "0 are there"),
        (b"\xff\x00", "0 are there"),
        (pem(x25519.X25519PrivateKey.generate()), "the province signs with Ed25519, this is X25519PublicKey"),
        (pem(Desk().key) * 5, "5 are there"),
        (RUBBISH, "holds a public key that cannot be read"),
        (pem(Desk().key) + b"#" * (4 << 20), "larger than"),
    ],
    ids=["empty", "nonsense", "bytes", "another kind", "too many", "rubbish", "too large"],
)
def test_a_file_without_usable_keys_of_the_province_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    """A technician must not search: the path and what is wrong with it."""
    (tmp_path / "orders.pem").write_bytes(content)
    with pytest.raises(KeyUnusable, match=rf"orders\.pem: .*{why}"):
        load_province(tmp_path / "orders.pem")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A gate that names a file without having it is not one that has none."""
    with pytest.raises(KeyUnusable, match=r"missing\.pem: the province's keys cannot be read: No such file"):
        load_province(tmp_path / "missing.pem")
    with pytest.raises(KeyUnusable, match=r"missing\.json: the list of keys cannot be read: No such file"):
        load_trust(tmp_path / "missing.json", Province())


def test_as_many_keys_as_may_be_all_count(tmp_path: Path) -> None:
    """Two for each use, so that one can take over from the other."""
    desks = [Desk() for _ in range(PROVINCE_KEYS_LIMIT)]
    (tmp_path / "orders.pem").write_bytes(b"".join(pem(desk.key) for desk in desks))
    province = load_province(tmp_path / "orders.pem")
    assert all(province.vouches(desk.sign({"a": 1})) for desk in desks)
    assert province.known
    assert not Province().known


def entry(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, **changes: object) -> dict[str, object]:
    """One key in the list."""
    whole = {"use": "badges", "kid": "01", "key": der(key), "not_before": ISSUED, "not_after": "2027-11-23T00:00:00Z"}
    return {**whole, **changes}


def trust_list(desk: Desk, *keys: dict[str, object], **changes: object) -> bytes:
    """A signed list of keys."""
    told = {"type": "vn.gate.trust.v1", "gate": "all", "issued": ISSUED, "version": 4, "expires": "2027-01-01T00:00:00Z", "keys": keys}
    return desk.sign({**told, **changes})


def test_a_list_of_keys_is_taken_as_it_was_signed(tmp_path: Path) -> None:
    """Several keys under one id stay side by side."""
    desk, one, two = Desk(), ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "keys.json"
    path.write_bytes(trust_list(desk, entry(one), entry(two, use="health", kid="aabb"), entry(one, not_before="2026-12-01T00:00:00Z")))
    trust = load_trust(path, desk.province)
    assert (trust.version, trust.expires_s) == (4, wire.seconds_of("2027-01-01T00:00:00Z"))
    assert len(trust.named(KeyUse.BADGES, b"\x01")) == 2
    first, second = trust.named(KeyUse.BADGES, b"\x01")
    ends_s = wire.seconds_of("2027-11-23T00:00:00Z")
    assert (first.not_before_s, first.not_after_s) == (wire.seconds_of(ISSUED), ends_s)
    assert (second.not_before_s, second.not_after_s) == (wire.seconds_of("2026-12-01T00:00:00Z"), ends_s)
    assert len(trust.named(KeyUse.HEALTH, b"\xaa\xbb")) == 1
    assert trust.named(KeyUse.HEALTH, b"\x01") == ()


def test_a_list_of_keys_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    """The entry that is wrong is named by its number, without its content."""
    desk, good = Desk(), entry(ed25519.Ed25519PrivateKey.generate())
    path = tmp_path / "keys.json"
    cases = {
        "key 2 cannot be used: Ed25519, P-256 or RSA": entry(ec.generate_private_key(ec.SECP384R1())),
        "key 2 cannot be used": {**good, "key": "A" * 40},
        "key 2 cannot be used: not base64": {**good, "key": "A" * 41},
        "it is no signed list of keys": entry(Desk().key, kid="xyz"),
    }
    for words, bad in cases.items():
        path.write_bytes(trust_list(desk, good, bad))
        with pytest.raises(KeyUnusable, match=words):
            load_trust(path, desk.province)
    path.write_bytes(trust_list(Desk(), good))
    with pytest.raises(KeyUnusable, match="its signature is not the province's"):
        load_trust(path, desk.province)
    with pytest.raises(KeyUnusable, match=r"trust\.province names no keys"):
        load_trust(path, Province())


def test_a_token_is_signed_by_any_of_the_keys_or_by_none(tmp_path: Path) -> None:
    """Such as an order that the camera sees."""
    old, new, other = Desk(), Desk(), Desk()
    (tmp_path / "orders.pem").write_bytes(pem(old.key) + pem(new.key))
    province = load_province(tmp_path / "orders.pem")
    signed = [province.signed(token_of(token("GC1:", {1: "x"}, desk.key, b"1").encode())) for desk in (old, new, other)]
    assert signed == [True, True, False]
    assert not Province().signed(token_of(token("GC1:", {1: "x"}, old.key, b"1").encode()))
