"""The Raspberry Pi's camera, through picamera2.

Nothing is left to automatic: one mode of its sensor, exposure and focus in turn from
the configuration, and only the Y plane is looked at. It is copied out of the
camera's buffer: picamera2 unmaps its buffers when a camera is given back, which
fails while any array still refers to one, and a buffer that goes back at once
can be filled again while the decoders work.
"""

from __future__ import annotations

import importlib
import itertools
import logging
import time
import zlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Final, Protocol

import numpy as np

from device.config import CameraSection
from device.core.types import Cause
from device.errors import CameraMissing, CameraStopped, MissingPackage
from device.eye.aim import Aim
from device.eye.camera import SECOND_NS, Frame, Items, Luma, Timer
from device.eye.sensors import GENERAL_SIZE, SENSORS, Focus, Sensor, advice_for

log = logging.getLogger(__name__)

BUFFERS: Final = 4
"""One being filled, one queued behind it, the newest one done, one being copied."""

SILENCE_S: Final = 1.0
"""A running camera that gives no frame for so long, or for three frames if that is longer, has stopped."""

REPEATS_NS: Final = 2_000_000_000
"""A running camera whose frames are all the same for so long gives an old one again and again."""

SAMPLE_STEP: Final = 8
"""Every eighth pixel of every eighth row is enough to see that."""

BLACK_LEVEL: Final = 24
WHITE_LEVEL: Final = 230
"""Below and from here on the sensor's noise is cut off; white is 235 where libcamera gives limited range, else 255."""

LEAST_NOISY: Final = 64
"""With fewer pixels between the two a picture may be the same as the one before: night, or the sun."""

STALE_NS: Final = 2_000_000_000
"""A frame's time further back than this, or in the future, is not believed: it was read from another clock."""

Y_PLANE_FIRST: Final = frozenset({"YUV420", "YVU420", "NV12", "NV21"})
"""Formats whose buffer begins with luma, a byte a pixel. libcamera may give another of them than was asked for."""

MANUAL: Final = 0
OFF: Final = 0


class _Request(Protocol):
    """What is used of picamera2's CompletedRequest."""

    def get_metadata(self) -> Mapping[str, object]: ...

    def release(self) -> None: ...


