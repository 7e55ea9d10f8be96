"""`gate demo`: the whole gate on this machine, from made-up cards to what the province received.

Real are the eye in its own process, the decoders, the journal, Mosquitto and
the collector; pretended are the camera (a folder of frames) and the pins
(gpiozero's own mock). Everything lives in a temporary folder and is gone
afterwards.
"""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from device import config as configuration
from device.core.types import Channel
from device.errors import SourceUnreadable
from device.gate import Gate
from device.workbench import parade, people
from device.workbench.broker import PrivateBroker
from device.workbench.screen import Screen
from device.workbench.stage import Stage, collector, received_checkins

SEED: Final = 2021
DELIVERY_LIMIT_S: Final = 15.0
"""After the last frame the uplink has so long to bring the rest."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo counted. ``recorded``, ``acknowledged`` and ``received`` count decisions, not audit events."""

    frames: int
    decisions: int
    accepted: int
    rejected: int
    recorded: int
    acknowledged: int
    received: int
    p95_ms: float | None


def run_demo(*, seconds: float, frames: Path | None, as_json: bool) -> int:
    """Run for ``seconds``. Returns 0 when the province received all that was recorded, else 1."""
    if frames is not None and not frames.is_dir():
        raise SourceUnreadable(f"{frames}: no such folder")
    with tempfile.TemporaryDirectory(prefix="gate-demo-") as name, Screen(quiet=as_json) as screen:
        folder = Path(name)
        screen.say("drawing the people and their codes …" if frames is None else f"frames from {frames}")
        source = _draw(folder / "frames", seconds) if frames is None else frames.absolute()
        summary = _run(folder, source, seconds, screen)
    print(json.dumps(asdict(summary)) if as_json else _closing(summary))
    return 0 if summary.recorded == summary.received else 1


def _draw(folder: Path, seconds: float) -> Path:
    folder.mkdir()
    rng = people.seeded(SEED)
    count = min(parade.MOST_SHOWINGS, max(1, round(seconds / parade.SHOWING_S) + 1))
    parade.draw(parade.parade(count, rng), folder, rng)
    return folder


def _run(folder: Path, source: Path, seconds: float, screen: Screen) -> Summary:
    with ExitStack() as stack:
        broker = stack.enter_context(PrivateBroker())
        screen.say(f"a private broker listens on 127.0.0.1:{broker.port}")
        database = folder / "province.sqlite"
        stack.enter_context(collector(broker.port, database))
        stage = Stage(folder / "gate", f"folder:{source}", broker.port)
        gate = stack.enter_context(Gate(configuration.load(stage.config_path), stage.config_path, on_change=screen.lamps))
        screen.follow(gate.loop)
        _turn(gate, seconds, screen)
        gate.eye.close()
        tally = gate.loop.tally
        _deliver(gate, tally.recorded, database)
        beat = gate.loop.beat
        return Summary(
            frames=0 if beat is None else beat.frames,
            decisions=tally.decisions,
            accepted=tally.accepted,
            rejected=tally.rejected,
            recorded=tally.recorded,
            acknowledged=tally.recorded - _waiting(gate),
            received=received_checkins(database),
            p95_ms=tally.lamp_ms.summary()["p95"],
        )


def _turn(gate: Gate, seconds: float, screen: Screen) -> None:
    """Turn the gate's loop for ``seconds`` from the first frame on, or until somebody has seen enough."""
    limit = time.monotonic() + seconds + 10
    end: float | None = None
    while time.monotonic() < (limit if end is None else end):
        gate.loop.turn(0.05)
        gate.supervise()
        screen.refresh()
        if end is None and gate.loop.beat is not None:
            end = time.monotonic() + seconds


def _deliver(gate: Gate, recorded: int, database: Path) -> None:
    limit = time.monotonic() + DELIVERY_LIMIT_S
    while time.monotonic() < limit and (_waiting(gate) or received_checkins(database) < recorded):
        time.sleep(0.05)


def _waiting(gate: Gate) -> int:
    return sum(1 for event in gate.journal.waiting(0, 100_000) if event.channel is Channel.CHECKIN)


def _closing(summary: Summary) -> str:
    lamp = "no lamp was lit" if summary.p95_ms is None else f"from frame to lamp {summary.p95_ms:.0f} ms (p95)"
    whole = "all that was recorded" if summary.received == summary.recorded else "NOT all that was recorded"
    return "\n".join(
        (
            "",
            f"{summary.frames} frames, {summary.decisions} decisions: {summary.accepted} accepted, {summary.rejected} rejected; {lamp}.",
            f"{summary.recorded} recorded, {summary.acknowledged} acknowledged; the province received {summary.received}: {whole}.",
            "",
            "Where to look next:",
            "  gate demo --frames FOLDER     your own pictures of codes",
            "  gate replay PATH              what would be decided, a line a picture",
            "  device/README.md              how it is built",
            "  device/reference/             every setting and every reason",
        )
    )
