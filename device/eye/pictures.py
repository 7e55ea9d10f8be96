"""One picture file → luma. Files are hostile: the header is judged before anything is unpacked.

Only PNG and JPEG: each further format would be one more parser for strangers
to attack.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import warnings
import zlib
from pathlib import Path
from typing import IO, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from device.errors import SourceUnreadable
from device.eye.camera import Luma

SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})
FORMATS: Final = ("PNG", "JPEG")
MAX_MEGAPIXELS: Final = 25.0
MAX_BYTES: Final = 128 * 1024 * 1024
"""A larger file is refused unopened; 25 megapixels of noise make a PNG of 75 MB."""

_BROKEN: Final = (
    OSError,
    SyntaxError,  # Pillow's word for a broken PNG chunk
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,
)
"""What Pillow raises on broken files: found by feeding it some, so not all of it is documented."""

_DIGITS: Final = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``frame2`` before ``frame10``. Ties between ``01`` and ``1`` fall by the text."""
    parts = _DIGITS.split(name)
    return (*((int(part), 0, "") if place % 2 else (0, 1, part.casefold()) for place, part in enumerate(parts)), (0, 2, name))


def list_pictures(folder: Path) -> list[Path]:
    """What is named like a picture in ``folder``, in natural order of name. Raises SourceUnreadable, naming the folder."""
    try:
        names = [entry.name for entry in os.scandir(folder) if Path(entry.name).suffix.lower() in SUFFIXES]
    except OSError as error:
        raise SourceUnreadable(f"{folder}: {_why(error)}") from error
    return [folder / name for name in sorted(names, key=natural_key)]


def read_image(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Luma:
    """The picture in ``path`` as luma, transparency over white.

    Raises SourceUnreadable, which names the file and says why, for anything
    that is not a whole PNG or JPEG file of at most ``max_megapixels``: a
    folder, a pipe, an empty, truncated or oversized file. Orientation marks
    are not applied: a decoder reads a symbol in any orientation.
    """
    try:
        with _open_regular(path) as stream:
            return _luma(stream, max_megapixels)
    except _BROKEN as error:
        raise SourceUnreadable(f"{path}: {_why(error)}") from error


def _open_regular(path: Path) -> IO[bytes]:
    # Without O_NONBLOCK the open of a pipe named like a picture would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    why = _unfit(os.fstat(descriptor))
    if why:
        os.close(descriptor)
        raise ValueError(why)
    return os.fdopen(descriptor, "rb")


def _unfit(status: os.stat_result) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size == 0:
        return "empty"
    if status.st_size > MAX_BYTES:
        return f"{status.st_size} bytes; the limit is {MAX_BYTES}"
    return None


def _luma(stream: IO[bytes], max_megapixels: float) -> Luma:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            image = Image.open(stream, formats=FORMATS)
        except UnidentifiedImageError:
            raise ValueError("not a PNG or JPEG picture") from None
        with image:
            width, height = image.size
            if width * height > max_megapixels * 1_000_000:
                raise ValueError(f"{width}x{height} is {width * height / 1_000_000:.1f} megapixels; the limit is {max_megapixels:g}")
            if image.format == "JPEG":
                # The decoder then hands out its Y plane as it is.
                image.draft("L", image.size)
            return np.ascontiguousarray(np.asarray(_grey(image), dtype=np.uint8))


def _grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in {"LA", "PA", "RGBA"} or "transparency" in image.info:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("L")
    return image.convert("L")


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno != errno.ELOOP else "a loop of symbolic links"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "far too many pixels"
    text = str(error)
    if isinstance(error, ValueError) and text:
        return text[:200]
    return f"broken or truncated ({type(error).__name__})"
