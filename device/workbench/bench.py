"""`gate bench`: every figure that this project claims, measured again on this machine.

Six parts. ``stages``: from frame to lamp in the whole gate. ``eye``: what is
read and what looking costs, beside its rivals in the same run. ``drain``: how fast a
backlog reaches the province over loopback. ``memory``: resident memory of both
processes after many events. ``start`` and ``idle``: what a start costs beside
the libraries it imports, and what a gate costs that nobody uses. Ratios mean more than times: the machine differs.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from device import config as configuration
from device.core.reasons import Reason
from device.core.types import Assurance, Channel, Decision, Direction, Entry, Kind, Passage, Sign, Verdict
from device.core.wire import Terms, checkin_data
from device.edges.broker.announcements import About
from device.edges.machine.health import resident_bytes
from device.errors import GateError
from device.gate import Gate, make_uplink, open_record
from device.scribe import FactRecorder
from device.verbs.status import read_status
from device.workbench import foreign_codes, people
from device.workbench.bench_eye import bench_eye
from device.workbench.bench_start import bench_idle, bench_start
from device.workbench.broker import PrivateBroker
from device.workbench.scenes import Carriage, Pose, scene
from device.workbench.stage import Stage, collector, stop_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from device.core.types import ClockReading, Json

SEED: Final = 4242
STAGE_CODES: Final = 150
STAGE_FPS: Final = 5.0
"""Slow enough that no frame waits for another: what is measured is the gate, not a queue."""
MEMORY_CODES: Final = 100
DRAIN_LIMIT_S: Final = 600.0
MEMORY_LIMIT_S: Final = 1800.0


def run_bench(only: str | None = None, events: int = 10_000, persons: int = 10, photographs: Path | None = None) -> dict[str, Any]:
    """Measure one part, or all. Keys are the names of the parts, and ``on`` says on what."""
    parts: dict[str, Callable[[], Mapping[str, Any]]] = {
        "eye": lambda: bench_eye(persons, photographs),
        "stages": bench_stages,
        "drain": lambda: bench_drain(events),
        "memory": lambda: bench_memory(events),
        "start": bench_start,
        "idle": bench_idle,
    }
    chosen = parts if only is None else {only: parts[only]}
    return {"on": machine(), **{name: dict(part()) for name, part in chosen.items()}}


def machine() -> dict[str, Json]:
    """What the figures were measured on."""
    model = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    libraries = {name: version(name) for name in ("pyzbar", "numpy", "paho-mqtt", "cryptography")}
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "libraries": {**libraries}}


def bench_stages() -> dict[str, Any]:
    """From frame to lamp, by stage, in milliseconds: real eye process, real journal on this disk, mock pins."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as name:
        folder = Path(name)
        _draw_codes(folder / "frames", STAGE_CODES, (1280, 720))
        overrides = {"camera": {"fps": STAGE_FPS}, "policy": {"duplicate_window_s": 0.0, "rearm_s": 0.1}}
        stage = Stage(folder / "gate", f"folder:{folder / 'frames'}", overrides=overrides)
        with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
            limit = time.monotonic() + 60 + STAGE_CODES / STAGE_FPS
            while gate.loop.tally.decisions < STAGE_CODES and time.monotonic() < limit:
                gate.loop.turn(0.05)
            tally = gate.loop.tally
            return {
                "decisions": tally.decisions,
                "frame": "1280x720",
                "decode_ms": tally.read_ms.summary(),
                "link_ms": tally.link_ms.summary(),
                "decide_ms": tally.decide_ms.summary(),
                "record_ms": tally.record_ms.summary(),
                "signal_ms": tally.signal_ms.summary(),
                "frame_to_lamp_ms": tally.lamp_ms.summary(),
                "record_late": tally.record_late,
            }


def bench_drain(events: int) -> dict[str, Any]:
    """Events for each second from a waiting journal to Mosquitto on loopback, by what confirms them."""
    return {"events": events} | {f"{confirm}_per_s": _drained_per_s(events, confirm) for confirm in ("collector", "broker")}


