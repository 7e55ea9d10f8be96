"""The rules that a score has to keep: signs that people can tell apart, and nothing that flashes too fast or hurts the ear."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from device.core.score import KITS, Kit, Lamp, Profile, Score
from device.core.signal_rules import FLASH_LIMIT, Feature, difference, faults, most_flashes
from device.core.signals import Pattern, pattern, patterns, track
from device.core.types import Sign
from tests.core.test_signals import CASES, PASSING, SCORE, TREE, beeps


@pytest.mark.parametrize("buzzer", ["passive", "active"])
@pytest.mark.parametrize(("profile", "kit"), CASES)
@pytest.mark.parametrize("dims", [True, False])
def test_every_two_signs_differ_in_two_features(profile: Profile, kit: Kit, buzzer: str, dims: bool) -> None:  # noqa: FBT001 - a case
    """Which lamps, which pattern, how many beeps: two of them at least, on any wiring and with a buzzer of one pitch."""
    signs = [one.wired(dict.fromkeys(Lamp, dims)) for one in patterns(SCORE, profile, kit).values()]
    signs = [one_pitch(sign) for sign in signs] if buzzer == "active" else signs
    few = {(one.sign, other.sign): difference(one, other) for one, other in combinations(signs, 2) if len(difference(one, other)) < 2}
    assert few == {}


def one_pitch(sign: Pattern) -> Pattern:
    """The pattern as an active buzzer plays it."""
    spans = ((ms, None if tone is None else 2300) for ms, tone in sign.sound.spans)
    return replace(sign, sound=track(spans, None, repeats=sign.sound.repeats))


@pytest.mark.parametrize("kit", KITS)
def test_in_the_noisy_profile_light_alone_tells_every_two_signs_apart(kit: Kit) -> None:
    """With five lamps in both lamps and pattern; with two lamps, where ten signs share three sets, in one of them at least."""
    needed = 2 if kit == "full" else 1
    for one, other in combinations(patterns(SCORE, "noisy", kit).values(), 2):
        assert len(difference(one, other) - {Feature.BEEPS}) >= needed, (one.sign, other.sign)


@pytest.mark.parametrize(("profile", "kit"), CASES)
def test_by_ear_alone_no_two_outcomes_are_the_same(profile: Profile, kit: Kit) -> None:
    """Somebody who sees no lamp tells outcomes apart by number or length of beeps, at one pitch: lengths differ by half at least."""
    heard = [[end - start for start, end, _ in beeps(sign, profile, kit)] for sign in PASSING]
    for one, other in combinations(heard, 2):
        assert len(one) != len(other) or max(one[0], other[0]) >= 1.5 * min(one[0], other[0])


@pytest.mark.parametrize(("profile", "kit"), CASES)
@pytest.mark.parametrize("sign", Sign)
def test_no_sign_flashes_too_fast_or_sounds_too_high(sign: Sign, profile: Profile, kit: Kit) -> None:
    """At most 3 flashes in any second, counted here by brute force, and no tone above 2.5 kHz."""
    one = pattern(SCORE, sign, profile, kit)
    rises = [ms for ms in range(1, 6000) if any(not light.at(ms - 1) and light.at(ms) for light in one.lamps.values())]
    assert max((sum(at <= other < at + 1000 for other in rises) for at in rises), default=0) <= FLASH_LIMIT
    assert most_flashes(one) <= FLASH_LIMIT
    assert all(tone is None or tone <= 2500 for _, tone in one.sound.spans)


def with_line(sign: str, **keys: object) -> Score:
    """The shipped score with keys of one sign's own line replaced."""
    return changed(lambda tree: tree["sign"][sign].update(keys))


def changed(change: Callable[[dict[str, Any]], object]) -> Score:
    """The shipped score with a change."""
    tree = deepcopy(TREE)
    change(tree)
    return Score.from_tree(tree)


def test_colour_alone_is_one_difference() -> None:
    """The same rhythm on another lamp differs in lamps only."""
    score = with_line("refer", light=[1000], beeps={"count": 1, "ms": 300, "tone_hz": 400})
    one, other = (pattern(score, sign, "normal", "full") for sign in (Sign.ACCEPT_IN, Sign.REFER))
    assert difference(one, other) == {Feature.LAMPS}


@pytest.mark.parametrize(("length_ms", "differs"), [(1000, False), (1200, False), (1250, True), (800, True)])
def test_lengths_count_as_different_only_when_people_notice(length_ms: int, differs: bool) -> None:  # noqa: FBT001 - the expected value
    """A light of 1.2 s passes for one of 1.0 s; one of 1.25 s does not."""
    one = pattern(SCORE, Sign.ACCEPT_IN, "normal", "full")
    other = pattern(with_line("accept_in", light=[length_ms]), Sign.ACCEPT_IN, "normal", "full")
    assert (Feature.PATTERN in difference(one, other)) is differs
    assert difference(one, other) == difference(other, one)


def test_a_sign_differs_from_itself_in_nothing() -> None:
    """In every profile, on every kit."""
    for profile, kit in CASES:
        assert all(difference(one, one) == set() for one in patterns(SCORE, profile, kit).values())


def test_the_shipped_score_has_no_fault() -> None:
    """The same check that the self-test runs on the gate."""
    assert faults(SCORE) == ()


@pytest.mark.parametrize(
    ("sign", "keys", "fault"),
    [
        ("reject", {"light": [100, 100] * 10}, "reject flashes more than 3 times a second in profile normal of kit full"),
        ("reject", {"light": [150, 150] * 7}, "reject flashes more than 3 times a second"),
        ("ready", {"lamps": ["green"]}, "ready looks like accept in profile normal of kit full"),
        ("accept_out", {"light": [1000]}, "accept_in and accept_out differ only in beeps in profile normal of kit full"),
        ("accept_out", {"beeps": {"count": 1, "ms": 90, "tone_hz": 500}}, "accept_in and accept_out differ only in pattern"),
        ("already", {"beeps": {"count": 1, "ms": 110, "tone_hz": 900}}, "accept_in and already sound the same on a buzzer with one pitch"),
    ],
)
def test_each_rule_that_a_score_breaks_is_named(sign: str, keys: dict[str, object], fault: str) -> None:
    """A fault put into one line is found, with the signs, the profile and the kit."""
    found = faults(with_line(sign, **keys))
    assert [one for one in found if one.startswith(fault)], found


@pytest.mark.parametrize(("level", "flashes"), [(0.09, 0), (0.1, 4), (1.0, 4)])
def test_a_flicker_counts_from_a_tenth_of_full_brightness(level: float, flashes: int) -> None:
    """What is too faint to harm is no flash, however fast; 150 ms lit and 150 ms dark are four in a second."""
    score = with_line("reject", light=[150, 150] * 7, level=level)
    assert most_flashes(pattern(score, Sign.REJECT, "normal", "full")) == flashes


def test_a_noisy_profile_that_needs_the_ear_is_named() -> None:
    """Without its second lamp, accept out shares its lamp with accept in."""
    found = faults(changed(lambda tree: tree["profile"]["noisy"]["sign"].pop("accept_out")))
    assert found == tuple(
        f"accept_in and accept_out cannot be told apart by light alone in profile noisy of kit full{dims}"
        for dims in ("", " without dimming")
    )


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_sign_that_begins_lit_has_its_first_flash_counted(count: int) -> None:
    """Nobody's eye starts at the second one."""
    score = with_line("reject", light=[100, 100] * (count - 1) + [100, 900])
    assert most_flashes(pattern(score, Sign.REJECT, "normal", "full")) == count
