"""Whether the camera still sees what it was put up to see: uncovered, well lit, sharp and unmoved.

Looked at once a second, at the price of a thumbnail. Where a reference code is
stuck to the plate it is the best witness, for it can be read only by a camera
that is alive, sharp and in its place. Without one the picture itself has to
do. A view counts as wrong when it has been so for half a minute, since people
stand in the way; it is right again as soon as it has been right for two
seconds. Pure: pictures and times come in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from device.core.types import Box, View
from device.eye.camera import Luma
from device.eye.filters import thumbnail

EVERY_NS: Final = 1_000_000_000
ALARM_NS: Final = 30_000_000_000
CLEAR_NS: Final = 2_000_000_000

DARK_LEVEL: Final = 20
"""A view of which hardly anything is brighter is dark."""

BRIGHT_LEVEL: Final = 230
BRIGHT_SHARE: Final = 0.9
"""A view so much of which is so bright is that of the sun: white is 235 where the camera gives limited range."""

SAME_EXPOSURE: Final = 1.25
"""Exposures are the same within this factor: a camera reports what it really did."""

MOST_POSTPONED: Final = 24
"""So many frames a look may wait for another exposure: each has had its turn by then."""

FLAT_SPREAD: Final = 8
"""A view whose brightest and darkest parts are no further apart is that of a hand, a bag or a coat of paint."""

SOFT_SHARE: Final = 0.45
"""A view this much less sharp than it has been is out of focus, or dirty."""

LEAST_SHARPNESS: Final = 0.08
"""Steepest edges of a view as a part of its contrast. One that never had sharper ones cannot show that it has lost them."""

MOVED_LEVEL: Final = 16
MOVED_SHARE: Final = 0.35
"""A view a third of which has changed, and stays so, is another view."""

STILL_SHARE: Final = 0.02
"""Between two looks no more than this of the picture may change, or somebody is moving in it and nothing is learnt."""

LEARN: Final = 0.05
"""How fast background and sharpness follow slow changes: the sun."""

REFERENCE_MOVED: Final = 0.25
"""A reference code further from its place than this part of its size has moved; or the camera has."""

_BRIGHT, _DIM = 99, 1
_EDGE_PERCENT: Final = 99.7
_NOISE_FACTOR: Final = 4.5
"""Noise that differs by its median from pixel to pixel differs by so much three times in a thousand."""
_ROW_STEP: Final = 16


@dataclass(slots=True)
class _Spell:
    """Since when a view has looked so, at the looks of each second."""

    view: View
    since_ns: int


class Watch:
    """Keeps the camera's view in mind. ``see`` each frame, and ``reference`` when the code at the plate's edge was read."""

    def __init__(self, *, with_reference: bool = False) -> None:
        self.view = View.OK
        self._with_reference = with_reference
        self._looked_ns: int | None = None
        self._reference_ns: int | None = None
        self._home: Box | None = None
        self._strayed = False
        self._background: np.typing.NDArray[np.float32] | None = None
        self._before: Luma | None = None
        self._sharpness: float | None = None
        self._spell: _Spell | None = None
        self._exposures: tuple[int, int] | None = None
        self._postponed = 0

    @property
    def due_ns(self) -> int:
        """When the next look is due, on CLOCK_MONOTONIC."""
        return 0 if self._looked_ns is None else self._looked_ns + EVERY_NS

    def reference(self, box: Box, now_ns: int) -> None:
        """The reference code was read here."""
        self._reference_ns = now_ns
        if self._home is None:
            self._home = box
        limit = REFERENCE_MOVED * max(self._home.width, self._home.height, 1)
        self._strayed = abs(box.left - self._home.left) > limit or abs(box.top - self._home.top) > limit

    def see(self, pixels: Luma, now_ns: int, exposure_us: int | None = None) -> View:
        """Look, if it is time to, and say how the view is. ``exposure_us`` is what the frame had, None where that is not known.

        Where exposures take turns, a view is too bright only if the shortest
        shows nothing, and too dark only if the longest does not.
        """
        if exposure_us is not None:
            shortest, longest = self._exposures or (exposure_us, exposure_us)
            self._exposures = min(shortest, exposure_us), max(longest, exposure_us)
        if now_ns >= self.due_ns:
            seen = extreme(pixels)
            if self._postponed < MOST_POSTPONED and self._may_show_more(seen, exposure_us):
                self._postponed += 1
                return self.view
            if self._reference_ns is None:
                self._reference_ns = now_ns
            self._looked_ns, self._postponed = now_ns, 0
            self._follow(self._judge(pixels, now_ns) if seen is View.OK else seen, now_ns)
        return self.view

    def _may_show_more(self, seen: View, exposure_us: int | None) -> bool:
        """Whether a frame of another exposure may show something."""
        if self._exposures is None or exposure_us is None or seen is View.OK:
            return False
        shortest, longest = self._exposures
        return exposure_us > SAME_EXPOSURE * shortest if seen is View.BRIGHT else exposure_us * SAME_EXPOSURE < longest

    def _follow(self, seen: View, now_ns: int) -> None:
        """Alarm after half a minute of the same, clear after two seconds of none."""
        if self._spell is None or self._spell.view is not seen:
            # A missing reference code has been missing since it was last read.
            since_ns = self._reference_ns if seen is View.MISSING and self._reference_ns is not None else now_ns
            self._spell = _Spell(seen, since_ns)
        if now_ns - self._spell.since_ns >= (CLEAR_NS if seen is View.OK else ALARM_NS):
            self.view = seen

    def _judge(self, pixels: Luma, now_ns: int) -> View:
        thumb, sharp = thumbnail(pixels), sharpness(pixels)
        dim, bright = (float(level) for level in np.percentile(thumb, (_DIM, _BRIGHT)))
        still = self._before is not None and self._before.shape == thumb.shape and _changed(self._before, thumb) <= STILL_SHARE
        self._before = thumb
        if bright - dim < FLAT_SPREAD:
            return View.COVERED
        if self._with_reference:
            return self._by_reference(now_ns)
        return self._by_picture(thumb, sharp / (bright - dim)) if still else View.OK if self.view is View.OK else self.view

    def _by_reference(self, now_ns: int) -> View:
        """Missing means: not read for longer than a person stands before it, which is what the alarm's half minute is for."""
        if self._reference_ns is not None and now_ns - self._reference_ns > 2 * EVERY_NS:
            return View.MISSING
        return View.MOVED if self._strayed else View.OK

    def _by_picture(self, thumb: Luma, sharp: float) -> View:
        if self._background is None or self._background.shape != thumb.shape or self._sharpness is None:
            self._background, self._sharpness = thumb.astype(np.float32), sharp
            return View.OK
        # Light that changes everywhere by the same amount is the sun, not another view.
        shift = np.float32(np.median(thumb - self._background))
        moved = float((np.abs(thumb - shift - self._background) > MOVED_LEVEL).mean()) > MOVED_SHARE
        soft = self._sharpness > LEAST_SHARPNESS and sharp < SOFT_SHARE * self._sharpness
        if moved or soft:
            return View.MOVED if moved else View.BLURRED
        self._background += np.float32(LEARN) * (thumb - self._background)
        self._sharpness += LEARN * (sharp - self._sharpness)
        return View.OK


def extreme(pixels: Luma) -> View:
    """Whether a picture is so dark or so bright that nothing can be seen in it; ``ok`` where it is neither."""
    thumb = thumbnail(pixels)
    if float(np.percentile(thumb, _BRIGHT)) < DARK_LEVEL:
        return View.DARK
    return View.BRIGHT if float((thumb >= BRIGHT_LEVEL).mean()) >= BRIGHT_SHARE else View.OK


def _changed(one: Luma, other: Luma) -> float:
    return float((np.abs(one.astype(np.int16) - other.astype(np.int16)) > MOVED_LEVEL).mean())


def sharpness(pixels: Luma) -> float:
    """The steepest edges along some rows, in grey levels from one pixel to the next, without what noise alone would make."""
    steps = np.abs(np.diff(pixels[::_ROW_STEP].astype(np.int16), axis=1))
    if not steps.size:
        return 0.0
    steepest, usual = np.percentile(steps, (_EDGE_PERCENT, 50))
    return max(0.0, float(steepest - _NOISE_FACTOR * usual))
