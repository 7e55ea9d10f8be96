"""A video file as a camera."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest

from device.config import CameraSection
from device.errors import MissingPackage, SourceUnreadable
from device.eye.camera import BadFrame, Frame, Luma, Timer
from device.eye.decoder import ZxingDecoder
from device.eye.sources import open_camera
from device.eye.video import VideoCamera, iterate_video
from tests.eye.pages import symbol
from tests.fakes.clock import FakeClock


def film(path: Path, count: int = 6, codec: str = "mpeg4", pixels: str = "yuv420p", size: tuple[int, int] = (176, 176)) -> Path:
    """A film in which each frame shows a symbol with its own number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"qscale": "2"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for number in range(count):
            picture = np.full((size[1], size[0]), 255, np.uint8)
            code = symbol(f"frame {number}".encode(), scale=4)
            picture[: code.shape[0], : code.shape[1]] = code
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def read(pixels: Luma) -> list[bytes]:
    """What is on the frame."""
    return [reading.payload for reading in ZxingDecoder().look(pixels).readings]


@pytest.mark.parametrize(("codec", "pixels"), [("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p"), ("ffv1", "yuv420p10le"), ("ffv1", "bgr0")])
def test_every_frame_comes_in_order_whatever_the_pixel_format(tmp_path: Path, codec: str, pixels: str) -> None:
    """Planes of one byte are taken as they lie, others are converted."""
    path = film(tmp_path / "film.mkv", codec=codec, pixels=pixels)
    seen = []
    for item in iterate_video(path):
        assert not isinstance(item, BadFrame)
        seen.append((item[0], read(item[1])))
    assert seen == [(f"film.mkv#{number}", [f"frame {number}".encode()]) for number in range(6)]


def test_the_width_is_that_of_the_picture_and_not_of_its_rows(tmp_path: Path) -> None:
    """A decoder pads its rows."""
    path = film(tmp_path / "film.mp4", count=1, size=(178, 182))
    (item,) = iterate_video(path)
    assert not isinstance(item, BadFrame)
    assert item[1].shape == (182, 178)


def test_a_camera_on_a_film_plays_it_once_or_again(tmp_path: Path) -> None:
    """Once, nothing is skipped; in rounds, what is overdue is."""
    path = film(tmp_path / "film.mp4")
    clock = FakeClock()
    timer = Timer(clock.monotonic_ns, clock.advance)
    once = VideoCamera(str(path), CameraSection(source=f"video:{path}", fps=10, loop=False), timer)
    seen = []
    for item in once.frames():
        assert isinstance(item, Frame)
        seen.append(item.name)
        clock.advance(1)
    assert seen == [f"film.mp4#{number}" for number in range(6)]
    again = VideoCamera(str(path), CameraSection(source=f"video:{path}", fps=10), timer)
    items = again.frames()
    clock.advance(0.05)
    names = []
    for _ in range(4):
        item = next(items)
        assert isinstance(item, Frame)
        names.append(item.name)
        clock.advance(0.26)
    items.close()
    assert names == ["film.mp4#0", "film.mp4#4", "film.mp4#0", "film.mp4#3"]
    assert again.skipped == 6


def test_a_film_that_breaks_off_gives_what_it_has(tmp_path: Path) -> None:
    """A camera that lost power in the middle leaves half a file."""
    path = film(tmp_path / "film.mkv", count=30)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    frames = [item for item in iterate_video(path) if not isinstance(item, BadFrame)]
    assert 5 < len(frames) < 30


def test_damage_in_the_middle_never_raises(tmp_path: Path) -> None:
    """Whatever the decoder says of it."""
    path = film(tmp_path / "film.mkv", count=30)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(1)
    for place in rng.integers(1000, len(content) - 200, 60):
        content[place] = rng.integers(0, 256)
    path.write_bytes(content)
    assert len(list(iterate_video(path))) > 3


@pytest.mark.parametrize("content", [b"", b"no film at all", b"\x00" * 4096], ids=["empty", "text", "zeros"])
def test_what_is_no_video_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    """At the start, before anything is played."""
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable, match=r"film\.mp4"):
        open_camera(CameraSection(source=f"video:{path}"))


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    """And an address of the network is no file."""
    for path in (tmp_path / "nothing.mp4", Path("rtsp://127.0.0.1:9/film.mp4")):
        with pytest.raises(SourceUnreadable, match="no such file"):
            open_camera(CameraSection(source=f"video:{path}"))


def test_frames_that_are_too_large_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    """The limit is that of pictures."""
    path = film(tmp_path / "film.mp4")
    with pytest.raises(SourceUnreadable, match="176x176"):
        next(iterate_video(path, max_megapixels=0.01))


def test_a_film_of_sound_alone_is_refused(tmp_path: Path) -> None:
    """A container that opens need not hold pictures."""
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        assert isinstance(stream, av.AudioStream)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(SourceUnreadable, match="holds no video"):
        open_camera(CameraSection(source=f"video:{path}"))


def test_a_machine_without_pyav_is_told_which_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No gate needs it, so no gate has it."""
    path = film(tmp_path / "film.mp4", count=1)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackage, match="python3-av"):
        open_camera(CameraSection(source=f"video:{path}"))
