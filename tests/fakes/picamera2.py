"""A pretended picamera2: only what the eye uses, and an error for anything else.

Modelled on picamera2 0.3.38 as its source reads: ``configure`` adjusts what
was asked for, controls that the camera does not have raise, ``pre_callback``
runs for each completed frame before it is handed out, a request must be
released once, a capture that ran out of time stays in the queue and ``stop``
waits for ever behind it, which ``close`` does not. The real library runs in the laboratory, against libcamera's
virtual camera.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np

from device.eye.camera import Luma

CONTROLS: Mapping[str, tuple[object, object, object]] = {
    "AeEnable": (False, True, True),
    "AwbEnable": (False, True, True),
    "ExposureTime": (9, 120_000, 20_000),
    "AnalogueGain": (1.0, 16.0, 1.0),
    "AfMode": (0, 2, 0),
    "LensPosition": (0.0, 15.0, 1.0),
    "FrameDurationLimits": (17_000, 120_000, 33_333),
    "NoiseReductionMode": (0, 4, 0),
}
"""As a Camera Module 3 advertises them, shortened to what is used."""


class Request:
    """A completed frame."""

    def __init__(self, buffer: Luma, metadata: dict[str, object]) -> None:
        self.buffer: Luma | None = buffer
        self._metadata = metadata

    def get_metadata(self) -> dict[str, object]:
        """What libcamera says of the frame."""
        return dict(self._metadata)

    def release(self) -> None:
        """Give the buffer back, once."""
        if self.buffer is None:
            raise RuntimeError("CompletedRequest: lock now has negative ref_count")
        self.buffer[:] = 0
        self.buffer = None


class MappedArray:
    """A view of a request's buffer, valid inside ``with``: leaving it raises BufferError while an array still refers to the memory."""

    def __init__(self, request: Request, stream: str, reshape: bool = True, write: bool = True) -> None:  # noqa: FBT001, FBT002 - as in picamera2
        if (stream, reshape, write) != ("main", False, False):
            raise NotImplementedError("only the main stream, as it lies in memory, for reading")
        self._request = request
        self.array: Luma | None = None

    def __enter__(self) -> Self:
        if self._request.buffer is None:
            raise RuntimeError("failed to find buffer")
        self._memory = mmap.mmap(-1, self._request.buffer.size)
        self._memory.write(self._request.buffer.tobytes())
        self.array = np.frombuffer(self._memory, np.uint8)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.array = None
        self._memory.close()


