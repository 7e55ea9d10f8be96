"""Lists on the card: verified, replaced whole, old versions known; and the keys that vouch for them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from device.core import wire
from device.core.credentials.trust import KeyUse
from device.core.hash_lists import delta, snapshot
from device.core.rules import Standing
from device.core.types import ClockReading
from device.edges.keys.trust_files import Province, Signs, load_province, load_trust
from device.edges.lists import installed
from device.edges.lists.installed import MANIFEST, GateList
from device.errors import KeyUnusable
from tests.desk import Desk

HOUR_NS = 3_600_000_000_000
ISSUED = "2026-11-23T00:00:00Z"
ISSUED_NS = wire.seconds_of(ISSUED) * 1_000_000_000
ANNA, BERTA = b"a" * 32, b"b" * 32


def manifest(desk: Desk, entries: bytes, version: int = 1, **changes: object) -> bytes:
    """Of a list with these entries, signed."""
    blob = {"sha256": hashlib.sha256(entries).hexdigest(), "bytes": len(entries)}
    told = {"type": "vn.gate.list.v1", "gate": "all", "issued": ISSUED, "name": "staff", "version": version, "snapshot": blob}
    return desk.sign({**told, "expires": "2026-12-23T00:00:00Z", **changes})


def reading(after_h: float, *, trusted: bool = True) -> ClockReading:
    """So many hours after the list was issued."""
    return ClockReading(1, 1, ISSUED_NS + int(after_h * HOUR_NS), "b", trusted)


def a_list(folder: Path) -> GateList:
    """A list that ages after a day and is stale after a week."""
    one = GateList("staff", folder, ageing_ns=24 * HOUR_NS, stale_ns=168 * HOUR_NS)
    one.folder.mkdir(parents=True, exist_ok=True)
    return one


def install(one: GateList, desk: Desk, *subjects: bytes, version: int = 1) -> None:
    """Put a list in force."""
    entries = snapshot(subjects)
    body = manifest(desk, entries, version)
    found = desk.province.read(wire.ListManifest, body)
    assert isinstance(found, wire.ListManifest)
    one.install(found, body, [entries])


def test_a_list_outlives_the_program(tmp_path: Path) -> None:
    """What was installed is there at the next start, and tells its version and age."""
    desk = Desk()
    install(a_list(tmp_path), desk, ANNA, version=7)
    again = a_list(tmp_path)
    assert again.load(desk.province) is None
    assert again.members is not None
    assert (ANNA in again.members, BERTA in again.members, len(again.members)) == (True, False, 1)
    assert again.use(reading(2)) == wire.ListInUse(name="staff", version="7", age_s=7200)
    assert again.use(reading(2, trusted=False)).age_s is None


def test_an_empty_list_is_a_list(tmp_path: Path) -> None:
    """An allow list of nobody admits nobody; it is not the same as none."""
    desk = Desk()
    install(a_list(tmp_path), desk)
    again = a_list(tmp_path)
    assert again.load(desk.province) is None
    assert again.members is not None
    assert ANNA not in again.members


@pytest.mark.parametrize(
    ("after_h", "standing"),
    [(-5, Standing.FRESH), (0, Standing.FRESH), (24, Standing.AGEING), (168, Standing.STALE), (30 * 24, Standing.EXPIRED)],
)
def test_the_ladder_of_ages(tmp_path: Path, after_h: float, standing: Standing) -> None:
    """By the date that was signed; without the time a list counts as stale."""
    one = a_list(tmp_path)
    assert one.standing(reading(after_h)) is Standing.MISSING
    install(one, Desk(), ANNA)
    assert one.standing(reading(after_h)) is standing
    assert one.standing(reading(after_h, trusted=False)) is Standing.STALE


@pytest.mark.parametrize("damage", ["entries", "cut", "gone", "manifest", "foreign", "name", "no key"])
def test_whatever_is_wrong_on_the_card_is_said_and_there_is_no_list(tmp_path: Path, damage: str) -> None:
    """Rather none than half a deny list; the version is still known, so that no older one comes in its place."""
    desk = Desk()
    one = a_list(tmp_path)
    install(one, desk, ANNA, BERTA, version=3)
    (entries,) = one.folder.glob("*.hashes")
    province = desk.province
    if damage == "entries":
        entries.write_bytes(entries.read_bytes()[:-1] + b"x")
    elif damage == "cut":
        entries.write_bytes(entries.read_bytes()[:-16])
    elif damage == "gone":
        entries.unlink()
    elif damage == "manifest":
        (one.folder / MANIFEST).write_bytes(b"{}")
    elif damage == "foreign":
        province = Desk().province
    elif damage == "name":
        (one.folder / MANIFEST).write_bytes(manifest(desk, snapshot([ANNA]), name="deny"))
    else:
        province = Province()
    again = a_list(tmp_path)
    assert again.load(province)
    assert again.members is None
    assert again.floor == (3 if damage in {"entries", "cut", "gone"} else 0)


def test_entries_that_were_not_signed_or_not_sorted_leave_the_old_list_in_force(tmp_path: Path) -> None:
    """On the card and in memory, with nothing left behind."""
    desk, one = Desk(), a_list(tmp_path)
    install(one, desk, ANNA)
    for entries, signed in ((snapshot([BERTA]), snapshot([ANNA, BERTA])), (BERTA[:16] + ANNA[:16], BERTA[:16] + ANNA[:16])):
        body = manifest(desk, signed, 2)
        found = desk.province.read(wire.ListManifest, body)
        assert isinstance(found, wire.ListManifest)
        with pytest.raises(ValueError, match="the entries are not"):
            one.install(found, body, [entries])
        again = a_list(tmp_path)
        assert again.load(desk.province) is None
        for held in (one, again):
            assert held.members is not None
            assert (ANNA in held.members, BERTA in held.members) == (True, False)
        assert len(list(one.folder.iterdir())) == 2


def test_a_full_card_leaves_the_old_list_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is replaced before everything is there."""
    desk, one = Desk(), a_list(tmp_path)
    install(one, desk, ANNA)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace_durably", "_write"):
        with monkeypatch.context() as patch:
            patch.setattr(installed, name, full)
            with pytest.raises(OSError, match="No space"):
                install(one, desk, BERTA, version=2)
        assert one.members is not None
        assert ANNA in one.members
        again = a_list(tmp_path)
        assert again.load(desk.province) is None
        assert again.members is not None
        assert ANNA in again.members


