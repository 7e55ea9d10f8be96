"""Finder patterns: where they are, how large a module is, and that there are none where there is no code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from device.eye import finders as module
from device.eye.finders import finders
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Carriage, Pose, empty_scene, scene
from tests.eye.pages import finder_page, on_page, symbol

PERSON = citizen_card(people(1, seeded(21))[0])
QUIET = 4


@pytest.mark.parametrize("scale", [2, 3, 4, 7, 12])
@pytest.mark.parametrize("inverted", [False, True])
def test_the_three_patterns_of_a_code_are_found_where_they_are(scale: int, *, inverted: bool) -> None:
    """To the pixel and before anything that chance brings, with the size of a module; light on dark as on a telephone at night, too."""
    code = symbol(PERSON, scale=scale)
    page = on_page([code], height=len(code) + 20, width=len(code) + 40, shade=255)
    found = finders(np.asarray(255 - page, np.uint8) if inverted else page)[: module.PATTERNS]
    near, far = 10 + (QUIET + 3.5) * scale, 10 + len(code) - (QUIET + 3.5) * scale
    assert len(found) == 3
    for x, y in ((near, near), (near, far), (far, near)):
        assert min(max(abs(one.x - x), abs(one.y - y)) for one in found) <= 1.0
    assert all(abs(one.module - scale) <= 0.25 for one in found)


def test_finder_patterns_are_found_at_every_turn_and_also_light_on_dark() -> None:
    """At 40 degrees one code of eleven shows more of something else."""
    view = Pose(px_per_module=3.5, contrast=0.7, noise=3)
    right = 0
    for turn, inverted in [*((turn, False) for turn in range(0, 360, 40)), (0, True), (90, True)]:
        held = replace(view, turn_deg=turn, inverted=inverted, look=Carriage.BADGE)
        found = finders(scene([PERSON], held, np.random.default_rng(turn), (640, 480)))
        right += len(found) >= 2 and 3.0 < found[0].module < 3.5 * 1.5
    assert right >= 10


def test_a_large_part_is_measured_in_its_own_pixels() -> None:
    """It is looked at in every second pixel only, and that must not be seen in the answer."""
    code = symbol(PERSON, scale=28)
    assert max(code.shape) > module.MOST_SIDE_PX
    found = finders(code)[: module.PATTERNS]
    assert all(abs(one.module - 28) < 1 for one in found)
    assert min(one.x for one in found) == pytest.approx((QUIET + 3.5) * 28, abs=2)


def test_what_is_seen_on_most_lines_comes_first() -> None:
    """Of two codes the larger one: whoever asks looks at the first three."""
    small, large = symbol(PERSON, scale=2), symbol(PERSON, scale=5)
    found = finders(on_page([small, large], height=500, width=len(small) + len(large) + 60, shade=255))
    assert all(one.module == pytest.approx(5, abs=0.3) for one in found[:3])
    assert sum(one.module == pytest.approx(2, abs=0.3) for one in found[3:]) == 3


def test_a_room_without_a_code_has_hardly_a_pattern() -> None:
    """Print and furniture have the proportions by chance in one direction, seldom in both in one place."""
    counts = [len(finders(empty_scene(np.random.default_rng(seed), (640, 480)))) for seed in range(15)]
    assert max(counts) < module.PATTERNS, counts


def test_a_page_of_nothing_but_patterns_is_looked_at_in_part() -> None:
    """Made to be slow: the lines that are followed are bounded, so no more than those can be found."""
    assert 0 < len(finders(finder_page())) <= module.MOST_HITS


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 500), (500, 3), (7, 7)])
def test_what_is_too_small_for_a_pattern_has_none(shape: tuple[int, int]) -> None:
    """Cut from the edge of a frame, it may be empty."""
    assert finders(np.random.default_rng(1).integers(0, 256, shape, np.uint8)) == ()


def test_noise_and_flat_grey_raise_nothing() -> None:
    """Nothing is found on grey; on noise whatever chance brings is within the picture."""
    assert finders(np.full((300, 300), 128, np.uint8)) == ()
    for one in finders(np.random.default_rng(1).integers(0, 256, (2000, 2000), np.uint8)):
        assert 0 <= one.x < 2000
        assert 0 <= one.y < 2000
