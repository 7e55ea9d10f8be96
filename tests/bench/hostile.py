"""Hostile pictures by the hundred thousand before the real eye, in front of a real gate: what breaks, and what a break costs.

``python -m tests.bench.hostile [COUNT] [SEED] [FAULTS]``: pictures are made from the seed,
shown to the eye's own loop in a process of its own, with its own alarm, under
its own limits, connected to a real gate with a real record. When the eye
dies it is started again with the next picture, as a service manager does.
With FAULTS two pictures of so many break a decoder on purpose: one writes where
it may not, one never comes back. Prints one JSON object: deaths by signal, what
a break cost, what the gate did.
"""

from __future__ import annotations

import ctypes
import functools
import json
import multiprocessing
import os
import pickle
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from ctypes import c_int64
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from device import config as configuration
from device.config import CameraSection
from device.core.eye_messages import Hello
from device.core.types import Cause
from device.eye.camera import Frame, Item, Luma
from device.eye.decoder import Decoder, Look
from device.eye.ladder import Ladder, LiveSettings, make_ladder
from device.eye.link import Link
from device.eye.loop import EyeLoop
from device.eye.process import FrameAlarm, restrict
from device.gate import Gate
from device.workbench.stage import Stage
from tests.eye.pages import finder_page, on_page, set_pages, symbol

COUNT: Final = 200_000
POOL: Final = 200
POOL_VARIABLE: Final = "GATE_HOSTILE_POOL"
CROWD_PX: Final = 150
SIZE: Final = (360, 480)
"""Rows and columns: small, so that hundreds of thousands can be shown; every decoder and every rung looks at them all the same."""

Make = Callable[[np.random.Generator], Luma]


@functools.cache
def _pool() -> list[Luma]:
    """Some symbols of random bytes. To make one takes longer than to read it, so each is used for many pictures.

    They come from a file where there is one: an eye that starts anew must not make them anew.
    """
    if POOL_VARIABLE in os.environ:
        with Path(os.environ[POOL_VARIABLE]).open("rb") as file:
            kept: tuple[list[Luma], list[list[Luma]]] = pickle.load(file)  # noqa: S301 - written by this program, in its own folder
            return kept[0]
    rng = np.random.default_rng(7)
    sizes = [(int(rng.integers(1, 300)), int(rng.integers(2, 6))) for _ in range(POOL)]
    return [symbol(rng.integers(0, 256, length, np.uint8).tobytes(), scale, "L") for length, scale in sizes]


