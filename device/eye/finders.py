"""The finder patterns of a QR code that nobody could read: where they are, and how large a module is.

Along any line through its middle a finder pattern is dark, light, dark, light,
dark in the proportions 1:1:3:1:1 (ISO/IEC 18004). Lines of print seldom have
that in both directions in one place. Only small parts of a frame are looked
at so, and only when every decoder has failed. Pure: luma in, places out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from device.eye.camera import Luma
from device.eye.filters import adaptive

MOST_SIDE_PX: Final = 1300
"""A larger part is looked at in every second pixel: a few milliseconds, a few times a second."""

SLACK: Final = 0.55
"""A run may be wrong by so much of a module, and half a pixel."""

MOST_HITS: Final = 600
"""Of a page made of finder patterns, so many lines are enough."""

PATTERNS: Final = 3
LEAST_CROSSINGS: Final = 6
CROSSINGS: Final = 0.2
"""Pixels in which lines through a pattern cross: six, or a fifth of a module of the nine in its middle. Print has a few by chance."""

LEAST_SIDE_PX: Final = 8
_RUNS: Final = np.array([1, 1, 3, 1, 1])
_MODULES: Final = 7

_Ints = npt.NDArray[np.intp]
_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Finder:
    """One pattern: its middle and the size of a module, in pixels.

    The module is measured along rows and columns, so in a code turned by 45
    degrees it is 1.4 times too large.
    """

    x: float
    y: float
    module: float


def finders(pixels: Luma) -> tuple[Finder, ...]:
    """The patterns in a part of a frame, those seen on most lines first."""
    step = max(1, -(-max(pixels.shape, default=0) // MOST_SIDE_PX))
    seen = pixels[::step, ::step]
    if min(seen.shape, default=0) < LEAST_SIDE_PX:
        return ()
    dark = adaptive(seen) == 0
    # Light on dark, as on a telephone at night: patterns of the wrong sort are seen on few lines.
    best = max((_patterns(dark), _patterns(~dark)), key=lambda found: sum(lines / one.module**2 for lines, one in found[:PATTERNS]))
    return tuple(Finder(one.x * step, one.y * step, one.module * step) for _, one in best)


def _patterns(dark: npt.NDArray[np.bool_]) -> list[tuple[int, Finder]]:
    """With the number of places in which lines through each cross, the most first."""
    return _crossed(_hits(dark), _hits(np.ascontiguousarray(dark.T))[:, [1, 0, 2]])


def _hits(dark: npt.NDArray[np.bool_]) -> _Floats:
    """Along the rows: x and y of the middle, and the module, of everything with the proportions of a finder pattern."""
    rows, columns = dark.shape
    flat = np.zeros((rows, columns + 2), np.int8)
    flat[:, 1:-1] = dark
    edges: _Ints = np.flatnonzero(np.diff(flat.ravel()))
    if len(edges) < len(_RUNS) + 1:
        return np.zeros((0, 3))
    # Between a dark run's first edge and its last there are an even number of edges; rows begin and end light.
    starts = np.arange(0, len(edges) - len(_RUNS), 2)
    runs = np.stack([edges[starts + at + 1] - edges[starts + at] for at in range(len(_RUNS))], axis=1)
    module = runs.sum(axis=1) / _MODULES
    fits = (np.abs(runs - module[:, np.newaxis] * _RUNS) <= SLACK * module[:, np.newaxis] + 0.5).all(axis=1) & (module >= 1)
    first, last = edges[starts], edges[starts + len(_RUNS)]
    width = columns + 2
    fits &= first // width == last // width
    chosen = np.flatnonzero(fits)[:MOST_HITS]
    middle = (first[chosen] + last[chosen]) / 2 % width
    return np.stack([middle, (first[chosen] // width).astype(np.float64), module[chosen]], axis=1)


def _crossed(along: _Floats, down: _Floats) -> list[tuple[int, Finder]]:
    """Where a hit along the rows and one down the columns have the same middle and the same module."""
    if not len(along) or not len(down):
        return []
    near = (np.abs(along[:, np.newaxis, :2] - down[np.newaxis, :, :2]) <= 1.5 * along[:, np.newaxis, 2:]).all(axis=2)
    alike = np.abs(np.log(along[:, np.newaxis, 2] / down[np.newaxis, :, 2])) < np.log(1.6)
    pairs = np.argwhere(near & alike)
    points = (along[pairs[:, 0]] + down[pairs[:, 1]]) / 2
    found: list[tuple[int, Finder]] = []
    while len(points):
        x, y, module = points[0]
        group = (np.abs(points[:, :2] - points[0, :2]) <= 3 * module).all(axis=1)
        x, y, module = points[group].mean(axis=0).tolist()
        if group.sum() >= max(LEAST_CROSSINGS, CROSSINGS * module**2):
            found.append((int(group.sum()), Finder(x, y, module)))
        points = points[~group]
    found.sort(key=lambda one: one[0], reverse=True)
    return found
