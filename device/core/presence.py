"""One showing of one code is one decision.

A camera reads a held card many times a second; people hold cards still, put
two on top of each other, or pass one behind the other. This module turns the
stream of sightings into showings. It keeps digests, never payloads.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.core.types import Sighting

TRACKED_LIMIT: Final = 64
"""Codes remembered at once. Far more than fit before a camera; the longest unseen is forgotten first."""

HINT_AFTER_NS: Final = 1_000_000_000
"""A code that cannot be read must be in view so long before people are asked to hold it closer."""

GLIMPSE_GAP_NS: Final = 1_000_000_000
"""Without a glimpse for so long, the unreadable code is taken to be gone. A slow processor needs most of it for one such frame."""


@dataclass(frozen=True, slots=True)
class Presence:
    """What is before the camera. ``last_seen_ns`` maps the digest of a payload to CLOCK_MONOTONIC of its newest sighting.

    ``shown_ns`` is the frame of the newest showing, by the time it was taken;
    ``glimpse_from_ns`` and ``glimpse_to_ns`` are the span in which something
    unreadable was in view.
    """

    last_seen_ns: Mapping[bytes, int] = field(default_factory=dict)
    shown_ns: int | None = None
    glimpse_from_ns: int | None = None
    glimpse_to_ns: int = 0

    @property
    def hinting(self) -> bool:
        """Whether people should be asked to hold the code closer."""
        return self.glimpse_from_ns is not None and self.glimpse_to_ns - self.glimpse_from_ns >= HINT_AFTER_NS


@dataclass(frozen=True, slots=True)
class Showing:
    """A code came newly into view. ``together`` says that the showing before it was in the same frame."""

    sighting: Sighting
    together: bool


def see(presence: Presence, sighting: Sighting, rearm_ns: int) -> tuple[Presence, Showing | None]:
    """What is in view after ``sighting``, and the showing that it begins, if it begins one.

    The same code counts again only after it was out of view for ``rearm_ns``.
    A reading ends whatever was unreadable: it was most likely this code.
    """
    digest = hashlib.sha256(sighting.payload).digest()
    last = presence.last_seen_ns.get(digest)
    held = last is not None and sighting.taken_ns - last < rearm_ns
    tracked = {key: ns for key, ns in presence.last_seen_ns.items() if key != digest}
    tracked[digest] = sighting.taken_ns if last is None else max(last, sighting.taken_ns)
    while len(tracked) > TRACKED_LIMIT:
        del tracked[min(tracked, key=tracked.__getitem__)]
    after = replace(presence, last_seen_ns=tracked, glimpse_from_ns=None, glimpse_to_ns=0)
    if held:
        return after, None
    return replace(after, shown_ns=sighting.taken_ns), Showing(sighting, together=sighting.taken_ns == presence.shown_ns)


def glimpse(presence: Presence, taken_ns: int) -> Presence:
    """What is in view after something code-like could not be read in the frame taken at ``taken_ns``."""
    fresh = presence.glimpse_from_ns is None or taken_ns - presence.glimpse_to_ns > GLIMPSE_GAP_NS
    start = taken_ns if fresh else presence.glimpse_from_ns
    return replace(presence, glimpse_from_ns=start, glimpse_to_ns=taken_ns)


def tidy(presence: Presence, now_ns: int) -> Presence:
    """What is in view when time has passed without a message."""
    if presence.glimpse_from_ns is None or now_ns - presence.glimpse_to_ns <= GLIMPSE_GAP_NS:
        return presence
    return replace(presence, glimpse_from_ns=None, glimpse_to_ns=0)
