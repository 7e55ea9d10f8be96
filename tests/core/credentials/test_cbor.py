"""CBOR from hostile hands: one plain, small item, walked over before anything is built."""

from __future__ import annotations

import cbor2
import pytest

from device.core.credentials.cbor import DEPTH_LIMIT, ITEMS_LIMIT, BadCbor, loads


def nested(depth: int) -> bytes:
    """A list in a list, so deep."""
    return b"\x81" * depth + b"\x01"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x01\x02", "more than one item"),
        (nested(DEPTH_LIMIT + 1), "too deep"),
        (b"\xc0" * (DEPTH_LIMIT + 1) + b"\x01", "too deep"),
        (b"\x9f" * (DEPTH_LIMIT + 1) + b"\x01" + b"\xff" * (DEPTH_LIMIT + 1), "too deep"),
        (cbor2.dumps([0] * ITEMS_LIMIT), "too many items"),
        (b"\x9b" + b"\xff" * 8, "too many items"),
        (b"\xbb" + b"\xff" * 8, "too many items"),
        (b"\xc2\x41\x01", "a tag that is not taken"),
        (b"\x1f", "malformed"),
        (b"\x1c", "malformed"),
        (b"\xff", "malformed"),
        (b"", "it ends too early"),
        (b"\x82\x01", "it ends too early"),
        (b"\x42\x01", "it ends too early"),
        (b"\x19\x01", "it ends too early"),
        (b"\x9f\x01", "it ends too early"),
        (b"\x61\xff", "CBORDecodeValueError"),
    ],
)
def test_what_is_not_taken_says_why(data: bytes, why: str) -> None:
    """In words of ours, never in those of the code."""
    with pytest.raises(BadCbor) as refused:
        loads(data)
    assert str(refused.value) == why


def test_the_limits_themselves_are_taken() -> None:
    """The deepest, and the one with the most items: the list counts, too."""
    loads(nested(DEPTH_LIMIT))
    assert loads(cbor2.dumps([0] * (ITEMS_LIMIT - 1))) == [0] * (ITEMS_LIMIT - 1)
    pairs = dict.fromkeys(range((ITEMS_LIMIT - 1) // 2), 0)
    assert loads(cbor2.dumps(pairs)) == pairs
    with pytest.raises(BadCbor, match="too many items"):
        loads(cbor2.dumps(dict.fromkeys(range(ITEMS_LIMIT // 2 + 1), 0)))


@pytest.mark.parametrize("value", [0, 23, 24, 255, 65_536, 2**32, -1, 1.5, True, None, "Rơ", b"\x00", [1, [2]], {"a": {1: b""}}])
def test_plain_values_are_built_as_they_are(value: object) -> None:
    """Heads of every length."""
    assert loads(cbor2.dumps(value)) == value


def test_items_without_a_length_are_taken() -> None:
    """Bytes, text, lists and maps in pieces."""
    assert loads(b"\x5f\x41\x01\x41\x02\xff") == b"\x01\x02"
    assert loads(b"\x7f\x61a\x61b\xff") == "ab"
    assert loads(b"\x9f\x01\x9f\x02\xff\xff") == [1, [2]]
    assert loads(b"\xbf\x01\x02\xff") == {1: 2}
