"""The people of the demo: every answer is seen in one round, and the frames come in order."""

from __future__ import annotations

from pathlib import Path

from device.core.credentials import parse
from device.core.types import Credential, Rejection
from device.workbench import parade
from device.workbench.people import seeded


def test_the_parade_has_people_that_come_leave_and_show_again() -> None:
    """So that every answer is seen in one round."""
    showings = parade.parade(16, seeded(5))
    assert showings[4] is showings[3]
    assert showings[7] is showings[0]
    assert len(showings[6].payloads) == 2
    assert showings[2].payloads != showings[10].payloads
    assert parade.parade(16, seeded(5)) == showings


def test_a_round_shows_codes_that_are_taken_and_codes_that_are_not() -> None:
    """Each payload but the foreign code names somebody; the foreign one is another in each round."""
    found = [[parse(payload) for payload in turn.payloads] for turn in parade.parade(8, seeded(5))]
    strangers = [number for number, codes in enumerate(found) if any(isinstance(code, Rejection) for code in codes)]
    assert strangers == [2]
    assert all(isinstance(code, Credential) for number, codes in enumerate(found) if number != 2 for code in codes)


def test_each_showing_is_held_up_and_taken_away_in_frames_in_order_of_name(tmp_path: Path) -> None:
    """As many frames as were said; the disk holds each picture once, under several names."""
    rng = seeded(5)
    showings = parade.parade(3, rng)
    count = parade.draw(showings, tmp_path, rng, (320, 240))
    frames = sorted(tmp_path.iterdir())
    assert len(frames) == count == 3 * (parade.HELD_FRAMES + parade.PAUSE_FRAMES)
    assert [frame.name for frame in frames] == [f"frame-{number:06d}.png" for number in range(count)]
    pictures = [frame.stat().st_ino for frame in frames]
    empty = pictures[-1]
    assert len(set(pictures)) == len(showings) + 1
    assert [picture == empty for picture in pictures] == ([False] * parade.HELD_FRAMES + [True] * parade.PAUSE_FRAMES) * 3
