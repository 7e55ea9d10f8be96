"""Hostile CBOR (RFC 8949): looked over before a library builds anything from it.

The scan bounds depth and number of items, and refuses tags that would build
more than plain values: shared references (loops), regular expressions,
fractions. What it lets through is small and is decoded by ``cbor2``.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import cbor2

Cbor: TypeAlias = object
"""What was decoded: anything, until it has been looked at."""

DEPTH_LIMIT: Final = 16
"""A health certificate needs eight."""
ITEMS_LIMIT: Final = 4_096

TAG_TIMES: Final = frozenset({0, 1})
TAG_SIGN1: Final = 18
TAG_CWT: Final = 61
_PLAIN_TAGS: Final = TAG_TIMES | {TAG_SIGN1, TAG_CWT}

_BYTES: Final = 2
_TEXT: Final = 3
_ARRAY: Final = 4
_MAP: Final = 5
_TAG: Final = 6
_SIMPLE: Final = 7
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF


class BadCbor(ValueError):
    """The bytes are not one plain, small CBOR item."""


def loads(data: bytes) -> Cbor:
    """The one item in ``data``. Raises BadCbor for anything malformed, too deep, too many, or followed by more."""
    scan = _Scan(data)
    scan.item(0)
    if scan.at != len(data):
        raise BadCbor("more than one item")
    try:
        found: Cbor = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, ArithmeticError) as error:
        raise BadCbor(type(error).__name__) from None
    return found


class _Scan:
    """Walks over items without building them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._items = 0
        self.at = 0

    def item(self, depth: int) -> None:
        """Step over one item."""
        self._items += 1
        if depth > DEPTH_LIMIT or self._items > ITEMS_LIMIT:
            raise BadCbor("too deep" if depth > DEPTH_LIMIT else "too many items")
        major, info, argument = self._head()
        if info == _INDEFINITE:
            self._indefinite(major, depth)
        elif major in {_BYTES, _TEXT}:
            self._skip(argument)
        elif major in {_ARRAY, _MAP}:
            self._several(argument * (1 + (major == _MAP)), depth)
        elif major == _TAG:
            if argument not in _PLAIN_TAGS:
                raise BadCbor("a tag that is not taken")
            self.item(depth + 1)

    def _several(self, count: int, depth: int) -> None:
        # Before the loop: a head of nine bytes can promise 2^64 items.
        if count > ITEMS_LIMIT:
            raise BadCbor("too many items")
        for _ in range(count):
            self.item(depth + 1)

    def _indefinite(self, major: int, depth: int) -> None:
        if major not in {_BYTES, _TEXT, _ARRAY, _MAP}:
            raise BadCbor("malformed")
        while self._peek() != _BREAK:
            self.item(depth + 1)
        self.at += 1

    def _head(self) -> tuple[int, int, int]:
        first = self._peek()
        self.at += 1
        major, info = first >> 5, first & 31
        if info < 24:  # noqa: PLR2004 - RFC 8949, section 3: up to 23 the value itself, then how many bytes follow
            return major, info, info
        if info == _INDEFINITE:
            return major, info, 0
        if info > 27:  # noqa: PLR2004 - as above
            raise BadCbor("malformed")
        size = 1 << (info - 24)
        start = self.at
        self._skip(size)
        return major, info, int.from_bytes(self._data[start : self.at], "big")

    def _peek(self) -> int:
        if self.at >= len(self._data):
            raise BadCbor("it ends too early")
        return self._data[self.at]

    def _skip(self, count: int) -> None:
        if count > len(self._data) - self.at:
            raise BadCbor("it ends too early")
        self.at += count
