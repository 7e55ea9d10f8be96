"""The Pi's camera, against a pretended picamera2. The real one is met in the laboratory."""

from __future__ import annotations

import itertools
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from device.config import CameraSection
from device.core.types import Cause
from device.errors import CameraMissing, CameraStopped, MissingPackage
from device.eye.aim import FRAMES_PER_FOCUS
from device.eye.camera import Frame, Luma, Timer
from device.eye.decoder import Look
from device.eye.ladder import Ladder, LiveSettings
from device.eye.picamera import PicameraCamera
from device.eye.sensors import SENSORS
from device.eye.sources import open_camera
from tests.fakes.clock import SECOND_NS, FakeClock
from tests.fakes.picamera2 import CONTROLS, MappedArray, World
from tests.waiting import LIMIT_S

SECTION = CameraSection(width_px=1280, height_px=720, fps=15, exposures_us=(1000, 8000), lens_positions_dioptre=(5.5, 4.0))


class _Witness:
    """A decoder that keeps what it was shown, and reads nothing."""

    name = "zxing"

    def __init__(self, seen: list[Luma]) -> None:
        self._seen = seen

    def look(self, pixels: Luma) -> Look:
        self._seen.append(pixels)
        return Look()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A pretended camera, found by the import."""
    world = World(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    monkeypatch.setitem(sys.modules, "libcamera", object())
    monkeypatch.setitem(sys.modules, "picamera2", world.library())
    return world


def opened(section: CameraSection = SECTION) -> PicameraCamera:
    """On the machine's own clock."""
    return PicameraCamera(section, Timer())


def said(world: World, what: str) -> list[Any]:
    """What the camera was told."""
    return [value for name, value in world.log if name == what]


def take(camera: PicameraCamera, count: int, look: Callable[[Frame], object]) -> list[object]:
    """Look at so many frames, each while it is valid."""
    items = camera.frames()
    seen = []
    for _ in range(count):
        frame = next(items)
        assert isinstance(frame, Frame)
        seen.append(look(frame))
    items.close()
    return seen


def test_nothing_is_left_to_automatic(world: World) -> None:
    """Sensor mode, buffers, exposure, gain, focus, frame time and noise reduction are all set before the start."""
    opened()
    (wanted,) = said(world, "wanted")
    assert wanted["main"] == {"size": (1280, 720), "format": "YUV420"}
    assert wanted["sensor"] == {"output_size": (1280, 720), "bit_depth": 10}
    assert wanted["buffer_count"] == 4
    assert wanted["queue"] is True
    assert wanted["raw"] is None
    assert wanted["controls"] == {
        "AeEnable": False,
        "AwbEnable": False,
        "ExposureTime": 1000,
        "AnalogueGain": 4.0,
        "AfMode": 0,
        "LensPosition": 5.5,
        "FrameDurationLimits": (66667, 66667),
        "NoiseReductionMode": 0,
    }


@pytest.mark.parametrize("form", ["YUV420", "NV12"])
def test_the_frame_is_the_luma_alone_without_the_padding_of_its_rows(world: World, form: str) -> None:
    """Stride and size are read back, and the pixels outlive the buffer, which has gone back to the camera."""
    world.picture = np.random.default_rng(0).integers(0, 256, (720, 1280), dtype=np.uint8)
    world.row_padding, world.format = 64, form

    def look(frame: Frame) -> bool:
        return np.array_equal(frame.pixels, world.picture) and world.released[-1].buffer is None

    assert take(opened(), 2, look) == [True, True]


def test_a_frame_is_copied_once_on_its_way_to_the_decoder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of the camera's buffer, into the same place each time. Each further copy would be 3 MB of the smallest board."""
    world.picture = np.random.default_rng(0).integers(0, 256, SENSORS["imx708"].size[::-1], dtype=np.uint8)
    frame_bytes = world.picture.size
    mapped = MappedArray.__enter__
    held = 0

    def enter(self: MappedArray) -> MappedArray:
        """From here on every byte is the eye's own."""
        nonlocal held
        found = mapped(self)
        tracemalloc.reset_peak()
        held, _ = tracemalloc.get_traced_memory()
        return found

    monkeypatch.setattr(MappedArray, "__enter__", enter)
    seen: list[Luma] = []
    ladder = Ladder([_Witness(seen)], LiveSettings(cpu_share=1.0, whole_every=1))
    items = opened(CameraSection()).frames()
    places = set()
    tracemalloc.start()
    try:
        for number in range(5):
            frame = next(items)
            assert isinstance(frame, Frame)
            copying = tracemalloc.get_traced_memory()[1] - held
            ladder.live(frame.pixels, number * SECOND_NS)
            looking = tracemalloc.get_traced_memory()[1] - held
            places.add(frame.pixels.ctypes.data)
            assert copying < frame_bytes / 10
            # The sieve's two passes over a part of the rows; the decoder itself has the frame where it lies.
            assert looking < frame_bytes
            assert np.shares_memory(seen[-1], frame.pixels)
            assert seen[-1].shape == frame.pixels.shape
    finally:
        tracemalloc.stop()
        items.close()
    assert len(places) == 1


