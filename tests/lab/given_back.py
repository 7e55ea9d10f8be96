"""Runs inside the laboratory's folder: a camera whose frames cease is given back, with real picamera2 and libcamera.

``python -m tests.lab.given_back``, with LAB_PICTURE set so that picamera2 is fitted to the virtual camera. Prints one JSON
object; whatever hangs is left behind in its thread, and said to be None.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from device.config import CameraSection
from device.errors import CameraStopped
from device.eye.camera import Timer
from device.eye.picamera import BUFFERS, PicameraCamera

SECTION = CameraSection(width_px=1280, height_px=720)
LIMIT_S = 5.0
KEPT: list[object] = []
"""Requests that nobody gives back."""


def seconds(what: Callable[[], object]) -> float | None:
    """How long it took; None where it did not end."""
    started = time.monotonic()
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return None if thread.is_alive() else time.monotonic() - started


def starved(camera: PicameraCamera) -> None:
    """No buffer is left to be filled, as when the cable is out: no frame is completed, and nobody says so."""
    KEPT.extend(_library(camera).capture_request(wait=True) for _ in range(BUFFERS))


def refused(camera: PicameraCamera) -> None:
    """No buffer is taken back by libcamera, as when a driver has failed: of that the thread dies that serves picamera2's queue."""
    _library(camera).camera.stop()


def ceased(how: Callable[[PicameraCamera], None]) -> tuple[PicameraCamera, str]:
    """A camera that gave a frame and then no more; and what the source says of it."""
    camera = PicameraCamera(SECTION, Timer())
    items = camera.frames()
    next(items)
    how(camera)
    try:
        for _ in items:
            pass
    except CameraStopped as error:
        return camera, str(error)
    raise SystemExit("the frames ended without a word")


def _library(camera: PicameraCamera) -> Any:  # noqa: ANN401 - picamera2 has no types
    return camera._camera  # noqa: SLF001 - what picamera2 itself does is the question


def main() -> None:
    """Both are given back by their source; then one is stopped as picamera2 stops, behind the capture that ran out of time."""
    found: dict[str, object] = {}
    for how in (starved, refused):
        camera, said = ceased(how)
        found[how.__name__] = {"said": said, "closed_s": seconds(camera.close)}
    camera, _ = ceased(starved)
    found["stopped_s"] = seconds(_library(camera).stop)
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    # What hangs would hold up an orderly end.
    os._exit(0)


if __name__ == "__main__":
    main()
