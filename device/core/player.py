"""Which sign is due, and so what the pins should do, at any moment.

The player is told what to show and asked what is due; it takes the time from
whoever asks. Standing signs stay. A passing sign cancels what runs, and when it
is over the newest standing sign comes back, unless others wait in the queue.

What it decides beyond the score:

* An urgent standing sign (out of service) takes over at once and empties the
  queue: what no longer works must be seen at once. Other standing signs wait
  until the passing ones are over.
* A sign that would look at its beginning just as what is lit already begins
  with a short dark, so that two people accepted in turn see two answers.
* No lamp lights more than three times within a second, whatever is asked.
* The beeps of a standing sign keep their distance when it comes back soon.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from device.core.score import Lamp
from device.core.signal_rules import FLASH_DEPTH, FLASH_LIMIT
from device.core.signals import Pattern
from device.core.types import Sign

QUEUE_LIMIT: Final = 4
"""Passing signs that may wait. More than five people's codes in one frame is nobody's queue but a poster."""

REPEAT_DARK_MS: Final = 80
"""The dark before a sign that would otherwise not be seen to begin: as short as is surely seen."""

_MS: Final = 1_000_000
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the pins do from ``at_ns`` (monotonic) on. Two are equal when the pins do the same for the same sign.

    ``showing`` counts the signs that were begun, so that one sign twice in turn
    is told from one that goes on. ``lamps`` are levels from 0 to 1 of all the lamps of the kit, ``tone_hz`` is
    None in silence, ``volume`` is the loudness of a passive buzzer from 0 to 1,
    ``relay`` says whether the door is released.
    """

    at_ns: int = field(compare=False)
    sign: Sign | None
    lamps: Mapping[Lamp, float]
    tone_hz: int | None
    volume: float
    relay: bool
    showing: int = field(default=0, compare=False)
    openings: int = field(default=0, compare=False)
    """How often the door was released: one that comes while it is open is told from one that goes on."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A sign in progress. Its light and its sound have a beginning each, because beeps of standing signs keep their distance."""

    pattern: Pattern
    light_ns: int
    sound_ns: int

    @property
    def end_ns(self) -> int | None:
        """When a passing sign is over."""
        return None if self.pattern.standing else self.light_ns + self.pattern.length_ms * _MS

    def levels(self, now_ns: int) -> dict[Lamp, float]:
        return self.pattern.levels_at((now_ns - self.light_ns) // _MS)

    def tone_hz(self, now_ns: int) -> int | None:
        return self.pattern.sound.at((now_ns - self.sound_ns) // _MS)

    def next_ns(self, now_ns: int) -> tuple[int | None, ...]:
        """When light and sound change next, and when a passing sign is over."""
        light = self.pattern.next_light((now_ns - self.light_ns) // _MS)
        sound = self.pattern.sound.next_change((now_ns - self.sound_ns) // _MS)
        both = ((self.light_ns, light), (self.sound_ns, sound))
        return (*(begin + ms * _MS for begin, ms in both if ms is not None), self.end_ns)

    def last_round_ns(self, now_ns: int) -> int | None:
        """When the last round of repeating beeps began of which something was heard, or None."""
        sound = self.pattern.sound
        if not sound.repeats:
            return None
        first_ms = next(at for at, (_, tone) in zip(sound.starts_ms, sound.spans, strict=False) if tone is not None)
        rounds = ((now_ns - self.sound_ns) // _MS - first_ms) // sound.length_ms
        return None if rounds < 0 else self.sound_ns + rounds * sound.length_ms * _MS


class _FlashGuard:
    """Keeps one lamp from lighting more than `FLASH_LIMIT` times within any second: a light too many comes late."""

    def __init__(self) -> None:
        self._lit_ns: deque[int] = deque(maxlen=FLASH_LIMIT)
        self._on = self._held = False
        self.held_back = 0

    def passed(self, level: float, now_ns: int) -> tuple[float, int | None]:
        """The level that is safe now, and when a light held back may come."""
        if level and not self._on and len(self._lit_ns) == FLASH_LIMIT and now_ns - self._lit_ns[0] < _SECOND:
            self.held_back += not self._held
            self._held = True
            return 0.0, self._lit_ns[0] + _SECOND
        if level and not self._on:
            self._lit_ns.append(now_ns)
        self._on, self._held = level > 0, False
        return level, None


class Player:
    """The state of lamps, buzzer and relay. Times given to it are monotonic nanoseconds and never go back."""

    def __init__(self, patterns: Mapping[Sign, Pattern], pulse_ms: int = 0) -> None:
        """Dark and silent until the first sign; from then on the light on the card is lit. ``pulse_ms`` is how long the relay is held."""
        self._patterns = patterns
        self._kit = tuple(lamp for lamp in Lamp if any(lamp in (*one.lamps, *one.steady) for one in patterns.values()))
        self._pulse_ns = pulse_ms * _MS
        self._run: _Run | None = None
        self._standing: Sign | None = None
        self._queue: deque[Sign] = deque()
        self._rounds: dict[Sign, int] = {}
        self._steady: Mapping[Lamp, float] = {}
        self._relay_until_ns = 0
        self._openings = 0
        self._guards = {lamp: _FlashGuard() for lamp in self._kit}
        self._last: Snapshot | None = None
        self._unseen = False
        self.due_ns: int | None = None
        """When `advance` should be called next, as of its last call; None when nothing will change by itself."""
        self._showings = 0
        self.dropped = 0
        """How many passing signs nobody could see.

        Too many waited, a newer one took their place before the pins were
        written, or the pins did the same already for the one before.
        """

    @property
    def held_back(self) -> int:
        """How many lights came late, because a lamp had lit too often."""
        return sum(guard.held_back for guard in self._guards.values())

    def show(self, sign: Sign, now_ns: int, *, queued: bool = False) -> None:
        """Answer with ``sign``: at once, or ``queued`` behind the passing sign that runs."""
        self._finish(now_ns)
        pattern = self._patterns[sign]
        if pattern.standing:
            self._stand(pattern, now_ns)
        elif queued and self._passing:
            self._wait(sign)
        else:
            self._empty_queue()
            self._begin(sign, now_ns)

    def open_door(self, now_ns: int) -> None:
        """Release the door for the length of the pulse from now; again while released extends it."""
        self._relay_until_ns = now_ns + self._pulse_ns
        self._openings += 1

    def advance(self, now_ns: int) -> Snapshot:
        """What the pins should do from now on, until ``due_ns``."""
        self._finish(now_ns)
        run, relay = self._run, now_ns < self._relay_until_ns
        wanted = {**dict.fromkeys(self._kit, 0.0), **self._steady, **(run.levels(now_ns) if run else {})}
        safe = {lamp: self._guards[lamp].passed(level, now_ns) for lamp, level in wanted.items()}
        due = [*(late_ns for _, late_ns in safe.values()), *(run.next_ns(now_ns) if run else ()), self._relay_until_ns if relay else None]
        self.due_ns = min((at_ns for at_ns in due if at_ns is not None), default=None)
        snapshot = Snapshot(
            at_ns=now_ns,
            showing=self._showings,
            openings=self._openings,
            sign=run.pattern.sign if run else None,
            lamps={lamp: level for lamp, (level, _) in safe.items()},
            tone_hz=run.tone_hz(now_ns) if run else None,
            volume=run.pattern.volume if run else 0.0,
            relay=relay,
        )
        # A lamp that may not light again so soon can make two answers one.
        self._unseen = self._unseen and snapshot == self._last
        self._last = snapshot
        return snapshot

    @property
    def _passing(self) -> bool:
        return self._run is not None and not self._run.pattern.standing

    def _stand(self, pattern: Pattern, now_ns: int) -> None:
        is_new = pattern.sign is not self._standing
        self._standing = pattern.sign
        if is_new and (pattern.urgent or not self._passing):
            self._empty_queue()
            self._begin(pattern.sign, now_ns)

    def _wait(self, sign: Sign) -> None:
        if len(self._queue) < QUEUE_LIMIT:
            self._queue.append(sign)
        else:
            self.dropped += 1

    def _empty_queue(self) -> None:
        self.dropped += len(self._queue)
        self._queue.clear()

    def _finish(self, now_ns: int) -> None:
        """End a passing sign whose time is over. What follows begins now, not then: a late sign is still shown whole."""
        end_ns = self._run.end_ns if self._run else None
        if end_ns is None or now_ns < end_ns:
            return
        if self._queue:
            self._begin(self._queue.popleft(), now_ns)
        elif self._standing is not None:
            self._begin(self._standing, now_ns)
        else:
            self._run = None
            self._forget()

    def _forget(self) -> None:
        """Whatever ran is over, seen or not."""
        self.dropped += self._unseen
        self._unseen = False

    def _begin(self, sign: Sign, now_ns: int) -> None:
        self._showings += 1
        self._forget()
        pattern = self._patterns[sign]
        self._unseen = not pattern.standing
        light_ns = sound_ns = now_ns + self._dark_ns(pattern)
        self._remember_round(now_ns)
        if sign in self._rounds:
            sound_ns = max(sound_ns, self._rounds[sign] + pattern.sound.length_ms * _MS)
        self._run = _Run(pattern, light_ns, sound_ns)
        self._steady = pattern.steady

    def _remember_round(self, now_ns: int) -> None:
        begun_ns = self._run.last_round_ns(now_ns) if self._run else None
        if self._run and begun_ns is not None:
            self._rounds[self._run.pattern.sign] = begun_ns

    def _dark_ns(self, pattern: Pattern) -> int:
        """How long a passing sign begins with dark: not at all, unless it begins as bright as what is lit, on the same lamps."""
        if self._run is None or pattern.standing:
            return 0
        # What the pins were last told, which on a machine without time to spare lags behind what they should be.
        before, after = self._last.lamps if self._last else {}, {**pattern.steady, **pattern.levels_at(0)}
        same = all(abs(before.get(lamp, 0.0) - after.get(lamp, 0.0)) < FLASH_DEPTH for lamp in self._kit)
        return REPEAT_DARK_MS * _MS if same else 0
