"""A technician before a whole gate: the button on its pin, the order before the real eye, the lamps at each step."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from device.cli import main
from device.core import commissioning as claim
from device.core.machine import State
from device.core.player import Snapshot
from device.core.types import Sign
from device.gate import Gate
from device.settings import commissioned
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Pose, scene
from device.workbench.stage import GATE_ID, Stage
from provisioning.badges.tokens import token
from tests.desk import Desk
from tests.gate.test_gate import turning

PIN: Final = 25
OVER: Final = {"ISSUED": 10**9, "EXPIRES": 10**9 + 60}
PERSON: Final = citizen_card(people(1, seeded(9))[0])
LIMIT_S: Final = 60.0
"""Only a gate that never answers waits so long: each step waits for the sign of the step before it."""


class Lamps:
    """The signs that the lamps gave, one after another."""

    def __init__(self) -> None:
        self._signs: list[Sign | None] = []
        self._seen = 0
        self._news = threading.Condition()

    def __call__(self, snapshot: Snapshot) -> None:
        """The pins changed."""
        with self._news:
            if not self._signs or self._signs[-1] is not snapshot.sign:
                self._signs.append(snapshot.sign)
                self._news.notify_all()

    def wait_for(self, sign: Sign) -> None:
        """Look at the lamps until they give ``sign``, after the one that was last waited for."""
        with self._news:
            assert self._news.wait_for(lambda: sign in self._signs[self._seen :], LIMIT_S), (sign, self._signs)
            self._seen = self._signs.index(sign, self._seen) + 1


class Camera:
    """What stands before the camera: one picture in a folder, which the eye sees again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.show()

    def show(self, *payloads: bytes) -> None:
        """Hold these codes up in place of whatever was there; none for an empty place."""
        drawn = scene(payloads, Pose(px_per_module=3.0), np.random.default_rng(7), (800, 800))
        fresh = self.folder.with_name("fresh.png")
        Image.fromarray(drawn if payloads else np.full_like(drawn, 150)).save(fresh)
        fresh.replace(self.folder / "view.png")


def order(desk: Desk, **changes: object) -> bytes:
    """Lane 7, out."""
    now_s = int(time.time())
    told = {"SUBJECT": GATE_ID, "ISSUED": now_s - 60, "EXPIRES": now_s + 3600, "ID": b"12345678", "LANE": "7", "DIRECTION": "out"}
    return token("GC1:", {getattr(claim, name): value for name, value in {**told, **changes}.items()}, desk.key, b"\1").encode()


@contextmanager
def gate_before(stage: Stage) -> Iterator[tuple[Gate, Lamps]]:
    """The gate at work, and its lamps."""
    lamps = Lamps()
    with turning(Gate(commissioned.load(stage.config_path), stage.config_path, on_change=lamps)) as gate:
        yield gate, lamps


@contextmanager
def finger_on_button(gate: Gate) -> Iterator[None]:
    """Held as long as the block."""
    assert gate.signals._pins is not None  # noqa: SLF001 - the mock pin is the finger
    pin = gate.signals._pins._factory.pin(PIN)  # noqa: SLF001 - see above
    pin.drive_low()
    yield
    pin.drive_high()


def stage_of(folder: Path, desk: Desk, camera: Camera) -> Stage:
    """A gate with a button before this camera. A code in view counts once: nobody takes it away for ten seconds."""
    desk.write_pem(folder / "orders.pem")
    sections: dict[str, dict[str, Any]] = {
        "trust": {"province": str(folder / "orders.pem"), "orders": "orders", "commissioned": "commissioned"},
        "policy": {"rearm_s": 10.0},
        "camera": {"fps": 15.0},
        "eye": {"cpu_share": 1.0, "silent_limit_s": 2.5},
    }
    stage = Stage(folder / "gate", f"folder:{camera.folder}", None, sections)
    button = f"[signals]\nbutton = {{ pin = {PIN}, hold_s = 0.2, window_s = 3600 }}\n"
    stage.config_path.write_text(stage.config_path.read_text().replace("[signals]\n", button))
    return stage


def recorded(stage: Stage, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The facts in the record."""
    capsys.readouterr()
    assert main(["events", "--config", str(stage.config_path), "--json", "--limit", "0"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def open_window(gate: Gate, lamps: Lamps) -> None:
    """Hold the button until the lamps say that the window is open."""
    with finger_on_button(gate):
        lamps.wait_for(Sign.COMMISSIONING)


def test_an_order_counts_in_the_window_alone_and_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shut: a code like any other. Open: taken, shown, and in force after the start that follows. Again: refused."""
    desk, camera = Desk(), Camera(tmp_path / "frames")
    stage, good = stage_of(tmp_path, desk, camera), order(desk)
    with gate_before(stage) as (gate, lamps):
        camera.show(good)
        lamps.wait_for(Sign.REJECT)
        assert gate.config.gate.lane == "1"
        assert not gate.ended.is_set()
    camera.show()
    with gate_before(stage) as (gate, lamps):
        open_window(gate, lamps)
        camera.show(good)
        lamps.wait_for(Sign.ORDER_TAKEN)
        assert gate.ended.wait(LIMIT_S)
    camera.show()
    with gate_before(stage) as (gate, lamps):
        assert (gate.config.gate.lane, gate.config.gate.direction) == ("7", "out")
        open_window(gate, lamps)
        camera.show(good)
        lamps.wait_for(Sign.REJECT)
        assert gate.loop.state is State.COMMISSIONING
        assert not gate.ended.is_set()
    facts = recorded(stage, capsys)
    told = [(fact["detail"]["state"], fact["detail"].get("reason")) for fact in facts if fact.get("what") == "command"]
    assert told == [("succeeded", None), ("rejected", "already_used")]
    assert sum(fact.get("what") == "window" for fact in facts) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"SUBJECT": "g0000000xx"}, "foreign"), ({"EXPIRES": 1}, "life_too_long"), (OVER, "expired")],
)
def test_what_does_not_count_is_answered_with_red_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], reason: str
) -> None:
    """People still pass while the window is open, and it stays open for the right order."""
    desk, camera = Desk(), Camera(tmp_path / "frames")
    stage = stage_of(tmp_path, desk, camera)
    with gate_before(stage) as (gate, lamps):
        open_window(gate, lamps)
        camera.show(order(desk, **changes))
        lamps.wait_for(Sign.REJECT)
        camera.show(PERSON)
        lamps.wait_for(Sign.ACCEPT_IN)
        assert gate.loop.state is State.COMMISSIONING
        assert (gate.loop.tally.accepted, gate.loop.tally.rejected) == (1, 0)
    # A machine that does not know its time refuses only what is certainly over.
    facts = recorded(stage, capsys)
    assert [fact["detail"]["reason"] for fact in facts if fact.get("what") == "command"] == [reason]
    assert [fact["decision"] for fact in facts if fact["channel"] == "checkin"] == ["accept"]
    assert commissioned.load(stage.config_path).gate.lane == "1"
