"""What a source of frames is: one port, and what its sources share. ``sources`` opens the one that the configuration names."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from device.core.types import Cause

Luma: TypeAlias = npt.NDArray[np.uint8]
"""Brightness, shape (height, width), 0 is black. Rows may be strided: a camera pads them, and nobody copies."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture.

    ``pixels`` belongs to the source and is valid only until the next frame is
    asked for. ``taken_ns`` is CLOCK_MONOTONIC: start of the exposure, or, of
    a file, when its picture was ready. ``exposure_us`` and ``lens_dioptre``
    are what the camera says it used, None where the source knows of none.
    """

    pixels: Luma
    taken_ns: int
    name: str
    exposure_us: int | None = None
    lens_dioptre: float | None = None

    @property
    def light(self) -> str:
        """The rung of exposure and focus as a short name (``1000us,5.5D``), empty where there is none."""
        exposure = [] if self.exposure_us is None else [f"{self.exposure_us}us"]
        lens = [] if self.lens_dioptre is None else [f"{self.lens_dioptre:.1f}D"]
        return ",".join(exposure + lens)


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Something that should have been a picture and is none. ``why`` never quotes what is in it."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is due yet, and that is as it should be: a source played at a slow rate. A hung camera never says this."""


Item: TypeAlias = Frame | BadFrame | Idle
Items: TypeAlias = Generator[Item, None, None]


class Camera(Protocol):
    """A source of frames.

    ``lossless`` is true of a source that is to be seen whole, once: nothing is
    skipped, however slow the decoders are. Any other gives the newest frame
    and counts in ``skipped`` those that nobody looked at.
    """

    @property
    def source(self) -> str:
        """What kind of source it is: ``picamera2``, ``folder``, ``video``."""
        ...

    @property
    def lossless(self) -> bool:
        """Whether each frame is to be seen."""
        ...

    @property
    def skipped(self) -> int:
        """Frames since the start that nobody looked at."""
        ...

    @property
    def advice(self) -> str:
        """What whoever sets the source up has to know: how it is focused, from where it reads. Empty where there is nothing."""
        ...

    def frames(self) -> Items:
        """Frames as they come; ends where the source ends. Raises CameraStopped or SourceUnreadable when it can no longer give any.

        While nothing is due it gives ``Idle`` several times a second. What it
        cannot read is a ``BadFrame`` and never an error.
        """
        ...

    def judged(self, frame: Frame, *, read: bool, cause: Cause | None = None) -> None:
        """What was seen in a frame, so that a camera can choose its next exposures by it. A source without a lens does nothing."""
        ...

    def close(self) -> None:
        """Give the camera or the file back. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Timer:
    """The monotonic clock and how to wait on it, handed in so that tests can move it."""

    now_ns: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], object] = time.sleep


SECOND_NS: Final = 1_000_000_000

IDLE_STEP_S: Final = 0.2
"""How long a source waits at a time before it says that it is idle: well below the period of the eye's sign of life."""


class Pace:
    """When the next frame is due, at a fixed rate.

    A frame that nobody asked for in time is overdue; ``overdue`` says how many
    are, and begins anew from now: lateness is never worked off by a burst.
    """

    def __init__(self, fps: float, timer: Timer) -> None:
        self._period_ns = round(SECOND_NS / fps)
        self._timer = timer
        self._due_ns = timer.now_ns()

    def wait(self) -> Iterator[Idle]:
        """Return when the next frame is due, saying ``Idle`` until then."""
        while (left_ns := self._due_ns - self._timer.now_ns()) > 0:
            self._timer.sleep(min(left_ns / SECOND_NS, IDLE_STEP_S))
            if left_ns > IDLE_STEP_S * SECOND_NS:
                yield Idle()

    def overdue(self) -> int:
        """How many whole periods have passed since the due time; the next frame is due one period later."""
        missed = max(0, (self._timer.now_ns() - self._due_ns) // self._period_ns)
        self._due_ns += (missed + 1) * self._period_ns
        return missed
