"""Pictures that tests hold before the eye: symbols, pages that attack decoders, broken files."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import segno
from PIL import Image

from device.eye.camera import Luma
from device.workbench.symbols import ErrorLevel, modules


def drawn(dark: np.typing.NDArray[np.bool_], scale: int = 4) -> Luma:
    """A grid of modules as black on white, ``scale`` pixels each."""
    return np.where(dark, 0, 255).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)


def symbol(payload: bytes, scale: int = 4, error: ErrorLevel = "M") -> Luma:
    """One symbol with its quiet zone."""
    return drawn(modules(payload, error), scale)


def bent(payload: bytes, by_modules: float, scale: int = 5, error: ErrorLevel = "L") -> Luma:
    """One symbol with a dent in its middle: modules are moved by at most so many of their widths, finder patterns hardly."""
    dark = modules(payload, error)
    size = len(dark)
    rows, columns = np.mgrid[0 : size * scale, 0 : size * scale] / scale
    dent = by_modules * (np.sin(np.pi * rows / size) * np.sin(np.pi * columns / size)) ** 3
    down = np.clip(rows + dent, 0, size - 1).astype(np.intp)
    right = np.clip(columns - dent, 0, size - 1).astype(np.intp)
    return np.where(dark[down, right], 0, 255).astype(np.uint8)


def on_page(pictures: Sequence[Luma], height: int = 480, width: int = 900, shade: int = 200) -> Luma:
    """Pictures side by side on a grey page."""
    page = np.full((height, width), shade, np.uint8)
    left = 10
    for picture in pictures:
        page[10 : 10 + picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + 20
    return page


def set_modules(payload: bytes, parts: int) -> list[np.typing.NDArray[np.bool_]]:
    """The symbols of a structured-append set that holds ``payload`` in ``parts``, without quiet zones."""
    sequence = segno.make_sequence(payload, symbol_count=parts, error="m", mode="byte")
    return [np.array([[bool(module) for module in row] for row in part.matrix]) for part in sequence]


def set_pages(payload: bytes, parts: int) -> list[Luma]:
    """One page for each part of a structured-append set."""
    return [drawn(np.pad(dark, 4), 5) for dark in set_modules(payload, parts)]


def finder_page(columns: int = 60, rows: int = 34, scale: int = 2) -> Luma:
    """A page of nothing but finder patterns: the slowest thing that a decoder can be shown."""
    finder = np.zeros((9, 9), np.bool_)
    finder[1:8, 1:8] = True
    finder[2:7, 2:7] = False
    finder[3:6, 3:6] = True
    return drawn(np.tile(finder, (rows, columns)), scale)


def png(pixels: np.typing.NDArray[np.generic] | Image.Image, **options: object) -> bytes:
    """A PNG file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def jpeg(pixels: Luma) -> bytes:
    """A JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds almost nothing: made to be unpacked by the careless."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
