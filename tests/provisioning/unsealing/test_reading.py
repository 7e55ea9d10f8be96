"""Check-ins out of the collector's file: of the places and the span that were asked for, with how well their time is known."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioning.common.errors import Refused
from provisioning.unsealing.reading import UNKNOWN_DOUBT_S, Slice, read
from tests.provisioning.unsealing.desk_kit import DAY, HOUR, A, B, Desk


def found(desk: Desk, *sites: str) -> Slice:
    """Of the first hour of the day."""
    return read(desk.events, sites or (desk.school.id,), DAY, DAY + HOUR)


def test_the_first_moment_of_a_span_is_in_it_and_the_last_is_not(desk: Desk) -> None:
    """Two spans that meet share nobody."""
    for at in (timedelta(seconds=-1), timedelta(), HOUR - timedelta(seconds=1), HOUR):
        desk.pass_by(A, "in", at)
    assert [one.at_s - DAY.timestamp() for one in found(desk).places[desk.school.id]] == [0.0, 3599.0]


@pytest.mark.parametrize(
    ("told", "at_s", "doubt_s"),
    [
        ({"uncertaintyms": 1500}, 600.0, 1.5),
        ({"uncertaintyms": -5}, 600.0, 0.0),
        ({"uncertaintyms": None, "earliest": "2026-11-20T00:00:00Z", "latest": "2026-11-20T00:40:00Z"}, 1200.0, 1200.0),
        ({"uncertaintyms": None}, 600.0, UNKNOWN_DOUBT_S),
    ],
)
def test_how_well_a_time_is_known_comes_from_what_the_gate_said(desk: Desk, told: dict[str, Any], at_s: float, doubt_s: float) -> None:
    """Its uncertainty, the middle of its bounds, or an hour where it said nothing."""
    desk.pass_by(A, "in", timedelta(minutes=10), **told)
    (one,) = found(desk).places[desk.school.id]
    assert (one.at_s - DAY.timestamp(), one.doubt_s) == (at_s, doubt_s)


def test_of_each_place_that_was_asked_for_it_is_said_which_data_it_was(desk: Desk) -> None:
    """The same events are the same data; one more is another."""
    desk.pass_by(A, "in", timedelta(minutes=1))
    desk.pass_by(A, "in", timedelta(minutes=2), site=desk.bus.id)
    both = found(desk, desk.school.id, desk.bus.id)
    assert found(desk).digests == {desk.school.id: both.digests[desk.school.id]}
    desk.pass_by(B, "in", timedelta(minutes=3))
    again = found(desk, desk.school.id, desk.bus.id)
    assert again.digests[desk.school.id] != both.digests[desk.school.id]
    assert again.digests[desk.bus.id] == both.digests[desk.bus.id]


def test_who_did_not_pass_is_no_check_in_and_no_damage(desk: Desk) -> None:
    """A refused code has no direction."""
    desk.pass_by(A, "in", timedelta(minutes=1), data={"direction": None})
    slice_ = found(desk)
    assert (slice_.places, slice_.damaged) == ({}, 0)


def test_a_file_that_is_not_the_collectors_is_named(tmp_path: Path) -> None:
    """E206; nothing is made in its place."""
    with pytest.raises(Refused, match="E206"):
        read(tmp_path / "none.sqlite", ("s1",), DAY, DAY + HOUR)
    assert not (tmp_path / "none.sqlite").exists()
