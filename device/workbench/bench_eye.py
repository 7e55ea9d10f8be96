"""What looking costs: CPU time of one frame, beside plain ``pyzbar.decode`` on the same frames in the same run.

The eye's own figure for an empty frame is that of a scene at rest: the cheap
look each time, the dear one as often as the planner lets it, on average over
a stretch of frames at 15 a second.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from pyzbar import pyzbar

from device.core.types import Json
from device.eye.camera import Luma
from device.eye.ladder import make_ladder
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import View, empty_scene, scene

SIZES: Final = ((1280, 720), (2304, 1296))
FRAMES: Final = 60
"""Four seconds of frames: a mean over several looks of the dear rungs."""

WARM_UP: Final = 45
"""What the planner had saved up at the start is spent by then."""

FRAMES_PYZBAR: Final = 12
TURNS_DEG: Final = (0.0, 7.0, 20.0, 45.0)
FRAME_NS: Final = 1_000_000_000 // 15
SEED: Final = 2021


def bench_eye() -> dict[str, Json]:
    """CPU milliseconds of a frame, by frame size: an ``empty`` scene at rest, and a ``code`` held up.

    ``ratio`` is the eye's mean over that of ``pyzbar.decode`` as it comes;
    ``read`` counts the frames of ``frames`` in which something was read.
    """
    return {f"{width}x{height}": _size((width, height)) for width, height in SIZES}


def _size(size: tuple[int, int]) -> dict[str, Json]:
    rng = np.random.default_rng(SEED)
    payload = citizen_card(people(1, seeded(SEED))[0])
    code = [scene([payload], View(px_per_module=3.5, turn_deg=turn, blur_px=0.6, noise=4.0), rng, size) for turn in TURNS_DEG]
    return {"empty": _compare([empty_scene(rng, size)]), "code": _compare(code)}


def _compare(pictures: list[Luma]) -> dict[str, Json]:
    ladder = make_ladder()
    ticks = itertools.count()

    def live(pixels: Luma) -> int:
        return len(ladder.live(pixels, next(ticks) * FRAME_NS).readings)

    def plain(pixels: Luma) -> int:
        return len(pyzbar.decode(pixels))

    _measure(live, pictures, WARM_UP)
    ours, theirs = _measure(live, pictures, FRAMES), _measure(plain, pictures, FRAMES_PYZBAR)
    return {"eye": ours, "pyzbar": theirs, "ratio": round(_mean(ours) / _mean(theirs), 3)}


def _measure(look: Callable[[Luma], int], pictures: list[Luma], count: int) -> dict[str, Json]:
    spent, read = [], 0
    for at in range(count):
        before_ns = time.process_time_ns()
        read += bool(look(pictures[at % len(pictures)]))
        spent.append((time.process_time_ns() - before_ns) / 1e6)
    return {"frames": count, "read": read, **_figures(spent)}


def _figures(spent: list[float]) -> dict[str, Json]:
    ordered = sorted(spent)
    return {
        "mean_ms": round(statistics.fmean(spent), 3),
        "p50_ms": round(statistics.median(spent), 3),
        "p95_ms": round(ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))], 3),
    }


def _mean(figures: dict[str, Json]) -> float:
    mean = figures["mean_ms"]
    return mean if isinstance(mean, float) and mean > 0 else 0.001
