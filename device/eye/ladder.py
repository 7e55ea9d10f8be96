"""Which decoder looks at which part of a frame, in which form, and when.

A rung is a decoder and what is done to the picture first. The sieve says where
a code could be; zxing-cpp, which reads a third more than zbar at a tenth of
the cost, looks there at once. Where that reads nothing, the same small part is
looked at in other ways: twice as large, which nearly doubles what is read at
two pixels a module, flattened, thresholded for zbar. Each look is paid from a
budget of processor time. ``Planner`` decides and is pure; ``Ladder`` carries
it out.

Several codes in one frame: each decoder returns all that it finds, and each
part of the frame that still looks like a code is looked at again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from device.core.types import Box
from device.errors import MissingPackage
from device.eye.camera import Luma
from device.eye.cause import Explained, explain_region, explain_unread
from device.eye.decoder import Decoder, Look, Unread, ZbarDecoder, ZxingDecoder, merged, placed
from device.eye.filters import adaptive, differs, double, half, softened, thumbnail, triple
from device.eye.sieve import code_like, regions
from device.eye.unbend import flattened

log = logging.getLogger(__name__)

Prepare = Callable[[Luma], Luma]


@dataclass(frozen=True, slots=True)
class Rung:
    """One look: ``prepare`` the picture, hand it to the decoder of that name.

    ``scale`` is pixels of the frame for one of the prepared picture. A picture
    of fewer than ``least_px`` or more than ``most_px`` pixels skips the rung.
    """

    name: str
    decoder: str
    prepare: Prepare
    scale: float = 1.0
    least_px: int = 1
    most_px: int = 100_000_000

    def suits(self, pixels: Luma) -> bool:
        """Whether a picture of this size is worth the rung."""
        return self.least_px <= pixels.size <= self.most_px


def _as_it_is(pixels: Luma) -> Luma:
    return pixels


def _half_adaptive(pixels: Luma) -> Luma:
    return adaptive(half(pixels))


def _double_adaptive(pixels: Luma) -> Luma:
    return adaptive(double(pixels))


def _double_softened(pixels: Luma) -> Luma:
    return softened(softened(double(pixels)))


SMALL_PX: Final = 1_000_000
"""Up to here a whole picture is worth doubling: modules may be down to two pixels."""

PART_PX: Final = 600_000
"""Up to here a part of a frame is worth doubling …"""

SMALL_PART_PX: Final = 160_000
"""… and up to here worth tripling."""

LARGE_PX: Final = 400_000
"""From here on half the size still has modules to read."""

ZXING: Final = Rung("zxing", "zxing", _as_it_is)
ZXING_PLAIN: Final = Rung("zxing-plain", "zxing-plain", _as_it_is)
ZBAR: Final = Rung("zbar", "zbar", _as_it_is)
ZBAR_ADAPTIVE: Final = Rung("zbar-adaptive", "zbar", adaptive)
ZBAR_HALF: Final = Rung("zbar-half", "zbar", _half_adaptive, scale=2.0, least_px=LARGE_PX)

SINGLE_PASS_DEEP: Final = (
    ZBAR_ADAPTIVE,
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

LIVE_FIRST: Final = ZXING
LIVE_CLOSER: Final = (
    Rung("zxing-double", "zxing", double, scale=0.5, most_px=PART_PX),
    Rung("zxing-triple", "zxing", triple, scale=1 / 3, most_px=SMALL_PART_PX),
    ZBAR_ADAPTIVE,
    Rung("zbar-double", "zbar", _double_adaptive, scale=0.5, most_px=SMALL_PART_PX),
    Rung("zxing-soft-double", "zxing", _double_softened, scale=0.5, most_px=PART_PX),
    ZXING_PLAIN,
    ZBAR_HALF,
)
"""Look at a part of a frame, in this order, where the first look read nothing; over several frames each gets its turn."""

ZBAR_ONLY_FIRST: Final = ZBAR_ADAPTIVE
ZBAR_ONLY_CLOSER: Final = (
    Rung("zbar-double", "zbar", _double_adaptive, scale=0.5, most_px=SMALL_PART_PX),
    ZBAR,
    ZBAR_HALF,
)
"""A machine without zxing-cpp."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """What looking may cost, and how often a scene at rest is looked at.

    ``cpu_share`` of one core on average, with at most ``burst_s`` of core
    time saved up. The whole frame is looked at each ``whole_every``-th time,
    whatever the sieve says. A part in which nothing was read ``patience``
    times, and which has not changed, is looked at each ``rest_every``-th time.
    """

    cpu_share: float = 0.6
    burst_s: float = 0.8
    whole_every: int = 12
    rest_every: int = 5
    patience: int = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """For one frame: the parts to look at, and whether what is not read may be looked at more closely."""

    parts: tuple[Box, ...] = ()
    closer: bool = False
    refused: bool = False
    """Nothing is looked at because the budget is spent."""


class Planner:
    """Where to look in each frame. Pure: times and places come in, nothing is read from a clock.

    The budget is an account that fills with time. The first look needs any
    balance at all, a closer one needs some to spare; an account in debt rests
    until it is even. So a slow machine looks more seldom, is never late, and
    the newest frame wins.
    """

    def __init__(self, settings: LiveSettings = LiveSettings()) -> None:
        self._settings = settings
        self._saved_ns = settings.burst_s * 1e9
        self._at_ns: int | None = None
        self._frames = 0
        self._vain = 0
        self.turn = 0

    def plan(self, now_ns: int, places: Sequence[Box], frame: Box, *, changed: bool) -> Plan:
        """``places`` is what the sieve found, ``changed`` whether the frame differs from the one before it in the same light.

        After a change the whole frame is looked at even where the sieve finds
        nothing: what it misses is looked for once, when it comes into view.
        """
        self._save(now_ns)
        self._frames += 1
        if self._saved_ns <= 0:
            return Plan(refused=True)
        if changed:
            self._vain = 0
        if self._frames % self._settings.whole_every == 0 or (changed and not places):
            return Plan((frame,), closer=self.affords_closer)
        if self._vain >= self._settings.patience and self._frames % self._settings.rest_every:
            return Plan()
        return Plan(tuple(places), closer=self.affords_closer)

    @property
    def affords_closer(self) -> bool:
        """Whether a quarter of what may be saved is there."""
        return self._saved_ns > self._settings.burst_s * 1e9 / 4

    def learn(self, *, read: bool, parts: int) -> None:
        """How the looks of a frame ended."""
        if parts:
            self._vain = 0 if read else self._vain + 1
        self.turn = 0 if read else self.turn + 1

    def spent(self, cpu_ns: int) -> None:
        """What was looked at cost so much. The account may go into debt by one look."""
        self._saved_ns -= cpu_ns

    def _save(self, now_ns: int) -> None:
        elapsed_ns = 0 if self._at_ns is None else now_ns - self._at_ns
        self._at_ns = now_ns
        self._saved_ns = min(self._saved_ns + elapsed_ns * self._settings.cpu_share, self._settings.burst_s * 1e9)


LIGHTS: Final = 16
"""So many exposures are kept apart. A camera that reports a new one each frame must not fill the memory."""

MOST_GLIMPSES: Final = 3
"""Of one frame, the largest so many are looked at closely."""

FLATTENED: Final = "zxing-flattened"

LEAST_STRIP_PX: Final = 48
LEAST_STRIP_SHARE: Final = 0.4
"""Beside a code that fills the picture there is no room for another that is half as large."""

SET_ASIDE_AREA: Final = 4
"""The sieve's margin around a small code may be as wide as the code."""

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
        first, closer = (LIVE_FIRST, LIVE_CLOSER) if "zxing" in self._decoders else (ZBAR_ONLY_FIRST, ZBAR_ONLY_CLOSER)
        self._first = first
        self._closer = self._usable(closer)
        self._planner = Planner(settings)
        self._cpu_ns = cpu_ns
        self._before: dict[str, Luma] = {}
        self.places: tuple[Box, ...] = ()
        """Where the sieve found something in the newest frame."""
        self.refused = 0
        """Frames that nobody looked at because the budget was spent."""
        self.set_aside: Box | None = None
        """Where a code stands that is always there: the sieve's finding it is no reason to look."""

    @property
    def decoders(self) -> tuple[Decoder, ...]:
        """All that may look."""
        return tuple(self._decoders.values())

    def one_shot(self, pixels: Luma, limit_ns: int | None = None) -> Look:
        """All that can be read in this picture in one pass, with no memory of others: for judging files one by one.

        No further rung is begun when ``limit_ns`` of processor time are spent.
        """
        start_ns = self._cpu_ns()
        look = merged(self._climb(rung, pixels) for rung in self._usable((ZXING,)))
        if look.readings and not look.glimpses and not _left(look, pixels):
            return look
        look = merged([look, *(self._climb(rung, pixels) for rung in self._usable((ZXING_PLAIN,)))])
        look = merged([look, *(self._flat(pixels, glimpse) for glimpse in look.glimpses[:MOST_GLIMPSES])])
        for rung in self._usable(SINGLE_PASS_DEEP):
            # What is left beside a code that was read gets one look by another library; print may look like a code for ever.
            if look.readings and not look.glimpses and (rung is not ZBAR_ADAPTIVE or not _left(look, pixels)):
                break
            if limit_ns is not None and self._cpu_ns() - start_ns >= limit_ns:
                break
            look = merged([look, self._climb(rung, pixels)])
        return look

    def live(self, pixels: Luma, now_ns: int, light: str = "") -> Look:
        """What is read in one frame of many: all of ``looks`` as one."""
        return merged(self.looks(pixels, now_ns, light))

    def looks(self, pixels: Luma, now_ns: int, light: str = "") -> Iterator[Look]:
        """One frame of many: the first look, and then, one after the other, what closer ones find beyond it.

        Each is there to be told before the next begins, so the lamp never
        waits for a closer look at a second code, and whoever listens can give
        a sign of life. The glimpses of the last are what stays unread. ``light`` keeps apart frames
        of different exposure when looking for a change.
        """
        started_ns = self._cpu_ns()
        self.places = tuple(place for place in regions(pixels) if not self._is_set_aside(place))
        frame = Box(0, 0, pixels.shape[1], pixels.shape[0])
        plan = self._planner.plan(now_ns, self.places, frame, changed=self._changed(pixels, light))
        self.refused += plan.refused
        look = merged(self._first_look(pixels, part) for part in plan.parts)
        self._planner.spent(self._cpu_ns() - started_ns)
        yield look
        if plan.closer:
            for closer in self._closer_looks(pixels, look):
                known = {reading.payload for reading in look.readings}
                look = merged([look, closer])
                yield Look(tuple(reading for reading in look.readings if reading.payload not in known), look.glimpses)
                if look.readings and not look.glimpses:
                    break
        self._planner.learn(read=bool(look.readings), parts=len(plan.parts))

    def explain(self, pixels: Luma, unread: Sequence[Unread]) -> Explained | None:
        """Why what was not read in this frame could not be; None where nothing shows a code, or the budget is spent."""
        if not self._planner.affords_closer:
            return None
        before_ns = self._cpu_ns()
        try:
            if unread:
                return explain_unread(pixels, unread[0])
            places = (place for place in self.places if code_like(place))
            return next((found for place in places if (found := explain_region(pixels, place)) is not None), None)
        finally:
            self._planner.spent(self._cpu_ns() - before_ns)

    def _first_look(self, pixels: Luma, part: Box) -> Look:
        return placed(self._climb(self._first, _part(pixels, part)), self._first.name, 1.0, part.left, part.top)

    def _closer_looks(self, pixels: Luma, look: Look) -> Iterator[Look]:
        """One look after the other at what is still unread, as long as the budget lasts. Small parts, so each is cheap."""
        parts = [_with_margin(glimpse.box, pixels) for glimpse in look.glimpses[:MOST_GLIMPSES]]
        if not parts and not look.readings:
            parts = [place for place in self.places if code_like(place)]
        parts = [part for part in parts if part.area > 0]
        steps = [(part, glimpse) for glimpse, part in zip(look.glimpses, parts, strict=False)] if look.glimpses else []
        for _, glimpse in steps:
            yield from self._paid(lambda glimpse=glimpse: self._flat(pixels, glimpse))  # type: ignore[misc]  # mypy infers no lambda with a default
        for at in range(len(self._closer)):
            rung = self._closer[(self._planner.turn * 2 + at) % len(self._closer)]
            for part in parts:
                if rung.suits(cut := _part(pixels, part)):
                    yield from self._paid(
                        lambda rung=rung, cut=cut, part=part: placed(self._climb(rung, cut), rung.name, 1.0, part.left, part.top)  # type: ignore[misc]  # mypy infers no lambda with a default
                    )

    def _is_set_aside(self, place: Box) -> bool:
        """A place that is that code and hardly more. Something held before it makes another, larger place."""
        known = self.set_aside
        return known is not None and _within(known, place) and place.area <= SET_ASIDE_AREA * known.area

    def _paid(self, look: Callable[[], Look]) -> Iterator[Look]:
        if self._planner.affords_closer:
            before_ns = self._cpu_ns()
            found = look()
            self._planner.spent(self._cpu_ns() - before_ns)
            yield found

    def _flat(self, pixels: Luma, glimpse: Unread) -> Look:
        """The symbol may be on something bent."""
        if ZXING.decoder not in self._decoders:
            return Look()
        for picture in flattened(pixels, glimpse):
            readings = self._decoders[ZXING.decoder].look(picture).readings
            if readings:
                return Look((replace(readings[0], box=glimpse.box, step=FLATTENED),))
        return Look()

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


