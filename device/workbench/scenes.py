"""Made camera frames: codes on cards, badges and telephones, as the camera at a gate would see them.

A frame is a greyscale picture, ``numpy.uint8`` of shape (height, width). The
same generator state gives the same frame. The optics are those of a lens
with a horizontal field of 66 degrees; what light, hand and sensor do to the
picture is in ``lens``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from device.workbench.carriers import Carriage, Carrier, draw
from device.workbench.lens import CodePlace, Lens, through
from device.workbench.symbols import ErrorLevel, modules

if TYPE_CHECKING:
    from collections.abc import Sequence

Frame: TypeAlias = NDArray[np.uint8]
_Points: TypeAlias = NDArray[np.float64]

FRAME_SIZE: Final = (1280, 720)
"""Width and height of a frame in pixels, where nothing else is asked for."""

_HALF_FIELD_DEG: Final = 33.0
_FILLED: Final = 0.94
"""So much of its part of the frame a carrier fills at most, in either direction."""
_OVERSAMPLED: Final = 2
"""Pixels that a carrier is drawn with, for one of the frame, in either direction."""
_MID_COVER: Final = 127
_STRIPS: Final = 48
_STEP_BACK: Final = 0.97
"""A code that would not be whole is made so much smaller, until it is."""

__all__ = ["FRAME_SIZE", "Carriage", "Frame", "Pose", "empty_scene", "scene"]


@dataclass(frozen=True, slots=True)
class Pose:
    """How a code is held and how well it is seen.

    ``px_per_module`` holds at the centre of the code when it faces the
    camera. ``turn_deg`` turns it in the plane of the picture, ``tilt_deg``
    tips its upper edge away, ``pan_deg`` its right edge. ``blur_px`` and ``noise``
    are standard deviations, in pixels and in grey levels. ``contrast`` is
    that of ink on paper, 0 to 1; ``shade`` the part of the light that is
    missing at the darkest side of the frame, 0 to 1. ``inverted`` is light
    on dark, as on a telephone in dark mode; ``mirrored`` seen in a mirror or
    through the back of a glass. ``covered`` is the part of the code's side
    that a finger covers, from a corner without a finder pattern or an edge;
    ``bend`` the angle in degrees over which the carrier is rolled around an upright cylinder.
    """

    px_per_module: float = 4.0
    turn_deg: float = 0.0
    tilt_deg: float = 0.0
    pan_deg: float = 0.0
    blur_px: float = 0.0
    noise: float = 0.0
    shade: float = 0.0
    contrast: float = 0.9
    look: Carriage = Carriage.CARD
    error: ErrorLevel = "M"
    inverted: bool = False
    mirrored: bool = False
    covered: float = 0.0
    bend: float = 0.0
    lens: Lens = field(default_factory=Lens)


@dataclass(frozen=True, slots=True)
class _Slot:
    """The part of a frame that one of several codes has for itself, in pixels."""

    left: int
    top: int
    right: int
    bottom: int


def scene(
    payloads: Sequence[bytes], view: Pose, rng: np.random.Generator, size: tuple[int, int] = FRAME_SIZE, *, exact: bool = False
) -> Frame:
    """A frame in which each of ``payloads`` is held up side by side, all in the same view.

    The place of each in its part of the frame is drawn from ``rng``. A code
    that would not be whole in the picture is held further away; with
    ``exact``, where ``px_per_module`` is what is measured, that raises
    ValueError instead.
    """
    picture, places = _background(rng, size), []
    for payload, slot in zip(payloads, _slots(len(payloads), size), strict=True):
        dark = modules(payload, view.error)
        held = _held(len(dark), view, slot, size[0])
        if exact and held is not view:
            raise ValueError(f"{view.px_per_module} pixels a module are too many for this code in {size[0]} x {size[1]} pixels")
        places.append(_place(picture, dark, held, slot, rng))
    return _photograph(picture, view, rng, places)


def empty_scene(rng: np.random.Generator, size: tuple[int, int] = FRAME_SIZE, noise: float = 3.0) -> Frame:
    """A frame with nothing held up: a blurred room with some edges in it, and sensor noise."""
    return _photograph(_background(rng, size), Pose(noise=noise), rng, [])


def _photograph(picture: Image.Image, view: Pose, rng: np.random.Generator, places: list[CodePlace]) -> Frame:
    """What the sensor makes of the picture: less light to one side, a soft lens, noise."""
    if view.blur_px:
        picture = picture.filter(ImageFilter.GaussianBlur(view.blur_px))
    light = np.asarray(picture, dtype=np.float32)
    if view.shade:
        light *= _shade(light.shape, view.shade, rng)
    light = through(view.lens, light, places, rng)
    if view.noise:
        light = light + np.float32(view.noise) * rng.standard_normal(light.shape, dtype=np.float32)
    frame: Frame = np.clip(light + 0.5, 0, 255).astype(np.uint8)
    return frame


def _shade(shape: tuple[int, ...], shade: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The part of the light that reaches each pixel: falling evenly from 1 to ``1 - shade`` in some direction."""
    height, width = shape
    angle = rng.uniform(0.0, 2 * math.pi)
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(math.cos(angle))
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(math.sin(angle))
    slope = (across + down) / np.float32(abs(math.cos(angle)) + abs(math.sin(angle)))
    return (1 - shade * (slope + 1) / 2).astype(np.float32)


