"""When an event really happened, by what is known now.

A Pi without a battery clock starts at a wrong time and learns the right one
later, or never in that boot. CLOCK_BOOTTIME is right within each boot, so an
event keeps it, and this module turns it into wall time: exactly where the
clock was synchronised, corrected where it became so later in the same boot,
and between bounds where the boot ended without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Final

from device.core.types import ClockReading

DRIFT_PPM: Final = 100
"""How far CLOCK_BOOTTIME may run fast or slow, in millionths. A Pi's crystal keeps within 50 over its whole range of temperature."""

STEP_NS: Final = 2_000_000_000
"""A wall clock that moves by more than this against CLOCK_BOOTTIME was stepped, not slewed."""

_NS_PER_MS: Final = 1_000_000


class ClockState(StrEnum):
    """How the time of an event is known (``clock`` of the event)."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    CORRECTED = "corrected"
    BOUNDED = "bounded"
    UNSYNCED = "unsynced"


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time of an event, as well as it is known.

    ``time_ns`` is the best estimate (nanoseconds since 1970, UTC) and
    ``uncertainty_ms`` how far it may be off; None means that nobody can say.
    ``earliest_ns`` and ``latest_ns`` bound events whose clock never was right:
    both for ``bounded``, only the first for ``unsynced``.
    """

    time_ns: int
    clock: ClockState
    uncertainty_ms: int | None
    earliest_ns: int | None = None
    latest_ns: int | None = None

    @property
    def span(self) -> tuple[int, int | None]:
        """The wall times between which the event certainly lies; the end is None where nobody can say."""
        doubt_ns = (self.uncertainty_ms or 0) * _NS_PER_MS
        earliest = self.time_ns - doubt_ns if self.earliest_ns is None else self.earliest_ns
        if self.latest_ns is not None or self.uncertainty_ms is None:
            return earliest, self.latest_ns
        return earliest, self.time_ns + doubt_ns


@dataclass(frozen=True, slots=True)
class Anchor:
    """One moment at which a boot's clock was trusted: ties its CLOCK_BOOTTIME to wall time."""

    boot_ns: int
    wall_ns: int
    uncertainty_ms: int

    def wall_at(self, boot_ns: int) -> int:
        """Wall time of another moment of the same boot, in nanoseconds."""
        return self.wall_ns + boot_ns - self.boot_ns

    def doubt_ms(self, boot_ns: int) -> int:
        """How far ``wall_at`` may be off: the anchor's own uncertainty and the drift in between."""
        return self.uncertainty_ms + drift_ms(boot_ns - self.boot_ns)


@dataclass(frozen=True, slots=True)
class Boot:
    """What is remembered of one boot.

    ``last_boot_ns`` is the newest moment seen in it; ``floor_ns`` a wall time
    that was certainly past when the boot was first seen; ``anchor`` is None
    as long as its clock was never trusted.
    """

    boot_id: str
    last_boot_ns: int
    floor_ns: int = 0
    anchor: Anchor | None = None


@dataclass(frozen=True)
class Timeline:
    """The remembered boots, oldest first; the last one is the present one."""

    boots: tuple[Boot, ...] = ()

    @cached_property
    def _places(self) -> dict[str, int]:
        return {boot.boot_id: place for place, boot in enumerate(self.boots)}

    @cached_property
    def _begun_after(self) -> tuple[int, ...]:
        """For each boot a wall time before which it cannot have begun; one more for the boot after the last."""
        known = [0]
        for boot in self.boots:
            ends = [known[-1] + boot.last_boot_ns, boot.floor_ns]
            if boot.anchor is not None:
                ends.append(boot.anchor.wall_at(boot.last_boot_ns) - boot.anchor.doubt_ms(boot.last_boot_ns) * _NS_PER_MS)
            known.append(max(ends))
        return tuple(known)

    @cached_property
    def _ended_before(self) -> tuple[int | None, ...]:
        """For each boot a wall time after which it cannot have ended, None where none is known."""
        known: list[int | None] = []
        following: int | None = None
        for boot in reversed(self.boots):
            known.append(following)
            following = _latest_start(boot, following)
        return tuple(reversed(known))

    def find(self, boot_id: str) -> Boot | None:
        """The boot of that id, None when it is not remembered."""
        place = self._places.get(boot_id)
        return None if place is None else self.boots[place]

    def earliest_ns(self, at: ClockReading) -> int:
        """A wall time before which this moment cannot have been."""
        place = self._places.get(at.boot_id)
        if place is None:
            return 0
        return max(self._begun_after[place] + at.boot_ns, self.boots[place].floor_ns)

    def latest_ns(self, at: ClockReading) -> int | None:
        """A wall time after which this moment cannot have been, None when none is known."""
        place = self._places.get(at.boot_id)
        if place is None:
            return _latest_start(self.boots[-1], None) if self.boots else None
        end = self._ended_before[place]
        return None if end is None else end - max(0, self.boots[place].last_boot_ns - at.boot_ns)

    def seen(self, reading: ClockReading, floor_ns: int = 0) -> Timeline:
        """The line with one more reading of the present boot taken in; a new boot is added at the end.

        The first trusted reading is the anchor, because it is nearest to what
        came before it; a later one takes its place after a step of the clock.
        """
        known = self.find(reading.boot_id)
        old = known if known is not None else Boot(reading.boot_id, reading.boot_ns, floor_ns)
        new = replace(old, last_boot_ns=max(old.last_boot_ns, reading.boot_ns), anchor=_anchor(old.anchor, reading))
        if known is None:
            return Timeline((*self.boots, new))
        return Timeline(tuple(new if boot is known else boot for boot in self.boots))

    def newest(self, count: int) -> Timeline:
        """Only the newest boots; what the others say about the earliest start of the rest is kept in their floor."""
        cut = len(self.boots) - count
        if cut <= 0:
            return self
        first = self.boots[cut]
        return Timeline((replace(first, floor_ns=max(first.floor_ns, self._begun_after[cut])), *self.boots[cut + 1 :]))


