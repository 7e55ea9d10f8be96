"""Whether a symbol is one part of a set ("structured append"): its bytes are then no whole message.

zxing-cpp knows it and its Python binding does not say it, so the symbol's own
segment headers are read (ISO/IEC 18004, section 7.4).
"""

from __future__ import annotations

from typing import Final

from device.eye.codewords import Modules, data_codewords

_END: Final = 0b0000
_NUMERIC: Final = 0b0001
_ALPHANUMERIC: Final = 0b0010
_PART_OF_SET: Final = 0b0011
_BYTES: Final = 0b0100
_FNC1_FIRST: Final = 0b0101
_CHARACTER_SET: Final = 0b0111
_KANJI: Final = 0b1000
_FNC1_SECOND: Final = 0b1001
_HANZI: Final = 0b1101

_COUNT_BITS: Final = {
    _NUMERIC: (10, 12, 14),
    _ALPHANUMERIC: (9, 11, 13),
    _BYTES: (8, 16, 16),
    _KANJI: (8, 10, 12),
    _HANZI: (8, 10, 12),
}
"""Width of the character count for versions 1 to 9, 10 to 26 and 27 to 40."""


def is_part(modules: Modules, level: str, mask: int) -> bool:
    """True where a header anywhere in the symbol says that it belongs to a set.

    ``level`` and ``mask`` are what the decoder read. False where the symbol
    cannot be made sense of: then the decoder's word stands.
    """
    data = data_codewords(modules, level, mask)
    version = (modules.shape[0] - 17) // 4
    return data is not None and says_part(data, version)


def says_part(data: bytes, version: int) -> bool:
    """Whether one of the segment headers in a symbol's data codewords is that of a part."""
    bits = _Bits(data)
    width = 0 if version < 10 else 1 if version < 27 else 2  # noqa: PLR2004 - the bounds in the standard's table 3
    while bits.left >= 4:  # noqa: PLR2004 - a header has four bits
        mode = bits.read(4)
        if mode == _PART_OF_SET:
            return True
        if mode in _COUNT_BITS:
            if mode == _HANZI:
                bits.read(4)
            bits.skip(_length(mode, bits.read(_COUNT_BITS[mode][width])))
        elif mode == _CHARACTER_SET:
            _skip_designator(bits)
        elif mode == _FNC1_SECOND:
            bits.skip(8)
        elif mode != _FNC1_FIRST:
            return False
    return False


def _length(mode: int, count: int) -> int:
    """Bits of a segment's content."""
    if mode == _NUMERIC:
        return count // 3 * 10 + (0, 4, 7)[count % 3]
    if mode == _ALPHANUMERIC:
        return count // 2 * 11 + count % 2 * 6
    return count * (8 if mode == _BYTES else 13)


def _skip_designator(bits: _Bits) -> None:
    """A character set's number has one, two or three bytes, by the leading ones of the first."""
    first = bits.read(8)
    bits.skip(0 if first < 0x80 else 8 if first < 0xC0 else 16)  # noqa: PLR2004 - one and two leading ones


class _Bits:
    """Bits from the front; reading past the end gives zeros, which end the message."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self.left = 8 * len(data)

    def read(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            return 0
        return self._value >> self.left & (1 << count) - 1

    def skip(self, count: int) -> None:
        self.left -= count