def test_a_size_that_libcamera_changed_is_believed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It adjusts silently; one line in the log says so."""
    world.size = (1152, 648)
    assert take(opened(), 1, lambda frame: frame.pixels.shape) == [(648, 1152)]
    assert "1152x648 instead of 1280x720" in caplog.text


def test_a_format_without_a_luma_plane_is_refused(world: World) -> None:
    """Taking every third byte of RGB for luma would be a picture, only not the right one."""
    world.format = "RGB888"
    with pytest.raises(CameraMissing, match="RGB888"):
        opened()
    assert said(world, "close") == [None]


def test_exposures_take_turns_and_each_frame_says_what_it_had(world: World) -> None:
    """A short one for cards, a long one for screens."""
    lights = take(opened(), 40, lambda frame: frame.exposure_us)
    assert 18 <= lights.count(1000) <= 22
    assert lights.count(8000) == 40 - lights.count(1000)
    assert len(world.released) == 40


@pytest.mark.usefixtures("world")
def test_focus_moves_only_now_and_then() -> None:
    """The lens needs time to arrive."""
    lenses = take(opened(), 3 * FRAMES_PER_FOCUS, lambda frame: frame.lens_dioptre)
    moves = sum(before != after for before, after in itertools.pairwise(lenses))
    assert set(lenses) == {5.5, 4.0}
    assert moves in {2, 3}


def test_one_exposure_and_one_focus_are_left_alone(world: World) -> None:
    """Nothing is set again for each frame."""
    take(opened(CameraSection(exposures_us=(2000,), lens_positions_dioptre=(5.0,))), 20, lambda _: None)
    assert len(said(world, "controls")) == 1


def test_controls_that_the_camera_lacks_are_left_out_with_one_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A module with fixed focus, and libcamera's virtual camera, advertise less; setting more raises."""
    world.controls = {name: CONTROLS[name] for name in ("ExposureTime", "FrameDurationLimits")}
    take(opened(), 30, lambda _: None)
    assert said(world, "controls")[0] == {"ExposureTime": 1000, "FrameDurationLimits": (66667, 66667)}
    assert caplog.text.count("has no AeEnable, AfMode, AnalogueGain, AwbEnable, LensPosition, NoiseReductionMode") == 1


def test_values_are_moved_into_the_camera_s_range(world: World) -> None:
    """A gain of 64 on a sensor that ends at 16 is 16, and stays a number of its kind."""
    opened(CameraSection(gain=64, lens_positions_dioptre=(32.0,), exposures_us=(150_000, 20)))
    (controls,) = said(world, "controls")
    assert (controls["AnalogueGain"], controls["LensPosition"], controls["ExposureTime"]) == (16.0, 15.0, 120_000)


def test_each_request_is_given_back_once_also_when_the_looking_stops(world: World) -> None:
    """A request kept back is one buffer less; four of them and the camera stands still."""
    camera = opened()
    take(camera, 3, lambda _: None)
    assert [request.buffer for request in world.released] == [None] * 3
    items = camera.frames()
    next(items)
    items.close()
    assert world.released[-1].buffer is None


def test_frames_that_nobody_looked_at_are_counted(world: World) -> None:
    """The newest wins, and what was passed over is said."""
    camera = opened()
    take(camera, 2, lambda _: None)
    world.unseen = 3
    take(camera, 2, lambda _: None)
    assert camera.skipped == 6


