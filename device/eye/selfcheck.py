"""Before the first frame: every decoder reads the bundled symbol, byte for byte, or the eye does not start.

The symbol holds letters that a decoder guessing at character sets mangles
(``Nữ`` becomes ``N盻ｯ``), so a library that is too old, or a setting that has
no effect, is found at start and not in people's names.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from typing import Final

import numpy as np

from device.errors import DecoderBroken
from device.eye.camera import Luma
from device.eye.decoder import Decoder

EXPECTED: Final = "Nữ|ễ|15042021".encode()
SYMBOL: Final = "selfcheck.pbm"


def check(decoders: Iterable[Decoder]) -> None:
    """Raises DecoderBroken, naming the decoder, where one does not read exactly ``EXPECTED``."""
    pixels = symbol()
    for decoder in decoders:
        payloads = [reading.payload for reading in decoder.look(pixels).readings]
        if payloads != [EXPECTED]:
            read = "something else" if payloads else "nothing"
            raise DecoderBroken(f"{decoder.name} reads {read} in {SYMBOL}")


def symbol() -> Luma:
    """The bundled symbol. Raises DecoderBroken where the file is not as it was shipped."""
    blob = resources.files("device.eye").joinpath(SYMBOL).read_bytes()
    try:
        return parsed(blob)
    except ValueError as error:
        raise DecoderBroken(f"{SYMBOL} is damaged: install the program again") from error


def parsed(blob: bytes) -> Luma:
    """Luma of a raw portable bitmap (P4), in which 1 is black. Raises ValueError for any other file."""
    magic, size, bits = blob.split(b"\n", 2)
    width, height = (int(number) for number in size.split())
    if magic != b"P4":
        raise ValueError(magic)
    dark = np.unpackbits(np.frombuffer(bits, np.uint8).reshape(height, -1), axis=1)[:, :width]
    return np.ascontiguousarray((1 - dark) * np.uint8(255))
