"""A sampled QR symbol → its data codewords, errors corrected (ISO/IEC 18004).

The decoders hand out a symbol's text, and zxing-cpp's Python binding says
nowhere that the text is one part of a set. The symbol itself says it, in bits
that no decoder passes on; this module gets at them.

All functions are pure. A symbol that makes no sense gives None.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Modules = npt.NDArray[np.bool_]
"""A symbol without its quiet zone, shape (n, n), True is dark."""

VERSIONS: Final = 40

CHECK_CODEWORDS: Final = {
    "L": "7 10 15 20 26 18 20 24 30 18 20 24 26 30 22 24 28 30 28 28 28 28 30 30 26 28 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
    "M": "10 16 26 18 24 16 18 22 22 26 30 22 22 24 24 28 28 26 26 26 26 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28",
    "Q": "13 22 18 26 18 24 18 22 20 24 28 26 24 20 30 24 28 28 26 30 28 30 30 30 30 28 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
    "H": "17 28 22 16 22 28 26 26 24 28 24 28 22 24 24 30 28 28 26 28 30 24 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
}
"""Error-correction codewords of each block, by level, for versions 1 to 40 (table 9 of the standard)."""

BLOCKS: Final = {
    "L": "1 1 1 1 1 2 2 2 2 4 4 4 4 4 6 6 6 6 7 8 8 9 9 10 12 12 12 13 14 15 16 17 18 19 19 20 21 22 24 25",
    "M": "1 1 1 2 2 4 4 4 5 5 5 8 9 9 10 10 11 13 14 16 17 17 18 20 21 23 25 26 28 29 31 33 35 37 38 40 43 45 47 49",
    "Q": "1 1 2 2 4 4 6 6 8 8 8 10 12 16 12 17 16 18 21 20 23 23 25 27 29 34 34 35 38 40 43 45 48 51 53 56 59 62 65 68",
    "H": "1 1 2 4 4 4 5 6 8 8 11 11 16 16 18 16 19 21 25 25 25 34 30 32 35 37 40 42 45 48 51 54 57 60 63 66 70 74 77 81",
}
"""Number of blocks, by level, for versions 1 to 40 (table 9 of the standard)."""

_LEVEL_BITS: Final = {"L": 1, "M": 0, "Q": 3, "H": 2}
_FORMAT_GENERATOR: Final = 0x537
_FORMAT_MASK: Final = 0x5412
_FORMAT_BITS: Final = 15
_FORMAT_PLACES: Final = (*((8, column) for column in (0, 1, 2, 3, 4, 5, 7, 8)), *((row, 8) for row in (7, 5, 4, 3, 2, 1, 0)))
"""Where the first copy of the format stands, as (row, column), most significant bit first."""

_FIELD_POLYNOMIAL: Final = 0x11D
_FIELD_ORDER: Final = 255


def data_codewords(modules: Modules, level: str, mask: int) -> bytes | None:
    """The symbol's data, blocks in order, as the encoder laid it down; None where it cannot be recovered.

    ``level`` (``L M Q H``) and ``mask`` (0 to 7) are what the decoder read. A
    mirrored symbol is recognised by its format bits and turned back.
    """
    version = (modules.shape[0] - 17) // 4
    if modules.shape != (17 + 4 * version,) * 2 or not 1 <= version <= VERSIONS or level not in _LEVEL_BITS or mask not in range(8):
        return None
    upright = modules.T if _format_errors(modules.T, level, mask) < _format_errors(modules, level, mask) else modules
    rows, columns = _places(version)
    bits = upright[rows, columns] ^ _masked(mask, rows, columns)
    blocks = _blocks(np.packbits(bits[: len(bits) // 8 * 8]), version, level)
    checks = int(CHECK_CODEWORDS[level].split()[version - 1])
    corrected = [_corrected(block, checks) for block in blocks]
    whole = [block for block in corrected if block is not None]
    return b"".join(whole) if len(whole) == len(corrected) else None


def _format_errors(modules: Modules, level: str, mask: int) -> int:
    """How many of the format bits differ from those of this level and mask."""
    data = _LEVEL_BITS[level] << 3 | mask
    rest = data << 10
    for shift in range(_FORMAT_BITS - 1, 9, -1):
        if rest >> shift & 1:
            rest ^= _FORMAT_GENERATOR << shift - 10
    wanted = (data << 10 | rest) ^ _FORMAT_MASK
    read = sum(int(modules[place]) << _FORMAT_BITS - 1 - at for at, place in enumerate(_FORMAT_PLACES))
    return (wanted ^ read).bit_count()


@lru_cache(maxsize=16)
def _places(version: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the data modules in the order of their bits: two columns at a time, upwards and downwards in turn."""
    size = 17 + 4 * version
    free = ~_function_patterns(version)
    order: list[tuple[int, int]] = []
    upwards = True
    for right in [*range(size - 1, 6, -2), 5, 3, 1]:
        rows = range(size - 1, -1, -1) if upwards else range(size)
        order += [(row, column) for row in rows for column in (right, right - 1) if free[row, column]]
        upwards = not upwards
    rows_columns = np.array(order, dtype=np.intp)
    return rows_columns[:, 0], rows_columns[:, 1]


