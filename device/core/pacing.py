"""How fast, how often and whose turn: waits between attempts, a rate, and two that share.

Pure: time (seconds on a monotonic clock) and chance are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias

STABLE_S: Final = 60.0
"""A connection that held for so long lets the waits begin again from the shortest."""
TURNS: Final = 3
"""So many times one waits for the other, then it is its turn."""

Uniform: TypeAlias = Callable[[float, float], float]
"""Chance: a number between two, such as ``random.Random().uniform``."""


class Backoff:
    """Waits between attempts, with decorrelated jitter: each between the shortest and three times the last one.

    Gates that lost the same broker at the same moment drift apart by this.
    """

    def __init__(self, min_s: float, max_s: float, uniform: Uniform) -> None:
        self._min_s = min_s
        self._max_s = max_s
        self._uniform = uniform
        self._last_s = min_s

    def next_s(self) -> float:
        """How long to wait now."""
        self._last_s = min(self._max_s, self._uniform(self._min_s, 3 * self._last_s))
        return self._last_s

    def slow_s(self) -> float:
        """How long to wait where somebody must mend something first."""
        return self._uniform(self._max_s / 2, self._max_s)

    def reset(self) -> None:
        """All is well: begin again from the shortest."""
        self._last_s = self._min_s


class Turns:
    """Prefers the first of two, and gives the second one turn after every ``TURNS`` that it had to wait."""

    def __init__(self) -> None:
        self._passed_over = 0

    def second(self, first: bool, second: bool) -> bool:  # noqa: FBT001 - two questions of the same kind, read in order
        """Whether it is the second's turn, given which of them want one."""
        chosen = self._passed_over >= TURNS if first and second else second
        if chosen or not second:
            self._passed_over = 0
        else:
            self._passed_over += 1
        return chosen


class Bucket:
    """A token bucket: ``per_s`` on average, at most ``burst`` at once (by default one second's worth, and at least one)."""

    def __init__(self, per_s: float, burst: float | None = None) -> None:
        self._per_s = per_s
        self._room = max(1.0, per_s if burst is None else burst)
        self._tokens = self._room
        self._filled_s = -math.inf

    def ready_in_s(self, now_s: float) -> float:
        """Seconds until a token is there; 0 when one is."""
        if self._filled_s > -math.inf:
            self._tokens = min(self._room, self._tokens + max(0.0, now_s - self._filled_s) * self._per_s)
        self._filled_s = now_s
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._per_s

    def spend(self) -> None:
        """Use one token."""
        self._tokens -= 1
