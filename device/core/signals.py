"""What each sign does to the lamps and the buzzer, exactly when.

From the score, `pattern` makes what one sign does on one kit of lamps in one
profile: a track of levels for each lamp and a track of tones for the buzzer, in
whole milliseconds from the beginning of the sign. Which sign is due is the
business of `device.core.player`; whether the signs can be told apart, of
`device.core.signal_rules`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from math import lcm
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

from device.core.score import Breath, Kit, Lamp, Profile, ProfileRule, Score, ScoreLine
from device.core.types import Sign

V = TypeVar("V")


@dataclass(frozen=True)
class Track(Generic[V]):
    """A value over time: each span is milliseconds and the value held for them. Neighbours differ: make one with `track`.

    Before its beginning, and after its end unless it ``repeats``, it has the
    value ``rest``.
    """

    spans: tuple[tuple[int, V], ...]
    rest: V
    repeats: bool = False

    @cached_property
    def starts_ms(self) -> tuple[int, ...]:
        """When each span begins, and when the last one ends."""
        return tuple(accumulate((ms for ms, _ in self.spans), initial=0))

    @property
    def length_ms(self) -> int:
        """Length, or period of one that repeats."""
        return self.starts_ms[-1]

    def at(self, ms: int) -> V:
        """The value at ``ms`` from the beginning; at a boundary, the later one."""
        if ms < 0 or not self.spans or (ms >= self.length_ms and not self.repeats):
            return self.rest
        return self.spans[bisect_right(self.starts_ms, ms % self.length_ms) - 1][1]

    def next_change(self, ms: int) -> int | None:
        """The first moment after ``ms`` at which the value becomes another one, or None."""
        if not self.spans or (ms >= self.length_ms and not self.repeats):
            return None
        if ms < 0:
            return 0 if self.at(0) != self.rest else self.next_change(0)
        place = bisect_right(self.starts_ms, ms % self.length_ms)
        at = ms - ms % self.length_ms + self.starts_ms[place]
        if self.at(at) != self.spans[place - 1][1]:
            return at
        return at + self.starts_ms[1] if self.repeats and len(self.spans) > 1 else None


def track(spans: Iterable[tuple[int, V]], rest: V, *, repeats: bool = False) -> Track[V]:
    """A track of ``spans``, empty ones left out and equal neighbours joined."""
    joined: list[tuple[int, V]] = []
    for ms, value in spans:
        if joined and joined[-1][1] == value:
            joined[-1] = (joined[-1][0] + ms, value)
        elif ms:
            joined.append((ms, value))
    return Track(tuple(joined), rest, repeats)


Lights: TypeAlias = Track[float]
Tones: TypeAlias = Track[int | None]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one sign does on one kit in one profile. Times are milliseconds from its beginning."""

    sign: Sign
    lamps: Mapping[Lamp, Lights]
    """Levels 0 to 1 of the lamps that speak."""
    sound: Tones
    """Tone in Hz; None is silence."""
    steady: Mapping[Lamp, float]
    """Lamps that only give light."""
    standing: bool
    """It stays until another sign comes."""
    urgent: bool
    """It does not wait for the end of a passing sign."""
    volume: float
    """Loudness of a passive buzzer, 0 to 1."""

    @property
    def tracks(self) -> tuple[Lights | Tones, ...]:
        """All tracks: of the lamps, then of the sound."""
        return (*self.lamps.values(), self.sound)

    @property
    def length_ms(self) -> int:
        """How long a passing sign takes; the period in which a standing one has shown all it has."""
        lengths = [part.length_ms for part in self.tracks if part.spans]
        return lcm(*lengths) if self.standing else max(lengths)

    def levels_at(self, ms: int) -> dict[Lamp, float]:
        """The level of each lamp of the pattern, the steady ones too."""
        return {**self.steady, **{lamp: part.at(ms) for lamp, part in self.lamps.items()}}

    def next_light(self, ms: int) -> int | None:
        """When, after ``ms``, a lamp changes next."""
        return min(_known(part.next_change(ms) for part in self.lamps.values()), default=None)

    def wired(self, dims: Mapping[Lamp, bool]) -> Pattern:
        """The same on the lamps that are fitted: ``dims`` says of each whether it dims or only switches; others are left out.

        On a lamp that only switches (behind a relay or a photocoupler), a light
        that never goes dark is steady: a relay that follows a breath day and
        night is worn out in weeks. One that does is on in its brighter half.
        """
        lamps = {lamp: light if dims[lamp] else _on_or_off(light) for lamp, light in self.lamps.items() if lamp in dims}
        steady = {lamp: level for lamp, level in self.steady.items() if lamp in dims}
        return replace(self, lamps=MappingProxyType(lamps), steady=MappingProxyType(steady))


