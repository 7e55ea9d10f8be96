"""Why a code in view cannot be read: what the person, or the technician, would have to change.

Measured on the pixels of the symbol alone, in the order in which one cause
hides another: a code cut by the frame's edge, too little light, a highlight,
the bands of a screen, modules too small, edges too soft. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from device.core.types import Box, Cause
from device.eye.camera import Luma
from device.eye.decoder import Unread
from device.eye.finders import Finder, finders

FLOOR_PX_PER_MODULE: Final = 2.25
"""Below this the modules are too small: the design's floor."""

LEAST_FINDERS: Final = 2
"""Two patterns with modules of one size are a code; one alone may be a logo."""

SAME_SIZE: Final = 1.7
EDGE_MODULES: Final = 2
"""A code that reaches so far beyond the frame is cut by it; corners are guessed to about one module."""

DARK_WHITE: Final = 60
"""Paper darker than this grey is in the dark."""
FAINT: Final = 22
"""Less contrast than this, in grey levels, is darkness too: a decoder wants more."""
BURNT: Final = 250
BURNT_SHARE: Final = 0.05
"""Blocks of three by three modules are never all white in a code, but for a few; in a highlight they are."""
BAND_SWING: Final = 0.3
"""How much darker the paper is in some rows than in others, as a part of its brightness; in columns less than half of it."""
SOFT: Final = 0.3
"""The steepest edges, between neighbouring pixels, as a part of the contrast."""

_BLOCK_MODULES: Final = 3


@dataclass(frozen=True, slots=True)
class Explained:
    """A code in view that could not be read. ``px_per_module`` is measured, None where it cannot be."""

    cause: Cause
    px_per_module: float | None
    box: Box


def explain_unread(pixels: Luma, unread: Unread) -> Explained:
    """Of a symbol that a decoder found, with its corners, and could not read."""
    (x0, y0), (x1, y1), *_ = unread.corners
    px_per_module = float(np.hypot(x1 - x0, y1 - y0)) / unread.modules
    return _explained(pixels, unread.box, px_per_module)


def explain_region(pixels: Luma, place: Box) -> Explained | None:
    """Of a part of the frame in which no decoder found anything; None where nothing shows that it holds a code."""
    part = pixels[place.top : place.top + place.height, place.left : place.left + place.width]
    patterns = _of_one_size(finders(part))
    if len(patterns) < LEAST_FINDERS:
        return None
    module = float(np.median([one.module for one in patterns])) * _turned(patterns)
    reach = 4 * module
    xs, ys = [one.x for one in patterns], [one.y for one in patterns]
    left, top = int(place.left + min(xs) - reach), int(place.top + min(ys) - reach)
    width, height = int(max(xs) - min(xs) + 2 * reach), int(max(ys) - min(ys) + 2 * reach)
    # Two patterns along one side say how wide the code is, not how high.
    side = max(width, height)
    return _explained(pixels, Box(left, top, side, side), module)


def _turned(patterns: list[Finder]) -> float:
    """By what the modules look larger along rows and columns than they are. Of two patterns nobody knows which way the code stands."""
    if len(patterns) <= LEAST_FINDERS:
        return 1.0
    # Of three corners the two that are nearest to each other lie along a side.
    sides = [(one.x - other.x, one.y - other.y) for at, one in enumerate(patterns) for other in patterns[:at]]
    across, down = min(sides, key=lambda side: side[0] ** 2 + side[1] ** 2)
    length = float(np.hypot(across, down))
    return max(abs(across), abs(down)) / length if length else 1.0


def _of_one_size(found: tuple[Finder, ...]) -> list[Finder]:
    """The best pattern and those like it, at most three."""
    return [one for one in found if 1 / SAME_SIZE < one.module / found[0].module < SAME_SIZE][:3]


def _explained(pixels: Luma, box: Box, px_per_module: float) -> Explained:
    height, width = pixels.shape
    left, top = max(0, box.left), max(0, box.top)
    right, bottom = min(width, box.left + box.width), min(height, box.top + box.height)
    part = pixels[top:bottom, left:right]
    beyond = max(-box.left, -box.top, box.left + box.width - width, box.top + box.height - height)
    measured = round(px_per_module, 2) if np.isfinite(px_per_module) and px_per_module > 0 else None
    if part.size == 0:
        return Explained(Cause.UNREADABLE, measured, box)
    return Explained(_cause(part, px_per_module, cut=beyond > EDGE_MODULES * px_per_module), measured, box)


def _cause(part: Luma, px_per_module: float, *, cut: bool) -> Cause:
    if cut:
        return Cause.TOO_NEAR
    dark, light = (float(level) for level in np.percentile(part, (5, 95)))
    contrast = light - dark
    if light < DARK_WHITE or contrast < FAINT:
        return Cause.DARK
    block = max(1, round(_BLOCK_MODULES * px_per_module))
    if _burnt(part, block):
        return Cause.GLARE
    if _banded(part, block, light):
        return Cause.BANDED
    if px_per_module < FLOOR_PX_PER_MODULE:
        return Cause.TOO_FAR
    if _steepest(part) < SOFT * contrast:
        return Cause.BLURRED
    return Cause.UNREADABLE


def _burnt(part: Luma, block: int) -> bool:
    rows, columns = part.shape[0] // block, part.shape[1] // block
    if not rows or not columns:
        return False
    blocks = part[: rows * block, : columns * block].reshape(rows, block, columns, block)
    return float((blocks.min(axis=(1, 3)) >= BURNT).mean()) > BURNT_SHARE


def _banded(part: Luma, block: int, light: float) -> bool:
    """Paper is darker in some rows and not in some columns: light that comes and goes while the shutter rolls down."""
    if min(part.shape) < 2 * block:
        return False
    rows, columns = _whites(part, block), _whites(part.T, block)
    return bool(np.ptp(rows) > BAND_SWING * light and np.ptp(columns) < np.ptp(rows) / 2)


def _whites(part: Luma, block: int) -> npt.NDArray[np.float64]:
    """How bright the paper is, in one stripe of modules after the other."""
    stripes = len(part) // block
    return np.asarray(np.percentile(part[: stripes * block].reshape(stripes, -1), 95, axis=1), np.float64)


def _steepest(part: Luma) -> float:
    across = np.abs(np.diff(part.astype(np.int16), axis=1))
    down = np.abs(np.diff(part.astype(np.int16), axis=0))
    return max(float(np.percentile(across, 98)) if across.size else 0.0, float(np.percentile(down, 98)) if down.size else 0.0)
