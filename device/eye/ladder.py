"""Which decoder looks at which form of a frame, and when.

A rung is a decoder and what is done to the picture first. zxing-cpp reads a
third more than zbar at a tenth of the cost, and zbar on an adaptive threshold
reads some that zxing-cpp misses, so the first looks at every frame and the
second when it is worth it. ``Planner`` decides that and is pure; ``Ladder``
carries it out.

Several codes in one frame: each decoder returns all that it finds. When one
has found something, the others look only as often as at an idle scene, since
a second code that only they can read will stay in view for more than a few
frames; in a single pass two kinds of decoder look in any case.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from device.core.types import Box
from device.errors import MissingPackage
from device.eye.camera import Luma
from device.eye.decoder import Decoder, Look, Unread, ZbarDecoder, ZxingDecoder, merged, placed
from device.eye.filters import adaptive, differs, double, half, softened, thumbnail
from device.eye.unbend import flattened

log = logging.getLogger(__name__)

Prepare = Callable[[Luma], Luma]


@dataclass(frozen=True, slots=True)
class Rung:
    """One look: ``prepare`` the picture, hand it to the decoder of that name.

    ``scale`` is pixels of the frame for one of the prepared picture. A frame
    of fewer than ``least_px`` or more than ``most_px`` pixels skips the rung.
    """

    name: str
    decoder: str
    prepare: Prepare
    scale: float = 1.0
    least_px: int = 1
    most_px: int = 100_000_000

    def suits(self, pixels: Luma) -> bool:
        """Whether a frame of this size is worth the rung."""
        return self.least_px <= pixels.size <= self.most_px


def _as_it_is(pixels: Luma) -> Luma:
    return pixels


def _half_adaptive(pixels: Luma) -> Luma:
    return adaptive(half(pixels))


def _double_softened(pixels: Luma) -> Luma:
    return softened(softened(double(pixels)))


SMALL_PX: Final = 1_000_000
"""Up to here a picture is worth doubling: modules may be down to two pixels."""

LARGE_PX: Final = 400_000
"""From here on half the size still has modules to read."""

ZXING: Final = Rung("zxing", "zxing", _as_it_is)
ZXING_PLAIN: Final = Rung("zxing-plain", "zxing-plain", _as_it_is)
ZBAR: Final = Rung("zbar", "zbar", _as_it_is)
ZBAR_ADAPTIVE: Final = Rung("zbar-adaptive", "zbar", adaptive)
ZBAR_HALF: Final = Rung("zbar-half", "zbar", _half_adaptive, scale=2.0, least_px=LARGE_PX)

SINGLE_PASS: Final = (ZXING, ZXING_PLAIN, ZBAR_ADAPTIVE)
"""Look at each picture in any case."""

SINGLE_PASS_DEEP: Final = (
    ZBAR,
    Rung("zxing-half", "zxing", half, scale=2.0, least_px=LARGE_PX),
    Rung("zxing-plain-half", "zxing-plain", half, scale=2.0, least_px=LARGE_PX),
    ZBAR_HALF,
    Rung("zxing-double", "zxing", double, scale=0.5, most_px=SMALL_PX),
    Rung("zxing-plain-double", "zxing-plain", double, scale=0.5, most_px=SMALL_PX),
    Rung("zxing-soft-double", "zxing", _double_softened, scale=0.5, most_px=SMALL_PX),
    Rung("zbar-soft-double", "zbar", _double_softened, scale=0.5, most_px=SMALL_PX),
)
"""Look one after the other until something is read and no symbol is left that could not be."""

LIVE_EVERY: Final = (ZXING,)
LIVE_DEAR: Final = (ZBAR_HALF, ZBAR_ADAPTIVE)

ZBAR_ONLY_EVERY: Final = (Rung("zbar-half", "zbar", _half_adaptive, scale=2.0),)
ZBAR_ONLY_DEAR: Final = (ZBAR_ADAPTIVE, ZBAR)
"""A machine without zxing-cpp."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """How much the dear rungs may take.

    ``dear_share`` of one core on average, with at most ``burst_s`` of core
    time saved up; in a scene at rest one looks at each ``every``-th frame.
    """

    dear_share: float = 0.25
    every: int = 5
    burst_s: float = 0.3


class Planner:
    """When a dear rung may look. Pure: times come in, nothing is read from a clock.

    It may when the scene has changed or a symbol is in view that nobody could
    read, and otherwise at each ``every``-th frame, as long as the core time
    given to dear rungs lasts: so a slow machine looks less often and is never
    late with the cheap look.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._saved_ns = settings.burst_s * 1e9
        self._at_ns: int | None = None
        self._since = 0
        self._turn = -1

    def dear(self, now_ns: int, *, read: bool, glimpsed: bool, changed: bool) -> int | None:
        """Whose turn among the dear rungs it is, counted up from 0; None when none looks at this frame."""
        self._save(now_ns)
        self._since += 1
        eager = not read and (glimpsed or changed)
        if self._saved_ns <= 0 or not (eager or self._since >= self._settings.every):
            return None
        self._since = 0
        self._turn += 1
        return self._turn

    def spent(self, cpu_ns: int) -> None:
        """What the look cost. The account may go into debt by one look."""
        self._saved_ns -= cpu_ns

    def _save(self, now_ns: int) -> None:
        elapsed_ns = 0 if self._at_ns is None else now_ns - self._at_ns
        self._at_ns = now_ns
        self._saved_ns = min(self._saved_ns + elapsed_ns * self._settings.dear_share, self._settings.burst_s * 1e9)


LIGHTS: Final = 16
"""So many exposures are kept apart. A camera that reports a new one each frame must not fill the memory."""

MOST_GLIMPSES: Final = 3
"""Of one frame, the largest so many are looked at closely."""

