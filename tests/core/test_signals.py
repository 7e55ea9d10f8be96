"""The score: what it says to the millisecond, and that its signs can be told apart."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import device
from device.core.score import KITS, PROFILES, Kit, Lamp, Profile, Score
from device.core.signal_rules import beeps_heard, lamp_set
from device.core.signals import Moment, Track, changes, level_at, pattern, patterns, track
from device.core.types import Sign

TREE: dict[str, Any] = tomllib.loads((Path(device.__file__).parent / "score.toml").read_text(encoding="utf-8"))
SCORE = Score.from_tree(TREE)

PASSING = (Sign.ACCEPT_IN, Sign.ACCEPT_OUT, Sign.ALREADY, Sign.REJECT, Sign.REFER, Sign.ORDER_TAKEN)
STANDING = (Sign.READY, Sign.UNREADABLE, Sign.OUT_OF_SERVICE, Sign.COMMISSIONING)
AMBER = {Sign.UNREADABLE, Sign.ALREADY, Sign.REFER, Sign.OUT_OF_SERVICE, Sign.ORDER_TAKEN}
CASES = tuple(product(PROFILES, KITS))

G, R, A, B = Lamp.GREEN, Lamp.RED, Lamp.AMBER, Lamp.BLUE


def lit(sign: Sign, profile: Profile = "normal", kit: Kit = "full") -> list[tuple[int, int, set[Lamp]]]:
    """The lit spells of one run of a sign: from, to (ms), which lamps. The work light is left out."""
    moments = changes(pattern(SCORE, sign, profile, kit))
    shown: list[tuple[int, set[Lamp]]] = [(moment.at_ms, lamps_lit(moment)) for moment in moments]
    starts = [(at, now) for place, (at, now) in enumerate(shown) if place == 0 or now != shown[place - 1][1]]
    return [(at, end, now) for (at, now), (end, _) in pairwise(starts) if now]


def lamps_lit(moment: Moment) -> set[Lamp]:
    """The lamps that say something."""
    return {lamp for lamp, level in moment.lamps.items() if level} - {Lamp.WHITE}


def beeps(sign: Sign, profile: Profile = "normal", kit: Kit = "full") -> list[tuple[int, int, int]]:
    """The beeps of one run of a sign: from, to (ms), Hz."""
    moments = changes(pattern(SCORE, sign, profile, kit))
    starts = [moment for place, moment in enumerate(moments) if place == 0 or moment.tone_hz != moments[place - 1].tone_hz]
    return [(one.at_ms, after.at_ms, one.tone_hz) for one, after in pairwise(starts) if one.tone_hz is not None]


@pytest.mark.parametrize(
    ("sign", "spells", "sounds"),
    [
        (Sign.ACCEPT_IN, [(0, 1000, {G})], [(0, 120, 2000)]),
        (Sign.ACCEPT_OUT, [(0, 400, {G}), (600, 1000, {G})], [(0, 90, 2000), (180, 270, 2000)]),
        (Sign.ALREADY, [(0, 800, {G, A})], [(0, 60, 2000)]),
        (
            Sign.REJECT,
            [(0, 250, {R}), (500, 750, {R}), (1000, 1250, {R}), (1500, 1750, {R})],
            [(0, 200, 500), (500, 700, 500), (1000, 1200, 500)],
        ),
        (Sign.REFER, [(0, 600, {A}), (900, 1500, {A})], [(0, 600, 1000)]),
    ],
)
def test_each_outcome_lights_and_sounds_to_the_millisecond_as_the_score_was_agreed(
    sign: Sign, spells: list[object], sounds: list[object]
) -> None:
    """Lamps, lit spells and beeps of the normal profile of the full kit are those of the agreed table."""
    assert lit(sign) == spells
    assert beeps(sign) == sounds


@pytest.mark.parametrize(
    ("sign", "length_ms"), [("accept_in", 1000), ("accept_out", 1000), ("already", 800), ("reject", 2000), ("refer", 1500)]
)
@pytest.mark.parametrize(("profile", "kit"), CASES)
def test_an_outcome_takes_as_long_on_every_kit_in_every_profile(sign: str, length_ms: int, profile: Profile, kit: Kit) -> None:
    """Nobody waits longer at night or at a small site."""
    assert pattern(SCORE, Sign(sign), profile, kit).length_ms == length_ms


def test_out_of_service_blinks_at_half_a_hertz_and_chirps_once_in_five_minutes() -> None:
    """One second amber, one dark; one beep in 300 s, which no answer can be mistaken for since it waits 5 s."""
    sign = pattern(SCORE, Sign.OUT_OF_SERVICE, "normal", "full")
    assert sign.length_ms == 300_000
    assert sign.lamps[A].spans == ((1000, 1.0), (1000, 0.0))
    assert beeps(Sign.OUT_OF_SERVICE) == [(5000, 5060, 1500)]


def test_unreadable_is_a_soft_one_hertz_and_ticks_once_in_two_seconds() -> None:
    """The amber swells from dark to full and back in 1 s; a tick of 30 ms comes every 2 s."""
    sign = pattern(SCORE, Sign.UNREADABLE, "normal", "full")
    levels = [sign.lamps[A].at(ms) for ms in range(0, 1000, 50)]
    assert sign.lamps[A].length_ms == 1000
    assert (levels[0], levels[10]) == (0.0, 1.0)
    assert levels[:11] == sorted(levels[:11])
    assert levels[10:] == sorted(levels[10:], reverse=True)
    assert sign.sound.spans == ((30, 2000), (1970, None))


@pytest.mark.parametrize("profile", PROFILES)
def test_ready_is_dim_blue_slow_and_silent(profile: Profile) -> None:
    """It breathes below 0.5 Hz, never dark, never bright, and makes no sound."""
    sign = pattern(SCORE, Sign.READY, profile, "full")
    levels = [level for _, level in sign.lamps[B].spans]
    assert lamp_set(sign) == {B}
    assert sign.lamps[B].length_ms >= 2000
    assert 0 < min(levels) < max(levels) <= 0.4
    assert sign.sound.spans == ()


@pytest.mark.parametrize("profile", PROFILES)
def test_ready_without_a_blue_lamp_is_a_short_faint_red_blink_that_never_follows_an_answer_at_once(profile: Profile) -> None:
    """50 ms in 4 s, at the end of them: alive, but neither accept nor reject."""
    assert lit(Sign.READY, profile, "basic") == []
    sign = pattern(SCORE, Sign.READY, profile, "basic")
    assert [(ms, bool(level)) for ms, level in sign.lamps[R].spans] == [(3950, False), (50, True)]
    assert level_at(sign, 3990).lamps[R] <= 0.3
    assert level_at(sign, 4000).lamps[R] == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_in_the_basic_kit_amber_is_green_and_red_together(profile: Profile) -> None:
    """What the full kit says with amber, the basic kit says with both of its lamps; it has no others."""
    signs = patterns(SCORE, profile, "basic")
    assert {sign for sign in Sign if lamp_set(signs[sign]) == {G, R}} == AMBER
    assert {lamp for sign in signs.values() for lamp in sign.levels_at(0)} == {G, R}


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("sign", Sign)
def test_night_is_dimmer_shorter_and_softer_with_the_same_beats(sign: Sign, kit: Kit) -> None:
    """Every outcome keeps its number of beeps and when each begins, but for the chirp of a gate out of service, which is left out."""
    day, night = pattern(SCORE, sign, "normal", kit), pattern(SCORE, sign, "night", kit)
    assert max(level for light in night.lamps.values() for _, level in light.spans) <= 0.4
    assert night.volume < day.volume
    if sign is Sign.OUT_OF_SERVICE:
        assert night.sound.spans == ()
    else:
        assert beeps_heard(night) == beeps_heard(day)
        assert [start for start, _, _ in beeps(sign, "night", kit)] == [start for start, _, _ in beeps(sign, "normal", kit)]
        assert all(end - start <= 300 for start, end, _ in beeps(sign, "night", kit))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_light_on_the_card_is_steady_and_full_whatever_is_shown(profile: Profile) -> None:
    """Out of service too, and at night: the camera needs it, and PWM would band its frames."""
    for sign in Sign:
        assert {moment.lamps[Lamp.WHITE] for moment in changes(pattern(SCORE, sign, profile, "full"))} == {1.0}


@pytest.mark.parametrize("sign", PASSING)
def test_after_a_passing_sign_nothing_but_the_light_on_the_card_is_lit(sign: Sign) -> None:
    """At its length, and ever after."""
    one = pattern(SCORE, sign, "normal", "full")
    for ms in (one.length_ms, one.length_ms + 1, 10**9):
        moment = level_at(one, ms)
        assert {lamp for lamp, level in moment.lamps.items() if level} == {Lamp.WHITE}
        assert moment.tone_hz is None


@pytest.mark.parametrize("sign", STANDING)
def test_lamps_that_only_switch_follow_a_breath_as_on_and_off(sign: Sign) -> None:
    """Ready is steady, so that no relay clicks all night; unreadable blinks in its brighter half."""
    one = pattern(SCORE, sign, "night", "full").wired(dict.fromkeys(Lamp, False))
    levels = {level for light in one.lamps.values() for _, level in light.spans}
    assert levels == ({1.0} if sign is Sign.READY else {0.0, 1.0})
    if sign is Sign.UNREADABLE:
        assert one.lamps[A].spans == ((250, 0.0), (550, 1.0), (200, 0.0))


def test_lamps_that_are_not_fitted_are_left_out() -> None:
    """A site without the light on the card shows the rest."""
    one = pattern(SCORE, Sign.READY, "normal", "full").wired({G: True, R: True, A: True, B: True})
    assert set(one.levels_at(0)) == {B}


# --- what a difference is ---------------------------------------------------------


# --- broken scores ------------------------------------------------------------------


# --- tracks -------------------------------------------------------------------------


@st.composite
def tracks(draw: st.DrawFn) -> Track[int]:
    """Any track of small levels."""
    spans = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=8))
    return track(spans, 0, repeats=draw(st.booleans()))


def values(one: Track[int], first_ms: int, last_ms: int) -> Iterator[int]:
    """The value at each millisecond."""
    return (one.at(ms) for ms in range(first_ms, last_ms))


@given(tracks())
def test_the_next_change_is_the_first_other_value(one: Track[int]) -> None:
    """Whoever sleeps until the next change misses none and wakes for none that is not one."""
    last_ms = 3 * one.length_ms + 5
    for ms in range(-5, one.length_ms + 5):
        expected = next((at for at in range(ms + 1, last_ms) if one.at(at) != one.at(at - 1)), None)
        assert one.next_change(ms) == expected


@given(tracks())
def test_a_track_rests_outside_and_repeats_exactly(one: Track[int]) -> None:
    """Before its beginning it rests; after its end it begins again or rests."""
    assert set(values(one, -20, 0)) <= {0}
    after = list(values(one, one.length_ms, 2 * one.length_ms))
    assert after == (list(values(one, 0, one.length_ms)) if one.repeats else [0] * one.length_ms)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=8))
def test_joining_spans_changes_no_value(spans: list[tuple[int, int]]) -> None:
    """A track holds each value as long as its spans said."""
    assert list(values(track(spans, 0), 0, sum(ms for ms, _ in spans))) == [value for ms, value in spans for _ in range(ms)]