def test_the_time_of_a_frame_is_on_the_monotonic_clock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libcamera counts since the boot, suspension included: an hour of sleep is taken off again."""
    clock = FakeClock(monotonic_ns=10**12)
    hour_ns = 3600 * 10**9
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: clock.now_ns + hour_ns)
    world.clock_ns = lambda: clock.now_ns + hour_ns - 20_000_000
    camera = PicameraCamera(SECTION, Timer(clock.monotonic_ns, clock.advance))
    assert take(camera, 1, lambda frame: frame.taken_ns) == [10**12 - 20_000_000]


@pytest.mark.parametrize("stamp", [None, "soon", 0, 10**18])
def test_a_time_that_cannot_be_is_replaced_by_now(world: World, stamp: object) -> None:
    """A frame dated in the future or long ago would never be decided, or be taken for stale."""
    world.metadata = {"SensorTimestamp": stamp}
    before = time.monotonic_ns()
    (taken,) = take(opened(), 1, lambda frame: frame.taken_ns)
    assert isinstance(taken, int)
    assert before <= taken <= time.monotonic_ns()


def test_a_camera_that_gives_no_frame_for_a_second_has_stopped(world: World) -> None:
    """It is never idle: the eye ends, and whoever started it starts it anew."""
    camera = opened()
    take(camera, 1, lambda _: None)
    world.hang()
    with pytest.raises(CameraStopped, match="no frame for 1 s"):
        next(camera.frames())


def test_a_camera_that_gives_no_frame_is_given_back_all_the_same(world: World) -> None:
    """picamera2's own stop would wait behind the capture that ran out of time, and the camera could not be opened anew."""
    camera = opened()
    take(camera, 1, lambda _: None)
    world.hang()
    with pytest.raises(CameraStopped):
        next(camera.frames())
    closing = threading.Thread(target=camera.close, daemon=True)
    closing.start()
    closing.join(LIMIT_S)
    in_time = not closing.is_alive()
    world.over.set()
    assert in_time
    assert [name for name, _ in world.log][-2:] == ["stop", "close"]


def test_a_slow_camera_is_given_three_frames_of_time(world: World) -> None:
    """At one frame in two seconds a second of silence means nothing."""
    take(opened(CameraSection(fps=0.5)), 1, lambda _: None)
    assert said(world, "waited") == [6.0]


