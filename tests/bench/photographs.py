"""Right readings on a folder of photographs with known payloads, beside plain pyzbar and zxing-cpp as they come.

``python -m tests.bench.photographs FOLDER``: beside ``NAME.png`` or ``NAME.jpg``
stands ``NAME.payload`` with what the symbol holds. Some payload files hold
text in another character set, or with other line ends, than the symbol's
bytes, so ``right`` compares text and ``exact`` compares bytes.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import zxingcpp
from PIL import Image
from pyzbar import pyzbar

from device.eye.ladder import make_ladder
from device.eye.pictures import list_pictures, read_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.eye.camera import Luma

CHARSETS: Final = ("utf-8", "shift_jis", "gb18030", "big5", "latin-1")


@dataclass
class Score:
    """What one reader did."""

    read: int = 0
    right: int = 0
    exact: int = 0
    cpu_ms: float = 0.0


def main(folder: Path) -> dict[str, object]:
    """Every reader on every photograph, each frame through all of them in turn."""
    ladder = make_ladder()
    readers: dict[str, Callable[[Luma], list[bytes]]] = {
        "gate one-shot": lambda pixels: [reading.payload for reading in ladder.one_shot(pixels).readings],
        "pyzbar.decode": lambda pixels: [symbol.data for symbol in pyzbar.decode(np.ascontiguousarray(pixels))],
        "zxing-cpp default, text": lambda pixels: [code.text.encode() for code in zxingcpp.read_barcodes(np.ascontiguousarray(pixels))],
        "zxing-cpp default, bytes": lambda pixels: [code.bytes for code in zxingcpp.read_barcodes(np.ascontiguousarray(pixels))],
    }
    scores = {name: Score() for name in readers}
    pictures = [path for path in list_pictures(folder) if path.with_suffix(".payload").exists()]
    for path in pictures:
        wanted = path.with_suffix(".payload").read_bytes()
        pixels = read_image(path)
        for name, read in readers.items():
            _judge(scores[name], read, pixels, wanted)
    return {"photographs": len(pictures), **{name: vars(score) | {"cpu_ms": round(score.cpu_ms)} for name, score in scores.items()}}


def _judge(score: Score, read: Callable[[Luma], list[bytes]], pixels: Luma, wanted: bytes) -> None:
    before = time.process_time()
    found = read(pixels)
    score.cpu_ms += (time.process_time() - before) * 1000
    score.read += bool(found)
    score.exact += any(_plain(one) == _plain(wanted) for one in found)
    score.right += any(texts(one) & texts(wanted) for one in found)


def texts(payload: bytes) -> set[str]:
    """The texts that these bytes may stand for, with one kind of line end and none at the end."""
    found = {payload.hex()}
    for charset in CHARSETS:
        try:
            found.add(payload.decode(charset).replace("\r\n", "\n").rstrip("\n"))
        except UnicodeDecodeError:
            continue
    return found


def _plain(payload: bytes) -> bytes:
    return payload.removesuffix(b"\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.bench.photographs FOLDER")
    Image.MAX_IMAGE_PIXELS = None
    print(json.dumps(main(Path(sys.argv[1])), indent=2))  # noqa: T201 - its output is for the person at the terminal
