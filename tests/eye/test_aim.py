"""Which exposure and focus come next: in turn, and for a while those that the last frames ask for."""

from __future__ import annotations

import itertools

import pytest

from device.core.types import Cause
from device.eye.aim import FAVOURED_FRAMES, FRAMES_PER_FOCUS, Aim

SHORT, LONG = 1000, 8000
NEAR, FAR = 5.5, 4.0


def taken(aim: Aim, count: int) -> list[tuple[int | None, float | None]]:
    """What is asked for in so many frames."""
    return [aim.next() for _ in range(count)]


def test_exposures_alternate_and_the_lens_moves_now_and_then() -> None:
    """While nobody comes."""
    frames = taken(Aim([SHORT, LONG], [NEAR, FAR]), 4 * FRAMES_PER_FOCUS)
    exposures = [exposure for exposure, _ in frames]
    assert exposures[::2] == [LONG] * len(exposures[::2])
    assert exposures[1::2] == [SHORT] * len(exposures[1::2])
    lenses = [lens for _, lens in frames]
    assert {lens: lenses.count(lens) for lens in lenses} == {NEAR: 2 * FRAMES_PER_FOCUS, FAR: 2 * FRAMES_PER_FOCUS}
    assert sum(one != other for one, other in itertools.pairwise(lenses)) == 4


@pytest.mark.parametrize(("cause", "favoured"), [(Cause.BANDED, LONG), (Cause.DARK, LONG), (Cause.GLARE, SHORT)])
def test_light_follows_what_is_wrong_and_only_for_a_while(cause: Cause, favoured: int) -> None:
    """Three frames in four; the fourth keeps its turn, since the next code may be of another kind."""
    aim = Aim([SHORT, LONG], [NEAR])
    aim.judged(SHORT, NEAR, read=False, cause=cause)
    during = [exposure for exposure, _ in taken(aim, FAVOURED_FRAMES)]
    assert during.count(favoured) >= 3 * FAVOURED_FRAMES // 4
    after = [exposure for exposure, _ in taken(aim, 20)]
    assert after.count(SHORT) == after.count(LONG) == 10


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
    assert [exposure for exposure, _ in frames].count(LONG) >= 3 * FAVOURED_FRAMES // 4


def test_a_camera_without_choices_is_left_alone() -> None:
    """One exposure, no lens; whatever is judged."""
    aim = Aim([SHORT], [])
    for cause in Cause:
        aim.judged(SHORT, None, read=False, cause=cause)
    aim.judged(None, None, read=True)
    assert taken(aim, 30) == [(None, None)] * 30
