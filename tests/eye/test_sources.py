"""Which source of frames a configuration opens, and what is said where it is not on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from device.config import CameraSection
from device.errors import ConfigError, MissingPackage, SourceUnreadable
from device.eye import sources
from device.eye.camera import Frame, Timer
from device.eye.sources import open_camera
from tests.eye.pages import png
from tests.fakes.clock import FakeClock
from tests.fakes.picamera2 import World


def film(path: Path) -> Path:
    """A video of one frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "gray"
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16), np.uint8), format="gray")
        for packet in [*stream.encode(picture), *stream.encode()]:
            container.mux(packet)
    return path


def test_the_word_before_the_colon_chooses_the_source(tmp_path: Path) -> None:
    """A folder of pictures or a film; each says which it is, for the eye's first message."""
    (tmp_path / "1.png").write_bytes(png(np.zeros((2, 2), np.uint8)))
    folder = open_camera(CameraSection(source=f"folder:{tmp_path}"))
    video = open_camera(CameraSection(source=f"video:{film(tmp_path / 'film.mkv')}"))
    assert (folder.source, video.source) == ("folder", "video")


def test_without_a_colon_it_is_the_boards_own_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """By libcamera, which only a Pi has; elsewhere the package that is missing is named."""
    section = CameraSection(width_px=160, height_px=120, fps=100)
    monkeypatch.setitem(sys.modules, "libcamera", None)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(MissingPackage, match="python3-"):
        open_camera(section)
    world = World(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    monkeypatch.setitem(sys.modules, "libcamera", object())
    monkeypatch.setitem(sys.modules, "picamera2", world.library())
    camera = open_camera(section)
    assert camera.source == "picamera2"
    camera.close()


def test_a_path_may_hold_a_colon(tmp_path: Path) -> None:
    """Only the first one divides."""
    folder = tmp_path / "at 12:30"
    folder.mkdir()
    (folder / "1.png").write_bytes(png(np.full((2, 2), 9, np.uint8)))
    item = next(iter(open_camera(CameraSection(source=f"folder:{folder}")).frames()))
    assert isinstance(item, Frame)
    assert item.name == "1.png"


def test_the_callers_clock_is_the_sources_clock(tmp_path: Path) -> None:
    """A frame's time is of the clock that everything else in the eye is measured by."""
    (tmp_path / "1.png").write_bytes(png(np.zeros((2, 2), np.uint8)))
    clock = FakeClock()
    camera = open_camera(CameraSection(source=f"folder:{tmp_path}", loop=False), Timer(clock.monotonic_ns, clock.advance))
    (frame,) = camera.frames()
    assert isinstance(frame, Frame)
    assert frame.taken_ns == clock.now_ns


def test_a_gate_has_no_player_of_videos_and_names_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the configuration, which no waiting cures: the eye ends with 2, and systemd lets it be."""
    monkeypatch.setattr(sources, "is_here", lambda _: False)
    with pytest.raises(ConfigError, match=r"^camera\.source: a gate plays no videos: name `picamera2` or `folder:PATH`"):
        open_camera(CameraSection(source=f"video:{film(tmp_path / 'film.mkv')}"))


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_what_is_not_there_yet_is_unreadable_and_not_a_wrong_setting(kind: str, tmp_path: Path) -> None:
    """The eye waits for it: a disk may come later."""
    with pytest.raises(SourceUnreadable, match="nowhere"):
        list(open_camera(CameraSection(source=f"{kind}:{tmp_path / 'nowhere'}", loop=False)).frames())
