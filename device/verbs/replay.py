"""`gate replay`: decode and decide on pictures or a video, with no hardware and no record.

Each frame gets one line. Nothing personal is in it unless the payload is
asked for. No passage is remembered from frame to frame, so the same card in
two pictures is two acceptances.
"""

from __future__ import annotations

import base64
import json
import secrets
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from device.config import PolicySection
from device.core.explain import explain
from device.core.reasons import sentence_of
from device.core.rules import Rules
from device.core.types import Direction, Sighting, Verdict
from device.edges.machine.clock import SystemClock
from device.errors import SourceUnreadable
from device.eye.camera import BadFrame, Luma
from device.eye.ladder import make_ladder
from device.eye.pictures import list_pictures, read_image
from device.judge import Judge
from device.laptop import VIDEO, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from device.core.explain import Language
    from device.core.types import Json
    from device.eye.decoder import Look, Reading

VIDEO_SUFFIXES: Final = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".h264", ".mjpeg"})
FRAME_NS: Final = 66_666_667
"""Pictures of a folder are taken to follow one another at 15 a second."""


@dataclass
class Replay:
    """Looks at frames one after another. ``full`` sees them as the eye would: a stream, with a memory and a budget."""

    payload: bool
    full: bool
    explained: Language | None = None
    outcomes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        policy = PolicySection()
        rules = Rules(frozenset(policy.accept), Direction.IN, 0, 0, Verdict(policy.unknown_clock), policy.utc_offset_min)
        self._ladder = make_ladder()
        self._judge = Judge(rules, secrets.token_bytes(32))
        self._clock = SystemClock()
        self._number = 0

    def line(self, name: str, frame: Luma | str) -> dict[str, Json]:
        """What is read and decided in one frame. CPU and wall time are of looking and deciding, without loading the file."""
        if isinstance(frame, str):
            self.outcomes["error"] += 1
            return {"frame": name, "error": frame}
        self._number += 1
        cpu_ns, wall_ns = time.process_time_ns(), time.monotonic_ns()
        look = self._look(frame)
        codes = [self._code(reading) for reading in look.readings]
        cpu_ms, wall_ms = (time.process_time_ns() - cpu_ns) / 1e6, (time.monotonic_ns() - wall_ns) / 1e6
        self.outcomes.update(str(code["outcome"]) for code in codes)
        self.outcomes["frames"] += 1
        return {"frame": name, "cpu_ms": round(cpu_ms, 3), "wall_ms": round(wall_ms, 3), "codes": [*codes]}

    def _look(self, frame: Luma) -> Look:
        return self._ladder.live(frame, self._number * FRAME_NS) if self.full else self._ladder.one_shot(frame)

    def _code(self, reading: Reading) -> dict[str, Json]:
        now = self._clock.reading()
        sighting = Sighting(
            reading.payload, self._number, now.monotonic_ns, now.monotonic_ns, reading.box, reading.step, partial=reading.partial
        )
        decision = self._judge.judge(sighting, now).decision
        code: dict[str, Json] = {"kind": decision.kind.value, "outcome": decision.verdict.value, "reason": decision.reason.value}
        if self.explained is not None:
            code["explanation"] = explain(self.explained, decision)
        if self.payload:
            code["payload_b64"] = base64.b64encode(reading.payload).decode("ascii")
        return code


def run_replay(path: Path, *, as_json: bool, payload: bool, full: bool, explained: Language | None = None) -> int:
    """Print a line for each frame of ``path``. Raises SourceUnreadable without anything to look at, LaptopOnly for a video on a gate."""
    replay = Replay(payload=payload, full=full, explained=explained)
    show: Callable[[dict[str, Json]], str] = (lambda line: json.dumps(line, ensure_ascii=False)) if as_json else _sentence
    for name, frame in frames(path):
        print(show(replay.line(name, frame)), flush=True)
    if not replay.outcomes:
        raise SourceUnreadable(f"{path}: no pictures in it")
    if not as_json:
        print(", ".join(f"{count} {what}" for what, count in sorted(replay.outcomes.items())), file=sys.stderr)
    return 0


def frames(path: Path) -> Iterator[tuple[str, Luma | str]]:
    """Each frame of a picture, a folder or a video with its name; instead of one that cannot be read, why not."""
    if path.is_dir():
        for picture in list_pictures(path):
            yield picture.name, _picture(picture)
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        yield from _video(path)
    elif path.exists():
        yield path.name, _picture(path)
    else:
        raise SourceUnreadable(f"{path}: no such file or folder")


def _picture(path: Path) -> Luma | str:
    try:
        return read_image(path)
    except SourceUnreadable as error:
        return str(error)


def _video(path: Path) -> Iterator[tuple[str, Luma | str]]:
    need(VIDEO, f"replay {path}")
    from device.eye.video import iterate_video  # noqa: PLC0415 - its library is an extra, and large

    for item in iterate_video(path):
        yield (item.name, item.why) if isinstance(item, BadFrame) else item


def _sentence(line: dict[str, Json]) -> str:
    if "error" in line:
        return f"{line['frame']}: {line['error']}"
    codes = line["codes"]
    if not isinstance(codes, list) or not codes:
        return f"{line['frame']}: nothing read"
    return "\n".join(f"{line['frame']}: {_said(code)}" for code in codes if isinstance(code, dict))


def _said(code: dict[str, Json]) -> str:
    shown = f" [{code['payload_b64']}]" if "payload_b64" in code else ""
    if "explanation" in code:
        return f"{code['outcome']}: {code['explanation']}{shown}"
    sentence = sentence_of(str(code["reason"]))
    return f"{code['outcome']}: {code['kind']}: {sentence.vi} · {sentence.en}{shown}"