@functools.cache
def _sets() -> list[list[Luma]]:
    """The same of sets in parts."""
    if POOL_VARIABLE in os.environ:
        with Path(os.environ[POOL_VARIABLE]).open("rb") as file:
            kept: tuple[list[Luma], list[list[Luma]]] = pickle.load(file)  # noqa: S301 - written by this program, in its own folder
            return kept[1]
    rng = np.random.default_rng(8)
    sizes = [(int(rng.integers(40, 400)), int(rng.integers(2, 8))) for _ in range(POOL // 4)]
    return [set_pages(rng.integers(32, 127, length, np.uint8).tobytes(), parts) for length, parts in sizes]


def _symbol(rng: np.random.Generator) -> Luma:
    return _pool()[int(rng.integers(0, POOL))].copy()


def _torn(rng: np.random.Generator) -> Luma:
    """A symbol with modules turned over: beyond what the error correction mends, or just within it."""
    picture = _symbol(rng)
    for _ in range(int(rng.integers(1, 60))):
        y, x = (int(rng.integers(0, side)) for side in picture.shape)
        picture[y : y + 5, x : x + 5] ^= 255
    return picture


def _bits(rng: np.random.Generator) -> Luma:
    """Random modules inside true finder patterns: every codeword is nonsense."""
    picture = _symbol(rng)
    scale = 4
    inner = picture[12 * scale : -12 * scale, 12 * scale : -12 * scale]
    noise = rng.integers(0, 2, (inner.shape[0] // scale + 1, inner.shape[1] // scale + 1), np.uint8) * np.uint8(255)
    inner[:] = noise.repeat(scale, 0).repeat(scale, 1)[: inner.shape[0], : inner.shape[1]]
    return picture


def _part_of_a_set(rng: np.random.Generator) -> Luma:
    """A structured-append symbol without its set, and several at once."""
    pages = _sets()[int(rng.integers(0, POOL // 4))]
    chosen = [pages[int(at)] for at in rng.choice(len(pages), int(rng.integers(1, min(3, len(pages)) + 1)), replace=False)]
    return np.concatenate(chosen, axis=1) if len({page.shape for page in chosen}) == 1 else chosen[0]


def _noise(rng: np.random.Generator) -> Luma:
    size = rng.integers(1, 500, 2)
    return rng.integers(0, 256, size, np.uint8)


def _finders(rng: np.random.Generator) -> Luma:
    """Finder patterns everywhere."""
    page = finder_page()
    y, x = int(rng.integers(0, 100)), int(rng.integers(0, 100))
    return page[y : y + SIZE[0], x : x + SIZE[1]]


def _stripes(rng: np.random.Generator) -> Luma:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    period, angle = rng.uniform(2, 30), rng.uniform(0, np.pi)
    wave = np.sin(2 * np.pi * (rows * np.sin(angle) + columns * np.cos(angle)) / period)
    return np.asarray(np.where(wave > 0, 255, 0), np.uint8)


def _crowd(rng: np.random.Generator) -> Luma:
    small = [picture for picture in _pool() if len(picture) < CROWD_PX]
    return on_page([small[int(at)] for at in rng.integers(0, len(small), int(rng.integers(2, 6)))])


KINDS: Final[dict[str, Make]] = {
    "symbol of random bytes": _symbol,
    "torn symbol": _torn,
    "random modules": _bits,
    "parts of a set": _part_of_a_set,
    "noise": _noise,
    "finder patterns": _finders,
    "stripes": _stripes,
    "crowd": _crowd,
}


SHARES: Final = (0.2, 0.24, 0.24, 0.2, 0.04, 0.005, 0.025, 0.05)
"""Most of what can hurt is something like a symbol; a page of finder patterns only takes long."""


def picture(number: int, seed: int) -> tuple[str, Luma]:
    """The picture of that number: its kind, and the luma, bent, cut and blurred at random."""
    rng = np.random.default_rng([seed, number])
    kind = list(KINDS)[int(rng.choice(len(KINDS), p=SHARES))]
    made = KINDS[kind](rng)
    if rng.random() < 0.5 and min(made.shape) > 8:
        image = Image.fromarray(np.ascontiguousarray(made))
        angle, grows, fill = float(rng.uniform(0, 360)), bool(rng.random() < 0.5), int(rng.integers(0, 256))
        image = image.rotate(angle, Image.Resampling.BILINEAR, expand=grows, fillcolor=fill)
        if rng.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 2))))
        made = np.asarray(image)
    if rng.random() < 0.2:
        made = made[: int(rng.integers(1, made.shape[0] + 1)), : int(rng.integers(1, made.shape[1] + 1))]
    if rng.random() < 0.3:
        dimmed = made.astype(np.float32) * rng.uniform(0.1, 1)
        made = np.clip(dimmed + rng.normal(0, rng.uniform(0, 40), made.shape), 0, 255).astype(np.uint8)
    return kind, made


class HostileCamera:
    """Picture after picture, as fast as they are looked at; the number of the one being looked at is shared."""

    source, advice, lossless, skipped = "folder", "", False, 0

    def __init__(self, at: Synchronized[int], count: int, seed: int) -> None:
        self._at, self._count, self._seed = at, count, seed

    def frames(self) -> Generator[Item]:
        """From where the last eye died."""
        while self._at.value < self._count:
            number = self._at.value
            yield Frame(picture(number, self._seed)[1], time.monotonic_ns(), str(number))
            self._at.value = number + 1

    def judged(self, frame: Frame, *, read: bool, cause: Cause | None = None) -> None:
        """Nothing can be chosen."""

    def close(self) -> None:
        """Nothing to give back."""


class BrokenDecoder:
    """A decoder that breaks as a C library can: on some pictures it writes where it may not, on others it never comes back."""

    def __init__(self, real: Decoder, at: Synchronized[int], every: int) -> None:
        self.name = real.name
        self._real, self._at, self._every = real, at, every

    def look(self, pixels: Luma) -> Look:
        """Well, but for two pictures of ``every``."""
        turn = self._at.value % self._every
        if turn == self._every // 3:
            ctypes.string_at(0)
        if turn == 2 * self._every // 3:
            ctypes.CDLL(None).poll(None, 0, -1)
        return self._real.look(pixels)


def eye(socket: Path, at: Synchronized[int], count: int, seed: int, faults_every: int = 0) -> None:
    """A life of the eye: its own loop, alarm and limits. The budget is taken away, so that every rung looks at everything."""
    restrict()
    stop = threading.Event()
    link = Link(socket, lambda: Hello(pid=os.getpid(), source="folder", decoders=[]), time.monotonic_ns)
    camera = HostileCamera(at, count, seed)

    def end() -> None:
        while at.value < count:
            time.sleep(0.2)
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    decoders = make_ladder().decoders
    if faults_every:
        decoders = tuple(BrokenDecoder(one, at, faults_every) if one.name == "zxing" else one for one in decoders)
    EyeLoop(link, Ladder(decoders, LiveSettings(cpu_share=1000.0)), FrameAlarm(), stop).run(CameraSection(), lambda *_: camera)


def main(count: int = COUNT, seed: int = 1, faults_every: int = 0) -> dict[str, object]:
    """Show them all. A break costs what lies between the last picture before it and the first one after it."""
    with tempfile.TemporaryDirectory(prefix="gate-hostile-") as name:
        folder = Path(name)
        socket = folder / "eye.sock"
        stage = Stage(folder / "gate", "folder:none", overrides={"eye": {"socket": str(socket)}})
        (folder / "pool").write_bytes(pickle.dumps((_pool(), _sets())))
        os.environ[POOL_VARIABLE] = str(folder / "pool")
        context = multiprocessing.get_context("spawn")
        at = context.Value(c_int64, 0)
        deaths: Counter[str] = Counter()
        costs: list[float] = []
        numbers: list[int] = []
        broken = False
        gate_errors = 0
        with Gate(configuration.load(stage.config_path), stage.config_path) as gate:
            started = moved = time.monotonic()
            seen = 0
            while at.value < count:
                process = context.Process(target=eye, args=(socket, at, count, seed, faults_every))
                process.start()
                while process.is_alive():
                    try:
                        gate.loop.turn(0.01)
                    except Exception:  # noqa: BLE001 - whatever it is, it is what is counted here
                        gate_errors += 1
                    if at.value != seen:
                        now = time.monotonic()
                        if broken:
                            costs.append(now - moved)
                        broken, seen, moved = False, at.value, now
                process.join()
                if process.exitcode:
                    kind, _ = picture(at.value, seed)
                    numbers.append(at.value)
                    deaths[f"{kind}: {'signal' if process.exitcode < 0 else 'exit'} {abs(process.exitcode)}"] += 1
                    at.value += 1
                    broken, seen = True, at.value
            tally = gate.loop.tally
            return {
                "pictures": count,
                "seconds": round(time.monotonic() - started, 1),
                "eye_deaths": dict(deaths),
                "broken_by": numbers[:100],
                "break_costs_s": {"most": round(max(costs), 2), "mean": round(sum(costs) / len(costs), 2)} if costs else None,
                "gate_errors": gate_errors,
                "gate_decisions": tally.decisions,
                "gate_recorded": tally.recorded,
                "gate_state": gate.loop.state.value,
                "bad_datagrams": gate.eye.stats()["bad_datagrams"],
            }


if __name__ == "__main__":
    print(json.dumps(main(*(int(word) for word in sys.argv[1:4])), indent=2))  # noqa: T201 - its output is for the person at the terminal
