"""Whether the signs of a score can be told apart by everyone, and harm nobody.

Every two signs differ in at least two of which lamps light, in which pattern,
and how many beeps sound, on every kit in every profile; colour alone carries
nothing. The work light says nothing and counts for nothing. Used by the tests
of the score and by ``gate selftest``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import combinations, product

from device.core.score import KITS, PROFILES, Kit, Lamp, Profile, Score
from device.core.signals import Lights, Pattern, Tones, patterns
from device.core.types import Sign

FLASH_LIMIT = 3
"""Flashes within any second that are safe for people with photosensitive epilepsy (WCAG 2.2, success criterion 2.3.1)."""

FLASH_DEPTH = 0.1
"""A change of light below this share of full brightness is no flash (same source)."""

LISTEN_MS = 4_000
"""How long a person stands before the gate and attends: twice the 2 s that one person takes."""

LENGTH_RATIO = 1.25
"""Two lengths are told apart from this ratio on: people notice about one part in ten, with light and with sound."""

FEATURES_NEEDED = 2
"""Every two signs differ in so many features: whoever misses one has another."""

LIGHTS_NEEDED: dict[Kit, int] = {"full": 2, "basic": 1}
"""In the noisy profile, without the beeps. Two lamps make three sets of lamps, and ten signs need more."""

_SECOND_MS = 1_000


class Feature(StrEnum):
    """What a person can tell two signs apart by."""

    LAMPS = "lamps"
    PATTERN = "pattern"
    BEEPS = "beeps"


def difference(one: Pattern, other: Pattern) -> frozenset[Feature]:
    """The features in which two patterns differ. Tone and loudness count for nothing: an active buzzer has neither."""
    differs = {
        Feature.LAMPS: lamp_set(one) != lamp_set(other),
        Feature.PATTERN: not _alike(_shape(one), _shape(other)),
        Feature.BEEPS: beeps_heard(one) != beeps_heard(other),
    }
    return frozenset(feature for feature, is_so in differs.items() if is_so)


def lamp_set(pattern: Pattern) -> frozenset[Lamp]:
    """The lamps that light at any time."""
    return frozenset(lamp for lamp, light in pattern.lamps.items() if any(level for _, level in light.spans))


def beeps_heard(pattern: Pattern) -> int:
    """How many beeps somebody who attends for `LISTEN_MS` is sure to hear.

    All of a passing sign's. A standing sign may have begun long ago, so a chirp
    once in five minutes counts for none.
    """
    onsets = _onsets(pattern.sound)
    return onsets * (LISTEN_MS // pattern.sound.length_ms) if pattern.sound.repeats else onsets


def most_flashes(pattern: Pattern) -> int:
    """The most flashes within any second: of one lamp, or of all lamps seen as one light."""
    until_ms = min(pattern.length_ms, LISTEN_MS) + _SECOND_MS
    counted = [_levels((light,), until_ms) for light in pattern.lamps.values()]
    return max(_most_in_a_second(_flashes(levels)) for levels in [*counted, _levels(tuple(pattern.lamps.values()), until_ms)])


def faults(score: Score) -> tuple[str, ...]:
    """Every rule that a score breaks, each as a sentence; none for a good one. Lamps that dim and lamps that only switch are both tried."""
    cases = product(KITS, PROFILES, (True, False))
    return tuple(fault for kit, profile, dims in cases for fault in _faults_of(score, profile, kit, dims=dims))


def _faults_of(score: Score, profile: Profile, kit: Kit, *, dims: bool) -> Iterator[str]:
    where = f"in profile {profile} of kit {kit}" + ("" if dims else " without dimming")
    signs = {sign: whole.wired(dict.fromkeys(Lamp, dims)) for sign, whole in patterns(score, profile, kit).items()}
    for sign, pattern in signs.items():
        if most_flashes(pattern) > FLASH_LIMIT:
            yield f"{sign} flashes more than {FLASH_LIMIT} times a second {where}"
    if Lamp.GREEN in lamp_set(signs[Sign.READY]):
        yield f"ready looks like accept {where}"
    for one, other in combinations(signs.values(), 2):
        yield from (f"{one.sign} and {other.sign} {fault} {where}" for fault in _faults_of_pair(one, other, profile, kit))


def _faults_of_pair(one: Pattern, other: Pattern, profile: Profile, kit: Kit) -> Iterator[str]:
    features = difference(one, other)
    if len(features) < FEATURES_NEEDED:
        yield f"differ only in {', '.join(sorted(features)) or 'nothing'}"
    if profile == "noisy" and len(features - {Feature.BEEPS}) < LIGHTS_NEEDED[kit]:
        yield "cannot be told apart by light alone"
    if not (one.standing or other.standing) and _same_beeps(one.sound, other.sound):
        yield "sound the same on a buzzer with one pitch"


def _onsets(sound: Tones) -> int:
    return sum(tone is not None for _, tone in sound.spans)


def _same_beeps(one: Tones, other: Tones) -> bool:
    lengths = [[ms for ms, tone in sound.spans if tone is not None] for sound in (one, other)]
    return len(lengths[0]) == len(lengths[1]) and all(_close(*pair) for pair in zip(*lengths, strict=True))


def _close(one_ms: int, other_ms: int) -> bool:
    return max(one_ms, other_ms) < LENGTH_RATIO * min(one_ms, other_ms)


Shape = tuple[bool, Sequence[tuple[int, bool]]]


def _shape(pattern: Pattern) -> Shape:
    """Whether the light swells, and its lit and dark spells as long as somebody attends, whichever lamp it is."""
    levels = _levels(tuple(pattern.lamps.values()), LISTEN_MS)
    spells: list[tuple[int, bool]] = []
    for (at_ms, level), (end_ms, _) in zip(levels, [*levels[1:], (LISTEN_MS, 0.0)], strict=True):
        if spells and spells[-1][1] == (level > 0):
            spells[-1] = (spells[-1][0] + end_ms - at_ms, level > 0)
        else:
            spells.append((end_ms - at_ms, level > 0))
    return len({level for _, level in levels if level}) > 1, spells


def _alike(one: Shape, other: Shape) -> bool:
    if one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    return all(is_lit == was_lit and _close(ms, other_ms) for (ms, is_lit), (other_ms, was_lit) in zip(one[1], other[1], strict=True))


def _levels(lights: Sequence[Lights], until_ms: int) -> list[tuple[int, float]]:
    """The brightest of ``lights`` over time: each change, from 0 to before ``until_ms``."""
    times = {0}
    for light in lights:
        at = light.next_change(0)
        while at is not None and at < until_ms:
            times.add(at)
            at = light.next_change(at)
    return [(at, max(light.at(at) for light in lights)) for at in sorted(times)]


def _flashes(levels: Sequence[tuple[int, float]]) -> list[int]:
    """When each flash begins: a rise of `FLASH_DEPTH` above the darkest since the last one, once before it falls as far again."""
    begun: list[int] = []
    turn, rising = 0.0, False
    for at_ms, level in levels:
        turn = max(turn, level) if rising else min(turn, level)
        if abs(level - turn) >= FLASH_DEPTH:
            rising = not rising
            turn = level
            begun += [at_ms] if rising else []
    return begun


def _most_in_a_second(begun: Sequence[int]) -> int:
    return max((sum(at <= other < at + _SECOND_MS for other in begun) for at in begun), default=0)
