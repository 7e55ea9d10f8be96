"""What camera, light and hand make of a picture: the camera model behind the made scenes.

Each effect is one number, so that a claim about reading can be a curve. The
order is that of the light: glare on the card, bands of a lit screen, motion
and defocus in the lens, the rolling shutter, photons in the sensor, and last
what a file format loses. Luma in, luma out; nothing of libraries that a gate
does not have.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Light: TypeAlias = NDArray[np.float32]
"""Grey levels before the sensor, shape (height, width): 0 is black, 255 white, and more than that is possible."""

_GLARE_PART: Final = 0.35
"""Radius of a highlight's core as a part of the code's side."""
_KERNEL_STEPS: Final = 16
"""Samples a pixel along a motion, and across a blur disc."""


@dataclass(frozen=True, slots=True)
class Lens:
    """How badly a code is seen. The defaults change nothing.

    ``defocus_px`` is the radius of the blur disc; ``smear_px`` the way that
    the hand moves during the exposure, in the direction ``smear_deg``;
    ``skew_px`` how far a moving hand comes from the first row of the frame
    to the last (rolling shutter). ``light`` is the exposure, 1 is right.
    ``photons`` are electrons at white: 400 is a short exposure at high gain.
    ``band_depth`` and ``band_rows`` are strength and period of the dark bands
    on a screen; ``glare`` a highlight's peak in whites; ``jpeg`` the quality
    of a file, 0 for none.
    """

    defocus_px: float = 0.0
    smear_px: float = 0.0
    smear_deg: float = 0.0
    skew_px: float = 0.0
    light: float = 1.0
    photons: float = 0.0
    band_depth: float = 0.0
    band_rows: float = 120.0
    glare: float = 0.0
    jpeg: int = 0


@dataclass(frozen=True, slots=True)
class CodePlace:
    """Where in the frame a code lies, in pixels, and which pixels shine by themselves (a telephone's)."""

    centre: tuple[float, float]
    side: float
    shines: NDArray[np.bool_] | None = None


def through(lens: Lens, light: Light, places: list[CodePlace], rng: np.random.Generator) -> Light:
    """The frame as grey levels of a sensor, not yet rounded."""
    for place in places:
        if lens.glare:
            light = _glare(light, lens.glare, place, rng)
        if lens.band_depth and place.shines is not None:
            light = _bands(light, lens, place.shines, rng)
    if lens.defocus_px or lens.smear_px:
        light = _convolved(light, _spread(lens))
    if lens.skew_px:
        light = _skewed(light, lens.skew_px)
    light = light * np.float32(lens.light)
    if lens.photons:
        # Of n photons the square root of n is uncertain.
        sigma = np.sqrt(np.maximum(light, 1) * np.float32(255 / lens.photons))
        light = np.asarray(light + sigma * rng.standard_normal(light.shape, dtype=np.float32), np.float32)
    return _through_jpeg(light, lens.jpeg) if lens.jpeg else light


def _glare(light: Light, peak: float, place: CodePlace, rng: np.random.Generator) -> Light:
    """A lamp's mirror image on the surface: somewhere on the code, fading outwards."""
    angle, away = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.45) * place.side
    x, y = place.centre[0] + away * math.cos(angle), place.centre[1] + away * math.sin(angle)
    rows, columns = np.ogrid[: light.shape[0], : light.shape[1]]
    distance = ((columns - x) ** 2 + (rows - y) ** 2).astype(np.float32)
    return np.asarray(light + np.float32(255 * peak) * np.exp(-distance / np.float32(2 * (_GLARE_PART * place.side / 2) ** 2)), np.float32)


def _bands(light: Light, lens: Lens, shines: NDArray[np.bool_], rng: np.random.Generator) -> Light:
    """A screen that is dark for a part of each period, seen row by row."""
    phase = rng.uniform(0, 2 * math.pi)
    rows = np.asarray(2 * math.pi * np.arange(light.shape[0]) / lens.band_rows + phase, np.float32)
    # A panel's own light is switched, so its bands have flanks rather than being a wave.
    seen = np.asarray(1 - lens.band_depth * (0.5 + 0.5 * np.tanh(3 * np.sin(rows))), np.float32)
    return np.asarray(np.where(shines, light * seen[:, np.newaxis], light), np.float32)


def _spread(lens: Lens) -> Light:
    """How the light of one point is spread: a disc moved along a line."""
    reach = math.ceil(lens.defocus_px + lens.smear_px / 2) + 1
    size = 2 * reach + 1
    angle = math.radians(lens.smear_deg)
    steps = max(1, math.ceil(lens.smear_px * _KERNEL_STEPS)) if lens.smear_px else 1
    along = (np.arange(steps) + 0.5) / steps - 0.5
    grid = (np.arange(-_KERNEL_STEPS, _KERNEL_STEPS + 1) / _KERNEL_STEPS) * lens.defocus_px
    across, down = np.meshgrid(grid, grid)
    inside = across**2 + down**2 <= lens.defocus_px**2 + 1e-9
    xs = (across[inside][:, np.newaxis] + lens.smear_px * along * math.cos(angle)).ravel()
    ys = (down[inside][:, np.newaxis] + lens.smear_px * along * math.sin(angle)).ravel()
    kernel, _, _ = np.histogram2d(ys, xs, bins=size, range=[[-size / 2, size / 2]] * 2)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _convolved(light: Light, kernel: Light) -> Light:
    """By Fourier's way; the frame's edge goes on beyond it."""
    reach = len(kernel) // 2
    padded = np.pad(light, reach, mode="edge")
    shape = [length + 2 * reach for length in padded.shape]
    spectrum = np.fft.rfft2(padded, shape) * np.fft.rfft2(kernel, shape)
    whole = np.fft.irfft2(spectrum, shape)
    return np.asarray(whole[2 * reach : 2 * reach + light.shape[0], 2 * reach : 2 * reach + light.shape[1]], np.float32)


def _skewed(light: Light, skew_px: float) -> Light:
    """Each row a little later than the one above it."""
    height, width = light.shape
    image = Image.fromarray(light, mode="F")
    slope = skew_px / height
    moved = image.transform((width, height), Image.Transform.AFFINE, (1, -slope, skew_px / 2, 0, 1, 0), Image.Resampling.BICUBIC)
    return np.asarray(moved, np.float32)


def _through_jpeg(light: Light, quality: int) -> Light:
    file = io.BytesIO()
    Image.fromarray(np.clip(light + 0.5, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32)
