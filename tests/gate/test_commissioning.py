"""A technician before a whole gate: the button on its pin, the order before the real eye, the lamps at each step."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
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
from device.workbench.scenes import Pose, scene
from device.workbench.stage import GATE_ID, Stage
from provisioning.badges.tokens import token
from tests.desk import Desk
from tests.gate.test_gate import turning, until

PIN: Final = 25
OVER: Final = {"ISSUED": 10**9, "EXPIRES": 10**9 + 60}


def frames(folder: Path, payload: bytes) -> Path:
    """A code held up again and again: some frames of nobody between."""
    folder.mkdir()
    held = scene([payload], Pose(px_per_module=3.0), np.random.default_rng(7), (800, 800))
    empty = np.full_like(held, 150)
    for number in range(12):
        Image.fromarray(held if number < 5 else empty).save(folder / f"{number:02}.png")
    return folder


def order(desk: Desk, **changes: object) -> bytes:
    """Lane 7, out."""
    now_s = int(time.time())
    told = {"SUBJECT": GATE_ID, "ISSUED": now_s - 60, "EXPIRES": now_s + 3600, "ID": b"12345678", "LANE": "7", "DIRECTION": "out"}
    return token("GC1:", {getattr(claim, name): value for name, value in {**told, **changes}.items()}, desk.key, b"\1").encode()


@contextlib.contextmanager
def gate_before(stage: Stage, signs: list[Sign | None]) -> Iterator[Gate]:
    """The gate at work; ``signs`` hears what the lamps say."""

    def changed(snapshot: Snapshot) -> None:
        if not signs or signs[-1] is not snapshot.sign:
            signs.append(snapshot.sign)

    with turning(Gate(commissioned.load(stage.config_path), stage.config_path, on_change=changed)) as gate:
        yield gate


def hold_button(gate: Gate) -> None:
    """A finger on it, long enough."""
    assert gate.signals._pins is not None  # noqa: SLF001 - the mock pin is the finger
    pin = gate.signals._pins._factory.pin(PIN)  # noqa: SLF001 - see above
    pin.drive_low()
    time.sleep(0.4)
    pin.drive_high()


def stage_of(folder: Path, desk: Desk, payload: bytes) -> Stage:
    """A gate with a button before these frames."""
    desk.write_pem(folder / "orders.pem")
    sections: dict[str, dict[str, Any]] = {
        "trust": {"province": str(folder / "orders.pem"), "orders": "orders", "commissioned": "commissioned"},
        "policy": {"rearm_s": 0.2},
        "camera": {"fps": 15.0},
        "eye": {"cpu_share": 1.0},
    }
    stage = Stage(folder / "gate", f"folder:{frames(folder / 'frames', payload)}", None, sections)
    button = f"[signals]\nbutton = {{ pin = {PIN}, hold_s = 0.2, window_s = 30 }}\n"
    stage.config_path.write_text(stage.config_path.read_text().replace("[signals]\n", button))
    return stage


def recorded(stage: Stage, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The facts in the record."""
    capsys.readouterr()
    assert main(["events", "--config", str(stage.config_path), "--json", "--limit", "0"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_order_counts_in_the_window_alone_and_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Shut: a code like any other. Open: taken, shown, and in force after the start that follows. Again: refused."""
    desk, signs = Desk(), list[Sign | None]()
    stage = stage_of(tmp_path, desk, order(desk))
    with gate_before(stage, signs) as gate:
        assert until(lambda: gate.loop.tally.rejected)
        assert gate.config.gate.lane == "1"
        assert not gate.ended.is_set()
        hold_button(gate)
        assert until(lambda: Sign.ORDER_TAKEN in signs)
        assert until(gate.ended.is_set)
    assert Sign.COMMISSIONING in signs[: signs.index(Sign.ORDER_TAKEN)]
    signs.clear()
    with gate_before(stage, signs) as gate:
        assert (gate.config.gate.lane, gate.config.gate.direction) == ("7", "out")
        hold_button(gate)
        assert until(lambda: Sign.REJECT in signs[signs.index(Sign.COMMISSIONING) :] if Sign.COMMISSIONING in signs else False)
        assert gate.loop.state is State.COMMISSIONING
        assert not gate.ended.is_set()
    facts = recorded(stage, capsys)
    told = [(fact["detail"]["state"], fact["detail"].get("reason")) for fact in facts if fact.get("what") == "command"]
    assert told[0] == ("succeeded", None)
    assert set(told[1:]) == {("rejected", "already_used")}
    assert sum(fact.get("what") == "window" for fact in facts) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"SUBJECT": "g0000000xx"}, "foreign"), ({"EXPIRES": 1}, "life_too_long"), (OVER, "expired")],
)
def test_what_does_not_count_is_answered_with_red_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], reason: str
) -> None:
    """People still pass while the window is open."""
    desk, signs = Desk(), list[Sign | None]()
    stage = stage_of(tmp_path, desk, order(desk, **changes))
    with gate_before(stage, signs) as gate:
        hold_button(gate)
        assert until(lambda: gate.loop.state is State.COMMISSIONING)
        assert until(lambda: Sign.REJECT in signs[signs.index(Sign.COMMISSIONING) :] if Sign.COMMISSIONING in signs else False)
    # A machine that does not know its time refuses only what is certainly over.
    facts = [fact for fact in recorded(stage, capsys) if fact.get("what") == "command"]
    assert {fact["detail"]["reason"] for fact in facts} == {reason}
    assert commissioned.load(stage.config_path).gate.lane == "1"
