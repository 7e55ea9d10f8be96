"""COSE_Sign1: which structures are a token, and whose signature is good."""

from __future__ import annotations

from typing import Any

import base45
import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from device.core.credentials.cbor import BadCbor
from device.core.credentials.cose import Algorithm, Sign1, algorithm_of, base45_bytes, claims, is_signed_by, split_sign1
from tests.core.credentials.signed_kit import ALGORITHMS, PrivateKey, token

EDWARDS = ed25519.Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(65537, 2048)
SMALL_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505 - one that must not be taken


def test_each_key_is_good_for_one_algorithm_or_for_none() -> None:
    """Another curve or size is no key of ours."""
    found = [algorithm_of(key.public_key()) for key in (EDWARDS, P256, P384, RSA, SMALL_RSA)]
    assert found == [Algorithm.EDDSA, Algorithm.ES256, None, Algorithm.PS256, None]


@pytest.mark.parametrize("text", ["not base45 for sure", "QED\n", "Đ", "a", ":::"])
def test_what_is_not_base45_is_said_to_be_none(text: str) -> None:
    """A line end, too, which the library would drop."""
    with pytest.raises(BadCbor) as refused:
        base45_bytes(text)
    assert str(refused.value) == "not Base45"
    assert base45_bytes(base45.b45encode(b"\x00\xff").decode()) == b"\x00\xff"


@pytest.mark.parametrize("tags", [(18,), (61, 18), (18, 61)])
def test_a_token_is_taken_apart(tags: tuple[int, ...]) -> None:
    """Alone, inside a tag for web tokens or around one."""
    made = token(EDWARDS, cbor2.dumps({2: "x"}), {1: -8, 4: b"key"}, {}, tags)
    found = split_sign1(made)
    assert (found.algorithm, found.kid, found.protected) == (-8, b"key", cbor2.dumps({1: -8, 4: b"key"}))
    assert claims(found) == {2: "x"}
    assert is_signed_by(found, EDWARDS.public_key())


def whole(*parts: Any) -> bytes:  # noqa: ANN401 - any item
    """A token of these parts, with what is missing made good."""
    good: list[Any] = [cbor2.dumps({1: -8, 4: b"key"}), {}, cbor2.dumps({}), bytes(64)]
    return cbor2.dumps(cbor2.CBORTag(18, [*parts, *good[len(parts) :]]))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (cbor2.dumps(cbor2.CBORTag(18, cbor2.CBORTag(18, []))), "tags"),
        (cbor2.dumps(cbor2.CBORTag(1, 0)), "no COSE_Sign1"),
        (cbor2.dumps(cbor2.CBORTag(61, [b"", {}, b"", b""])), "no COSE_Sign1"),
        (cbor2.dumps([b"", {}, b"", b""]), "no COSE_Sign1"),
        (cbor2.dumps(cbor2.CBORTag(18, {})), "no COSE_Sign1"),
        (cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b""])), "no COSE_Sign1"),
        (whole("text"), "no COSE_Sign1"),
        (whole(cbor2.dumps({1: -8}), []), "no COSE_Sign1"),
        (whole(cbor2.dumps({1: -8}), {}, {}), "no COSE_Sign1"),
        (whole(cbor2.dumps({1: -8}), {}, b"", "text"), "no COSE_Sign1"),
        (whole(cbor2.dumps([])), "no map"),
        (whole(cbor2.dumps({1: -8})), "header"),
        (whole(cbor2.dumps({4: b"key"})), "header"),
        (whole(cbor2.dumps({1: "EdDSA", 4: b"key"})), "header"),
        (whole(cbor2.dumps({1: True, 4: b"key"})), "header"),
        (whole(cbor2.dumps({1: -8, 4: "key"})), "header"),
        (whole(cbor2.dumps({1: -8, 4: bytes(65)})), "header"),
    ],
)
def test_any_other_structure_is_named(data: bytes, why: str) -> None:
    """So that whoever made it can mend it."""
    with pytest.raises(BadCbor) as refused:
        split_sign1(data)
    assert str(refused.value) == why


def test_the_longest_key_id_is_taken_and_the_protected_one_wins() -> None:
    """What is not signed only stands in where there is nothing else."""
    assert split_sign1(whole(cbor2.dumps({1: -8, 4: bytes(64)}), {4: b"other"})).kid == bytes(64)
    assert split_sign1(whole(cbor2.dumps({1: -8}), {4: b"other"})).kid == b"other"


@pytest.mark.parametrize(("key", "algorithm"), [(EDWARDS, "EdDSA"), (P256, "ES256"), (RSA, "PS256")])
def test_a_signature_is_good_of_its_key_over_its_bytes_by_its_algorithm(key: PrivateKey, algorithm: str) -> None:
    """And of nothing else."""
    made = split_sign1(token(key, b"\xa0", {1: ALGORITHMS[algorithm], 4: b"key"}, {}))
    assert is_signed_by(made, key.public_key())
    others = [other for other in (EDWARDS, P256, RSA) if other is not key]
    assert not any(is_signed_by(made, other.public_key()) for other in others)
    changed = [
        Sign1(made.algorithm, made.kid, made.protected, b"\xa1\x01\x02", made.signature),
        Sign1(made.algorithm, made.kid, cbor2.dumps({}), made.payload, made.signature),
        Sign1(made.algorithm, made.kid, made.protected, made.payload, bytes(len(made.signature))),
        Sign1(made.algorithm, made.kid, made.protected, made.payload, made.signature[:-1]),
        Sign1(-999, made.kid, made.protected, made.payload, made.signature),
    ]
    assert not any(is_signed_by(one, key.public_key()) for one in changed)
