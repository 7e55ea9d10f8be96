"""Why a code cannot be read, on made scenes that nobody can read: what is told, how large a module is, and no code where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from device.core.types import Box, Cause
from device.eye.cause import Explained, explain_region, explain_unread
from device.eye.decoder import Unread, ZbarDecoder
from device.eye.ladder import Ladder, make_ladder
from device.eye.sieve import regions
from device.workbench.lens import Lens
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Carriage, Frame, Pose, empty_scene, scene
from tests.eye.pages import symbol

PERSONS = [citizen_card(person) for person in people(10, seeded(21))]

UNREADABLE = {
    Cause.GLARE: Pose(px_per_module=4, lens=Lens(glare=2.5)),
    Cause.BANDED: Pose(px_per_module=4, look=Carriage.PHONE, lens=Lens(band_depth=0.97, band_rows=120)),
    Cause.BLURRED: Pose(px_per_module=5, lens=Lens(defocus_px=5)),
}


def explained(frame: Frame) -> Explained | None:
    """As the eye does it: first what a decoder found and could not read, then what the sieve found."""
    ladder = make_ladder()
    look = ladder.live(frame, 0)
    assert not look.readings
    return ladder.explain(frame, look.glimpses)


@pytest.mark.parametrize("cause", UNREADABLE)
def test_each_cause_is_named_for_most_codes_and_never_mistaken_for_another_often(cause: Cause) -> None:
    """The modules are measured, too."""
    said = []
    for number, payload in enumerate(PERSONS):
        frame = scene([payload], UNREADABLE[cause], np.random.default_rng(number))
        if make_ladder().live(frame, 0).readings:
            continue
        said.append(explained(frame))
    causes = [one.cause for one in said if one is not None]
    assert causes.count(cause) >= 6, causes
    assert len(causes) - causes.count(cause) <= 2, causes
    sizes = [one.px_per_module for one in said if one is not None and one.px_per_module is not None]
    assert abs(float(np.median(sizes)) / UNREADABLE[cause].px_per_module - 1) < 0.25


def test_small_modules_are_too_far_dim_ones_dark_and_a_damaged_code_is_unreadable() -> None:
    """Where nothing else is wrong."""
    sharp = symbol(b"064090001234||" + b"x" * 60, scale=6)
    middle = len(sharp) // 2
    sharp[middle - 40 : middle + 40, middle - 40 : middle + 40] = 0
    small = np.ascontiguousarray(sharp[::3, ::3])
    dim = np.asarray(sharp * 0.15 + 8, np.uint8)
    for picture, cause, size in ((sharp, Cause.UNREADABLE, 6.0), (small, Cause.TOO_FAR, 2.0), (dim, Cause.DARK, 6.0)):
        page = np.full((480, 640), picture.max(), np.uint8)
        page[100 : 100 + len(picture), 100 : 100 + len(picture)] = picture
        found = explained(page)
        assert found is not None
        assert found.cause is cause
        assert found.px_per_module is not None
        assert abs(found.px_per_module - size) < 0.3


def test_a_code_cut_by_the_edge_of_the_frame_is_too_near() -> None:
    """Two of its three patterns are in view."""
    code = symbol(b"064090001234||" + b"x" * 60, scale=10)
    page = np.full((480, 640), 255, np.uint8)
    page[200:480, 100 : 100 + len(code)] = code[:280]
    found = explained(page)
    assert found is not None
    assert found.cause is Cause.TOO_NEAR


def test_print_and_rooms_are_no_codes() -> None:
    """A card whose code is turned away, and nobody at all: the amber cue would be a lie."""
    view = Pose(px_per_module=0.4)
    for seed in range(15):
        for frame in (scene([b"x"], view, np.random.default_rng(seed)), empty_scene(np.random.default_rng(seed))):
            assert [explain_region(frame, place) for place in regions(frame)] == [None] * len(regions(frame))


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 500), (500, 3), (2000, 2000)])
def test_no_picture_is_too_strange(shape: tuple[int, int]) -> None:
    """Nothing to find, and corners that make no sense."""
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    if noise.size:
        explain_region(noise, Box(0, 0, shape[1], shape[0]))
        explain_unread(noise, Unread(((-9, -9), (9999, 4), (5, 5), (0, 0)), 21))
        explain_unread(noise, Unread(((2, 2), (2, 2), (2, 2), (2, 2)), 177))


def test_a_ladder_whose_budget_is_spent_explains_nothing() -> None:
    """A hint is worth less than the next frame."""
    ladder = Ladder([ZbarDecoder()], cpu_ns=iter(range(0, 10**12, 10**9)).__next__)
    frame = scene([PERSONS[0]], UNREADABLE[Cause.GLARE], np.random.default_rng(1))
    list(ladder.looks(frame, 0))
    assert ladder.explain(frame, ()) is None
