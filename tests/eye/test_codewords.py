"""From a sampled symbol to its data codewords, held against an independent encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from segno import consts

from device.eye import codewords
from device.eye.codewords import Modules, data_codewords

LEVELS = {"L": consts.ERROR_LEVEL_L, "M": consts.ERROR_LEVEL_M, "Q": consts.ERROR_LEVEL_Q, "H": consts.ERROR_LEVEL_H}


def blocks(version: int, level: str) -> Sequence[Any]:
    """The encoder's table of blocks."""
    table: Any = consts.ECC
    found: Sequence[Any] = table[version][LEVELS[level]]
    return found


def data_length(version: int, level: str) -> int:
    """Data codewords of a symbol, as the encoder counts them."""
    return sum(block.num_blocks * block.num_data for block in blocks(version, level))


def encoded(version: int, level: str, payload: bytes) -> tuple[Modules, int]:
    """A symbol and its mask."""
    symbol = segno.make_qr(payload, error=level, version=version, mode="byte", boost_error=False)
    return np.array([[bool(module) for module in row] for row in symbol.matrix]), symbol.mask


def holds(data: bytes | None, version: int, payload: bytes) -> bool:
    """Whether the codewords are one byte segment with that payload."""
    assert data is not None
    header = 4 + (8 if version < 10 else 16)
    value = int.from_bytes(data, "big")
    return value >> 8 * len(data) - header - 8 * len(payload) & (1 << 8 * len(payload)) - 1 == int.from_bytes(payload, "big")


@pytest.mark.parametrize("level", LEVELS)
def test_the_tables_are_those_of_the_encoder(level: str) -> None:
    """Blocks and check codewords of all forty versions."""
    checks, counts = codewords.CHECK_CODEWORDS[level].split(), codewords.BLOCKS[level].split()
    assert len(checks) == len(counts) == 40
    for version in range(1, 41):
        known = blocks(version, level)
        assert {block.num_total - block.num_data for block in known} == {int(checks[version - 1])}
        assert sum(block.num_blocks for block in known) == int(counts[version - 1])


@pytest.mark.parametrize("version", [1, 2, 6, 7, 14, 21, 27, 32, 40])
@pytest.mark.parametrize("level", LEVELS)
def test_a_full_symbol_gives_back_what_the_encoder_put_in(level: str, version: int) -> None:
    """Versions with and without alignment, version bits and blocks of two lengths, filled to the last byte."""
    length = data_length(version, level)
    payload = np.random.default_rng(version).integers(0, 256, length - 3, dtype=np.uint8).tobytes()
    modules, mask = encoded(version, level, payload)
    data = data_codewords(modules, level, mask)
    assert data is not None
    assert len(data) == length
    assert holds(data, version, payload)


@pytest.mark.parametrize("mask", range(8))
def test_every_mask_is_taken_off(mask: int) -> None:
    """The eight patterns of the standard."""
    symbol = segno.make_qr(b"mask " * 5, error="M", mask=mask, mode="byte", boost_error=False)
    modules = np.array([[bool(module) for module in row] for row in symbol.matrix])
    assert holds(data_codewords(modules, "M", mask), int(symbol.version), b"mask " * 5)


def test_a_mirrored_symbol_is_turned_back() -> None:
    """A code seen in a mirror or through glass is read by decoders, and its matrix comes as it was seen."""
    modules, mask = encoded(4, "Q", b"mirror")
    assert data_codewords(modules.T, "Q", mask) == data_codewords(modules, "Q", mask)


@given(seed=st.integers(0, 2**32 - 1), version=st.integers(1, 12), level=st.sampled_from("LMQH"))
@settings(max_examples=40, deadline=None)
def test_errors_within_the_capacity_are_mended_and_others_never_invent_data(seed: int, version: int, level: str) -> None:
    """With one module in sixty turned over, what comes back is the data itself or nothing."""
    rng = np.random.default_rng(seed)
    payload = rng.integers(0, 256, data_length(version, level) - 3, dtype=np.uint8).tobytes()
    modules, mask = encoded(version, level, payload)
    damaged = modules ^ (rng.random(modules.shape) < 1 / 60)
    assert data_codewords(damaged, level, mask) in {data_codewords(modules, level, mask), None}


def test_a_block_is_mended_up_to_its_capacity_and_not_beyond() -> None:
    """Version 1-H has 17 check codewords, so eight wrong codewords are mended and nine are not."""
    modules, mask = encoded(1, "H", b"limit!")
    whole = data_codewords(modules, "H", mask)
    # The upward column pairs at the right edge hold the codewords one after another, four rows each.
    for wrong in (8, 9):
        damaged = modules.copy()
        places = [(row, column) for column in (20, 18, 16, 14) for row in (20, 16, 12)][:wrong]
        for row, column in places:
            damaged[row, column] ^= True
        assert (data_codewords(damaged, "H", mask) == whole) is (wrong == 8)


@pytest.mark.parametrize(
    ("shape", "level", "mask"),
    [
        ((21, 25), "M", 0),
        ((22, 22), "M", 0),
        ((17, 17), "M", 0),
        ((181, 181), "M", 0),
        ((21, 21), "X", 0),
        ((21, 21), "M", 8),
        ((0, 0), "M", 0),
    ],
)
def test_what_is_no_symbol_gives_nothing(shape: tuple[int, int], level: str, mask: int) -> None:
    """Sizes, levels and masks that do not exist are answered with None."""
    assert data_codewords(np.zeros(shape, np.bool_), level, mask) is None


@given(seed=st.integers(0, 2**32 - 1), version=st.integers(1, 14), level=st.sampled_from("LMQH"), mask=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_noise_in_the_shape_of_a_symbol_is_never_an_error(seed: int, version: int, level: str, mask: int) -> None:
    """Whatever a decoder hands over, the answer is data or None."""
    noise = np.random.default_rng(seed).random((17 + 4 * version,) * 2) < 0.5
    data = data_codewords(noise, level, mask)
    assert data is None or len(data) == data_length(version, level)