@dataclass(frozen=True, slots=True)
class Moment:
    """From ``at_ms`` of a pattern on, this is what is shown."""

    at_ms: int
    lamps: Mapping[Lamp, float]
    tone_hz: int | None


def level_at(pattern_: Pattern, ms: int) -> Moment:
    """What a pattern shows ``ms`` after its beginning; after a passing one is over, only the steady lamps."""
    return Moment(ms, pattern_.levels_at(ms), pattern_.sound.at(ms))


def changes(pattern_: Pattern) -> tuple[Moment, ...]:
    """Every change of a pattern, from its beginning: a passing one's to its end, a standing one's in one whole period."""
    times = {0}
    for part in pattern_.tracks:
        at = part.next_change(0)
        while at is not None and (at < pattern_.length_ms or (not pattern_.standing and at == pattern_.length_ms)):
            times.add(at)
            at = part.next_change(at)
    return tuple(level_at(pattern_, at) for at in sorted(times))


def pattern(score: Score, sign: Sign, profile: Profile, kit: Kit) -> Pattern:
    """What ``sign`` does in ``profile`` on ``kit``."""
    line, rule, fitted = score.line(sign, profile, kit), score.profile[profile], score.kit[kit]
    light = _light(line, rule.brightness)
    steady = dict.fromkeys(fitted.lamps[score.work_light], 1.0)
    return Pattern(
        sign=sign,
        lamps=MappingProxyType(dict.fromkeys(fitted.mapped(line.lamps), light)),
        sound=_sound(line, rule),
        steady=MappingProxyType(steady),
        standing=line.standing,
        urgent=line.urgent,
        volume=rule.volume,
    )


def patterns(score: Score, profile: Profile, kit: Kit) -> dict[Sign, Pattern]:
    """What each sign does in ``profile`` on ``kit``."""
    return {sign: pattern(score, sign, profile, kit) for sign in Sign}


def _light(line: ScoreLine, brightness: float) -> Lights:
    if isinstance(line.light, Breath):
        spans = [(line.light.step_ms, round(level * brightness, 2)) for level in line.light.levels()]
    else:
        lit = round(line.level * brightness, 2)
        spans = [(ms, 0.0 if place % 2 else lit) for place, ms in enumerate(line.light)]
    return track(spans, 0.0, repeats=line.standing)


def _sound(line: ScoreLine, rule: ProfileRule) -> Tones:
    if line.beeps is False:
        return track((), None)
    beeps = line.beeps.scaled(rule.beep_length, rule.beep_min_ms)
    gap: tuple[int, int | None] = (beeps.gap_ms or 0, None)
    spans: list[tuple[int, int | None]] = [(beeps.after_ms, None)]
    for place in range(beeps.count):
        spans += [gap, (beeps.ms, beeps.tone_hz)] if place else [(beeps.ms, beeps.tone_hz)]
    if beeps.every_ms is not None:
        spans.append((beeps.every_ms - sum(ms for ms, _ in spans), None))
    return track(spans, None, repeats=beeps.every_ms is not None)


def _on_or_off(part: Lights) -> Lights:
    levels = [level for _, level in part.spans]
    half = max(levels) / 2
    steady = min(levels) > 0
    return track(((ms, float(steady or level >= half)) for ms, level in part.spans), part.rest, repeats=part.repeats)


def _known(times: Iterable[int | None]) -> Iterator[int]:
    return (at for at in times if at is not None)