FLATTENED: Final = "zxing-flattened"

CROP_MARGIN: Final = 0.25
"""Around a symbol that could not be read, so much of its size is looked at too: its corners are guesses."""


class Ladder:
    """Decoders, rungs and the memory of the frames before. Not for use from several threads."""

    def __init__(
        self,
        decoders: Iterable[Decoder],
        settings: LiveSettings = LiveSettings(),
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        """``decoders`` by preference; rungs of decoders that are not among them are left out."""
        self._decoders: Mapping[str, Decoder] = {decoder.name: decoder for decoder in decoders}
        every, dear = (LIVE_EVERY, LIVE_DEAR) if "zxing" in self._decoders else (ZBAR_ONLY_EVERY, ZBAR_ONLY_DEAR)
        self._every = self._usable(every)
        self._dear = self._usable(dear)
        self._planner = Planner(settings)
        self._cpu_ns = cpu_ns
        self._before: dict[str, Luma] = {}

    @property
    def decoders(self) -> tuple[Decoder, ...]:
        """All that may look."""
        return tuple(self._decoders.values())

    def one_shot(self, pixels: Luma, limit_ns: int | None = None) -> Look:
        """All that can be read in this picture in one pass, with no memory of others: for judging files one by one.

        No further rung is begun when ``limit_ns`` of processor time are spent.
        """
        start_ns = self._cpu_ns()
        look = merged(self._climb(rung, pixels) for rung in self._usable(SINGLE_PASS))
        look = merged([look, *(self._flat(pixels, glimpse) for glimpse in look.glimpses[:MOST_GLIMPSES])])
        for rung in self._usable(SINGLE_PASS_DEEP):
            if look.readings and not look.glimpses:
                break
            if limit_ns is not None and self._cpu_ns() - start_ns >= limit_ns:
                break
            look = merged([look, self._climb(rung, pixels)])
        return look

    def live(self, pixels: Luma, now_ns: int, light: str = "") -> Look:
        """What is read in one frame of many: all of ``looks`` as one."""
        return merged(self.looks(pixels, now_ns, light))

    def looks(self, pixels: Luma, now_ns: int, light: str = "") -> Iterator[Look]:
        """One frame of many: the cheap look, and then, where the planner says so, what a dear one finds beyond it.

        The first is there to be told before the second begins, so the lamp
        never waits for a dear look at a second code. ``light`` keeps apart
        frames of different exposure when looking for a change.
        """
        changed = self._changed(pixels, light)
        first = merged(self._climb(rung, pixels) for rung in self._every)
        yield first
        turn = self._planner.dear(now_ns, read=bool(first.readings), glimpsed=bool(first.glimpses), changed=changed)
        if turn is None:
            return
        before_ns = self._cpu_ns()
        dearer = self._closely(pixels, first.glimpses) if first.glimpses else self._dearly(pixels, turn)
        self._planner.spent(self._cpu_ns() - before_ns)
        known = {reading.payload for reading in first.readings}
        yield Look(tuple(reading for reading in merged(dearer).readings if reading.payload not in known))

    def _closely(self, pixels: Luma, glimpses: Iterable[Unread]) -> list[Look]:
        """Where a symbol stands that could not be read: another decoder, and the symbol flattened. Small parts, so cheap."""
        looks = []
        for glimpse in list(glimpses)[:MOST_GLIMPSES]:
            left, top, crop = _cut(pixels, glimpse.box)
            looks.append(placed(self._climb(ZBAR_ADAPTIVE, crop), ZBAR_ADAPTIVE.name, 1.0, left, top))
            looks.append(self._flat(pixels, glimpse))
        return looks

    def _flat(self, pixels: Luma, glimpse: Unread) -> Look:
        """The symbol may be on something bent."""
        for picture in flattened(pixels, glimpse):
            readings = self._decoders[ZXING.decoder].look(picture).readings
            if readings:
                return Look((replace(readings[0], box=glimpse.box, step=FLATTENED),))
        return Look()

    def _dearly(self, pixels: Luma, turn: int) -> list[Look]:
        rungs = [rung for rung in self._dear if rung.suits(pixels)]
        return [self._climb(rungs[turn % len(rungs)], pixels)] if rungs else []

    def _climb(self, rung: Rung, pixels: Luma) -> Look:
        if not rung.suits(pixels):
            return Look()
        return placed(self._decoders[rung.decoder].look(rung.prepare(pixels)), rung.name, rung.scale)

    def _changed(self, pixels: Luma, light: str) -> bool:
        now = thumbnail(pixels)
        if len(self._before) > LIGHTS:
            self._before.clear()
        before = self._before.get(light)
        self._before[light] = now
        return before is None or differs(before, now)

    def _usable(self, rungs: Iterable[Rung]) -> tuple[Rung, ...]:
        return tuple(rung for rung in rungs if rung.decoder in self._decoders)


def _cut(pixels: Luma, box: Box) -> tuple[int, int, Luma]:
    margin_x, margin_y = int(box.width * CROP_MARGIN) + 1, int(box.height * CROP_MARGIN) + 1
    left, top = max(0, box.left - margin_x), max(0, box.top - margin_y)
    return left, top, pixels[top : max(top, box.top + box.height + margin_y), left : max(left, box.left + box.width + margin_x)]


def make_ladder() -> Ladder:
    """With all decoders that this machine has. Raises MissingPackage without libzbar, which every machine has to have."""
    decoders: list[Decoder] = [ZbarDecoder()]
    try:
        decoders += [ZxingDecoder(), ZxingDecoder(plain=True)]
    except MissingPackage as error:
        log.warning("%s; zbar reads alone, and fewer codes", error)
    return Ladder(decoders)
