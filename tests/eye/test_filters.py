"""What is done to a frame before a decoder sees it."""

from __future__ import annotations

import numpy as np
import pytest

from device.eye.decoder import ZbarDecoder
from device.eye.filters import adaptive, differs, double, half, softened, thumbnail
from device.eye.ladder import Prepare
from tests.eye.pages import symbol


@pytest.mark.parametrize("prepare", [adaptive, half, double, softened, thumbnail])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 3), (720, 1280), (61, 83)])
def test_every_filter_takes_a_picture_of_any_size_and_leaves_it_as_it_was(prepare: Prepare, shape: tuple[int, int]) -> None:
    """Crops may be tiny, and the frame belongs to the camera."""
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    before = pixels.copy()
    result = prepare(pixels[:, ::-1])
    assert result.dtype == np.uint8
    assert result.size > 0
    assert np.array_equal(pixels, before)


def test_adaptive_is_black_where_a_pixel_is_darker_than_its_neighbourhood() -> None:
    """Five grey levels below the mean are black, fewer are white, and nothing between is left."""
    pixels = np.full((64, 64), 100, np.uint8)
    pixels[10, 10], pixels[40, 40] = 90, 98
    result = adaptive(pixels)
    assert result[10, 10] == 0
    assert result[40, 40] == 255
    assert set(np.unique(result)) == {0, 255}


def test_adaptive_does_not_wrap_at_the_bright_end() -> None:
    """Eight bits: white on white stays white."""
    assert adaptive(np.full((32, 32), 255, np.uint8)).min() == 255


def test_a_code_in_deep_shade_is_read_after_adaptive_and_not_before() -> None:
    """A lamp to one side: the right half of the card has a tenth of the light."""
    picture = symbol(b"shade", scale=6).astype(np.float64)
    light = np.linspace(1, 0.08, picture.shape[1])
    shaded = np.clip((picture * 0.8 + 30) * light, 0, 255).astype(np.uint8)
    noisy = np.clip(shaded + np.random.default_rng(2).normal(0, 1, shaded.shape), 0, 255).astype(np.uint8)
    assert [reading.payload for reading in ZbarDecoder().look(adaptive(noisy)).readings] == [b"shade"]


def test_sizes_are_halved_and_doubled() -> None:
    """An odd last row becomes a pixel of its own."""
    pixels = np.zeros((5, 8), np.uint8)
    assert half(pixels).shape == (3, 4)
    assert double(pixels).shape == (10, 16)


def test_a_thumbnail_is_small_whatever_the_frame() -> None:
    """At most twice 80x60, so that comparing costs nothing."""
    for shape in ((720, 1280), (1296, 2304), (2592, 4608)):
        rows, columns = thumbnail(np.zeros(shape, np.uint8)).shape
        assert rows <= 120
        assert columns <= 160


def test_noise_is_no_change_and_a_card_is() -> None:
    """What wakes the dear look is a thing that came into view."""
    rng = np.random.default_rng(5)
    scene = np.full((720, 1280), 90, np.uint8)
    first, second = (thumbnail(np.clip(scene + rng.normal(0, 8, scene.shape), 0, 255).astype(np.uint8)) for _ in range(2))
    assert not differs(first, second)
    scene[200:500, 400:800] = 180
    assert differs(first, thumbnail(scene))


def test_pictures_of_different_size_differ() -> None:
    """A folder may hold anything."""
    assert differs(np.zeros((60, 80), np.uint8), np.zeros((60, 79), np.uint8))
