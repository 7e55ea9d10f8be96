"""A site on one machine: a whole gate with watched lamps, a broker and a province, each of which can be killed or cut off."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from device.confinement import WIPING
from device.verbs.status import read_status
from device.workbench import foreign_codes, people
from device.workbench.scenes import Pose, scene
from device.workbench.stage import Stage, start_collector, stop_process
from tests.faults.oracle import NEAR_S, Findings, compare, replaced_in, shown_in
from tests.mosquitto import Broker, running

FPS: Final = 5.0
"""Every frame holds another code, so these are events a second."""
CODES: Final = 40
SETTLE_S: Final = 90.0
VICTIMS: Final = ("gate", "eye", "broker", "collector")


def draw(folder: Path) -> None:
    """Cards and foreign codes, a different one in each frame."""
    folder.mkdir()
    rng = people.seeded(77)
    strangers = [code.payload for code in foreign_codes.foreign_codes(rng) if len(code.payload) < 200]
    noise = np.random.default_rng(77)
    for number, person in enumerate(people.people(CODES, rng)):
        payload = strangers[number // 3 % len(strangers)] if number % 3 == 2 else people.citizen_card(person)
        picture = scene([payload], Pose(px_per_module=4), noise, (640, 480))
        Image.fromarray(picture).save(folder / f"{number:03d}.png")


@dataclass
class Site:
    """Everything of one site. ``port`` is where the gate finds its broker, which may be behind something that disturbs it."""

    stage: Stage
    broker: Broker
    database: Path
    witness: Path
    chance: random.Random
    environment: Mapping[str, str] = field(default_factory=dict)
    wrap: tuple[str, ...] = ()
    """Put before the gate's command, such as `ip netns exec`."""
    gate: subprocess.Popen[bytes] | None = None
    collector: subprocess.Popen[bytes] | None = None
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))

    @property
    def log(self) -> Path:
        """What the gate and its eye have said so far."""
        return self.stage.folder / "log"

    def start(self) -> None:
        """Start the gate, as a service manager would."""
        command = [*self.wrap, sys.executable, "-m", "tests.faults.witnessed_gate", str(self.stage.config_path), str(self.witness)]
        with self.log.open("ab") as log:
            zero = {"GATE_TEST_MONOTONIC_ZERO_NS": str(time.time_ns() - time.monotonic_ns())}
            self.gate = subprocess.Popen(command, stderr=log, env={**os.environ, **zero, **WIPING, **self.environment})

    def start_collector(self) -> None:
        """Start the province's collector and wait until it is subscribed."""
        self.collector = start_collector(self.broker.port, self.database)

    def stop(self) -> None:
        """Stop the gate in order."""
        if self.gate is not None:
            stop_process(self.gate)

    def close(self) -> None:
        """Stop gate and collector."""
        self.stop()
        if self.collector is not None:
            stop_process(self.collector)

    def kill(self, victims: Collection[str]) -> None:
        """Kill -9, all of them before anything is started again."""
        self.down(victims)
        self.up(victims)

    def down(self, victims: Collection[str]) -> None:
        """Kill -9, and leave them so. An eye is started again by its gate."""
        if "eye" in victims and (pid := self.eye_pid) is not None:
            with contextlib.suppress(ProcessLookupError):  # gone by itself: it does not count
                os.kill(pid, signal.SIGKILL)
                self.kills["eye"] += 1
        for name, process in (("gate", self.gate), ("collector", self.collector)):
            if name in victims and process is not None:
                process.kill()
                process.wait()
                self.kills[name] += 1
        if "broker" in victims:
            self.broker.kill()
            self.kills["broker"] += 1

    def up(self, victims: Collection[str]) -> None:
        """Start again what was killed."""
        if "broker" in victims:
            self.broker.start()
        if "collector" in victims:
            self.start_collector()
        if "gate" in victims:
            self.start()

    @property
    def eye_pid(self) -> int | None:
        """The eye's process, by the gate's status."""
        pid = (self.status() or {"eye": {"pid": None}})["eye"]["pid"]
        return None if pid is None else int(pid)

    def status(self) -> dict[str, Any] | None:
        """What the gate says of itself."""
        return read_status(self.stage.folder / "run")

    def told(self, *keys: str) -> Any:  # noqa: ANN401 - whatever stands in the status
        """A value of the status by its path; None while there is none."""
        found: Any = self.status()
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def answers(self) -> int:
        """How many answers the lamps have given."""
        return len(shown_in(self.witness))

    def wait_answers(self, more: int = 1, limit_s: float = 30.0, during: str = "") -> float:
        """Wait for so many more answers; returns the seconds. Fails with the gate's last words."""
        seen = self.answers()
        return self.wait(lambda: self.answers() >= seen + more, limit_s, f"{more} more answers {during}")

    def wait(self, reached: Callable[[], object], limit_s: float, what: str) -> float:
        """Wait for something; returns the seconds. Fails with the gate's status and last words."""
        started = time.monotonic()
        while not reached():
            if time.monotonic() - started > limit_s:
                words = self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
                raise AssertionError(f"not within {limit_s:.0f} s: {what}; {self.status()}\n{words}")
            time.sleep(0.05)
        return time.monotonic() - started

    def nobody(self) -> None:
        """Nobody stands before the gate any more: takes effect with its next start."""
        empty = self.stage.folder / "nobody"
        empty.mkdir(exist_ok=True)
        text = self.stage.config_path.read_text()
        self.stage.config_path.write_text(text.replace(self.stage.source, f"folder:{empty}"))

    def settle(self, limit_s: float = SETTLE_S) -> None:
        """Run the gate once more with nobody before it, until nothing waits in its record, and stop it."""
        self.stop()
        self.nobody()
        (self.stage.folder / "run" / "status.json").unlink(missing_ok=True)
        self.start()
        self.wait(
            lambda: self.told("journal", "waiting") == 0 and self.told("journal", "storage_state") == "ok", limit_s, "an empty record"
        )
        self.stop()

    def compare(self, *, near_s: float = NEAR_S) -> Findings:
        """The oracle's comparison."""
        return compare(self.witness, self.database, replaced=replaced_in(self.log), near_s=near_s)


@contextmanager
def site(
    folder: Path,
    seed: int = 1,
    *,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    broker: Broker | None = None,
    wrap: tuple[str, ...] = (),
) -> Iterator[Site]:
    """Everything running. ``port`` differs from the broker's where the gate is to be led through something else."""
    draw(folder / "frames")
    (folder / "broker").mkdir(exist_ok=True)
    sections: dict[str, dict[str, Any]] = {
        "camera": {"fps": FPS},
        "policy": {"duplicate_window_s": 0.0, "rearm_s": 0.1},
        "broker": {"retry_min_s": 0.1, "retry_max_s": 1.0},
    }
    for name, keys in (overrides or {}).items():
        sections.setdefault(name, {}).update(keys)
    with running(broker or Broker.plain(folder / "broker")) as up:
        stage = Stage(folder / "gate", f"folder:{folder / 'frames'}", port or up.port, sections)
        chance = random.Random(seed)  # noqa: S311 - repeatable chance
        one = Site(stage, up, folder / "province.sqlite", folder / "witness", chance, environment or {}, wrap)
        try:
            one.start_collector()
            one.start()
            yield one
        finally:
            one.close()


def say(text: str) -> None:
    """A line of figures for whoever runs the tests with -s."""
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()
