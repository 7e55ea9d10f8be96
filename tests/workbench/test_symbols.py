"""Symbols from exact bytes, and the one that the eye checks its decoder with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zxingcpp

import device.eye
from device.workbench.symbols import SELFCHECK_PAYLOAD, modules, pbm, vietnamese_symbol


def read(dark: np.typing.NDArray[np.bool_], px_per_module: int = 4) -> list[zxingcpp.Barcode]:
    """The QR codes, Micro QR left out, that a decoder finds in a grid of modules."""
    grey = np.where(dark, np.uint8(0), np.uint8(255)).repeat(px_per_module, axis=0).repeat(px_per_module, axis=1)
    return list(zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)))


@pytest.mark.parametrize(
    "payload",
    [
        "Nguyễn Văn An".encode(),
        "Nữ".encode(),
        b"064090001234",
        b"ABC",
        b"\x93\x5f\xe4\xaa",
        bytes(8),
        bytes(range(256)),
    ],
    ids=["name", "short", "digits", "capitals", "looks like Kanji", "NUL", "every byte"],
)
def test_symbol_holds_the_bytes_it_was_given(payload: bytes) -> None:
    """No mode, character set or Micro QR is chosen that would make other bytes of them."""
    (code,) = read(modules(payload))
    assert code.bytes == payload


def test_digits_are_written_as_bytes_like_anything_else() -> None:
    """The same number of bytes makes the same size of symbol, so no shorter mode was chosen for what the bytes look like."""
    sizes = {len(modules(payload)) for payload in (b"0" * 60, b"A" * 60, b"\x93\x5f" * 30, b"\xff" * 60)}
    assert len(sizes) == 1


def test_quiet_zone_is_four_light_modules_on_each_side() -> None:
    """The standard's border is part of the grid."""
    dark = modules(b"x")
    assert not dark[:4].any()
    assert not dark[-4:].any()
    assert not dark[:, :4].any()
    assert not dark[:, -4:].any()
    assert np.array_equal(dark[4:-4, 4:-4], modules(b"x", quiet=0))
    assert modules(b"x", quiet=0)[0, :7].all()


def test_error_level_is_the_one_asked_for() -> None:
    """A level is not raised behind one's back where there is room: size and robustness are what a bench compares."""
    levels = [read(modules(b"x", level))[0].ec_level for level in ("L", "M", "Q", "H")]
    assert levels == ["L", "M", "Q", "H"]


def test_bitmap_is_as_the_format_says() -> None:
    """Header, then one bit a pixel with 1 for black, each row filled to whole bytes."""
    dark = np.array([[True, False, True], [False, False, True]])
    assert pbm(dark, 1) == b"P4\n3 2\n" + bytes([0b10100000, 0b00100000])
    assert pbm(dark, 3) == b"P4\n9 6\n" + bytes([0b11100011, 0b10000000] * 3 + [0b00000011, 0b10000000] * 3)


def test_bundled_symbol_is_the_one_that_this_module_makes() -> None:
    """The eye's file can be made anew, and holds the letters that a guessing decoder gets wrong."""
    bundled = (Path(device.eye.__file__).parent / "selfcheck.pbm").read_bytes()
    assert bundled == vietnamese_symbol()
    assert SELFCHECK_PAYLOAD == b"N\xe1\xbb\xaf|\xe1\xbb\x85|15042021"


def test_bundled_symbol_reads_as_its_payload() -> None:
    """Taken apart by hand from the file, the symbol gives the exact bytes."""
    magic, size, bits = vietnamese_symbol().split(b"\n", 2)
    width, height = (int(side) for side in size.split())
    dark = np.unpackbits(np.frombuffer(bits, np.uint8).reshape(height, -1), axis=1)[:, :width].astype(bool)
    assert magic == b"P4"
    assert [code.bytes for code in read(dark, 1)] == [SELFCHECK_PAYLOAD]
