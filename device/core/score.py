"""The signal score as it is written: what people see and hear for each sign, as checked data.

The file is ``device/score.toml``, which explains its own keys. A `Line` is one
sign; profiles and kits name only what they change. `device.core.signals` makes
levels and tones over time from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from math import cos, pi
from typing import Annotated, Literal, Self, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from device.core.types import Sign

Profile: TypeAlias = Literal["normal", "night", "noisy"]
Kit: TypeAlias = Literal["full", "basic"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
KITS: tuple[Kit, ...] = get_args(Kit)

TONE_LIMIT_HZ = 2500
"""Older ears lose higher tones first, so no tone is above this."""

Level = Annotated[float, Field(ge=0, le=1)]
BeepMs = Annotated[int, Field(ge=20, le=2000)]


class Lamp(StrEnum):
    """The lamps of the full kit; the basic kit has green and red."""

    GREEN = "green"
    RED = "red"
    AMBER = "amber"
    BLUE = "blue"
    WHITE = "white"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Beeps(_Part):
    """The sound of a line. An active buzzer ignores the tone: it has its own."""

    count: Annotated[int, Field(ge=1, le=9)]
    """How many beeps."""
    ms: BeepMs
    """Length of each."""
    gap_ms: BeepMs | None = None
    """Silence between two; needed when there is more than one."""
    tone_hz: Annotated[int, Field(ge=100, le=TONE_LIMIT_HZ)]
    """Pitch on a passive buzzer."""
    every_ms: Annotated[int, Field(ge=2000)] | None = None
    """Standing signs only: the beeps come again after so long."""
    after_ms: Annotated[int, Field(ge=0)] = 0
    """Silence before the first beep."""

    @property
    def length_ms(self) -> int:
        """From the first beep's beginning to the last one's end."""
        return self.count * self.ms + (self.count - 1) * (self.gap_ms or 0)

    def scaled(self, factor: float, min_ms: int) -> Beeps:
        """The same beats with beeps ``factor`` times as long, none shorter than ``min_ms``: what they lose, the gaps win."""
        ms = min(self.ms, max(min_ms, round(self.ms * factor)))
        gap_ms = None if self.gap_ms is None else self.gap_ms + self.ms - ms
        return self.model_copy(update={"ms": ms, "gap_ms": gap_ms})

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.count > 1 and self.gap_ms is None:
            raise ValueError("gap_ms is needed between several beeps")
        if self.every_ms is not None and self.after_ms + self.length_ms >= self.every_ms:
            raise ValueError("every_ms is too short for the beeps")
        return self


class Breath(_Part):
    """A light that swells and fades: one raised cosine a period, drawn in steps, because PWM levels are set one by one."""

    period_ms: Annotated[int, Field(ge=400, le=60_000)]
    """From trough to trough."""
    low: Level
    """Level at the trough, where each period begins."""
    high: Level
    """Level at the crest."""
    step_ms: Annotated[int, Field(ge=20, le=1000)]
    """How long each level is held."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.period_ms % self.step_ms:
            raise ValueError("period_ms must be a multiple of step_ms")
        return self

    def levels(self) -> Iterator[float]:
        """The levels of one period, one for each step."""
        steps = self.period_ms // self.step_ms
        return (self.low + (self.high - self.low) * (1 - cos(2 * pi * step / steps)) / 2 for step in range(steps))


