"""What every source of frames keeps to: the pretended Pi camera, a folder and a film."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from device.config import CameraSection
from device.eye.camera import Camera, Frame, Idle
from device.eye.sources import open_camera
from tests.fakes.picamera2 import World

PICTURE = np.add.outer(np.arange(120), np.arange(160)).astype(np.uint8)
SECTION = CameraSection(width_px=160, height_px=120, fps=100)

Make = Callable[[Path, pytest.MonkeyPatch], Camera]


def _folder(path: Path, _: pytest.MonkeyPatch) -> Camera:
    Image.fromarray(PICTURE).save(path / "1.png")
    return open_camera(SECTION.model_copy(update={"source": f"folder:{path}"}))


def _video(path: Path, _: pytest.MonkeyPatch) -> Camera:
    with av.open(str(path / "film.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "gray"
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(PICTURE, format="gray")), *stream.encode()]:
            container.mux(packet)
    return open_camera(SECTION.model_copy(update={"source": f"video:{path / 'film.mkv'}"}))


def _picamera(_: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    world = World(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    world.picture = PICTURE
    monkeypatch.setitem(sys.modules, "libcamera", object())
    monkeypatch.setitem(sys.modules, "picamera2", world.library())
    return open_camera(SECTION)


@pytest.fixture(params=[_folder, _video, _picamera], ids=["folder", "video", "picamera2"])
def camera(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    """Each source in turn, showing the same picture again and again."""
    make: Make = request.param
    return make(tmp_path, monkeypatch)


def test_frames_are_luma_of_eight_bits_and_come_again_and_again(camera: Camera) -> None:
    """The picture itself, pixel for pixel."""
    frames = [item for item in itertools.islice(camera.frames(), 4) if not isinstance(item, Idle)]
    for frame in frames:
        assert isinstance(frame, Frame)
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.shape == PICTURE.shape
    camera.close()


def test_a_frame_shows_the_picture_while_it_is_valid(camera: Camera) -> None:
    """Until the next one is asked for."""
    items = camera.frames()
    for item in itertools.islice(items, 3):
        assert isinstance(item, Frame)
        assert np.array_equal(item.pixels, PICTURE)
    items.close()
    camera.close()


def test_times_are_monotonic_and_lie_in_the_past(camera: Camera) -> None:
    """On the clock that the gate uses."""
    items = camera.frames()
    times = [item.taken_ns for item in itertools.islice(items, 3) if isinstance(item, Frame)]
    items.close()
    assert times == sorted(times)
    assert times[-1] <= time.monotonic_ns()
    camera.close()


def test_the_source_and_its_manner_are_named(camera: Camera) -> None:
    """A source in rounds need not be seen whole."""
    assert camera.source in {"folder", "video", "picamera2"}
    assert camera.lossless is False
    assert camera.skipped == 0
    camera.close()


def test_it_may_be_closed_twice_and_before_the_first_frame(camera: Camera) -> None:
    """The loop closes on every way out."""
    camera.close()
    camera.close()
