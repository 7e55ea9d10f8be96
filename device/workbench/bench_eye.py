"""`gate bench eye`: what the eye reads and what looking costs, beside what somebody would use instead.

Every figure is CPU time or a count, on made frames of the same seed, each
frame through every reader in turn. A reader has up to three frames of each
held-up code, as a person at the gate gives them; ``first`` counts what was
read in the first. ``wrong`` counts payloads that are not what was held up.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from device.core.types import Json
from device.eye.camera import Luma
from device.eye.ladder import Ladder, make_ladder
from device.eye.pictures import list_pictures, read_image
from device.eye.sieve import regions
from device.workbench.lens import Lens
from device.workbench.people import can_cuoc, citizen_card, people, seeded
from device.workbench.rivals import Read, rivals, tuned
from device.workbench.scenes import FRAME_SIZE, Carriage, Pose, empty_scene, scene

SIZES: Final = ((1280, 720), (2304, 1296))
EMPTY_FRAMES: Final = 90
"""Six seconds: several whole looks are among them."""
RIVAL_FRAMES: Final = 10
FRAME_NS: Final = 1_000_000_000 // 15
FRAMES_EACH: Final = 3
SEED: Final = 2021
PX_PER_MODULE: Final = (1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 4.0, 6.0)
CHARSETS: Final = ("utf-8", "shift_jis", "gb18030", "big5", "latin-1")

CARRIERS: Final = {"citizen card": Carriage.CARD, "badge": Carriage.BADGE, "phone": Carriage.PHONE}

BADGE_CODE: Final = b"G1:" + b"6BF%RN*TS3DHPVO230B6UZ.DTHJ1ZJAXQZX40QJ$N2GBPTIQOV2FYIJQV" * 2 + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
"""As long as a signed badge, 153 characters: a symbol of 41 modules. It is no badge, and only its size matters here."""

HARD: Final = {
    "blurred": Pose(px_per_module=4, lens=Lens(defocus_px=2.6)),
    "moving": Pose(px_per_module=4, lens=Lens(smear_px=4, skew_px=25)),
    "tilted and turned by 45°": Pose(px_per_module=3.5, turn_deg=45, tilt_deg=40),
    "bent": Pose(px_per_module=4, bend=75),
    "highlight": Pose(px_per_module=4, lens=Lens(glare=0.9)),
    "dim": Pose(px_per_module=3, contrast=0.5, lens=Lens(light=0.15, photons=600)),
    "pale": Pose(px_per_module=3, contrast=0.15, shade=0.6, noise=2),
    "inverted": Pose(px_per_module=3.5, look=Carriage.PHONE, inverted=True),
    "mirrored": Pose(px_per_module=3.5, mirrored=True),
    "banded": Pose(px_per_module=4, look=Carriage.PHONE, lens=Lens(band_depth=0.8, band_rows=150)),
    "partly covered": Pose(px_per_module=4, look=Carriage.BADGE, covered=0.2, error="Q"),
    "bad file": Pose(px_per_module=3, lens=Lens(jpeg=20)),
}
"""Each hard in one way; drawn anew for each frame, as a hand and a lamp would."""


@dataclass(slots=True)
class ReadingScore:
    """What one reader did: of ``codes`` held up, read in the ``first`` frame, and ``read`` within three."""

    codes: int = 0
    first: int = 0
    read: int = 0
    wrong: int = 0
    cpu_ms: list[float] = field(default_factory=list)

    def hold_up(self, payload: bytes, frames: Iterable[Luma], read: Read) -> None:
        """One code more, frame after frame until it is read."""
        self.codes += 1
        for number, frame in enumerate(frames):
            found, spent = _timed(read, frame)
            self.cpu_ms.append(spent)
            self.wrong += sum(one != payload for one in found)
            if payload in found:
                self.first += number == 0
                self.read += 1
                return

    def row(self) -> dict[str, Json]:
        """For the report: shares in percent, CPU time a frame."""
        share = 100 / max(1, self.codes)
        return {
            "codes": self.codes,
            "first_percent": round(self.first * share, 1),
            "read_percent": round(self.read * share, 1),
            "wrong": self.wrong,
            **_times(self.cpu_ms),
        }


def bench_eye(persons: int = 10, photographs: Path | None = None) -> dict[str, Json]:
    """The whole report. ``persons`` codes are held up in each cell of a curve; ``photographs`` is a folder of pictures with payloads."""
    report: dict[str, Json] = {
        "empty_and_code": {f"{width}x{height}": _costs((width, height)) for width, height in SIZES},
        "curves": {name: _curve(look, persons) for name, look in CARRIERS.items()},
        "hard": {name: _scores(_held(view, persons)) for name, view in HARD.items()},
        "sieve": _sieve(persons),
        "latency": _latency(persons),
        "cards": _cards(40 * persons),
    }
    return report if photographs is None else report | {"photographs": bench_photographs(photographs)}


# ------------------------------------------------------------------ cost


def _costs(size: tuple[int, int]) -> dict[str, Json]:
    """CPU milliseconds of a frame: nobody there, and a code held up. ``ratio`` is the eye's mean over each rival's."""
    rng = np.random.default_rng(SEED)
    room = np.asarray(empty_scene(rng, size, noise=0), np.float32)
    # The same room with fresh noise in each frame, as a sensor gives it.
    empty = [np.clip(room + 3 * rng.standard_normal(room.shape, np.float32), 0, 255).astype(np.uint8) for _ in range(6)]
    payload = citizen_card(people(1, seeded(SEED))[0])
    turns = (0.0, 7.0, 20.0, 45.0)
    code = [scene([payload], Pose(px_per_module=3.5, turn_deg=turn, blur_px=0.6, noise=4.0), rng, size) for turn in turns]
    return {"empty": _compare(empty), "code": _compare(code)}


def _compare(pictures: list[Luma]) -> dict[str, Json]:
    readers: dict[str, tuple[Read, int]] = {"eye": (_live(make_ladder()), EMPTY_FRAMES)}
    readers |= {name: (read, RIVAL_FRAMES) for name, read in rivals().items()}
    spent: dict[str, list[float]] = {}
    for name, (read, count) in readers.items():
        read(pictures[0])
        spent[name] = [_timed(read, pictures[at % len(pictures)])[1] for at in range(count)]
    mean = statistics.fmean(spent["eye"])
    return {name: {**_times(times), "ratio": round(mean / statistics.fmean(times), 3)} for name, times in spent.items()}


# ------------------------------------------------------------------ what is read


def _curve(look: Carriage, persons: int) -> dict[str, Json]:
    """By pixels a module: any turn, up to 20 degrees of tilt, light defocus and smear, photon noise; half the contrast of ink on paper."""
    cells: dict[str, Json] = {}
    for px_per_module in PX_PER_MODULE:
        view = Pose(px_per_module=px_per_module, contrast=0.55, noise=2, look=look)
        cells[f"{px_per_module:g}"] = _scores(_held(view, persons, unsteady=True))
    return cells


Held = Iterator[tuple[bytes, list[Luma]]]
"""What is held up, and three frames of it."""


def _held(view: Pose, persons: int, *, unsteady: bool = False) -> Held:
    rng = np.random.default_rng(SEED)
    for number, person in enumerate(people(persons, seeded(SEED))):
        payload = _badge(number) if view.look is Carriage.BADGE else can_cuoc(person) if number % 2 else citizen_card(person)
        turn, tilt = rng.uniform(0, 360), rng.uniform(0, 20)
        frames = []
        for _ in range(FRAMES_EACH):
            seen = view
            if unsteady:
                lens = Lens(defocus_px=rng.uniform(0.2, 1.0), smear_px=rng.uniform(0, 1.2), smear_deg=rng.uniform(0, 180), photons=900)
                seen = replace(view, turn_deg=turn, tilt_deg=tilt, lens=lens)
            frames.append(scene([payload], seen, rng, FRAME_SIZE))
        yield payload, frames


def _badge(number: int) -> bytes:
    return BADGE_CODE[:147] + f"{number:06d}".encode()


def _scores(held: Held) -> dict[str, Json]:
    others = rivals()
    scores = {name: ReadingScore() for name in ("eye", *others)}
    for payload, frames in held:
        for name, score in scores.items():
            score.hold_up(payload, frames, _live(make_ladder()) if name == "eye" else others[name])
    return {name: score.row() for name, score in scores.items()}


def _cards(count: int) -> dict[str, Json]:
    """Vietnamese cards of both kinds, through the whole camera model at the design point, exact to the byte or not."""
    exact = wrong = 0
    rng = np.random.default_rng(SEED + 1)
    for number, person in enumerate(people(count, seeded(SEED + 1))):
        payload = can_cuoc(person) if number % 2 else citizen_card(person)
        read = _live(make_ladder())
        held = Pose(px_per_module=3, turn_deg=rng.uniform(0, 360), tilt_deg=rng.uniform(0, 20), contrast=0.55, shade=0.3)
        for _ in range(FRAMES_EACH):
            lens = Lens(defocus_px=rng.uniform(0.2, 1.0), smear_px=rng.uniform(0, 1.2), smear_deg=rng.uniform(0, 180), photons=900)
            found = read(scene([payload], replace(held, lens=lens), rng, FRAME_SIZE))
            wrong += sum(one != payload for one in found)
            if payload in found:
                exact += 1
                break
    return {"cards": count, "exact": exact, "wrong": wrong}


def _sieve(persons: int) -> dict[str, Json]:
    """Of the frames in which zxing-cpp reads a code by itself, those in which the sieve does not point at it."""
    rng = np.random.default_rng(SEED + 2)
    readable = missed = 0
    alone = rivals()["zxing-cpp default"]
    for person in people(persons * 10, seeded(SEED + 2)):
        look = list(Carriage)[readable % len(Carriage)]
        lens = Lens(defocus_px=rng.uniform(0, 2.5), smear_px=rng.uniform(0, 3), light=rng.uniform(0.3, 1.2), photons=rng.uniform(200, 2000))
        contrast, size = rng.uniform(0.25, 0.95), rng.uniform(1.8, 9)
        held = Pose(px_per_module=size, turn_deg=rng.uniform(0, 360), tilt_deg=rng.uniform(0, 40), contrast=contrast, look=look, lens=lens)
        frame = scene([citizen_card(person)], held, rng)
        if alone(frame):
            readable += 1
            missed += not regions(frame)
    return {"readable": readable, "missed": missed}


def _latency(persons: int) -> dict[str, Json]:
    """A card comes into focus at 15 frames a second: from the first frame that any single look could read to the sighting."""
    rng = np.random.default_rng(SEED + 3)
    frames, cpu_ms = [], []
    for person in people(persons, seeded(SEED + 3)):
        payload, ladder, first = citizen_card(person), make_ladder(), None
        live, turn = _live(ladder), rng.uniform(0, 360)
        for number, defocus in enumerate(itertools.chain(np.linspace(6, 0.5, 12), itertools.repeat(0.5, 30))):
            frame = scene(
                [payload], Pose(px_per_module=2.5, turn_deg=turn, contrast=0.6, noise=2, lens=Lens(defocus_px=float(defocus))), rng
            )
            if first is None and make_ladder().one_shot(frame).readings:
                first = number
            found, spent = _timed(live, frame)
            if payload in found:
                frames.append(max(0, number - (number if first is None else first)))
                cpu_ms.append(spent)
                break
    return {"codes": persons, "read": len(frames), "frames_p50": _part(frames, 0.5), "frames_p95": _part(frames, 0.95), **_times(cpu_ms)}


def bench_photographs(folder: Path) -> dict[str, Json]:
    """Right readings on pictures beside each of which stands ``NAME.payload``: the eye in one pass and as a stream, and the rivals.

    Some payloads are written in another character set, or with other line
    ends, than the symbol's bytes: ``right`` compares text.
    """
    single, stream = make_ladder(), _live(make_ladder())
    readers: dict[str, Read] = {
        "eye one-shot": lambda pixels: [reading.payload for reading in single.one_shot(pixels).readings],
        "eye full": stream,
        **rivals(),
        **tuned(),
    }
    right, spent = dict.fromkeys(readers, 0), {name: list[float]() for name in readers}
    pictures = [path for path in list_pictures(folder) if path.with_suffix(".payload").exists()]
    for path in pictures:
        wanted, pixels = texts(path.with_suffix(".payload").read_bytes()), read_image(path)
        for name, read in readers.items():
            found, ms = _timed(read, pixels)
            spent[name].append(ms)
            right[name] += any(texts(one) & wanted for one in found)
    return {"photographs": len(pictures), **{name: {"right": right[name], **_times(spent[name])} for name in readers}}


def texts(payload: bytes) -> set[str]:
    """The texts that these bytes may stand for, with one kind of line end and none at the end."""
    found = {payload.hex()}
    for charset in CHARSETS:
        try:
            found.add(payload.decode(charset).replace("\r\n", "\n").rstrip("\n"))
        except UnicodeDecodeError:
            continue
    return found


# ------------------------------------------------------------------ how


def _live(ladder: Ladder) -> Read:
    """The ladder on a stream of 15 frames a second."""
    ticks = itertools.count()
    return lambda pixels: [reading.payload for reading in ladder.live(pixels, next(ticks) * FRAME_NS).readings]


def _timed(read: Callable[[Luma], list[bytes]], pixels: Luma) -> tuple[list[bytes], float]:
    before_ns = time.process_time_ns()
    found = read(pixels)
    return found, (time.process_time_ns() - before_ns) / 1e6


def _times(spent: list[float]) -> Mapping[str, Json]:
    if not spent:
        return {"mean_ms": None, "p50_ms": None, "p95_ms": None}
    return {"mean_ms": round(statistics.fmean(spent), 3), "p50_ms": round(_part(spent, 0.5), 3), "p95_ms": round(_part(spent, 0.95), 3)}


def _part(values: list[float] | list[int], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))] if ordered else 0.0
