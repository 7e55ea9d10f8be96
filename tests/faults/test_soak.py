"""A gate behind a line that comes and goes, for long: memory, file descriptors, threads and the log do not grow, and nothing is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

import pytest

from tests.faults.site import Site, say
from tests.faults.test_network import behind, finish, line
from tests.faults.wire import Wire

__all__ = ["line"]

MINUTES: Final = float(os.environ.get("GATE_SOAK_MINUTES", "60"))
SHORT_MINUTES: Final = 0.5
EVERY_S: Final = 5.0
MIB: Final = 1 << 20
WAL_LIMIT: Final = 20 * MIB
"""The record's log is emptied above 4 MiB when nobody waits, and above 16 MiB in any case."""
GROWTH_MIB: Final = 4.0
"""In an hour, gate and eye each: what Python's allocator may still settle into."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the gate holds at one moment."""

    at_s: float
    gate_mib: float
    eye_mib: float
    gate_fds: float
    eye_fds: float
    gate_threads: float
    wal_mib: float


def sample(one: Site, started: float) -> Sample | None:
    """Measure now, from /proc; None while one of the processes is not there."""
    assert one.gate is not None
    eye = one.eye_pid
    if eye is None:
        return None
    wal = one.stage.folder / "state" / "journal.sqlite-wal"
    try:
        gate_kib, threads = _status(one.gate.pid)
        eye_kib, _ = _status(eye)
        return Sample(
            time.monotonic() - started,
            gate_kib / 1024,
            eye_kib / 1024,
            _fds(one.gate.pid),
            _fds(eye),
            threads,
            wal.stat().st_size / MIB,
        )
    except (FileNotFoundError, ProcessLookupError):  # the second: it went between the opening and the reading
        return None


def _status(pid: int) -> tuple[int, int]:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    return int(lines["VmRSS"].split()[0]), int(lines["Threads"])


def _fds(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second grows in each unit of the first, by least squares."""
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return float(sum((x - mean_x) * (y - mean_y) for x, y in points) / spread)


def flap(one: Site, where: Wire, minutes: float, fastest_s: float, slowest_s: float) -> list[Sample]:
    """Cut and mend at random for so long."""
    started = time.monotonic()
    samples: list[Sample] = []
    change_at, measure_at, cut = 0.0, 0.0, True
    while (now := time.monotonic() - started) < minutes * 60:
        if now >= change_at:
            cut = not cut
            if cut:
                where.cut()
            else:
                where.mend()
            change_at = now + one.chance.uniform(fastest_s, slowest_s)
        if now >= measure_at:
            measure_at = now + EVERY_S
            samples += [found] if (found := sample(one, started)) is not None else []
        time.sleep(0.2)
    where.mend()
    return samples


@pytest.mark.lab
@pytest.mark.timeout(300)
def test_half_a_minute_with_a_line_that_comes_and_goes(line: Wire, tmp_path: Path) -> None:
    """The short form: no descriptor and no thread is left behind by any connection."""
    with behind(line, tmp_path, {"retry_min_s": 0.1, "retry_max_s": 1.0}) as (one, _):
        samples = flap(one, line, SHORT_MINUTES, 2.0, 8.0)
        finish(one, "half a minute of a flapping line")
    assert len({found.gate_threads for found in samples[2:]}) <= 2, samples
    assert max(found.gate_fds for found in samples[2:]) - min(found.gate_fds for found in samples[2:]) <= 8, samples
    assert max(found.wal_mib for found in samples) * MIB < WAL_LIMIT


@pytest.mark.soak
@pytest.mark.timeout(24 * 3600)
def test_an_hour_with_a_line_that_comes_and_goes(line: Wire, tmp_path: Path) -> None:
    """The long form: slopes over the second half, in which every buffer has been filled once."""
    with behind(line, tmp_path, fps=2.0) as (one, _):
        samples = flap(one, line, MINUTES, 5.0, 90.0)
        connects = one.told("uplink", "connects")
        finish(one, f"{MINUTES:.0f} minutes of a flapping line", f"{connects} connections; ")
    half = [found for found in samples if found.at_s > MINUTES * 30]
    names = [field.name for field in fields(Sample)][1:]
    grown = {name: slope([(found.at_s / 3600, astuple(found)[place]) for found in half]) for place, name in enumerate(names, 1)}
    most = {name: max(astuple(found)[place] for found in samples) for place, name in enumerate(names, 1)}
    say("most: " + ", ".join(f"{name} {value:.1f}" for name, value in most.items()))
    say("growth in an hour: " + ", ".join(f"{name} {value:+.2f}" for name, value in grown.items()))
    assert grown["gate_mib"] < GROWTH_MIB
    assert grown["eye_mib"] < GROWTH_MIB
    assert abs(grown["gate_fds"]) < 2
    assert abs(grown["eye_fds"]) < 1
    assert abs(grown["gate_threads"]) < 1
    assert most["wal_mib"] * MIB < WAL_LIMIT
