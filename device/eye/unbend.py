"""A symbol on something bent (cloth, a curved card, a thumbed page) → the same symbol flat.

A decoder finds the three corners of such a symbol and then samples a flat
grid, which misses the modules in between. But the edges of the modules show
where the grid really lies: along either axis they repeat with the period of
one module, and the phase of that period, taken locally, is how far the grid
has moved. Phases are known only up to whole modules; they are followed from
the centre of a finder pattern, where the decoder was right.

Pure: luma in, luma out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from device.eye.camera import Luma
from device.eye.decoder import Unread

MODULE_PX: Final = 6
"""Pixels a module in the rectified picture. With eight no more is read of symbols bent for the purpose, in half as much time again."""

MARGIN_MODULES: Final = 2
QUIET_MODULES: Final = 4
DRAWN_PX: Final = 4

REACHES: Final = (0.9, 1.8, 3.5)
"""How far around a module its shift is taken from, in modules: a short reach follows tight folds, a long one survives noise."""

LIGHT_REACH: Final = 2.5
"""How far around a module the light is taken from with which it is compared, in modules."""

ANCHOR: Final = 3
"""Row and column of the middle of the first finder pattern."""

MOST_MODULES: Final = 97
"""Version 20. The time grows with the third power, and no accepted code is larger than version 14."""

LEAST_SIDE_PX: Final = 20
"""A smaller symbol has less than a pixel for each module."""

_Floats = npt.NDArray[np.float64]
_Number = TypeVar("_Number", np.float64, np.complex128)


def flattened(pixels: Luma, unread: Unread) -> Iterator[Luma]:
    """Clean pictures of the symbol as it may be, one for each reach; none where its corners make no sense."""
    modules = unread.modules
    if modules > MOST_MODULES or min(unread.box.width, unread.box.height) < LEAST_SIDE_PX:
        return
    flat = _rectified(pixels, unread.corners, modules)
    if flat is None:
        return
    brightness = np.asarray(Image.fromarray(flat).filter(ImageFilter.BoxBlur(1)), dtype=np.float64)
    down, right = waves_of(flat.T), waves_of(flat)
    for reach in REACHES:
        yield _drawn(_sampled(brightness, shifts(down, reach).T, shifts(right, reach)))


def _rectified(pixels: Luma, corners: tuple[tuple[int, int], ...], modules: int) -> Luma | None:
    """The symbol seen straight on, with a margin; None where the corners are on one line."""
    near, far = MARGIN_MODULES * MODULE_PX, (MARGIN_MODULES + modules) * MODULE_PX
    size = (2 * MARGIN_MODULES + modules) * MODULE_PX
    # Pillow takes single pixels from the picture, so a large one is made smaller first.
    shrink = max(1, _side(corners) // (2 * modules * MODULE_PX))
    seen = [(x / shrink, y / shrink) for x, y in corners]
    coefficients = _perspective([(near, near), (far, near), (far, far), (near, far)], seen)
    if coefficients is None:
        return None
    image = Image.fromarray(np.ascontiguousarray(pixels)).reduce(shrink)
    return np.asarray(image.transform((size, size), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR, fillcolor=255))


def _side(corners: tuple[tuple[int, int], ...]) -> int:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return max(max(xs) - min(xs), max(ys) - min(ys))


def _perspective(flat: list[tuple[int, int]], seen: list[tuple[float, float]]) -> list[float] | None:
    """The eight coefficients that take a point of the flat picture to where it was seen."""
    rows, wanted = [], []
    for (x, y), (u, v) in zip(flat, seen, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    try:
        solution: list[float] = np.linalg.solve(np.array(rows, np.float64), np.array(wanted, np.float64)).tolist()
    except np.linalg.LinAlgError:
        return None
    return solution


def waves_of(flat: Luma) -> npt.NDArray[np.complex128]:
    """For each module, the margin too, strength and phase with which edges along its row repeat once a module."""
    total = len(flat) // MODULE_PX
    edges = np.abs(np.diff(flat.astype(np.int16), axis=1, append=flat[:, -1:].astype(np.int16)))
    # An edge between two modules lies before a multiple of the module's width.
    turn = np.exp(2j * np.pi * (np.arange(MODULE_PX) + 1) / MODULE_PX)
    return np.asarray(edges.reshape(total, MODULE_PX, total, MODULE_PX).sum(axis=1) @ turn, dtype=np.complex128)


def shifts(waves: npt.NDArray[np.complex128], reach: float) -> _Floats:
    """For each module how far its grid has moved to the right, in pixels of the rectified picture."""
    spread = _spread(len(waves), reach)
    phase = np.angle(_around(waves, spread))[MARGIN_MODULES:-MARGIN_MODULES, MARGIN_MODULES:-MARGIN_MODULES]
    return followed(phase) / (2 * np.pi) * MODULE_PX


def _spread(count: int, reach: float) -> _Floats:
    """A matrix that spreads each row over its neighbours, as a bell curve does."""
    apart = np.subtract.outer(np.arange(count), np.arange(count))
    weights = np.exp(-(apart**2) / (2 * reach**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _around(values: npt.NDArray[_Number], spread: _Floats) -> npt.NDArray[_Number]:
    """Mean around each element. By ``einsum``, since matrices this small make the threads of a BLAS library wait for each other."""
    return np.asarray(np.einsum("ij,kj->ik", np.einsum("ij,jk->ik", spread, values), spread), dtype=values.dtype)


def followed(phase: _Floats) -> _Floats:
    """Phases without jumps, down the anchor's column first and from there along each row."""
    column = np.unwrap(phase[:, ANCHOR])
    column += phase[ANCHOR, ANCHOR] - column[ANCHOR]
    rows = np.unwrap(phase, axis=1)
    return np.asarray(rows + (column - rows[:, ANCHOR])[:, np.newaxis], dtype=np.float64)


def _sampled(brightness: _Floats, down: _Floats, right: _Floats) -> npt.NDArray[np.bool_]:
    """True where a module is dark: darker than its neighbourhood."""
    middles = (MARGIN_MODULES + np.arange(len(down)) + 0.5) * MODULE_PX
    last = len(brightness) - 1
    rows = np.clip(np.rint(middles[:, np.newaxis] + down), 0, last).astype(np.intp)
    columns = np.clip(np.rint(middles[np.newaxis, :] + right), 0, last).astype(np.intp)
    seen = brightness[rows, columns]
    spread = _spread(len(seen), LIGHT_REACH)
    return np.asarray(seen < _around(seen, spread), dtype=np.bool_)


def _drawn(dark: npt.NDArray[np.bool_]) -> Luma:
    whole = np.pad(dark, QUIET_MODULES)
    return np.where(whole, 0, 255).astype(np.uint8).repeat(DRAWN_PX, axis=0).repeat(DRAWN_PX, axis=1)
