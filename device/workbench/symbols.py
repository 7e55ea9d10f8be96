"""QR symbols as grids of modules, made from exact bytes.

Always the byte mode: left to choose, an encoder may take two bytes of UTF-8
for a Kanji or add a character-set marker, and the reading is then no longer
the bytes that went in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import segno

if TYPE_CHECKING:
    from numpy.typing import NDArray

ErrorLevel = Literal["L", "M", "Q", "H"]

QUIET_MODULES: Final = 4
"""The empty border that ISO/IEC 18004 asks for."""

SELFCHECK_PAYLOAD: Final = "Nữ|ễ|15042021".encode()
"""What the symbol of the decoder's start-up check holds: letters that a decoder guessing at character sets gets wrong."""

SELFCHECK_PX_PER_MODULE: Final = 4


def modules(payload: bytes, error: ErrorLevel = "M", quiet: int = QUIET_MODULES) -> NDArray[np.bool_]:
    """The symbol that holds ``payload`` byte for byte: True is a dark module, ``quiet`` light ones around it.

    Never a Micro QR, which readers miss. Raises ValueError where the payload
    fits no symbol of that error level (2,953 bytes at ``L``).
    """
    symbol = segno.make_qr(payload, error=error, mode="byte", boost_error=False)
    return np.array([list(row) for row in symbol.matrix_iter(scale=1, border=quiet)], dtype=np.bool_)


def pbm(dark: NDArray[np.bool_], px_per_module: int) -> bytes:
    """A raw portable bitmap (PBM, P4) of the grid: the smallest picture file that needs no library to read."""
    pixels = dark.repeat(px_per_module, axis=0).repeat(px_per_module, axis=1)
    height, width = pixels.shape
    return b"P4\n%d %d\n" % (width, height) + np.packbits(pixels, axis=1).tobytes()


def vietnamese_symbol() -> bytes:
    """The file ``device/eye/selfcheck.pbm``: a symbol that holds ``SELFCHECK_PAYLOAD``. Written anew by ``python -m`` on this module."""
    return pbm(modules(SELFCHECK_PAYLOAD), SELFCHECK_PX_PER_MODULE)


if __name__ == "__main__":
    import sys

    sys.stdout.buffer.write(vietnamese_symbol())
