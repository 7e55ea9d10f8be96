"""One part of a set of symbols is told from a whole message by its own headers."""

from __future__ import annotations

import numpy as np
import pytest
import segno

from device.eye.codewords import Modules
from device.eye.parts import is_part, says_part
from tests.eye.pages import set_modules


def of(symbol: segno.QRCode) -> tuple[Modules, str, int]:
    """Matrix, level and mask of an encoder's symbol."""
    return np.array([[bool(module) for module in row] for row in symbol.matrix]), str(symbol.error), int(symbol.mask)


@pytest.mark.parametrize("count", [2, 5, 16])
def test_each_part_of_a_set_is_a_part(count: int) -> None:
    """From the first to the last, in the smallest set and in the largest."""
    for symbol in segno.make_sequence(b"divided " * 40, symbol_count=count, error="m", mode="byte"):
        assert is_part(*of(symbol))


@pytest.mark.parametrize(
    ("content", "mode"),
    [("0123456789" * 9, "numeric"), ("G1:ABC %*+" * 12, "alphanumeric"), ("Nữ|ễ|15042021" * 6, "byte"), ("漢字仮名", "kanji")],
)
@pytest.mark.parametrize("version", [9, 15, 30])
def test_a_whole_message_is_none_in_any_mode_and_width_of_count(content: str, mode: str, version: int) -> None:
    """Each mode has three widths of its count; a wrong one would read content as a header."""
    assert not is_part(*of(segno.make_qr(content, mode=mode, version=version, error="m", boost_error=False)))


def test_a_character_set_marker_is_read_over() -> None:
    """Encoders that mark UTF-8 put a header before the message."""
    symbol = segno.make_qr("Gia Lai, Bình Định", encoding="utf-8", eci=True, error="m")
    assert not is_part(*of(symbol))


def test_a_part_is_one_also_when_its_first_modules_are_damaged() -> None:
    """The header stands in the corner where a thumb holds the card: it is read after the correction of errors."""
    modules = set_modules(b"thumb " * 20, 2)[0]
    symbol = segno.make_sequence(b"thumb " * 20, symbol_count=2, error="m", mode="byte")[0]
    damaged = modules.copy()
    damaged[-2:, -2:] ^= True
    assert is_part(damaged, str(symbol.error), int(symbol.mask))


def test_a_whole_message_is_none_also_when_its_first_modules_look_like_the_header_of_a_part() -> None:
    """One speck turns the mark of letters and digits (0010) into that of a part (0011): a worn badge must not be refused for it."""
    modules, level, mask = of(segno.make_qr("G1:" + "ABCDEF" * 20, mode="alphanumeric", error="m", boost_error=False))
    damaged = modules.copy()
    damaged[-2, -2] ^= True
    assert not is_part(damaged, level, mask)


@pytest.mark.parametrize(
    ("bits", "part"),
    [
        ("0111 00011010 0011 0000 0001 10101010 0100", True),  # a character set of one byte, then a part
        ("0111 10000000 00011010 0011 00000001", True),  # of two bytes
        ("0111 11000000 00000000 00011010 0011 0001", True),  # of three bytes
        ("0101 0011 00000001 00000000", True),  # FNC1 first
        ("1001 01100001 0011 00000001", True),  # FNC1 second, with its application
        ("0001 0000000100 0000000001 0100 0011 000000010", True),  # four digits, then a part
        ("1101 0001 00000001 0000000000011 0011 0001", True),  # one Hanzi, then a part
        ("0000 0011 00000000", False),  # the end comes before
        ("1111 0011 00000000", False),  # no such mode
        ("0100 11111111 0011", False),  # a count beyond the end
        ("", False),
    ],
)
def test_headers_are_walked_one_after_another(bits: str, part: bool) -> None:  # noqa: FBT001 - the expected answer
    """The mark of a part counts wherever a header may stand, and nowhere else."""
    digits = bits.replace(" ", "")
    padded = digits + "0" * (-len(digits) % 8)
    data = int(padded, 2).to_bytes(len(padded) // 8, "big") if padded else b""
    assert says_part(data, 1) is part


def test_what_makes_no_sense_is_no_part() -> None:
    """Then the decoder's word stands, which has corrected the same errors by itself."""
    assert not is_part(np.zeros((21, 21), np.bool_), "?", 0)
