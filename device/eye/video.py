"""A video file as a camera. Needs PyAV, which only laptops have: no gate plays videos."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import numpy as np

from device.config import CameraSection
from device.core.types import Cause
from device.errors import MissingPackage, SourceUnreadable
from device.eye.camera import BadFrame, Frame, Items, Luma, Pace, Timer
from device.eye.pictures import MAX_MEGAPIXELS

if TYPE_CHECKING:
    import av

PLANAR_LUMA: Final = ("yuv4", "yuvj4", "nv12", "nv21", "gray", "yuva4")
"""Pixel formats, by the start of their name, whose first plane is luma of one byte a pixel. Names that end in le or be have two."""

MAX_BROKEN: Final = 100
"""After so many broken packets in a row the rest of the file is given up."""


class VideoCamera:
    """Frames of a file's first video stream, at ``fps``, once or again and again.

    Frames between are decoded all the same, since later ones build on them,
    but when it plays in rounds those that are overdue are skipped and counted.
    """

    source = "video"
    advice = ""

    def __init__(self, path: str, section: CameraSection, timer: Timer) -> None:
        """Raises MissingPackage, or SourceUnreadable where the file is no video or its frames are too large."""
        self.lossless = not section.loop
        self.skipped = 0
        self._path = Path(path)
        self._max_megapixels = section.max_megapixels
        self._timer = timer
        self._pace = Pace(section.fps, timer)
        _open(self._path, self._max_megapixels).close()

    def frames(self) -> Items:
        """See ``Camera``. Raises SourceUnreadable for a file without a single frame."""
        yield from self._round()
        while not self.lossless:
            yield from self._round()

    def _round(self) -> Items:
        behind = 0
        empty = True
        for item in iterate_video(self._path, self._max_megapixels):
            empty = False
            if behind:
                behind -= 1
                self.skipped += 1
                continue
            yield from self._pace.wait()
            if isinstance(item, BadFrame):
                yield item
            else:
                name, pixels = item
                yield Frame(pixels, self._timer.now_ns(), name)
            overdue = self._pace.overdue()
            behind = 0 if self.lossless else overdue
        if empty:
            raise SourceUnreadable(f"{self._path}: holds no frame")

    def judged(self, frame: Frame, *, read: bool, cause: Cause | None = None) -> None:
        """Nothing can be chosen."""

    def close(self) -> None:
        """Nothing is held open between rounds; a round left early is closed with its generator."""


def iterate_video(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Iterator[tuple[str, Luma] | BadFrame]:
    """Each frame of a video as a name (``clip.mp4#0``) and luma; a stretch that cannot be decoded is a BadFrame.

    Raises MissingPackage without PyAV, and SourceUnreadable, naming the file,
    for what is no video or has frames that are too large.
    """
    with _open(path, max_megapixels) as container:
        for number, decoded in enumerate(_decoded(container)):
            name = f"{path.name}#{number}"
            yield BadFrame(name, f"{path}: frame {number} is broken") if decoded is None else (name, _plane(decoded))


def _decoded(container: av.container.InputContainer) -> Iterator[av.VideoFrame | None]:
    """Frames in order; None for a packet that cannot be decoded, or for the rest of a file that breaks off."""
    library = _load()
    broken = 0
    packets = container.demux(container.streams.video[0])
    while broken < MAX_BROKEN:
        try:
            packet = next(packets, None)
            frames = [] if packet is None else packet.decode()
        except library.FFmpegError:
            broken += 1
            yield None
            continue
        if packet is None:
            return
        if frames:
            broken = 0
        yield from frames


def _plane(frame: av.VideoFrame) -> Luma:
    """The first plane of a planar format as it lies in memory; of any other format a conversion to grey."""
    form = frame.format.name
    if not form.startswith(PLANAR_LUMA) or form.endswith(("le", "be")):
        return np.ascontiguousarray(frame.to_ndarray(format="gray"))
    plane = frame.planes[0]
    bytes_of: memoryview[int] = memoryview(plane)
    rows = np.frombuffer(bytes_of, np.uint8)[: plane.line_size * frame.height].reshape(frame.height, plane.line_size)
    return rows[:, : frame.width]


def _open(path: Path, max_megapixels: float) -> av.container.InputContainer:
    library = _load()
    if not path.is_file():
        raise SourceUnreadable(f"{path}: no such file")
    try:
        container: av.container.InputContainer = library.open(os.fspath(path), mode="r")
    except (OSError, library.FFmpegError) as error:
        raise SourceUnreadable(f"{path}: not a video ({type(error).__name__})") from error
    why = _unfit(container, max_megapixels)
    if why:
        container.close()
        raise SourceUnreadable(f"{path}: {why}")
    return container


def _unfit(container: av.container.InputContainer, max_megapixels: float) -> str | None:
    if not container.streams.video:
        return "holds no video"
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    if stream.width * stream.height > max_megapixels * 1_000_000:
        return f"frames of {stream.width}x{stream.height}; the limit is {max_megapixels:g} megapixels"
    return None


def _load() -> ModuleType:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise MissingPackage("video files need PyAV: install the package `python3-av`, or `av` with pip") from error
