"""Where in a frame something like a code could be: the cheap look that comes before any decoder.

A gate spends nearly all of its frames on nothing. A code is the one thing in
view that has many strong edges in both directions close together, at any
size and turn; a wall, a floor, a face and a blurred street have not. One pass
over an eighth of the rows finds that, for a tenth of what the fastest decoder
costs. What it misses is measured (``gate bench eye``), and every so often a
decoder looks at the whole frame in any case.

Pure: luma in, rectangles out.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from device.core.types import Box
from device.eye.camera import Luma

TILE_PX: Final = 32
"""Width of a tile: a code of 37 modules at two pixels each covers two and a half."""

ROW_STEP: Final = 7.31
"""About every seventh row is looked at, beside the second row after it. No whole number: no size of module keeps in step with it."""

TILE_ROWS: Final = 4
TILE_HEIGHT_PX: Final = TILE_ROWS * ROW_STEP

REACH_PX: Final = 2
"""Edges are looked for over this distance: the flank of a slightly blurred module."""

LEAST_LEVEL: Final = 14
MOST_LEVEL: Final = 72
NOISE_FACTOR: Final = 4.5
"""An edge is stronger than so many times the median difference: three standard deviations of the noise."""

SURE_SHARE: Final = 0.1
"""A tile with so many edges in both directions, as a part of its samples, may be of a code …"""

LEAST_SHARE: Final = 0.02
"""… and one with so many belongs to a code that is sure beside it: where a code is blurred or its modules are large."""

LEAST_TILES: Final = 2
MOST_REGIONS: Final = 4

TOLD_SHARE: Final = 0.15
COARSE: Final = 4
"""The second look takes every fourth pixel: a code held close has modules as large as half a tile."""
WHOLE_SHARE: Final = 0.5
"""Regions that take more than this of the frame are not worth cutting out."""

_Tile: TypeAlias = tuple[int, int]
"""Row and column."""

_SPARSE: Final = 13
"""The noise is taken from every thirteenth sample."""
_FULL: Final = 255


def regions(pixels: Luma) -> tuple[Box, ...]:
    """Places that may hold a code, the likeliest first, each with a margin; the whole frame as one where they take most of it.

    A frame too small for
    tiles is one region.
    """
    height, width = pixels.shape
    if height < 2 * TILE_PX or width < 2 * TILE_PX:
        return (Box(0, 0, width, height),)
    fine, coarse = _found(pixels, 1), _found(pixels, COARSE)
    found = fine + [one for one in coarse if not _covered(one[1], [box for _, box in fine])]
    found.sort(key=lambda one: one[0], reverse=True)
    boxes = _apart([_margin(box, width, height) for _, box in found[:MOST_REGIONS]])
    if sum(box.area for box in boxes) > WHOLE_SHARE * width * height:
        return (Box(0, 0, width, height),)
    return tuple(boxes)


def code_like(box: Box) -> bool:
    """Whether a region has the proportions of one code, rather than of a line of print."""
    return max(box.width, box.height) <= 2 * min(box.width, box.height)


def _found(pixels: Luma, scale: int) -> list[tuple[float, Box]]:
    """What looks like a code when every so many pixels are looked at: how much so, and where, with half a tile around it."""
    clusters = _clusters(*_textured(pixels[::scale, ::scale]))
    return [(_likeness(cluster), _grown(_box(cluster, scale), TILE_PX * (scale // 2))) for cluster in clusters]


def _textured(pixels: Luma) -> tuple[set[_Tile], set[_Tile]]:
    """Tiles with some edges along the rows and across them, and those of them with many."""
    chosen = np.arange(0, len(pixels) - REACH_PX, ROW_STEP).astype(np.intp)
    rows, below = pixels[chosen], pixels[chosen + REACH_PX]
    along = _apart_by(rows[:, REACH_PX:], rows[:, :-REACH_PX])
    across = _apart_by(rows[:, REACH_PX:], below[:, REACH_PX:])
    level = int(min(MOST_LEVEL, max(LEAST_LEVEL, NOISE_FACTOR * float(np.median(along.ravel()[::_SPARSE])))))
    both = np.minimum(_share(along > level), _share(across > level))
    return _tiles(both >= LEAST_SHARE * _FULL), _tiles(both >= SURE_SHARE * _FULL)


def _tiles(where: npt.NDArray[np.bool_]) -> set[_Tile]:
    return set(zip(*(axis.tolist() for axis in np.nonzero(where)), strict=True))


def _apart_by(one: Luma, other: Luma) -> Luma:
    """How far apart, within eight bits."""
    return np.asarray(np.maximum(one, other) - np.minimum(one, other), dtype=np.uint8)


def _share(edges: npt.NDArray[np.bool_]) -> Luma:
    """Of each tile the part of samples that are edges, 0 to 255; tiles at the right and lower side may be smaller."""
    picture = Image.fromarray(edges.view(np.uint8) * np.uint8(_FULL))
    return np.asarray(picture.reduce((TILE_PX, TILE_ROWS)))


def _clusters(tiles: set[_Tile], sure: set[_Tile]) -> list[set[_Tile]]:
    """Tiles that touch, also at a corner, where some of them are sure."""
    found: list[set[_Tile]] = []
    if not sure:
        return found
    while tiles:
        cluster, edge = set[_Tile](), [tiles.pop()]
        while edge:
            row, column = edge.pop()
            cluster.add((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & tiles
            tiles -= near
            edge += near
        if len(cluster) >= LEAST_TILES and cluster & sure:
            found.append(cluster)
    return found


def _likeness(cluster: set[_Tile]) -> float:
    """How much like a code: large, filled, about as wide as high."""
    box = _box(cluster, 1)
    fill = len(cluster) * TILE_PX**2 / box.area
    return len(cluster) * fill * min(box.width, box.height) / max(box.width, box.height)


def _box(cluster: set[_Tile], scale: int) -> Box:
    rows, columns = [row for row, _ in cluster], [column for _, column in cluster]
    width, height = TILE_PX * scale, TILE_HEIGHT_PX * scale
    left, top = min(columns) * width, int(min(rows) * height)
    return Box(left, top, (max(columns) + 1) * width - left, round((max(rows) + 1) * height) - top)


def _grown(box: Box, by: int) -> Box:
    return Box(box.left - by, box.top - by, box.width + 2 * by, box.height + 2 * by)


def _margin(box: Box, width: int, height: int) -> Box:
    """With a tile around it, within the frame."""
    grown = _grown(box, TILE_PX)
    left, top = max(0, grown.left), max(0, grown.top)
    return Box(left, top, min(width, grown.left + grown.width) - left, min(height, grown.top + grown.height) - top)


def _apart(boxes: list[Box]) -> list[Box]:
    """Boxes that overlap become one: no pixel is looked at twice."""
    done: list[Box] = []
    for box in boxes:
        grown = box
        while others := [other for other in done if _overlap(other, grown)]:
            for other in others:
                done.remove(other)
                grown = _union(other, grown)
        done.append(grown)
    return done


def _covered(box: Box, others: list[Box]) -> bool:
    """Whether a code found more finely takes a good part of the box: then that says better where it is."""
    return any(code_like(other) and other.area > TOLD_SHARE * box.area and _overlap(other, box) for other in others)


def _overlap(one: Box, other: Box) -> bool:
    beside = one.left >= other.left + other.width or other.left >= one.left + one.width
    return not (beside or one.top >= other.top + other.height or other.top >= one.top + one.height)


def _union(one: Box, other: Box) -> Box:
    left, top = min(one.left, other.left), min(one.top, other.top)
    right = max(one.left + one.width, other.left + other.width)
    bottom = max(one.top + one.height, other.top + other.height)
    return Box(left, top, right - left, bottom - top)
