"""A folder as a camera: order, pace, rounds, and files that are no pictures."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from device.config import CameraSection
from device.errors import SourceUnreadable
from device.eye.camera import BadFrame, Frame, Idle, Item, Timer
from device.eye.folder import FolderCamera
from device.eye.sources import open_camera
from tests.eye.pages import png, png_header
from tests.fakes.clock import SECOND_NS, FakeClock


def fill(folder: Path, count: int) -> None:
    """Pictures 1.png to count.png, told apart by their brightness."""
    for number in range(1, count + 1):
        (folder / f"{number}.png").write_bytes(png(np.full((2, 2), number, np.uint8)))


def camera(folder: Path, clock: FakeClock, *, fps: float = 10, loop: bool = True) -> FolderCamera:
    """On a clock that moves when somebody waits."""
    return FolderCamera(str(folder), CameraSection(source=f"folder:{folder}", fps=fps, loop=loop), Timer(clock.monotonic_ns, clock.advance))


def names(items: Sequence[Item]) -> list[str]:
    """Of the frames among them."""
    return [item.name for item in items if isinstance(item, Frame)]


def test_once_means_each_picture_in_natural_order_and_then_the_end(tmp_path: Path) -> None:
    """And ten pictures at ten a second take nine tenths."""
    fill(tmp_path, 10)
    clock = FakeClock()
    start_ns = clock.now_ns
    items = list(camera(tmp_path, clock, loop=False).frames())
    assert names(items) == [f"{number}.png" for number in range(1, 11)]
    assert clock.now_ns - start_ns == 9 * SECOND_NS // 10


def test_rounds_begin_again(tmp_path: Path) -> None:
    """For ever."""
    fill(tmp_path, 2)
    items = list(itertools.islice(camera(tmp_path, FakeClock()).frames(), 5))
    assert names(items) == ["1.png", "2.png", "1.png", "2.png", "1.png"]


def test_a_frame_is_taken_when_its_picture_is_ready(tmp_path: Path) -> None:
    """Its time is that of the clock after loading, so that latencies are of the gate and not of the disk."""
    fill(tmp_path, 1)
    clock = FakeClock()
    (frame,) = camera(tmp_path, clock, loop=False).frames()
    assert isinstance(frame, Frame)
    assert frame.taken_ns == clock.now_ns


def test_who_comes_late_gets_the_newest_and_the_others_are_counted(tmp_path: Path) -> None:
    """After 0.35 s of decoding at ten a second, three are overdue."""
    fill(tmp_path, 10)
    clock = FakeClock()
    source = camera(tmp_path, clock)
    items = source.frames()
    assert names([next(items)]) == ["1.png"]
    clock.advance(0.35)
    assert names([next(items)]) == ["5.png"]
    assert source.skipped == 3


def test_from_a_source_to_be_seen_whole_nothing_is_skipped(tmp_path: Path) -> None:
    """However late."""
    fill(tmp_path, 5)
    clock = FakeClock()
    source = camera(tmp_path, clock, loop=False)
    seen = []
    for item in source.frames():
        seen += names([item])
        clock.advance(3)
    assert seen == [f"{number}.png" for number in range(1, 6)]
    assert source.skipped == 0


def test_a_steady_lateness_leaves_no_picture_out_for_ever(tmp_path: Path) -> None:
    """Two pictures, and each look takes two of their times: every second one would be skipped in each round."""
    fill(tmp_path, 2)
    clock = FakeClock()
    seen = set()
    for item in itertools.islice(camera(tmp_path, clock).frames(), 8):
        seen.update(names([item]))
        clock.advance(0.15)
    assert seen == {"1.png", "2.png"}


def test_a_lateness_longer_than_the_round_still_shows_something(tmp_path: Path) -> None:
    """Ten seconds late with three pictures: every look gets one."""
    fill(tmp_path, 3)
    clock = FakeClock()
    for item in itertools.islice(camera(tmp_path, clock).frames(), 12):
        assert isinstance(item, Frame)
        clock.advance(10)


def test_between_slow_frames_it_says_that_it_is_idle(tmp_path: Path) -> None:
    """At one frame in five seconds the eye still gives signs of life several times a second."""
    fill(tmp_path, 2)
    clock = FakeClock()
    gaps, last_ns = [], clock.now_ns
    for _ in camera(tmp_path, clock, fps=0.2, loop=False).frames():
        gaps.append(clock.now_ns - last_ns)
        last_ns = clock.now_ns
    assert max(gaps) <= 0.25 * SECOND_NS
    assert sum(gaps) == 5 * SECOND_NS


def test_bad_files_are_named_and_skipped_and_the_good_ones_come(tmp_path: Path) -> None:
    """Text, nothing, half a picture, sixty megapixels, a folder: none of them stops the source."""
    fill(tmp_path, 3)
    (tmp_path / "2a.png").write_text("a text")
    (tmp_path / "2b.jpg").touch()
    (tmp_path / "2c.png").write_bytes(png(np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8))[:3000])
    (tmp_path / "2d.png").write_bytes(png_header(10_000, 6_000))
    (tmp_path / "2e.png").mkdir()
    (tmp_path / "2f.png").symlink_to("2f.png")
    items = [item for item in camera(tmp_path, FakeClock(), loop=False).frames() if not isinstance(item, Idle)]
    assert names(items) == ["1.png", "2.png", "3.png"]
    bad = [item.name for item in items if isinstance(item, BadFrame)]
    assert bad == ["2a.png", "2b.jpg", "2c.png", "2d.png", "2e.png", "2f.png"]


def test_a_bad_file_is_reported_once_and_again_only_when_it_has_changed(tmp_path: Path) -> None:
    """In rounds of fifteen a second one bad file would fill the log."""
    fill(tmp_path, 1)
    bad = tmp_path / "2.png"
    bad.write_text("no")
    items = camera(tmp_path, FakeClock()).frames()
    first = list(itertools.islice(items, 6))
    assert [type(item) for item in first].count(BadFrame) == 1
    bad.write_text("still none")
    assert BadFrame in [type(item) for item in itertools.islice(items, 6)]
    bad.write_bytes(png(np.full((2, 2), 2, np.uint8)))
    assert "2.png" in names(list(itertools.islice(items, 6)))


def test_files_may_come_and_go(tmp_path: Path) -> None:
    """Each round lists the folder anew; a picture that has gone in the meantime is a bad frame."""
    fill(tmp_path, 2)
    items = camera(tmp_path, FakeClock()).frames()
    next(items)
    (tmp_path / "2.png").unlink()
    assert isinstance(next(items), BadFrame)
    (tmp_path / "0.png").write_bytes(png(np.zeros((2, 2), np.uint8)))
    assert names([next(items), next(items)]) == ["0.png", "1.png"]


def test_an_empty_folder_is_idle_until_a_picture_is_put_into_it(tmp_path: Path) -> None:
    """Nobody has to start the gate again."""
    items = camera(tmp_path, FakeClock()).frames()
    assert [type(next(items)) for _ in range(3)] == [Idle, Idle, Idle]
    fill(tmp_path, 1)
    assert "1.png" in names([next(items), next(items)])


def test_other_files_are_named_once_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody who put TIFF files there learns why nothing is seen."""
    (tmp_path / "scan.tiff").touch()
    with caplog.at_level("INFO"):
        camera(tmp_path, FakeClock())
    assert "scan.tiff" in caplog.text


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """At the start."""
    with pytest.raises(SourceUnreadable, match="nowhere"):
        open_camera(CameraSection(source=f"folder:{tmp_path / 'nowhere'}"))


def test_a_folder_that_vanishes_is_said_in_the_next_round(tmp_path: Path) -> None:
    """A memory stick that is pulled out is not the end of the eye."""
    folder = tmp_path / "stick"
    folder.mkdir()
    fill(folder, 1)
    items = camera(folder, FakeClock()).frames()
    next(items)
    shutil.rmtree(folder)
    with pytest.raises(SourceUnreadable, match="stick"):
        list(itertools.islice(items, 3))
