"""Thin probes of a real Pi. Each returns a value or raises ProbeError, which says what was missing."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from device.edges.machine import health

CYCLES: Final = 10
FRAMES: Final = 60
WRITES: Final = 1_000
IDLE_S: Final = 30.0
UNITS: Final = ("gate.service", "gate-eye.service")


class ProbeError(Exception):
    """The probe could not be made here. The message says why."""


def is_a_pi() -> bool:
    """By the device tree."""
    path = Path("/proc/device-tree/model")
    return path.exists() and "Raspberry Pi" in path.read_text(encoding="utf-8", errors="replace")


def camera_mode() -> str:
    """The size of a frame, as the product's own camera gives it. The gate must be stopped."""
    with _Camera() as camera:
        frame = next(camera.frames())
        height, width = frame.pixels.shape
        return f"{width}x{height}"


def exposures_followed() -> float:
    """Percent of frames whose exposure is one that was commanded, within 5 %."""
    from device.config import CameraSection  # noqa: PLC0415 - what the product imports only where there is a camera

    wanted = CameraSection().exposures_us
    with _Camera() as camera:
        seen = [frame.exposure_us for frame, _ in zip(camera.frames(), range(FRAMES), strict=False)]
    near = [any(us is not None and abs(us - want) <= want * 0.05 for want in wanted) for us in seen]
    return 100 * sum(near) / len(near)


def camera_restarts() -> bool:
    """Opened, looked through and closed, again and again, while the last frame is still held."""
    held = []
    for _ in range(CYCLES):
        with _Camera() as camera:
            held.append(next(camera.frames()))
    return len(held) == CYCLES


def luma_copy_ms() -> float:
    """One copy of a 2304x1296 frame, the best of many."""
    import numpy as np  # noqa: PLC0415 - only this probe needs it

    source, target = np.zeros((1296, 2368), np.uint8), np.empty((1296, 2304), np.uint8)
    times = []
    for _ in range(100):
        started = time.perf_counter()
        np.copyto(target, source[:, :2304])
        times.append(time.perf_counter() - started)
    return round(min(times) * 1000, 3)


def eye_look_ms() -> float:
    """Median processor time of one look at a frame of the running camera, with whatever is before it."""
    from device.eye.ladder import make_ladder  # noqa: PLC0415 - what the product imports only where there is a camera

    ladder, spent = make_ladder(), []
    with _Camera() as camera:
        for frame, _ in zip(camera.frames(), range(FRAMES), strict=False):
            before_ns = time.thread_time_ns()
            ladder.live(frame.pixels, time.monotonic_ns(), frame.light)
            spent.append((time.thread_time_ns() - before_ns) / 1e6)
    return sorted(spent)[len(spent) // 2]


def chip_labelled() -> bool:
    """Whether a chip carries the label of this board's pins."""
    said = _said("gpiodetect")
    return any(label in said for label in ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835"))


def watchdog_armed() -> bool:
    """By systemd's own word, in this boot."""
    return "hardware watchdog" in _said("journalctl", "-b", "-o", "cat", "-g", "hardware watchdog", "--no-pager").lower()


def power_is_good() -> bool:
    """The firmware's bits, now and since power on."""
    bits = health.throttled_bits()
    if bits is None:
        raise ProbeError("this machine's firmware does not say")
    return not bits & (health.UNDER_VOLTAGE_NOW | health.UNDER_VOLTAGE_SINCE_BOOT)


def fsync_p50_ms() -> float:
    """Median of durable writes beside the record."""
    return _syncs()[WRITES // 2]


def fsync_p99_ms() -> float:
    """99th percentile of durable writes beside the record."""
    return _syncs()[WRITES * 99 // 100]


def ready_s() -> float:
    """The gate's READY, in seconds since the kernel's start."""
    return int(_show("gate.service", "ActiveEnterTimestampMonotonic")) / 1e6


def memory_mib() -> float:
    """Resident memory of gate and eye. Raises ProbeError before they have run for an hour."""
    if min(time.clock_gettime(time.CLOCK_MONOTONIC) - int(_show(unit, "ActiveEnterTimestampMonotonic")) / 1e6 for unit in UNITS) < 3600:
        raise ProbeError("gate and eye have not run for an hour yet: come back to this step")
    sizes = [health.resident_bytes(int(_show(unit, "MainPID"))) for unit in UNITS]
    return sum(size or 0 for size in sizes) / (1 << 20)


def memory_free_mib() -> float:
    """What can be had without swapping. Raises ProbeError where the machine does not say."""
    free = health.memory_available_bytes()
    if free is None:
        raise ProbeError("/proc/meminfo does not say")
    return free / (1 << 20)


def idle_percent() -> float:
    """Of one core, over half a minute in which nobody may come."""
    before = _cpu_s()
    time.sleep(IDLE_S)
    return 100 * (_cpu_s() - before) / IDLE_S


def eye_exposure() -> float:
    """Of the installed unit."""
    said = _said("systemd-analyze", "security", "--no-pager", "gate-eye.service")
    found = re.search(r"exposure level for \S+ ([0-9.]+)", said)
    if found is None:
        raise ProbeError("systemd-analyze gives no figure for gate-eye.service")
    return float(found[1])


class _Camera:
    """The product's camera with its own settings, given back whatever happens."""

    def __enter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - the type lies in a module that needs the camera stack
        from device.config import CameraSection  # noqa: PLC0415 - only on a Pi
        from device.eye.sources import open_camera  # noqa: PLC0415 - only on a Pi

        self._camera = open_camera(CameraSection())
        return self._camera

    def __exit__(self, *_: object) -> None:
        self._camera.close()


def _syncs() -> list[float]:
    folder = Path("/var/lib/gate")
    if not folder.is_dir():
        raise ProbeError(f"{folder} is missing: install the gate first")
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(WRITES):
            started = time.perf_counter()
            file.write(b"\0" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return sorted(times)


def _cpu_s() -> float:
    ticks = 0
    for unit in UNITS:
        fields = Path(f"/proc/{_show(unit, 'MainPID')}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _show(unit: str, name: str) -> str:
    return _said("systemctl", "show", "--value", "--property", name, unit)


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ProbeError(f"{command[0]} is not on this machine") from error
    return done.stdout.strip()
