"""Gate, eye and broker killed at random moments: nothing that was shown is lost, nothing is there twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from device.workbench import foreign, people
from device.workbench.scenes import View, scene
from device.workbench.stage import Stage, collector, stop_process
from device.workbench.status import read_status
from tests.mosquitto import Broker, running

FPS = 5.0
"""Every frame holds another code, so these are events a second."""
CODES = 40
SHORT = 4
LONG = 50
SETTLE_S = 60.0


def draw(folder: Path) -> None:
    """Cards and foreign codes, a different one in each frame."""
    folder.mkdir()
    rng = people.seeded(77)
    strangers = [code.payload for code in foreign.foreign_codes(rng) if len(code.payload) < 200]
    noise = np.random.default_rng(77)
    for number, person in enumerate(people.people(CODES, rng)):
        payload = strangers[number // 3 % len(strangers)] if number % 3 == 2 else people.citizen_card(person)
        picture = scene([payload], View(px_per_module=4), noise, (640, 480))
        Image.fromarray(picture).save(folder / f"{number:03d}.png")


@dataclass
class Site:
    """A gate with a broker and a province, all killable."""

    stage: Stage
    broker: Broker
    database: Path
    witness: Path
    chance: random.Random
    gate: subprocess.Popen[bytes] | None = None
    kills: dict[str, int] = field(default_factory=lambda: {"gate": 0, "eye": 0, "broker": 0})

    def start(self) -> None:
        """Start the gate, as a service manager would."""
        command = [sys.executable, "-m", "tests.faults.witnessed_gate", str(self.stage.config_path), str(self.witness)]
        self.gate = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """Stop the gate in order."""
        if self.gate is not None:
            stop_process(self.gate)

    def kill(self, what: str) -> None:
        """Kill -9, and for gate and broker a new start."""
        if what == "broker":
            self.broker.kill()
            self.broker.start()
        elif what == "eye":
            pid = (self.status() or {"eye": {"pid": None}})["eye"]["pid"]
            if pid is None:
                return
            with_suppressed_kill(pid)
        elif self.gate is not None:
            self.gate.kill()
            self.gate.wait()
            self.start()
        self.kills[what] += 1

    def status(self) -> dict[str, Any] | None:
        """What the gate says of itself."""
        return read_status(self.stage.folder / "run")

    def shown(self) -> list[str]:
        """What the lamps said, in order."""
        return self.witness.read_text().split() if self.witness.exists() else []

    def events(self) -> list[tuple[str, int, str]]:
        """What the province holds, in the order of the record: epoch, seq and the sign that belongs to it."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as store:
            rows = store.execute("SELECT epoch, seq, body FROM events WHERE type = 'vn.gate.checkin.v1' ORDER BY seq").fetchall()
        return [(epoch, seq, sign_of(json.loads(body)["data"])) for epoch, seq, body in rows]


def with_suppressed_kill(pid: int) -> None:
    """Kill -9; a process that is gone already does not count against the test."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def sign_of(data: dict[str, Any]) -> str:
    """The lamp that belongs to an event."""
    if data["decision"] != "accept":
        return str(data["decision"])
    return f"accept_{data['direction']}" if "direction" in data else "already"


def missing(shown: list[str], recorded: list[str]) -> int:
    """How many of the signs shown have no event: the shown must be a subsequence of the recorded."""
    rest = iter(recorded)
    return sum(1 for sign in shown if not any(sign == other for other in rest))


@contextmanager
def site(folder: Path, seed: int) -> Iterator[Site]:
    """Everything running."""
    draw(folder / "frames")
    broker_folder = folder / "broker"
    broker_folder.mkdir()
    with running(Broker.plain(broker_folder)) as broker:
        database = folder / "province.sqlite"
        overrides = {
            "camera": {"fps": FPS},
            "policy": {"duplicate_window_s": 0.0, "rearm_s": 0.1},
            "broker": {"retry_min_s": 0.1, "retry_max_s": 1.0},
        }
        with collector(broker.port, database):
            stage = Stage(folder / "gate", f"folder:{folder / 'frames'}", broker.port, overrides)
            one = Site(stage, broker, database, folder / "witness", random.Random(seed))  # noqa: S311 - repeatable chance
            one.start()
            try:
                yield one
            finally:
                one.stop()


def until(condition: Any, limit_s: float) -> bool:  # noqa: ANN401 - any call that tells
    """Wait for something to become true."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def check(one: Site, rounds: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Kill each so often in random order, let it settle, compare what was shown with what the province holds."""
    assert until(lambda: len(one.shown()) >= 3, 30)
    victims = ["gate", "eye", "broker"] * rounds
    one.chance.shuffle(victims)
    for victim in victims:
        time.sleep(one.chance.uniform(0.1, 2.0))
        before = len(one.shown())
        one.kill(victim)
        # The next kill waits for a sign of life, or the gate would be killed in its start every time.
        assert until(lambda seen=before: len(one.shown()) > seen, 30), f"no answer within 30 s of killing the {victim}"
    one.stop()
    deliver_the_rest(one)
    shown, events = one.shown(), one.events()
    keys = [(epoch, seq) for epoch, seq, _ in events]
    lost = missing(shown, [sign for _, _, sign in events])
    doubled = len(keys) - len(set(keys))
    unseen = len(events) - len(shown)
    said = f"kills {one.kills}, shown {len(shown)}, in the province {len(events)}, lost {lost}, doubled {doubled}, not seen {unseen}"
    with capsys.disabled():
        sys.stdout.write(f"\n{said}\n")
    assert (lost, doubled) == (0, 0), said
    assert len({epoch for epoch, _ in keys}) == 1, said
    # An event whose lamp a kill prevented is right; more of them than kills of the gate would hide a loss.
    assert 0 <= unseen <= one.kills["gate"] + 1, said


def deliver_the_rest(one: Site) -> None:
    """Run the gate once more with nobody before it, until nothing waits in its record."""
    empty = one.stage.folder / "nobody"
    empty.mkdir()
    text = one.stage.config_path.read_text()
    (one.stage.folder / "run" / "status.json").unlink(missing_ok=True)
    one.stage.config_path.write_text(text.replace(one.stage.source, f"folder:{empty}"))
    one.start()
    assert until(lambda: (one.status() or {"journal": {"waiting": 1}})["journal"]["waiting"] == 0, SETTLE_S)
    one.stop()


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_few_kills_of_each_lose_nothing_and_double_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The short form: a few kills of gate, eye and broker."""
    with site(tmp_path, seed=1) as one:
        check(one, SHORT, capsys)


@pytest.mark.timeout(1800)
@pytest.mark.soak
def test_fifty_kills_of_each_lose_nothing_and_double_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The long form: fifty kills of gate, eye and broker."""
    with site(tmp_path, seed=2) as one:
        check(one, LONG, capsys)