def _background(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Soft patches of light, as of a room out of focus, with a few straight edges: door frames, a counter."""
    width, height = size
    patches = rng.integers(60, 190, (max(height // 80, 2), max(width // 80, 2)), dtype=np.uint8)
    picture = Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(4):
        left, top = int(rng.integers(-width // 4, width)), int(rng.integers(-height // 4, height))
        right, bottom = left + int(rng.integers(width // 40, width // 4)), top + int(rng.integers(height // 20, height))
        draw.rectangle((left, top, right, bottom), fill=int(rng.integers(50, 200)))
    return picture


def _slots(count: int, size: tuple[int, int]) -> list[_Slot]:
    """The frame in as many equal parts, about as wide as high."""
    width, height = size
    columns = min(count, math.ceil(math.sqrt(count * width / height)))
    rows = math.ceil(count / columns) if count else 0
    return [
        _Slot(
            width * (place % columns) // columns,
            height * (place // columns) // rows,
            width * (place % columns + 1) // columns,
            height * (place // columns + 1) // rows,
        )
        for place in range(count)
    ]


def _held(side: int, view: Pose, slot: _Slot, frame_width: int) -> Pose:
    """The view, from further away where a code of ``side`` modules would not be whole in its part of the frame."""
    corners = _corners(-side / 2, -side / 2, side / 2, side / 2)
    room = np.array([slot.right - slot.left, slot.bottom - slot.top])
    while (np.ptp(_project(corners, view, frame_width), axis=0) > room).any():
        view = replace(view, px_per_module=view.px_per_module * _STEP_BACK)
    return view


def _place(frame: Image.Image, dark: NDArray[np.bool_], view: Pose, slot: _Slot, rng: np.random.Generator) -> CodePlace:
    """Hold one code up in its part of the frame, in which it is whole; returns where."""
    room = (_FILLED * (slot.right - slot.left) / view.px_per_module, _FILLED * (slot.bottom - slot.top) / view.px_per_module)
    carrier = draw(dark, view.look, _OVERSAMPLED * math.ceil(view.px_per_module), view.contrast, room, rng)
    carrier = _held_badly(carrier, view, rng)
    body = _corners(0, 0, *carrier.picture.size)
    seen = _project((body - carrier.centre) / carrier.scale, view, frame.width)
    code = _project((_corners(*carrier.code) - carrier.centre) / carrier.scale, view, frame.width)
    offset = _offset(seen, code, slot, rng)
    left, top, mask = _paste(frame, carrier.picture, body, seen + offset, slot)
    shines = None
    if view.look is Carriage.PHONE:
        shines = np.zeros((frame.height, frame.width), np.bool_)
        shines[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    middle = (code + offset).mean(axis=0)
    return CodePlace((float(middle[0]), float(middle[1])), view.px_per_module * len(dark), shines)


def _held_badly(carrier: Carrier, view: Pose, rng: np.random.Generator) -> Carrier:
    """What is wrong with the carrier itself: dark mode, a mirror, a finger, a curve."""
    picture, (left, top, right, bottom) = carrier.picture, carrier.code
    if view.inverted:
        picture = ImageOps.invert(picture)
    if view.covered:
        picture = picture.copy()
        _finger(ImageDraw.Draw(picture), carrier.code, view.covered, rng)
    if view.mirrored:
        picture = ImageOps.mirror(picture)
        left, right = picture.width - right, picture.width - left
    if view.bend:
        picture = _bent(picture, (left + right) / 2, right - left, view.bend)
    return Carrier(picture, carrier.scale, (left, top, right, bottom))


def _finger(pen: ImageDraw.ImageDraw, code: tuple[int, int, int, int], covered: float, rng: np.random.Generator) -> None:
    """A fingertip that comes in from the lower right, where no finder pattern stands."""
    left, top, right, bottom = code
    reach = covered * (right - left)
    x, y = right - reach / 2, bottom - rng.uniform(0.0, 0.35) * (bottom - top)
    tone = int(rng.integers(110, 170))
    pen.rounded_rectangle((x, y - reach / 2, x + 4 * (right - left), y + reach / 2), radius=reach / 2, fill=tone)


def _bent(picture: Image.Image, middle: float, side: float, degrees: float) -> Image.Image:
    """Rolled around an upright cylinder so that the code's width spans so many degrees: columns crowd towards its edges."""
    radius = side / math.radians(degrees)
    strips = []
    edges = np.linspace(0, picture.width, _STRIPS + 1)
    for first, last in itertools.pairwise(np.rint(edges).astype(int).tolist()):
        seen = [middle + radius * math.asin(max(-1.0, min(1.0, (x - middle) / radius))) for x in (first, last)]
        quad = (seen[0], 0, seen[0], picture.height, seen[1], picture.height, seen[1], 0)
        strips.append(((first, 0, last, picture.height), quad))
    return picture.transform(picture.size, Image.Transform.MESH, strips, Image.Resampling.BICUBIC)


def _corners(left: float, top: float, right: float, bottom: float) -> _Points:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def _project(corners: _Points, view: Pose, frame_width: int) -> _Points:
    """Where corners appear, in pixels from the centre of the code: turned, tipped, and seen through a pinhole.

    They are given in modules from the centre of the code, in its plane.
    """
    turn, tilt, pan = (math.radians(angle) for angle in (view.turn_deg, view.tilt_deg, view.pan_deg))
    x, y = (corners * view.px_per_module).T
    x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    y, depth = y * math.cos(tilt), -y * math.sin(tilt)
    x, depth = x * math.cos(pan) - depth * math.sin(pan), x * math.sin(pan) + depth * math.cos(pan)
    focal = frame_width / (2 * math.tan(math.radians(_HALF_FIELD_DEG)))
    seen: _Points = np.stack((x, y), axis=1) * (focal / (focal + depth))[:, None]
    return seen


def _offset(body: _Points, code: _Points, slot: _Slot, rng: np.random.Generator) -> _Points:
    """Where to move the carrier: into its part of the frame as far as it fits, the whole code in any case."""
    first, last = np.array([slot.left, slot.top]), np.array([slot.right, slot.bottom])
    spare = np.maximum(last - first - np.ptp(body, axis=0), 0)
    wanted = (first + last - body.min(axis=0) - body.max(axis=0)) / 2 + rng.uniform(-0.5, 0.5, 2) * spare
    lowest, highest = first - code.min(axis=0), last - code.max(axis=0)
    offset: _Points = np.clip(wanted, lowest, highest)
    return offset


def _paste(frame: Image.Image, picture: Image.Image, body: _Points, seen: _Points, slot: _Slot) -> tuple[int, int, NDArray[np.bool_]]:
    """Lay the picture, whose corners are ``body``, over the frame with its corners at ``seen``, within its part of the frame.

    A pixel of a sensor gathers light over its whole area, so the picture is
    laid out finer than the frame and averaged. Returns where it lies.
    """
    left, top = np.maximum(np.floor(seen.min(axis=0)).astype(int), (slot.left, slot.top)).tolist()
    right, bottom = np.minimum(np.ceil(seen.max(axis=0)).astype(int), (slot.right, slot.bottom)).tolist()
    coefficients = _perspective((seen - np.array([left, top])) * _OVERSAMPLED, body)
    window = ((right - left) * _OVERSAMPLED, (bottom - top) * _OVERSAMPLED)
    warped = picture.transform(window, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC).reduce(_OVERSAMPLED)
    cover = Image.new("L", picture.size, 255).transform(window, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
    mask = cover.reduce(_OVERSAMPLED)
    frame.paste(warped, (left, top), mask)
    return left, top, np.asarray(mask) > _MID_COVER


def _perspective(seen: _Points, source: _Points) -> list[float]:
    """The eight numbers with which Pillow finds, for each pixel seen, the one to take it from."""
    rows = []
    for (x, y), (u, v) in zip(seen.tolist(), source.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    solved: list[float] = np.linalg.solve(np.array(rows), source.ravel()).tolist()
    return solved
