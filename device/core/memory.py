"""What a gate remembers of people: who passed when, how many are inside, which codes of the moment were used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.core.policy import SECOND_NS, elapsed_ns
from device.core.rules import Remembered
from device.core.types import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from device.core.types import ClockReading, Passage, SignedTerms

REMEMBERED_LIMIT: Final = 100_000
"""Persons whose last passage is remembered; the one seen longest ago is forgotten first."""

USED_PERIODS: Final = 4
"""A code of the moment can count from one period before it was made until two after, and one more by the clock's doubt."""


class Memory:
    """Of one gate. ``inside_ns`` is how long somebody counts as inside whose way out was never seen. For one thread."""

    def __init__(self, inside_ns: int, passages: Iterable[Passage] = ()) -> None:
        """``passages`` are those of earlier runs, newest last."""
        self._inside_ns = inside_ns
        self._passages: dict[str, Passage] = {}
        self._inside: dict[str, Passage] = {}
        self._used: dict[bytes, int] = {}
        self.blind = False
        """Whether another gate of the site is silent, so that somebody may have passed there unseen."""
        self._earlier: set[str] = set()
        for passage in passages:
            self.remember(passage)
        self._earlier = set(self._passages)

    def recall(self, subject: str, claim: SignedTerms | None, now: ClockReading) -> Remembered:
        """What there is to remember when this person shows a code."""
        last = self._passages.get(subject)
        return Remembered(last, self.inside(now), claim is not None and claim.live and self._is_used(claim, last), self.blind)

    def last(self, subject: str) -> Passage | None:
        """The remembered passage of one person."""
        return self._passages.get(subject)

    def inside(self, now: ClockReading) -> int:
        """How many are inside."""
        for subject, passage in list(self._inside.items()):
            since = elapsed_ns(passage.at, now)
            if since is not None and since < self._inside_ns:
                break
            if since is not None:
                del self._inside[subject]
        return len(self._inside)

    def remember(self, passage: Passage) -> None:
        """Somebody passed, here or at another gate of the site."""
        for held in (self._passages, self._inside):
            held.pop(passage.subject, None)
        self._earlier.discard(passage.subject)
        self._passages[passage.subject] = passage
        if passage.direction is Direction.IN:
            self._inside[passage.subject] = passage
        if len(self._passages) > REMEMBERED_LIMIT:
            oldest = next(iter(self._passages))
            del self._passages[oldest]
            self._inside.pop(oldest, None)

    def spend(self, claim: SignedTerms, now: ClockReading) -> None:
        """A code of the moment let somebody pass: not again."""
        if claim.once is None:
            return
        limit_ns = now.monotonic_ns - USED_PERIODS * claim.period_s * SECOND_NS
        self._used = {code: at_ns for code, at_ns in self._used.items() if at_ns > limit_ns}
        self._used[claim.once] = now.monotonic_ns

    def _is_used(self, claim: SignedTerms, last: Passage | None) -> bool:
        """Known as used, or, of the time before this run: made before the person's last passage."""
        if claim.once in self._used:
            return True
        if last is None or last.subject not in self._earlier or claim.not_before_s is None or not last.at.trusted:
            return False
        made_ns = (claim.not_before_s + claim.period_s) * SECOND_NS
        return made_ns <= last.at.wall_ns + last.at.uncertainty_ms * 1_000_000