def bench_memory(events: int) -> dict[str, Any]:
    """Resident memory of both processes after so many decisions, with a broker and a collector connected."""
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        _draw_codes(folder / "frames", MEMORY_CODES, (640, 480))
        broker = stack.enter_context(PrivateBroker())
        stack.enter_context(collector(broker.port, folder / "province.sqlite"))
        overrides = {"camera": {"fps": 200.0}, "policy": {"duplicate_window_s": 0.0, "rearm_s": 0.1}}
        stage = Stage(folder / "gate", f"folder:{folder / 'frames'}", broker.port, overrides)
        command = [sys.executable, "-m", "device.cli", "run", "--config", str(stage.config_path)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        stack.callback(stop_process, process)
        first = _memory_at(stage, process, min(500, events))
        last = _memory_at(stage, process, events)
        return {"after_first": first, "after_last": last}


def _drained_per_s(events: int, confirm: str) -> float:
    with tempfile.TemporaryDirectory(prefix="gate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        broker = stack.enter_context(PrivateBroker())
        database = folder / "province.sqlite"
        stack.enter_context(collector(broker.port, database))
        overrides = {"broker": {"confirm": confirm, "backlog_per_s": 100_000.0, "keep_after_puback_h": 0.0}}
        stage = Stage(folder / "gate", "folder:none", broker.port, overrides)
        config = configuration.load(stage.config_path)
        record = open_record(config)
        journal = stack.enter_context(closing(record.journal))
        futures = [journal.record(_entry(number, record.clock.reading())) for number in range(events)]
        for future in futures:
            future.result()
        started = time.monotonic()
        uplink = make_uplink(config, record, About("0", "0", dict, dict), FactRecorder(record.journal, record.clock))
        if uplink is None:
            raise GateError("the stage has no broker")
        uplink.start()
        stack.callback(uplink.close)
        while journal.bounds().waiting and time.monotonic() - started < DRAIN_LIMIT_S:
            time.sleep(0.02)
        seconds = time.monotonic() - started
        delivered = events - journal.bounds().waiting
        return round(delivered / seconds, 1)


def _memory_at(stage: Stage, process: subprocess.Popen[bytes], decisions: int) -> dict[str, float]:
    started = time.monotonic()
    while time.monotonic() - started < MEMORY_LIMIT_S and process.poll() is None:
        status = read_status(stage.folder / "run")
        if status is not None and status["decisions"]["decisions"] >= decisions:
            gate, eye = resident_bytes(process.pid), resident_bytes(status["eye"]["pid"])
            return {
                "decisions": status["decisions"]["decisions"],
                "gate_mib": round((gate or 0) / 2**20, 1),
                "eye_mib": round((eye or 0) / 2**20, 1),
            }
        time.sleep(0.2)
    raise GateError(f"the gate did not reach {decisions} decisions")


def _entry(number: int, at: ClockReading) -> Entry:
    """A check-in as large as those of real people."""
    subject = hashlib.sha256(str(number).encode()).hexdigest()
    decision = Decision(Verdict.ACCEPT, Reason.ACCEPTED, Sign.ACCEPT_IN, Kind.CITIZEN_CARD, "11", Direction.IN, Assurance.DECLARED, subject)
    sealed = base64.b64encode(hashlib.shake_256(subject.encode()).digest(200)).decode("ascii")
    data = checkin_data(decision, Terms("bench", "1", "0", "benchmark", "none"), decide_ms=1.0, sealed=sealed)
    return Entry(Channel.CHECKIN, data, at, Passage(subject, Direction.IN, at))


def _draw_codes(folder: Path, count: int, size: tuple[int, int]) -> None:
    """So many frames with a different card each, as a camera sees them."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(SEED)
    view = Pose(px_per_module=3.5, turn_deg=8, tilt_deg=6, blur_px=0.4, noise=3, shade=0.2, contrast=0.8, look=Carriage.BADGE)
    for number, person in enumerate(people.people(count, people.seeded(SEED))):
        # Every other code is refused, so that no answer has to wait for the dark before the same answer again.
        code = people.can_cuoc(person) if number % 2 else foreign_codes.payment_code(person.number)
        Image.fromarray(scene([code], view, noise, size)).save(folder / f"{number:05d}.png", compress_level=1)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
