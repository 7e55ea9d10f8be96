"""Whether the camera still sees its plate: with a reference code and without."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter

from device.core.types import Box, View
from device.eye.camera import Luma
from device.eye.watch import Watch
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Pose as Held
from device.workbench.scenes import empty_scene, scene

SECOND_NS = 1_000_000_000
SIZE = (640, 480)
PLACE = Box(20, 20, 60, 60)
ROOM = empty_scene(np.random.default_rng(3), SIZE, noise=0)
ROOM[100:380, 200:500:12] = 30
"""A plate with lines on it: something to be sharp."""
OTHER = empty_scene(np.random.default_rng(9), SIZE)


def blurred(pixels: Luma) -> Luma:
    """As through a greasy thumb print."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(6)))


def noisy(pixels: Luma, seed: int) -> Luma:
    """One more frame of it."""
    return np.clip(pixels + np.random.default_rng(seed).normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)


def views(watch: Watch, pictures: Callable[[int], Luma], seconds: int, start: int = 0, reference: Box | None = None) -> list[View]:
    """What it says at each second."""
    said = []
    for second in range(start, start + seconds):
        if reference is not None:
            watch.reference(reference, second * SECOND_NS)
        said.append(watch.see(noisy(pictures(second), second), second * SECOND_NS))
    return said


WRONG = {
    View.DARK: np.full_like(ROOM, 4),
    View.BRIGHT: np.full_like(ROOM, 240),
    View.COVERED: np.full_like(ROOM, 120),
    View.BLURRED: blurred(ROOM),
    View.MOVED: OTHER,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_view_that_goes_wrong_is_named_after_half_a_minute_and_forgotten_when_it_is_right(wrong: View) -> None:
    """Without any reference code."""
    watch = Watch()
    assert set(views(watch, lambda _: ROOM, 60)) == {View.OK}
    said = views(watch, lambda _: WRONG[wrong], 60, 60)
    assert said.count(View.OK) in {30, 31, 32}
    assert set(said[-20:]) == {wrong}
    assert views(watch, lambda _: ROOM, 6, 120)[-1] is View.OK


@pytest.mark.parametrize("white", [235, 255])
def test_the_sun_is_bright_wherever_white_is_cut_off(white: int) -> None:
    """Without any noise, and with the rim of the lens still black."""
    sun = np.full_like(ROOM, white)
    sun[:10], sun[:, :10] = 16, 16
    watch = Watch()
    for second in range(40):
        watch.see(sun, second * SECOND_NS)
    assert watch.view is View.BRIGHT


@pytest.mark.parametrize(
    ("short", "long", "view"),
    [
        (ROOM, WRONG[View.BRIGHT], View.OK),
        (WRONG[View.DARK], ROOM, View.OK),
        (WRONG[View.BRIGHT], WRONG[View.BRIGHT], View.BRIGHT),
        (WRONG[View.DARK], WRONG[View.DARK], View.DARK),
    ],
)
@pytest.mark.parametrize("fps", [7, 10, 15])
def test_a_view_is_too_bright_or_too_dark_only_in_every_exposure(short: Luma, long: Luma, view: View, fps: int) -> None:
    """Whichever of them is due at the full second: white at 8 ms is no sun while cards are read at 1 ms."""
    watch = Watch()
    said = []
    for number in range(60 * fps):
        pixels, exposure_us = (short, 998) if number % 2 else (long, 7_985)
        said.append(watch.see(noisy(pixels, number % 3), number * SECOND_NS // fps, exposure_us))
    assert said[-1] is view
    assert {View.OK, view} == set(said)


def test_an_exposure_that_never_comes_again_is_not_waited_for() -> None:
    """A camera's first frame may have one of its own."""
    watch = Watch()
    watch.see(WRONG[View.BRIGHT], 0, 9)
    for number in range(60 * 15):
        watch.see(WRONG[View.BRIGHT], number * SECOND_NS // 15, 1_000)
    assert watch.view is View.BRIGHT


def test_people_in_the_way_are_no_alarm() -> None:
    """Twenty seconds of a back before the lens, a queue that moves for minutes, and the sun that goes down."""
    watch = Watch()
    views(watch, lambda _: ROOM, 30)
    assert set(views(watch, lambda _: WRONG[View.COVERED], 20, 30)) == {View.OK}
    cards = [scene([citizen_card(person)], Held(px_per_module=3), np.random.default_rng(1), SIZE) for person in people(5, seeded(1))]
    assert set(views(watch, lambda second: cards[second % 5], 300, 50)) == {View.OK}
    assert set(views(watch, lambda _: ROOM, 30, 350)) == {View.OK}
    dusk = lambda second: np.asarray(ROOM * max(0.3, 1 - (second - 380) / 900), np.uint8)  # noqa: E731 - one picture a second
    assert set(views(watch, dusk, 600, 380)) == {View.OK}


def test_a_reference_code_that_is_no_longer_read_is_missing_and_a_displaced_one_has_moved() -> None:
    """Half a minute after it was last read; cleared when it is read in its place again."""
    watch = Watch(with_reference=True)
    assert set(views(watch, lambda _: ROOM, 40, reference=PLACE)) == {View.OK}
    said = views(watch, lambda _: ROOM, 60, 40)
    assert said.count(View.OK) in {29, 30, 31}
    assert said[-1] is View.MISSING
    assert views(watch, lambda _: ROOM, 5, 100, reference=PLACE)[-1] is View.OK
    moved = views(watch, lambda _: ROOM, 60, 105, reference=Box(60, 20, 60, 60))
    assert moved[-1] is View.MOVED
    assert views(watch, lambda _: ROOM, 5, 165, reference=PLACE)[-1] is View.OK


def test_a_reference_code_that_was_never_there_is_missing_half_a_minute_after_the_start() -> None:
    """The technician forgot to stick it on."""
    said = views(Watch(with_reference=True), lambda _: ROOM, 40)
    assert said.count(View.OK) in {29, 30, 31}
    assert said[-1] is View.MISSING


def test_it_looks_once_a_second_and_no_more() -> None:
    """Between, it repeats what it knows."""
    watch = Watch()
    watch.see(ROOM, 0)
    assert watch.due_ns == SECOND_NS
    watch.see(np.zeros((0, 0), np.uint8), SECOND_NS // 2)
    assert watch.due_ns == SECOND_NS