class ScoreLine(_Part):
    """One sign of the score."""

    standing: bool = False
    """It stays until another sign comes. Other signs pass."""
    urgent: bool = False
    """Standing signs only: it does not wait for the end of a passing one."""
    lamps: Annotated[tuple[Lamp, ...], Field(min_length=1)]
    """The lamps, before the kit maps them."""
    light: Breath | Annotated[tuple[Annotated[int, Field(ge=0, le=60_000)], ...], Field(min_length=1)]
    """Milliseconds lit, dark, lit …, or a breath."""
    level: Level = 1.0
    """Brightness of the lit spells; a breath has its own levels."""
    beeps: Beeps | Literal[False] = False
    """The sound, or none."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not isinstance(self.light, Breath) and 0 in self.light[1:]:
            raise ValueError("light: only the first spell may be 0")
        repeats = self.beeps is not False and self.beeps.every_ms is not None
        if self.standing and self.beeps is not False and not repeats:
            raise ValueError("the beeps of a standing sign need every_ms")
        if not self.standing and (repeats or self.urgent or isinstance(self.light, Breath)):
            raise ValueError("every_ms, urgent and a breath are for standing signs")
        return self


class Change(_Part):
    """What a profile or a kit changes in a line: only the keys that it names."""

    lamps: Annotated[tuple[Lamp, ...], Field(min_length=1)] | None = None
    """Other lamps."""
    light: Breath | tuple[Annotated[int, Field(ge=0, le=60_000)], ...] | None = None
    """Another rhythm."""
    level: Level | None = None
    """Another brightness."""
    beeps: Beeps | Literal[False] | None = None
    """Another sound, or none."""

    def named(self) -> dict[str, object]:
        """The keys that it names, with their values."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set)}


class KitRule(_Part):
    """Which lamps a site has."""

    lamps: dict[Lamp, tuple[Lamp, ...]]
    """For each lamp a line may name, the lamps that stand for it."""
    sign: dict[Sign, Change] = {}
    """Lines that this kit changes."""

    def mapped(self, lamps: tuple[Lamp, ...]) -> tuple[Lamp, ...]:
        """The lamps of this kit that stand for ``lamps``, each once."""
        named = {real for lamp in lamps for real in self.lamps[lamp]}
        return tuple(lamp for lamp in Lamp if lamp in named)


class ProfileRule(_Part):
    """How bright and how loud."""

    brightness: Annotated[float, Field(gt=0, le=1)]
    """All levels are multiplied by this, but for the work light, which is not dimmed."""
    beep_length: Annotated[float, Field(gt=0, le=1)]
    """The length of all beeps is multiplied by this; their beats stay."""
    beep_min_ms: BeepMs
    """No beep is shortened below this."""
    volume: Annotated[float, Field(gt=0, le=1)]
    """Loudness of a passive buzzer, as a share of its loudest."""
    sign: dict[Sign, Change] = {}
    """Lines that this profile changes."""


class Score(_Part):
    """The whole score."""

    sign: dict[Sign, ScoreLine]
    """A line for each sign."""
    work_light: Lamp
    """The light on the card: steady at full brightness whatever is shown. It says nothing, so it counts for no difference between signs."""
    kit: dict[Kit, KitRule]
    """Every kit."""
    profile: dict[Profile, ProfileRule]
    """Every profile."""

    @classmethod
    def from_tree(cls, tree: Mapping[str, object]) -> Score:
        """A checked score from parsed TOML. Raises pydantic's ValidationError, a ValueError that names the key."""
        return cls.model_validate(tree)

    def line(self, sign: Sign, profile: Profile, kit: Kit) -> ScoreLine:
        """The sign's own line, changed by the profile, changed by the kit."""
        fields: dict[str, object] = {name: getattr(self.sign[sign], name) for name in ScoreLine.model_fields}
        for changes in (self.profile[profile].sign, self.kit[kit].sign):
            if sign in changes:
                fields |= changes[sign].named()
        return ScoreLine.model_validate(fields)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, have, need in (("sign", self.sign, tuple(Sign)), ("kit", self.kit, KITS), ("profile", self.profile, PROFILES)):
            missing = sorted(set(need) - set(have))
            if missing:
                raise ValueError(f"{name}.{missing[0]} is missing")
        for kit, rule in self.kit.items():
            if set(rule.lamps) != set(Lamp):
                raise ValueError(f"kit.{kit}.lamps must name every lamp once")
        for sign, profile, kit in ((sign, profile, kit) for sign in Sign for profile in PROFILES for kit in KITS):
            self._check_line(sign, profile, kit)
        return self

    def _check_line(self, sign: Sign, profile: Profile, kit: Kit) -> None:
        try:
            line = self.line(sign, profile, kit)
        except ValueError as error:
            raise ValueError(f"sign {sign} in profile {profile} of kit {kit}: {error}") from None
        if not self.kit[kit].mapped(line.lamps):
            raise ValueError(f"sign {sign} in profile {profile} of kit {kit} has no lamp")
