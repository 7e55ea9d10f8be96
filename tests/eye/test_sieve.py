"""Where something like a code could be: found at every size and turn, and an empty room is empty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from device.core.types import Box
from device.eye.camera import Luma
from device.eye.decoder import ZxingDecoder
from device.eye.filters import double
from device.eye.sieve import code_like, regions
from device.workbench.lens import Lens
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Carriage, Pose, empty_scene, scene
from tests.eye.pages import symbol

CARD = citizen_card(people(1, seeded(8))[0])


def covered(pixels: Luma, code: Box) -> bool:
    """Whether one region holds the whole code, but for its outermost pixels."""
    right, bottom = code.left + code.width, code.top + code.height
    return any(
        place.left <= code.left + 4
        and place.top <= code.top + 4
        and place.left + place.width >= right - 4
        and place.top + place.height >= bottom - 4
        for place in regions(pixels)
    )


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (2304, 1296)])
def test_an_empty_room_has_no_region_and_noise_makes_none(size: tuple[int, int]) -> None:
    """With little noise and with the noise of a short exposure at high gain."""
    for seed in range(5):
        assert regions(empty_scene(np.random.default_rng(seed), size)) == ()
        assert regions(empty_scene(np.random.default_rng(seed), size, noise=14)) == ()


@pytest.mark.parametrize("look", list(Carriage))
@pytest.mark.parametrize("px_per_module", [2.0, 3.0, 5.0])
def test_a_code_that_a_decoder_reads_lies_in_a_region(look: Carriage, px_per_module: float) -> None:
    """Turned, tilted, pale, a little out of focus."""
    rng = np.random.default_rng(int(px_per_module * 10))
    view = Pose(
        px_per_module=px_per_module, tilt_deg=15, contrast=0.35, shade=0.5, noise=2, look=look, lens=Lens(defocus_px=0.8, photons=900)
    )
    read = 0
    for turn in range(0, 360, 45):
        frame = scene([CARD], replace(view, turn_deg=turn), rng)
        for reading in ZxingDecoder().look(double(frame)).readings:
            read += 1
            assert covered(
                frame, Box(*(value // 2 for value in (reading.box.left, reading.box.top, reading.box.width, reading.box.height)))
            )
    assert read >= 4


def test_clean_codes_are_found_at_every_size_of_module() -> None:
    """No size keeps in step with the rows that are looked at. The few of 72 that are cut are found by the whole look."""
    cut = 0
    for scale in range(2, 26):
        code = symbol(b"a clean code", scale)
        for offset in (0, 1, 3):
            frame = np.full((740, 1280), 255, np.uint8)
            frame[offset : offset + len(code), offset : offset + len(code)] = code
            quiet = 4 * scale
            cut += not covered(frame, Box(offset + quiet, offset + quiet, len(code) - 2 * quiet, len(code) - 2 * quiet))
    assert cut <= 5


def test_a_line_of_print_is_not_like_a_code() -> None:
    """Twice as wide as high is still like one: it may be cut, or two."""
    assert code_like(Box(0, 0, 200, 100))
    assert not code_like(Box(0, 0, 201, 100))


def test_regions_lie_in_the_frame_and_never_overlap() -> None:
    """Whatever the frame, also one of pure edges."""
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 2, (600, 900), np.uint8) * np.uint8(255), np.zeros((1, 1), np.uint8), np.zeros((300, 3), np.uint8)]
    frames += [scene([CARD, CARD, CARD], Pose(px_per_module=3), rng)]
    for frame in frames:
        seen = np.zeros(frame.shape, np.uint8)
        for box in regions(frame):
            assert box.left >= 0
            assert box.top >= 0
            assert box.left + box.width <= frame.shape[1]
            assert box.top + box.height <= frame.shape[0]
            seen[box.top : box.top + box.height, box.left : box.left + box.width] += 1
        assert seen.max() <= 1
