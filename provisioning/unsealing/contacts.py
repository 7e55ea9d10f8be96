"""Who was at the same place at the same time: presences from passages, and their overlaps. Pure. Times are seconds since 1970."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Passing:
    """Somebody passed at ``at_s``, or at most ``doubt_s`` before or after it."""

    subject: str
    way: Literal["in", "out"]
    at_s: float
    doubt_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stay:
    """Certainly there from ``start_s`` to ``end_s``, and possibly for ``early_s`` before and ``late_s`` after.

    Where nobody saw the person leave, none of it is certain.
    """

    subject: str
    start_s: float
    end_s: float
    early_s: float = 0.0
    late_s: float = 0.0
    seen_off: bool = True


@dataclass(frozen=True, slots=True)
class Contact:
    """Two presences share so many seconds; ``certain`` when they do whatever the clocks' doubts are."""

    subject: str
    first_s: float
    last_s: float
    certain: bool

    @property
    def seconds(self) -> float:
        """How long."""
        return self.last_s - self.first_s


def presences(passings: Iterable[Passing], stay_s: float) -> Iterator[Stay]:
    """From each entry to the next exit of the same person; without one to the next entry, and for ``stay_s`` at most."""
    by_person: defaultdict[str, list[Passing]] = defaultdict(list)
    for passing in passings:
        by_person[passing.subject].append(passing)
    for subject, own in by_person.items():
        own.sort(key=lambda passing: passing.at_s)
        for place, entry in enumerate(own):
            if entry.way != "in":
                continue
            after = own[place + 1] if place + 1 < len(own) else None
            limit_s = entry.at_s + stay_s
            if after is None or (after.at_s > limit_s):
                yield Stay(subject, entry.at_s, limit_s, entry.doubt_s, 0.0, seen_off=False)
            else:
                yield Stay(subject, entry.at_s, after.at_s, entry.doubt_s, after.doubt_s, seen_off=after.way == "out")


def contacts(everybody: Sequence[Stay], person: str, least_s: float) -> list[Contact]:
    """Who shared at least ``least_s`` with the person, possibly or certainly: one row for each pair of presences, by time.

    Presences are sorted once, and each of the person's looks only at those that begin before it ends.
    """
    mine = [presence for presence in everybody if presence.subject == person]
    others = sorted((presence for presence in everybody if presence.subject != person), key=_begins)
    longest_s = max((_ends(presence) - _begins(presence) for presence in others), default=0.0)
    starts = [_begins(presence) for presence in others]
    found = []
    for own in mine:
        place = bisect_left(starts, _begins(own) - longest_s)
        while place < len(others) and starts[place] <= _ends(own):
            contact = _shared(own, others[place], least_s)
            if contact is not None:
                found.append(contact)
            place += 1
    return sorted(found, key=lambda contact: (contact.first_s, contact.subject))


def _shared(own: Stay, other: Stay, least_s: float) -> Contact | None:
    first_s, last_s = max(_begins(own), _begins(other)), min(_ends(own), _ends(other))
    if last_s <= first_s or last_s - first_s < least_s:
        return None
    surely_first_s = max(own.start_s + own.early_s, other.start_s + other.early_s)
    surely_last_s = min(own.end_s - own.late_s, other.end_s - other.late_s)
    certain = own.seen_off and other.seen_off and surely_last_s - surely_first_s >= max(least_s, 0.0) and surely_last_s > surely_first_s
    return Contact(other.subject, first_s, last_s, certain)


def _begins(presence: Stay) -> float:
    return presence.start_s - presence.early_s


def _ends(presence: Stay) -> float:
    return presence.end_s + presence.late_s