def test_the_same_frame_for_two_seconds_is_a_camera_that_stopped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that hands out an old buffer again and again; a living sensor has noise, of which night and sun show nothing."""
    clock = FakeClock(SECOND_NS)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: clock.now_ns)
    world.picture = np.full((720, 1280), 90, np.uint8)

    def until(seconds: int, change: Callable[[int], None]) -> int:
        items = PicameraCamera(SECTION, Timer(lambda: clock.now_ns, clock.advance)).frames()
        for number in range(10 * seconds):
            change(number)
            next(items)
            clock.advance(0.1)
        return 10 * seconds

    def flicker(number: int) -> None:
        world.picture[8, 8] = 90 + number % 2

    assert until(5, flicker) == 50
    with pytest.raises(CameraStopped, match="again and again for 2 s"):
        until(5, lambda _: None)
    for level in (3, 235, 255):
        world.picture[:] = level
        assert until(5, lambda _: None) == 50
    # The sun beside a lens hood: only where one of them ends there is noise, in too few pixels to tell.
    world.picture[:, :400] = 16
    world.picture[:400, 400:404] = 120
    assert until(5, lambda _: None) == 50
    world.picture[:, 400:440] = 120
    with pytest.raises(CameraStopped, match="again and again for 2 s"):
        until(5, lambda _: None)


def test_a_banded_code_makes_the_camera_stay_at_the_long_exposure(world: World) -> None:
    """For a while, three frames in four."""
    camera = opened()
    items = camera.frames()
    for _ in range(3):
        next(items)
    frame = next(items)
    assert isinstance(frame, Frame)
    camera.judged(frame, read=False, cause=Cause.BANDED)
    asked = [controls["ExposureTime"] for controls in said(world, "controls")[1:] if "ExposureTime" in controls]
    before = len(asked)
    for _ in range(16):
        next(items)
    asked = [controls["ExposureTime"] for controls in said(world, "controls")[1:] if "ExposureTime" in controls][before:]
    assert asked.count(8000) >= 11


def test_no_camera_is_camera_missing(world: World) -> None:
    """And what there is instead."""
    world.unplug()
    with pytest.raises(CameraMissing, match="no camera number 0; picamera2 finds no camera"):
        opened()


@pytest.mark.parametrize(
    ("wanted", "opened_as", "size", "bits"),
    [
        ({}, 0, (2304, 1296), 10),
        ({"number": 1}, 1, (1920, 1080), 10),
        ({"model": "imx219"}, 1, (1920, 1080), 10),
        ({"model": "imx219", "number": 1}, 3, (1920, 1080), 10),
        ({"model": "imx477"}, 2, (2028, 1520), 12),
        ({"model": "imx296"}, 4, (1456, 1088), 10),
        ({"model": "ov5647"}, 5, (1920, 1080), 10),
    ],
)
def test_a_camera_is_chosen_by_name_and_number_and_used_in_its_sensor_s_own_mode(
    world: World, wanted: dict[str, Any], opened_as: int, size: tuple[int, int], bits: int
) -> None:
    """A second camera on a Pi 5, the High Quality Camera, the Global Shutter Camera; and nothing enlarged."""
    world.models = ["imx708", "imx219", "imx477", "imx219", "imx296", "ov5647"]
    world.picture = np.full((1520, 2304), 90, np.uint8)
    camera = opened(CameraSection.model_validate(wanted))
    assert said(world, "opened") == [opened_as]
    (asked,) = said(world, "wanted")
    assert asked["main"]["size"] == size
    assert asked["sensor"] == {"output_size": size, "bit_depth": bits}
    assert world.models[opened_as] in camera.advice
    assert take(camera, 1, lambda frame: frame.pixels.shape) == [size[::-1]]


@pytest.mark.parametrize(("wanted", "named"), [({"model": "imx477"}, "no camera number 0 of model imx477"), ({"number": 2}, "number 2")])
def test_a_camera_that_is_not_there_is_named_with_those_that_are(world: World, wanted: dict[str, Any], named: str) -> None:
    """The technician sees which cable or which name is wrong."""
    world.models = ["imx708", "imx219"]
    with pytest.raises(CameraMissing, match=f"{named}; picamera2 finds imx708, imx219"):
        opened(CameraSection.model_validate(wanted))


def test_a_sensor_that_nobody_knows_works_with_general_values_and_says_so(world: World) -> None:
    """The mode is left to picamera2; what the technician sets is used all the same."""
    world.models = ["imx999"]
    camera = opened(CameraSection())
    (asked,) = said(world, "wanted")
    assert (asked["main"]["size"], asked["sensor"]) == ((1280, 720), {})
    assert "imx999: not in the table" in camera.advice
    opened(CameraSection(width_px=1600, height_px=1200))
    assert said(world, "wanted")[1]["main"]["size"] == (1600, 1200)


@pytest.mark.parametrize("model", ["imx219", "ov5647", "imx477", "imx296"])
def test_a_lens_that_stands_still_is_not_asked_to_move(world: World, model: str, caplog: pytest.LogCaptureFixture) -> None:
    """And its lack is worth no word in the log; a motor that should be there and is not is."""
    world.models = [model]
    world.picture = np.zeros((1520, 2304), np.uint8)
    world.controls = {name: value for name, value in CONTROLS.items() if name not in {"AfMode", "LensPosition"}}
    take(opened(CameraSection()), 30, lambda _: None)
    assert not {"AfMode", "LensPosition"} & set(said(world, "controls")[0])
    assert "left out" not in caplog.text


def test_frames_that_are_larger_than_the_sensor_s_are_said_to_be_enlarged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """As Camera Module 2 gave them while it was asked for those of Camera Module 3."""
    world.models = ["imx219"]
    world.sensor_size = (1920, 1080)
    opened(CameraSection())
    assert "enlarged" not in caplog.text
    opened(CameraSection(width_px=2304, height_px=1296))
    assert "frames of 2304x1296 are enlarged from the sensor's 1920x1080" in caplog.text


def test_a_camera_that_is_there_and_cannot_be_opened_needs_a_new_process(world: World) -> None:
    """picamera2 keeps what it has half opened, and every later attempt of this process would find the camera taken by itself."""
    world.stuck = True
    with pytest.raises(CameraStopped, match="did not complete"):
        opened()


def test_a_camera_that_does_not_start_is_given_back(world: World) -> None:
    """Otherwise the next attempt would find it busy with ourselves."""
    world.start_fails = True
    with pytest.raises(CameraMissing, match="busy"):
        opened()
    assert said(world, "close") == [None]


def test_closing_twice_is_closing_once(world: World) -> None:
    """The loop closes on every way out."""
    camera = opened()
    camera.close()
    camera.close()
    assert said(world, "close") == [None]


@pytest.mark.parametrize(("absent", "package"), [("libcamera", "python3-libcamera"), ("picamera2", "python3-picamera2")])
def test_a_machine_without_the_library_is_told_which_package_to_install(monkeypatch: pytest.MonkeyPatch, absent: str, package: str) -> None:
    """The source is chosen by the configuration, so this is how a laptop answers to picamera2."""
    monkeypatch.setitem(sys.modules, "libcamera", object())
    monkeypatch.setitem(sys.modules, "picamera2", object())
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingPackage, match=package):
        open_camera(SECTION)
