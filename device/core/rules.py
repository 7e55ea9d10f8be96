"""The rules of a site as values, ready to be applied: what ``policy.decide`` is given beside the code and the moment.

Where a field has a default, it stands for a rule that the site does not have.
What every site has, one way or the other, has none here: what it is where a
site says nothing stands in ``config``, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from device.core.types import Assurance, Direction, HealthEvent, Kind, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from device.core.types import ClockReading, Passage

HOUR_NS: Final = 3_600_000_000_000

ASSURANCE_ORDER: Final = tuple(Assurance)
"""Weakest first."""


@dataclass(frozen=True, slots=True)
class Span:
    """Hours that begin on ``days`` (0 is Monday) at ``start_min`` minutes after local midnight.

    An ``end_min`` at or before the start lies on the next day. Whoever comes
    at most ``grace_before_min`` too early or ``grace_after_min`` too late
    still counts, with a warning.
    """

    days: frozenset[int]
    start_min: int
    end_min: int
    grace_before_min: int = 0
    grace_after_min: int = 0


class Standing(StrEnum):
    """How far a list, or what other gates say, can be relied on: one rung of the age ladder each. Stable: in status and health."""

    FRESH = "fresh"
    AGEING = "ageing"
    STALE = "stale"
    EXPIRED = "expired"
    MISSING = "missing"
    """Not there, or unreadable."""


class Reliance(StrEnum):
    """What is done with a list on one rung."""

    USE = "use"
    WARN = "warn"
    """It counts, and the event says how old it was."""
    REFER = "refer"
    """Whom it would let pass is sent to a person."""
    IGNORE = "ignore"
    """It does not count, and the event says so."""


class Members(Protocol):
    """The keyed hashes in a list."""

    def __contains__(self, subject: bytes, /) -> bool:
        """Whether the 32 bytes of a subject are in it. May raise OSError where the card fails."""
        ...


class Listing(Protocol):
    """A list that a site's rules name."""

    name: str

    def standing(self, now: ClockReading) -> Standing:
        """How old it is."""
        ...

    @property
    def members(self) -> Members | None:
        """What is in it; None where there is none."""
        ...


class ListUse(StrEnum):
    """What membership means."""

    ALLOW = "allow"
    DENY = "deny"
    STATUS = "status"
    """Codes that were revoked."""


@dataclass(frozen=True, slots=True)
class ListRule:
    """One list, what it means, and what is done with it on each rung."""

    use: ListUse
    listing: Listing
    ladder: Mapping[Standing, Reliance]


@dataclass(frozen=True, slots=True)
class Window:
    """Other terms within some hours: what is None stays as it is otherwise."""

    spans: tuple[Span, ...]
    accept: frozenset[Kind] | None = None
    min_assurance: Assurance | None = None
    roles: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Local dates on which a site keeps other hours. ``swapped`` names the weekday (0 is Monday) whose hours a date has."""

    holidays: frozenset[date] = frozenset()
    holiday_hours: tuple[Span, ...] = ()
    swapped: Mapping[date, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HealthRules:
    """Which certificates a site takes: for each kind, from and until how many seconds after the event."""

    ages_s: Mapping[HealthEvent, tuple[int, int]]
    rapid_age_s: tuple[int, int] | None = None
    """Of a rapid test; None where only others count."""


class PassbackMode(StrEnum):
    """What is done about a person who comes in twice without having left, or leaves twice."""

    OFF = "off"
    SOFT = "soft"
    """Lets pass, and the event says so."""
    TIMED = "timed"
    """Refuses for a while, then lets pass with a warning."""
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Passback:
    """The rule against one code that lets several people in.

    A passage is forgiven ``forget_ns`` after it, and at ``forgive_min``
    (minutes after local midnight) of every day. With ``timed``, refusals end
    ``timed_ns`` after it.
    """

    mode: PassbackMode
    timed_ns: int
    forget_ns: int
    forgive_min: int | None = None


NO_PASSBACK: Final = Passback(PassbackMode.OFF, timed_ns=0, forget_ns=0)


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy of a site, ready to be applied.

    ``direction`` None means in and out in turn. ``unknown_clock`` is the
    verdict when a rule needs the time and the gate does not know it.
    ``roles`` and ``zones`` limit signed badges only. ``capacity`` is how many
    may be inside at once, None for any number.
    """

    accept: frozenset[Kind]
    direction: Direction | None
    duplicate_window_ns: int
    in_out_reset_ns: int
    unknown_clock: Verdict
    utc_offset_min: int
    hours: tuple[Span, ...] = ()
    lists: tuple[ListRule, ...] = ()
    windows: tuple[Window, ...] = ()
    calendar: Calendar = Calendar()
    min_assurance: Assurance = ASSURANCE_ORDER[0]
    roles: frozenset[int] | None = None
    zones: frozenset[int] | None = None
    capacity: int | None = None
    passback: Passback = NO_PASSBACK
    health: HealthRules | None = None
    trust_expires_s: int | None = None
    """When the list of keys should have been replaced, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a gate, and the other gates of its site, remember when a code is shown.

    ``last`` is this person's passage; ``inside`` how many are in; ``used``
    whether this code of the moment has let somebody pass; ``blind`` whether
    another gate of the site has fallen silent.
    """

    last: Passage | None = None
    inside: int = 0
    used: bool = False
    blind: bool = False


NOTHING: Final = Remembered()