def drift_ms(span_ns: int) -> int:
    """How far CLOCK_BOOTTIME may have drifted over so many nanoseconds, in milliseconds, rounded up."""
    return -(-abs(span_ns) * DRIFT_PPM // (1_000_000 * _NS_PER_MS))


def stamp(at: ClockReading, line: Timeline) -> Stamp:
    """The time of an event read at ``at``, by what ``line`` knows now."""
    if at.trusted:
        return Stamp(at.wall_ns, ClockState.HOLDOVER if at.held_over else ClockState.SYNCED, at.uncertainty_ms)
    boot = line.find(at.boot_id)
    if boot is not None and boot.anchor is not None:
        return Stamp(boot.anchor.wall_at(at.boot_ns), ClockState.CORRECTED, boot.anchor.doubt_ms(at.boot_ns))
    earliest, latest = line.earliest_ns(at), line.latest_ns(at)
    if latest is None:
        return Stamp(max(at.wall_ns, earliest), ClockState.UNSYNCED, None, earliest)
    return _between(min(earliest, latest), latest)


def least_age_ns(at: ClockReading, now: ClockReading, line: Timeline) -> int:
    """How long ago ``at`` was, at least; never negative. Exact within one boot."""
    if at.boot_id == now.boot_id:
        return max(0, now.boot_ns - at.boot_ns)
    return max(0, _age_by_wall(at, now, line), _age_by_uptime(at, now, line))


def step_ms(before: ClockReading, after: ClockReading) -> int:
    """By how much the wall clock was stepped between two readings of one boot, in milliseconds; 0 for slewing and across boots.

    Positive is forward. Only a step above ``STEP_NS`` counts; the readings
    should be no more than some minutes apart, since slewing adds up.
    """
    moved = (after.wall_ns - after.boot_ns) - (before.wall_ns - before.boot_ns)
    return round(moved / _NS_PER_MS) if before.boot_id == after.boot_id and abs(moved) > STEP_NS else 0


def _anchor(old: Anchor | None, reading: ClockReading) -> Anchor | None:
    if not reading.trusted:
        return old
    if old is not None and abs(old.wall_at(reading.boot_ns) - reading.wall_ns) <= STEP_NS:
        return old
    return Anchor(reading.boot_ns, reading.wall_ns, reading.uncertainty_ms)


def _latest_start(boot: Boot, end: int | None) -> int | None:
    if boot.anchor is not None:
        return boot.anchor.wall_at(0) + boot.anchor.doubt_ms(0) * _NS_PER_MS
    return None if end is None else end - boot.last_boot_ns


def _between(earliest: int, latest: int) -> Stamp:
    half = (latest - earliest) // 2
    return Stamp(earliest + half, ClockState.BOUNDED, -(-(latest - earliest) // (2 * _NS_PER_MS)), earliest, latest)


def _age_by_wall(at: ClockReading, now: ClockReading, line: Timeline) -> int:
    latest = stamp(at, line).span[1]
    return 0 if latest is None else stamp(now, line).span[0] - latest


def _age_by_uptime(at: ClockReading, now: ClockReading, line: Timeline) -> int:
    """The hours that the gate has certainly been running since: rest of that boot, boots between, this one."""
    boots = [boot.boot_id for boot in line.boots]
    if at.boot_id not in boots or now.boot_id not in boots:
        return 0
    first, last = boots.index(at.boot_id), boots.index(now.boot_id)
    between = sum(boot.last_boot_ns for boot in line.boots[first + 1 : last])
    return max(0, line.boots[first].last_boot_ns - at.boot_ns) + between + now.boot_ns if first < last else 0
