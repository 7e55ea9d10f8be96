"""What is done to a frame before a decoder sees it. Pure: luma in, new luma out.

Pillow does the sums, since it does them in C on eight bits and numpy would
widen them to sixty-four.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from device.eye.camera import Luma

WINDOW_PART: Final = 16
"""The window of the local mean is this part of the short side."""

DARKER_BY: Final = 5
"""A pixel is dark when it is at least so much below the mean around it: less makes noise in flat areas, more loses pale print."""

THUMBNAIL: Final = (80, 60)


def adaptive(pixels: Luma) -> Luma:
    """Black and white by the local mean: evens out shade, and lifts zbar by a fifth (measured on photographs)."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    radius = max(1, min(image.size) // WINDOW_PART // 2)
    mean = np.asarray(image.filter(ImageFilter.BoxBlur(radius)))
    # In eight bits, so without a step below zero: dark is what is less than the mean by DARKER_BY or more.
    white = pixels >= np.maximum(mean, DARKER_BY - 1) - np.uint8(DARKER_BY - 1)
    return np.asarray(white, dtype=np.uint8) * np.uint8(255)


def half(pixels: Luma) -> Luma:
    """Half the size, each pixel the mean of four. A picture one pixel wide stays so."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).reduce(2))


def double(pixels: Luma) -> Luma:
    """Twice the size, smoothly: small modules get room for a decoder's sampling."""
    return _times(pixels, 2)


def triple(pixels: Luma) -> Luma:
    """Three times the size: of modules below two pixels."""
    return _times(pixels, 3)


def _times(pixels: Luma, factor: int) -> Luma:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC))


def softened(pixels: Luma) -> Luma:
    """Slightly blurred: joins the dots of a halftone or of a screen."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).filter(ImageFilter.GaussianBlur(1.0)))


def thumbnail(pixels: Luma) -> Luma:
    """At most about 80x60, to see whether anything changed. Every second pixel of every second row is enough for that."""
    sparse = Image.fromarray(np.ascontiguousarray(pixels[::2, ::2]))
    return np.asarray(sparse.reduce((max(1, sparse.width // THUMBNAIL[0]), max(1, sparse.height // THUMBNAIL[1]))))


def differs(one: Luma, other: Luma, level: int = 12, share: float = 0.01) -> bool:
    """Whether more than ``share`` of the pixels of two thumbnails differ by more than ``level``; also when their sizes do."""
    if one.shape != other.shape:
        return True
    apart = np.abs(one.astype(np.int16) - other.astype(np.int16)) > level
    return bool(np.count_nonzero(apart) > share * apart.size)
