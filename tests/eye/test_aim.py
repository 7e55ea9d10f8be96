"""Which exposure and focus come next: in turn, and for a while those that the last frames ask for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.types import Cause
from device.eye.aim import FAVOURED_FRAMES, FRAMES_PER_FOCUS, Aim

SHORT, LONG = 1000, 8000
NEAR, FAR = 5.5, 4.0
LONGEST_WAIT = 33
"""Of the frames that a slow eye looks at, in the worst place of thousands; without favour it is less than half of that."""


def taken(aim: Aim, count: int) -> list[tuple[int | None, float | None]]:
    """What is asked for in so many frames."""
    return [aim.next() for _ in range(count)]


def test_exposures_take_turns_and_the_lens_moves_now_and_then() -> None:
    """While nobody comes: each as often as the other, and never three times in a row."""
    frames = taken(Aim([SHORT, LONG], [NEAR, FAR]), 4 * FRAMES_PER_FOCUS)
    exposures = [exposure for exposure, _ in frames]
    assert abs(exposures.count(SHORT) - exposures.count(LONG)) <= 2
    assert max(len(list(run)) for _, run in itertools.groupby(exposures)) <= 3
    lenses = [lens for _, lens in frames]
    assert {lens: lenses.count(lens) for lens in lenses} == {NEAR: 2 * FRAMES_PER_FOCUS, FAR: 2 * FRAMES_PER_FOCUS}
    assert sum(one != other for one, other in itertools.pairwise(lenses)) == 4


@pytest.mark.parametrize(("cause", "favoured"), [(Cause.BANDED, LONG), (Cause.DARK, LONG), (Cause.GLARE, SHORT)])
def test_light_follows_what_is_wrong_and_only_for_a_while(cause: Cause, favoured: int) -> None:
    """About three frames in four; the others keep their turn, since the next code may be of another kind."""
    aim = Aim([SHORT, LONG], [NEAR])
    aim.judged(SHORT, NEAR, read=False, cause=cause)
    during = [exposure for exposure, _ in taken(aim, FAVOURED_FRAMES)]
    assert 2 * FAVOURED_FRAMES // 3 <= during.count(favoured) <= 5 * FAVOURED_FRAMES // 6
    after = [exposure for exposure, _ in taken(aim, 20)]
    assert abs(after.count(SHORT) - after.count(LONG)) <= 2


def test_a_blurred_code_moves_the_lens_to_the_other_position_and_lets_it_arrive() -> None:
    """Blurred frames on the way there do not send it back."""
    aim = Aim([SHORT], [NEAR, FAR])
    taken(aim, 3)
    aim.judged(None, NEAR, read=False, cause=Cause.BLURRED)
    lenses = [lens for _, lens in taken(aim, 6)]
    aim.judged(None, FAR, read=False, cause=Cause.BLURRED)
    lenses += [lens for _, lens in taken(aim, 6)]
    assert lenses == [FAR] * 12


def test_what_read_a_code_is_kept_for_the_next_in_the_queue() -> None:
    """The camera reports what it really did, which is near what was asked for."""
    aim = Aim([SHORT, LONG], [NEAR, FAR])
    aim.judged(7_985, 4.02, read=True)
    frames = taken(aim, FAVOURED_FRAMES)
    assert [lens for _, lens in frames] == [FAR] * FAVOURED_FRAMES
    assert [exposure for exposure, _ in frames].count(LONG) >= 2 * FAVOURED_FRAMES // 3


@st.composite
def histories(draw: st.DrawFn) -> tuple[tuple[int, ...], list[int | None]]:
    """Some exposures, and for each of many frames which of them read a code then; also the same at each, or none."""
    exposures = tuple(1_000 * 2**step for step in range(draw(st.integers(2, 8))))
    read = st.one_of(st.none(), st.sampled_from(exposures))
    frames = 12 * len(exposures)
    return exposures, draw(st.one_of(st.lists(read, min_size=frames, max_size=frames), read.map(lambda one: [one] * frames)))


@given(histories(), st.integers(0, 5_000))
def test_each_exposure_has_its_share_whatever_was_read(history: tuple[tuple[int, ...], list[int | None]], past: int) -> None:
    """In every 4n frames each of n exposures is there, and once more for each further 2n: a telephone is not missed."""
    exposures, reads = history
    aim = Aim(exposures, [NEAR])
    taken(aim, past)
    drawn = []
    for read in reads:
        if read is not None:
            aim.judged(read, NEAR, read=True)
        drawn.append(aim.next()[0])
    block = 2 * len(exposures)
    for length in (2 * block, 3 * block, len(drawn)):
        windows = [drawn[at : at + length] for at in range(len(drawn) - length + 1)]
        assert all(window.count(exposure) >= length // block - 1 for window in windows for exposure in exposures)


@pytest.mark.parametrize("read_at", [None, SHORT, LONG])
@pytest.mark.parametrize("stride", range(1, 9))
def test_an_eye_that_looks_at_every_so_manieth_frame_meets_each_exposure(stride: int, read_at: int | None) -> None:
    """A slow board decodes every second or fourth frame; its steps and the turns must not fall in with each other."""
    aim = Aim([SHORT, LONG], [NEAR])
    drawn = []
    for _ in range(6_000):
        if read_at is not None:
            aim.judged(read_at, NEAR, read=True)
        drawn.append(aim.next()[0])
    waits = []
    for offset in range(stride):
        seen = drawn[offset::stride]
        for exposure in (SHORT, LONG):
            places = [-1, *(at for at, one in enumerate(seen) if one == exposure), len(seen)]
            waits.append(max(after - before for before, after in itertools.pairwise(places)))
    assert max(waits) <= LONGEST_WAIT


def test_of_two_exposures_the_other_has_a_frame_in_four_while_one_is_favoured() -> None:
    """After one reading at the short one: it had none of the next 24, and whoever stood behind a card with a telephone waited."""
    aim = Aim([SHORT, LONG], [NEAR])
    for _ in range(200):
        aim.judged(SHORT, NEAR, read=True)
        after = [exposure for exposure, _ in taken(aim, FAVOURED_FRAMES)]
        assert after.count(LONG) >= FAVOURED_FRAMES // 4 - 1


def test_a_camera_without_choices_is_left_alone() -> None:
    """One exposure, no lens; whatever is judged."""
    aim = Aim([SHORT], [])
    for cause in Cause:
        aim.judged(SHORT, None, read=False, cause=cause)
    aim.judged(None, None, read=True)
    assert taken(aim, 30) == [(None, None)] * 30