def test_a_change_is_made_of_the_list_in_force(tmp_path: Path) -> None:
    """Without holding both in memory."""
    desk, one = Desk(), a_list(tmp_path)
    install(one, desk, ANNA)
    old, new = snapshot([ANNA]), snapshot([BERTA])
    body = manifest(desk, new, 2)
    found = desk.province.read(wire.ListManifest, body)
    assert isinstance(found, wire.ListManifest)
    one.install(found, body, one.changed(delta(old, new)))
    assert one.members is not None
    assert (ANNA in one.members, BERTA in one.members, one.floor) == (False, True, 2)
    with pytest.raises(ValueError, match="there is no list to change"):
        list(GateList("other", tmp_path, ageing_ns=1, stale_ns=1).changed(delta(old, new)))


# ----------------------------------------------------------------- keys


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
    with pytest.raises(KeyUnusable, match="'everything' is not known; orders or lists is"):
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


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\x00", pem(x25519.X25519PrivateKey.generate()), pem(Desk().key) * 5])
def test_a_file_without_usable_keys_of_the_province_is_named(tmp_path: Path, content: bytes) -> None:
    """With its path."""
    (tmp_path / "orders.pem").write_bytes(content)
    with pytest.raises(KeyUnusable, match=r"orders\.pem"):
        load_province(tmp_path / "orders.pem")
    with pytest.raises(KeyUnusable, match="cannot be read"):
        load_province(tmp_path / "missing.pem")


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
    assert len(trust.named(KeyUse.HEALTH, b"\xaa\xbb")) == 1
    assert trust.named(KeyUse.HEALTH, b"\x01") == ()


def test_a_list_of_keys_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    """And the entry that is wrong is named, without its content."""
    desk, good = Desk(), entry(ed25519.Ed25519PrivateKey.generate())
    path = tmp_path / "keys.json"
    cases = {
        "key 2 cannot be used: Ed25519, P-256 or RSA": entry(ec.generate_private_key(ec.SECP384R1())),
        "key 2 cannot be used": {**good, "key": "A" * 40},
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
