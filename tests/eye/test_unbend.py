"""A symbol on something bent is flattened: measured on drawn folds, and harmless on everything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.eye.decoder import Unread, ZxingDecoder
from device.eye.unbend import MARGIN_MODULES, MODULE_PX, MOST_MODULES, flattened, followed, shifts, waves_of
from device.workbench.symbols import modules
from tests.eye.pages import bent, drawn

ZXING = ZxingDecoder()
CARD = b"064090001234||Nguyen Van An|01011990|Nam"


def corners(left: int, top: int, right: int, bottom: int) -> tuple[tuple[int, int], ...]:
    """Of an upright square."""
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def read_flat(pixels: np.typing.NDArray[np.uint8], unread: Unread) -> set[bytes]:
    """What is read in any of the flattened pictures."""
    return {reading.payload for picture in flattened(pixels, unread) for reading in ZXING.look(picture).readings}


@pytest.mark.parametrize("scale", [3, 4, 6, 12])
@pytest.mark.parametrize("by_modules", [-1.2, 0.0, 1.2, 1.4])
def test_a_fold_of_more_than_a_module_is_taken_out(by_modules: float, scale: int) -> None:
    """From three pixels a module on; a flat symbol stays readable."""
    picture = bent(CARD, by_modules, scale)
    side = len(picture)
    unread = Unread(corners(4 * scale, 4 * scale, side - 4 * scale, side - 4 * scale), side // scale - 8)
    assert read_flat(picture, unread) == {CARD}


def test_nothing_but_what_the_symbol_holds_is_read() -> None:
    """Wherever the corners are guessed wrong, the checksum still stands before a reading."""
    picture = bent(CARD, 1.0, 5)
    rng = np.random.default_rng(4)
    for _ in range(60):
        guess = tuple((int(x), int(y)) for x, y in np.array(corners(20, 20, 185, 185)) + rng.integers(-12, 13, (4, 2)))
        assert read_flat(picture, Unread(guess, len(picture) // 5 - 8)) <= {CARD}


@pytest.mark.parametrize("transform", [np.rot90, np.fliplr, np.transpose])
def test_a_turned_or_mirrored_symbol_is_flattened_too(transform: object) -> None:
    """The shifts are followed from any corner, for three of the four have a finder pattern."""
    assert callable(transform)
    picture = np.ascontiguousarray(transform(bent(CARD, 1.0, 5)))
    side = len(picture)
    assert read_flat(picture, Unread(corners(20, 20, side - 20, side - 20), side // 5 - 8)) <= {CARD}


@given(
    points=st.lists(st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)), min_size=4, max_size=4),
    size=st.integers(21, 177),
)
@settings(max_examples=60, deadline=None)
def test_corners_anywhere_are_no_error(points: list[tuple[int, int]], size: int) -> None:
    """Crossed, on one line, all the same, far outside: decoders guess."""
    assert read_flat(np.full((90, 120), 200, np.uint8), Unread(tuple(points), size)) == set()


def test_symbols_too_large_or_too_small_are_left_alone() -> None:
    """The first would take long, and in the second no module has a pixel."""
    picture = np.zeros((400, 400), np.uint8)
    assert list(flattened(picture, Unread(corners(0, 0, 300, 300), MOST_MODULES + 4))) == []
    assert list(flattened(picture, Unread(corners(0, 0, 19, 300), 21))) == []


def test_a_large_picture_is_made_smaller_first() -> None:
    """Otherwise single pixels would stand for modules of twenty, and noise would decide."""
    picture = drawn(modules(CARD, "L"), 24)
    noisy = np.clip(picture.astype(np.int16) // 4 + 90 + np.random.default_rng(1).normal(0, 80, picture.shape), 0, 255).astype(np.uint8)
    side = len(picture)
    assert read_flat(noisy, Unread(corners(96, 96, side - 96, side - 96), side // 24 - 8)) == {CARD}


def test_the_shifts_of_a_flat_symbol_are_none() -> None:
    """To a sixth of a pixel on average: the phase is that of the edges and not of the pixels beside them."""
    flat = drawn(np.pad(modules(CARD, "L", quiet=0), MARGIN_MODULES), MODULE_PX)
    for picture in (flat, flat.T):
        assert abs(float(shifts(waves_of(picture), 1.8).mean())) < 1 / 6


def test_shifts_are_followed_from_the_finder_pattern_and_not_from_the_edge() -> None:
    """The outermost modules may lie more than half a module off, where a phase alone says the opposite."""
    down = np.linspace(4.0, -2.0, 21)[:, np.newaxis] + np.zeros((21, 21))
    wrapped = (down + np.pi) % (2 * np.pi) - np.pi
    assert np.allclose(followed(wrapped), down)
    assert followed(wrapped)[0, 0] > np.pi