def _left(look: Look, pixels: Luma) -> bool:
    """Whether something that could be a code lies outside all that was read."""
    if pixels.ndim != 2 or not pixels.size:  # noqa: PLR2004 - rows and columns
        return False
    if not _room(look, pixels):
        return False
    return any(code_like(place) and not any(_within(reading.box, place) for reading in look.readings) for place in regions(pixels))


def _room(look: Look, pixels: Luma) -> bool:
    """Whether another code could stand beside all that was read: a strip at one side of it is wide enough."""
    if not look.readings:
        return True
    boxes = [reading.box for reading in look.readings]
    height, width = pixels.shape
    strips = [min(box.left for box in boxes), min(box.top for box in boxes)]
    strips += [width - max(box.left + box.width for box in boxes), height - max(box.top + box.height for box in boxes)]
    return max(strips) > max(LEAST_STRIP_PX, LEAST_STRIP_SHARE * min(min(box.width, box.height) for box in boxes)) or len(boxes) > 1


def _within(box: Box, place: Box) -> bool:
    """Whether the middle of a reading lies in a place: then the place is that code, with its margin."""
    x, y = box.left + box.width // 2, box.top + box.height // 2
    return place.left <= x <= place.left + place.width and place.top <= y <= place.top + place.height


def _part(pixels: Luma, box: Box) -> Luma:
    return pixels[box.top : box.top + box.height, box.left : box.left + box.width]


def _with_margin(box: Box, pixels: Luma) -> Box:
    """The box with a margin, as far as it lies in the frame."""
    margin_x, margin_y = int(box.width * CROP_MARGIN) + 1, int(box.height * CROP_MARGIN) + 1
    left, top = max(0, box.left - margin_x), max(0, box.top - margin_y)
    right, bottom = min(pixels.shape[1], box.left + box.width + margin_x), min(pixels.shape[0], box.top + box.height + margin_y)
    return Box(left, top, max(0, right - left), max(0, bottom - top))


def make_ladder(settings: LiveSettings = LiveSettings()) -> Ladder:
    """With all decoders that this machine has. Raises MissingPackage without libzbar, which every machine has to have."""
    decoders: list[Decoder] = [ZbarDecoder()]
    try:
        decoders += [ZxingDecoder(), ZxingDecoder(plain=True)]
    except MissingPackage as error:
        log.warning("%s; zbar reads alone, and fewer codes", error)
    return Ladder(decoders, settings)