class PicameraCamera:
    """Frames of the camera that is configured. The newest wins; those that came while nobody looked are counted in ``skipped``.

    Exposure and focus are chosen by ``Aim``; what a frame really had is in
    its ``light``.
    Controls that this camera does not have are left out, with one line in the
    log.
    """

    source = "picamera2"
    lossless = False

    def __init__(self, section: CameraSection, timer: Timer) -> None:
        """Open, configure and start the camera.

        Raises MissingPackage, CameraMissing where there is none of that model
        and number, or CameraStopped where it is there and cannot be opened:
        picamera2 has then taken it already and does not give it back, so that
        only a new process can have it.
        """
        self._library = _load()
        self._timer = timer
        self._seen = 0
        self._given = 0
        self._closed = False
        self._print, self._print_ns = 0, timer.now_ns()
        self._silence_s = max(SILENCE_S, 3 / section.fps)
        number, model = _chosen(self._library.Picamera2.global_camera_info(), section)
        self._sensor = SENSORS.get(model)
        self.advice = advice_for(model).en
        log.info("camera %d is %s", number, self.advice)
        try:
            self._camera = self._library.Picamera2(number)
        except (RuntimeError, IndexError, OSError) as error:
            raise CameraStopped(f"the camera cannot be opened: {error}") from error
        try:
            self._start(section)
        except (RuntimeError, OSError, ValueError) as error:
            self.close()
            raise CameraMissing(f"the camera does not start: {error}") from error
        except CameraMissing:
            self.close()
            raise

    @property
    def skipped(self) -> int:
        """Frames that the camera completed and nobody looked at."""
        return max(0, self._seen - self._given)

    def frames(self) -> Items:
        """See ``Camera``. Raises CameraStopped when no frame came in time, or only old ones."""
        for number in itertools.count(1):
            request = self._newest()
            try:
                with self._library.MappedArray(request, "main", reshape=False, write=False) as mapped:
                    self._copy_frame(mapped.array)
                metadata = request.get_metadata()
            finally:
                request.release()
            self._given += 1
            self._heed_repeats()
            yield self._frame(metadata, f"picamera2#{number}")

    def judged(self, frame: Frame, *, read: bool, cause: Cause | None = None) -> None:
        """See ``Camera``."""
        self._aim.judged(frame.exposure_us, frame.lens_dioptre, read=read, cause=cause)

    def close(self) -> None:
        """Stop the camera and give it back. A driver that hangs may hang here too: the caller limits the time."""
        if not self._closed:
            self._closed = True
            # Never `stop` first: that is a job in picamera2's queue. It waits for ever behind a capture that ran out of time, and where
            # the thread that serves the queue has died. `close` ends that thread and then stops the camera itself.
            self._camera.close()

    # ---------------------------------------------------------------- configuration

    def _start(self, section: CameraSection) -> None:
        own = self._sensor.size if self._sensor else GENERAL_SIZE
        size = own if section.width_px is None or section.height_px is None else (section.width_px, section.height_px)
        # picamera2 takes the mode that is most like this. Of a sensor that nobody knows it is left to choose.
        mode = {"output_size": size, "bit_depth": self._sensor.bit_depth} if self._sensor else {}
        wanted = self._camera.create_video_configuration(
            main={"size": size, "format": "YUV420"},
            raw=None,
            sensor=mode,
            buffer_count=BUFFERS,
            queue=True,
            controls=self._advertised(_fixed_controls(section, self._sensor)),
        )
        self._camera.configure(wanted)
        self._read_back(size)
        self._camera.pre_callback = self._turns(section)
        self._camera.start()

    def _read_back(self, size: tuple[int, int]) -> None:
        """What it cannot do libcamera adjusts, it cannot do silently: so what counts is what it says afterwards."""
        configured = self._camera.camera_configuration()
        main = configured["main"]
        self._width, self._height = main["size"]
        self._stride = main["stride"]
        self._luma = np.empty((self._height, self._width), np.uint8)
        if main["format"] not in Y_PLANE_FIRST:
            raise CameraMissing(f"the camera gives {main['format']}, of which no luma can be taken")
        if (self._width, self._height) != size:
            log.warning("the camera gives %dx%d instead of %dx%d", self._width, self._height, *size)
        width, height = (configured.get("sensor") or {}).get("output_size") or (self._width, self._height)
        if width < self._width or height < self._height:
            log.warning("frames of %dx%d are enlarged from the sensor's %dx%d and show no more", self._width, self._height, width, height)

    def _advertised(self, controls: Mapping[str, object]) -> dict[str, object]:
        known = self._camera.camera_controls
        missing = sorted(set(controls) - set(known))
        if missing:
            log.warning("this camera has no %s: left out", ", ".join(missing))
        return {name: _within(value, known[name]) for name, value in controls.items() if name in known}

    def _turns(self, section: CameraSection) -> object:
        """What the camera's own thread does with each completed frame: count it, and set light and focus of one to come."""
        known = self._camera.camera_controls
        exposures = section.exposures_us if "ExposureTime" in known else ()
        lenses = section.lens_positions_dioptre if "LensPosition" in known else ()
        aim = self._aim = Aim(exposures, lenses)
        lens_before: float | None = None

        def turn(_request: object) -> None:
            nonlocal lens_before
            self._seen += 1
            controls: dict[str, object] = {}
            exposure, lens = aim.next()
            if exposure is not None:
                controls["ExposureTime"] = _within(exposure, known["ExposureTime"])
            if lens is not None and lens != lens_before:
                lens_before = lens
                controls["LensPosition"] = _within(lens, known["LensPosition"])
            if controls:
                self._camera.set_controls(controls)

        return turn

    # ---------------------------------------------------------------- frames

    def _newest(self) -> _Request:
        try:
            request: _Request = self._camera.capture_request(wait=self._silence_s)
        except TimeoutError as error:
            raise CameraStopped(f"no frame for {self._silence_s:g} s") from error
        except RuntimeError as error:
            raise CameraStopped(f"picamera2: {error}") from error
        return request

    def _copy_frame(self, buffer: Luma) -> None:
        """Copy the luma. No array that refers to the buffer outlives this call."""
        rows = buffer.reshape(-1)[: self._stride * self._height].reshape(self._height, self._stride)
        np.copyto(self._luma, rows[:, : self._width])

    def _frame(self, metadata: Mapping[str, object], name: str) -> Frame:
        exposure, lens = metadata.get("ExposureTime"), metadata.get("LensPosition")
        return Frame(
            self._luma,
            self._taken_ns(metadata.get("SensorTimestamp")),
            name,
            exposure if isinstance(exposure, int) else None,
            float(lens) if isinstance(lens, int | float) else None,
        )

    def _heed_repeats(self) -> None:
        """A living sensor never gives the same picture twice, for it has noise; only a black or a white one may. Raises CameraStopped."""
        now_ns = self._timer.now_ns()
        sample = self._luma[::SAMPLE_STEP, ::SAMPLE_STEP]
        print_ = zlib.crc32(sample.tobytes())
        noisy = np.count_nonzero((sample >= BLACK_LEVEL) & (sample < WHITE_LEVEL))
        if print_ != self._print or noisy < LEAST_NOISY:
            self._print, self._print_ns = print_, now_ns
        elif now_ns - self._print_ns > REPEATS_NS:
            raise CameraStopped(f"the same frame again and again for {REPEATS_NS / SECOND_NS:g} s")

    def _taken_ns(self, sensor_ns: object) -> int:
        """CLOCK_BOOTTIME of the sensor → CLOCK_MONOTONIC. They differ by the time that the machine was suspended."""
        now_ns = self._timer.now_ns()
        if not isinstance(sensor_ns, int):
            return now_ns
        taken_ns = sensor_ns - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - now_ns)
        return taken_ns if 0 <= now_ns - taken_ns <= STALE_NS else now_ns


