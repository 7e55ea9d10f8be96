"""`gate bench start` and `gate bench idle`: what a start and a gate that nobody uses cost.

A start is timed from the process to its READY on a pretended service manager's
socket, beside what importing the libraries alone costs in the same run. Idle
is CPU time of both processes while empty frames come, beside the frame rate.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from device.edges.machine.health import resident_bytes
from device.errors import GateError
from device.verbs.status import read_status
from device.workbench.scenes import empty_scene
from device.workbench.stage import Stage, stop_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STARTS: Final = 5
READY_LIMIT_S: Final = 60.0
LIBRARIES: Final = "import pydantic, cryptography.x509, cryptography.hazmat.primitives.hpke, gpiozero, paho.mqtt.client, sqlite3"
IDLE_FPS: Final = 10.0
IDLE_S: Final = 30.0
SETTLE_S: Final = 5.0
SIZE: Final = (1280, 720)
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def bench_start() -> dict[str, Any]:
    """Seconds, medians of some starts: a bare Python, the libraries, our modules, the daemon to READY."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as name:
        folder = Path(name)
        _empty_frames(folder / "frames")
        stage = Stage(folder, f"folder:{folder / 'frames'}")
        return {
            "python_s": _timed([sys.executable, "-c", "pass"]),
            "libraries_s": _timed([sys.executable, "-c", LIBRARIES]),
            "imports_s": _timed([sys.executable, "-c", "import device.gate"]),
            "ready_s": round(median(_ready_s(stage) for _ in range(STARTS)), 3),
        }


def bench_idle() -> dict[str, Any]:
    """Share of one processor that gate and eye take while nobody comes, and what they hold in memory."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as name:
        folder = Path(name)
        _empty_frames(folder / "frames")
        stage = Stage(folder, f"folder:{folder / 'frames'}", overrides={"camera": {"fps": IDLE_FPS}})
        process = _daemon(stage, os.environ)
        try:
            eye = _eye_of(folder / "run")
            time.sleep(SETTLE_S)
            before = _cpu_s(process.pid), _cpu_s(eye)
            time.sleep(IDLE_S)
            gate_s, eye_s = (now - then for now, then in zip((_cpu_s(process.pid), _cpu_s(eye)), before, strict=True))
            memory = {"gate": resident_bytes(process.pid), "eye": resident_bytes(eye)}
        finally:
            stop_process(process)
    shares = {"gate_share": round(gate_s / IDLE_S, 4), "eye_share": round(eye_s / IDLE_S, 4)}
    return {"fps": IDLE_FPS, "frame": list(SIZE), "seconds": IDLE_S, **shares, "resident_bytes": memory}


def _timed(command: Sequence[str]) -> float:
    times = []
    for _ in range(STARTS):
        started = time.monotonic()
        subprocess.run(command, check=True)
        times.append(time.monotonic() - started)
    return round(median(times), 3)


def _ready_s(stage: Stage) -> float:
    """From the process to READY=1. Raises GateError when that does not come."""
    address = stage.folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(READY_LIMIT_S)
        started = time.monotonic()
        process = _daemon(stage, os.environ | {"NOTIFY_SOCKET": str(address)})
        try:
            while b"READY=1" not in manager.recv(4096):
                pass
            return time.monotonic() - started
        except TimeoutError as error:
            raise GateError(f"the daemon was not ready within {READY_LIMIT_S:g} s") from error
        finally:
            stop_process(process)


def _daemon(stage: Stage, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "device.cli", "run", "--config", str(stage.config_path)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)


def _eye_of(runtime_dir: Path) -> int:
    limit = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < limit:
        status = read_status(runtime_dir)
        if status and status["state"] == "ready" and status["eye"]["pid"]:
            return int(status["eye"]["pid"])
        time.sleep(0.1)
    raise GateError("the gate did not become ready; start `gate run` by hand to see why")


def _cpu_s(pid: int) -> float:
    """User and system time of a process. Source: proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _empty_frames(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(7)
    for number in range(4):
        Image.fromarray(empty_scene(rng, SIZE)).save(folder / f"{number}.png")