def _function_patterns(version: int) -> Modules:
    """True where a module is finder, separator, timing, alignment, format or version, and so no data."""
    size = 17 + 4 * version
    taken = np.zeros((size, size), np.bool_)
    taken[:9, :9] = taken[:9, -8:] = taken[-8:, :9] = True
    taken[6, :] = taken[:, 6] = True
    centres = _alignment_centres(version)
    corners = {(6, 6), (6, size - 7), (size - 7, 6)}
    for row, column in ((row, column) for row in centres for column in centres):
        if (row, column) not in corners:
            taken[row - 2 : row + 3, column - 2 : column + 3] = True
    if version >= 7:  # noqa: PLR2004 - from version 7 on the version itself is written into the symbol
        taken[:6, -11:-8] = taken[-11:-8, :6] = True
    return taken


def _alignment_centres(version: int) -> list[int]:
    """Annex E of the standard: evenly spaced by an even step, counted from the far end; version 32 alone has another step."""
    if version == 1:
        return []
    last = 10 + 4 * version
    gaps = version // 7 + 1
    step = 26 if version == 32 else -(-(last - 6) // (2 * gaps)) * 2  # noqa: PLR2004 - the exception in the standard's table
    return [6, *(last - step * back for back in range(gaps - 1, -1, -1))]


def _masked(mask: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Modules:
    product = rows * columns
    values = (
        (rows + columns) % 2,
        rows % 2,
        columns % 3,
        (rows + columns) % 3,
        (rows // 2 + columns // 3) % 2,
        product % 2 + product % 3,
        (product % 2 + product % 3) % 2,
        ((rows + columns) % 2 + product % 3) % 2,
    )[mask]
    return np.asarray(values == 0, dtype=np.bool_)


def _blocks(stream: npt.NDArray[np.uint8], version: int, level: str) -> list[bytes]:
    """Undo the interleaving. The last blocks hold one data codeword more than the first."""
    count = int(BLOCKS[level].split()[version - 1])
    checks = int(CHECK_CODEWORDS[level].split()[version - 1])
    short = len(stream) // count - checks
    long_from = count - len(stream) % count
    body = stream[: short * count].reshape(short, count)
    extra = stream[short * count : len(stream) - checks * count]
    tail = stream[len(stream) - checks * count :].reshape(checks, count)
    return [
        bytes(body[:, block]) + (bytes([extra[block - long_from]]) if block >= long_from else b"") + bytes(tail[:, block])
        for block in range(count)
    ]


# ------------------------------------------------------------------ Reed-Solomon over GF(256)


def _tables() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Powers of the generator, twice round so that sums of two logarithms need no remainder, and logarithms."""
    powers, logs = np.zeros(2 * _FIELD_ORDER, np.int64), np.zeros(_FIELD_ORDER + 1, np.int64)
    value = 1
    for exponent in range(_FIELD_ORDER):
        powers[exponent] = powers[exponent + _FIELD_ORDER] = value
        logs[value] = exponent
        value = value << 1 ^ (_FIELD_POLYNOMIAL if value & 0x80 else 0)
    return powers, logs


_POWERS, _LOGS = _tables()
_POWER_LIST: Final[list[int]] = _POWERS.tolist()
_LOG_LIST: Final[list[int]] = _LOGS.tolist()


def _times(left: int, right: int) -> int:
    return _POWER_LIST[_LOG_LIST[left] + _LOG_LIST[right]] if left and right else 0


def _inverse(value: int) -> int:
    return _POWER_LIST[_FIELD_ORDER - _LOG_LIST[value]]


def _at(polynomial: list[int], exponents: npt.NDArray[np.int64]) -> list[int]:
    """Values of a polynomial, lowest coefficient first, at the given powers of the generator."""
    coefficients = np.array(polynomial, np.int64)
    places = np.flatnonzero(coefficients)
    terms = _POWERS[(_LOGS[coefficients[places]] + exponents[:, np.newaxis] * places) % _FIELD_ORDER]
    values: list[int] = np.bitwise_xor.reduce(terms, axis=1).tolist()
    return values


def _corrected(block: bytes, checks: int) -> bytes | None:
    """The block's data codewords; None where more are wrong than ``checks`` can mend."""
    reverse = list(reversed(block))
    exponents = np.arange(checks)
    syndromes = _at(reverse, exponents)
    if any(syndromes):
        locator = _locator(syndromes)
        values = _at(locator, -np.arange(len(reverse)) % _FIELD_ORDER)
        for place in (place for place, value in enumerate(values) if value == 0):
            reverse[place] ^= _magnitude(syndromes, locator, place)
        if any(_at(reverse, exponents)):
            return None
    return bytes(reversed(reverse[checks:]))


def _locator(syndromes: list[int]) -> list[int]:
    """Berlekamp and Massey: the shortest polynomial that generates the syndromes; its roots are the places of errors."""
    current, previous = [1], [1]
    length, shift, scale = 0, 1, 1
    for at, syndrome in enumerate(syndromes):
        gap = syndrome
        for back in range(1, min(length, len(current) - 1) + 1):
            gap ^= _times(current[back], syndromes[at - back])
        if not gap:
            shift += 1
            continue
        longer = _plus_shifted(current, previous, _times(gap, _inverse(scale)), shift)
        if 2 * length <= at:
            length, previous, scale, shift = at + 1 - length, current, gap, 1
        else:
            shift += 1
        current = longer
    while len(current) > 1 and not current[-1]:
        current.pop()
    return current


def _plus_shifted(polynomial: list[int], other: list[int], factor: int, shift: int) -> list[int]:
    """``polynomial + factor · x^shift · other``."""
    total = polynomial + [0] * (shift + len(other) - len(polynomial))
    for place, coefficient in enumerate(other):
        total[place + shift] ^= _times(factor, coefficient)
    return total


def _magnitude(syndromes: list[int], locator: list[int], place: int) -> int:
    """Forney: by how much the codeword at ``place`` is wrong."""
    evaluator = [0] * len(syndromes)
    for power in range(len(syndromes)):
        for back in range(min(power, len(locator) - 1) + 1):
            evaluator[power] ^= _times(locator[back], syndromes[power - back])
    derivative = [coefficient if power % 2 else 0 for power, coefficient in enumerate(locator)][1:]
    root = np.array([-place % _FIELD_ORDER])
    (above,), (below,) = _at(evaluator, root), _at(derivative, root)
    return _times(_times(_POWER_LIST[place], above), _inverse(below)) if below else 0