class World:
    """What the pretended camera shows and how it fails; made before the camera, so that opening can fail too."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self.clock_ns = clock_ns
        self.controls: Mapping[str, tuple[object, object, object]] = CONTROLS
        self.picture = np.zeros((720, 1280), np.uint8)
        self.format = "YUV420"
        self.row_padding = 0
        self.size: tuple[int, int] | None = None
        self.models = ["imx708"]
        self.sensor_size: tuple[int, int] | None = None
        self.start_fails = False
        self.stuck = False
        self.hangs = False
        self.driver_hangs = False
        self.over = threading.Event()
        """Ends what waits for ever, so that a test leaves no thread behind."""
        self.unseen = 0
        self.metadata: dict[str, object] = {}
        self.log: list[tuple[str, object]] = []
        self.released: list[Request] = []

    def unplug(self) -> None:
        """No camera is found any more."""
        self.models = []

    def hang(self) -> None:
        """The running camera gives no further frame."""
        self.hangs = True

    def hang_for_good(self) -> None:
        """The same, and the camera is not given back either: a driver that never returns."""
        self.hangs = self.driver_hangs = True

    def library(self) -> object:
        """What ``import picamera2`` gives."""
        world = self

        class _Picamera2(Picamera2):
            def __init__(self, camera_num: int = 0) -> None:
                super().__init__(world, camera_num)

            @staticmethod
            def global_camera_info() -> list[dict[str, object]]:
                """One entry for each camera that libcamera finds."""
                return [{"Model": model, "Num": number} for number, model in enumerate(world.models)]

        return type("picamera2", (), {"Picamera2": _Picamera2, "MappedArray": MappedArray})


class Picamera2:
    """The camera. Frames are made when they are asked for, preceded by ``world.unseen`` that nobody asks for."""

    def __init__(self, world: World, number: int) -> None:
        if number >= len(world.models):
            raise RuntimeError(f"No camera number {number} found")
        if world.stuck:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self._world = world
        world.log.append(("opened", number))
        self._configuration: dict[str, Any] | None = None
        self._running = False
        self._waiting = 0
        self._applied: dict[str, object] = {}
        self.pre_callback: Callable[[object], None] | None = None

    @property
    def camera_controls(self) -> Mapping[str, tuple[object, object, object]]:
        """Name → lowest, highest, default."""
        return self._world.controls

    def create_video_configuration(self, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401 - as loosely typed as picamera2
        """A configuration to be configured."""
        known = {"main", "raw", "sensor", "buffer_count", "queue", "controls"}
        if set(wanted) - known:
            raise NotImplementedError(f"{set(wanted) - known}")
        self._world.log.append(("wanted", wanted))
        return wanted

    def configure(self, configuration: dict[str, Any]) -> None:
        """As libcamera does: it takes what it likes and says so afterwards."""
        width, height = self._world.size or configuration["main"]["size"]
        main = {"size": (width, height), "format": self._world.format, "stride": width + self._world.row_padding}
        mode = dict(configuration["sensor"])
        if self._world.sensor_size:
            mode["output_size"] = self._world.sensor_size
        self._configuration = configuration | {"main": main, "sensor": mode}
        self.set_controls(configuration["controls"])

    def camera_configuration(self) -> dict[str, Any]:
        """What was really configured."""
        if self._configuration is None:
            raise RuntimeError("Camera has not been configured")
        return self._configuration

    def set_controls(self, controls: Mapping[str, object]) -> None:
        """For the next request."""
        for name in controls:
            if name not in self._world.controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self._applied |= controls
        self._world.log.append(("controls", dict(controls)))

    def start(self) -> None:
        """Begin to give frames."""
        if self._world.start_fails:
            raise RuntimeError("Failed to start camera: Device or resource busy")
        self._running = True

    def capture_request(self, wait: float) -> Request:
        """The newest frame."""
        if not self._running:
            raise RuntimeError("Camera was not started")
        if self._world.hangs:
            self._waiting += 1
            raise TimeoutError
        # A capture that ran out of time is still served, before this one; nobody has what it got.
        for _ in range(self._world.unseen + self._waiting):
            self._complete()
        self._waiting = 0
        metadata = self._complete()
        self._world.log.append(("waited", wait))
        request = Request(self._buffer(), metadata)
        self._world.released.append(request)
        return request

    def _complete(self) -> dict[str, object]:
        metadata = {
            "SensorTimestamp": self._world.clock_ns(),
            "ExposureTime": self._applied.get("ExposureTime"),
            "LensPosition": self._applied.get("LensPosition"),
        } | self._world.metadata
        if self.pre_callback:
            self.pre_callback(object())
        return metadata

    def _buffer(self) -> Luma:
        """Y plane with padded rows, then something else behind it, then a page that is never used."""
        main = self.camera_configuration()["main"]
        width, height = main["size"]
        rows = np.full((height, main["stride"]), 77, np.uint8)
        picture = self._world.picture[:height, :width]
        rows[: picture.shape[0], : picture.shape[1]] = picture
        return np.concatenate([rows.reshape(-1), np.full(rows.size // 2 + 4096, 128, np.uint8)])

    def stop(self) -> None:
        """No more frames. It is a job of the queue: where the first is never served, it waits for ever."""
        if self._running:
            if self._waiting and self._world.hangs:
                self._world.over.wait()
            self._stop()

    def close(self) -> None:
        """Give the camera back: ends the thread that serves the queue, and then stops without it."""
        if self._world.driver_hangs:
            self._world.over.wait()
        if self._running:
            self._stop()
        self._world.log.append(("close", None))

    def _stop(self) -> None:
        self._running = False
        self._world.log.append(("stop", None))