def _chosen(found: Sequence[Mapping[str, object]], section: CameraSection) -> tuple[int, str]:
    """picamera2's number of the camera that is meant, and its model. Raises CameraMissing that says what is there."""
    models = [str(camera.get("Model", "")) for camera in found]
    fitting = [number for number, model in enumerate(models) if section.model in {None, model}]
    if section.number >= len(fitting):
        wanted = f"camera number {section.number}" + (f" of model {section.model}" if section.model else "")
        raise CameraMissing(f"there is no {wanted}; picamera2 finds {', '.join(models) or 'no camera'}")
    return fitting[section.number], models[fitting[section.number]]


def _fixed_controls(section: CameraSection, sensor: Sensor | None) -> dict[str, object]:
    """A lens that is known to stand still is not asked to move."""
    period_us = max(round(1_000_000 / section.fps), *section.exposures_us)
    lens = {"AfMode": MANUAL, "LensPosition": section.lens_positions_dioptre[0]}
    return {
        "AeEnable": False,
        "AwbEnable": False,
        "ExposureTime": section.exposures_us[0],
        "AnalogueGain": section.gain,
        "FrameDurationLimits": (period_us, period_us),
        "NoiseReductionMode": OFF,
        **({} if sensor and sensor.focus is not Focus.MOTOR else lens),
    }


def _within(value: object, limits: tuple[object, object, object]) -> object:
    """The value, moved into the control's range where that is one of plain numbers."""
    low, high, _ = limits
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not isinstance(low, int | float) or not isinstance(high, int | float) or high <= low:
        return value
    return type(value)(min(max(value, low), high))


def _load() -> ModuleType:
    """Importing picamera2 takes a second and libcamera with it: only on a gate that has a camera."""
    try:
        importlib.import_module("libcamera")
    except ImportError as error:
        raise MissingPackage(f"the Pi's camera needs the package `python3-libcamera`: {error}") from error
    try:
        return importlib.import_module("picamera2")
    except ImportError as error:
        raise MissingPackage(f"the Pi's camera needs the package `python3-picamera2`: {error}") from error
