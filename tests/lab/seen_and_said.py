"""Runs inside the laboratory's folder: cards before real picamera2, and what lamps and province say of them.

``python -m tests.lab.seen_and_said PICTURES SCRATCH``: each file in PICTURES is
a frame's luma. The installed gate runs with its own eye, pretended pins, a real
Mosquitto and the province's collector. Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from device.core.machine import State
from device.verbs.status import read_status
from device.workbench.stage import Stage, collector, received_checkins, stop_process
from tests.mosquitto import Broker, running

SIZE = (1280, 720)
ANSWER_LIMIT_S = 20.0
EMPTY_S = 1.5
"""Between two cards: longer than the re-arm time at the virtual camera's slowest."""

GREY = bytes([128]) * (SIZE[0] * SIZE[1])


class Scene:
    """What is before the camera, changed while it runs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "picture"
        self.hang = folder / "picture.hang"
        self.show(GREY)

    def show(self, luma: bytes) -> None:
        """The next frame is this one, whole."""
        new = self.path.with_suffix(".new")
        new.write_bytes(luma)
        new.replace(self.path)


class Watched:
    """A running gate and what its pins said."""

    def __init__(self, stage: Stage, witness: Path) -> None:
        self.stage = stage
        self.witness = witness

    def answers(self) -> int:
        """How many answers the lamps gave."""
        return len(self.witness.read_text().splitlines()) if self.witness.exists() else 0

    def status(self) -> dict[str, Any]:
        """What the gate says of itself; empty before its first word."""
        return read_status(self.stage.folder / "run") or {}

    def state(self) -> str:
        """The state of the gate's table."""
        return str(self.status().get("state"))


def wait_ms(true: Callable[[], bool], what: str, limit_s: float = ANSWER_LIMIT_S) -> float:
    """How long it took until ``true`` held, in milliseconds."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > limit_s:
            raise SystemExit(f"not within {limit_s:g} s: {what}")
        time.sleep(0.005)
    return (time.monotonic() - started) * 1000


def shown(scene: Scene, gate: Watched, pictures: list[Path]) -> list[float]:
    """Milliseconds from each picture to its lamp."""
    times = []
    for number, picture in enumerate(pictures, 1):
        scene.show(picture.read_bytes())
        times.append(wait_ms(lambda wanted=number: gate.answers() >= wanted, f"an answer to {picture.name}"))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        scene.show(GREY)
        time.sleep(EMPTY_S)
    return times


def hung(scene: Scene, gate: Watched) -> dict[str, float]:
    """The camera stack hangs in the eye's hands, then is well again."""
    restarts = gate.status()["eye"]["restarts"]
    scene.hang.touch()
    noticed = wait_ms(lambda: gate.state() == State.OUT_OF_SERVICE.value, "out of service")
    restarted = wait_ms(lambda: gate.status()["eye"]["restarts"] > restarts, "another eye")
    scene.hang.unlink()
    return {"noticed_ms": noticed, "restarted_ms": restarted, "ready_ms": wait_ms(lambda: gate.state() == State.READY.value, "ready again")}


def main(pictures: Path, scratch: Path) -> None:
    """Show everything, wait until the province has it, and say how it went."""
    scene = Scene(scratch)
    broker = Broker.plain(scratch)
    camera = {"width_px": SIZE[0], "height_px": SIZE[1]}
    stage = Stage(scratch / "gate", "picamera2", broker.port, {"camera": camera})
    gate = Watched(stage, scratch / "witness")
    database = scratch / "province.sqlite"
    command = [sys.executable, "-m", "tests.faults.witnessed_gate", str(stage.config_path), str(gate.witness)]
    with running(broker), collector(broker.port, database):
        environment = {"LD_PRELOAD": "/usr/local/lib/gate-lab/dmaheap_shim.so", "LAB_PICTURE": str(scene.path)}
        process = subprocess.Popen(command, env=os.environ | environment)
        try:
            ready = wait_ms(lambda: gate.state() == State.READY.value, "ready")
            cards = sorted(pictures.iterdir())
            lamp_ms = shown(scene, gate, cards)
            trouble = hung(scene, gate)
            scene.show(cards[0].read_bytes())
            wait_ms(lambda: gate.answers() > len(cards), "an answer after the camera came back")
            delivered = wait_ms(lambda: received_checkins(database) > len(cards), "all decisions in the province")
        finally:
            stop_process(process)
    result = {"ready_ms": ready, "lamp_ms": lamp_ms, "hung": trouble, "delivered_ms": delivered}
    result |= {"answers": gate.answers(), "received": received_checkins(database)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
