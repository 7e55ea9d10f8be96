"""Which exposure and which focus the camera takes next.

Cards want a short exposure with added light, screens a whole period of theirs;
a lens sees sharply only a few centimetres of depth. Nobody knows what comes
next, so the exposures take turns and the lens moves between its positions.
What was seen of the last frames then says which of them to favour for a while:
never for ever, and one frame of each two keeps its turn whatever was seen, so
that a telephone after a card is not missed.

The turns follow the frame's number alone, and repeat no pattern: an eye that
looks at every second or every fourth frame meets each exposure too. Pure: no
clock, no camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from device.core.types import Cause

FRAMES_PER_FOCUS: Final = 12
"""Frames between two focus positions: the lens needs a few to arrive, and each exposure its turn at rest."""

FAVOURED_FRAMES: Final = 24
"""A second and a half at 15 frames a second: as long as one person takes."""

PAIRS_KEPT: Final = 3
"""So many pairs of frames keep the same one of the two open; then it may be the other. By search: the least wait at any stride."""


_Number = TypeVar("_Number", int, float)


class Aim:
    """What to ask of the camera for each frame. An empty sequence: this camera has no such control."""

    def __init__(self, exposures_us: Sequence[int], lens_dioptre: Sequence[float]) -> None:
        self._exposures = tuple(exposures_us)
        self._lenses = tuple(lens_dioptre)
        self._number = 0
        self._exposure: tuple[int, int] | None = None
        self._lens: tuple[float, int] | None = None

    def next(self) -> tuple[int | None, float | None]:
        """Exposure in microseconds and lens position in dioptres for one more frame; None where there is nothing to choose."""
        self._number += 1
        return self._next_exposure(), self._next_lens()

    def judged(self, exposure_us: int | None, lens_dioptre: float | None, *, read: bool, cause: Cause | None = None) -> None:
        """What was seen in a frame that was taken so. Each frame is judged once; of an empty one nothing is said."""
        if read:
            self._favour(_nearest(self._exposures, exposure_us), _nearest(self._lenses, lens_dioptre))
        elif cause in {Cause.BANDED, Cause.DARK}:
            self._favour(max(self._exposures, default=None), None)
        elif cause is Cause.GLARE:
            self._favour(min(self._exposures, default=None), None)
        elif cause is Cause.BLURRED:
            self._favour(None, self._other_lens(lens_dioptre))

    def _favour(self, exposure: int | None, lens: float | None) -> None:
        if exposure is not None:
            self._exposure = exposure, self._number + FAVOURED_FRAMES
        if lens is not None:
            self._lens = lens, self._number + FAVOURED_FRAMES

    def _next_exposure(self) -> int | None:
        """In each 2n frames of n exposures each has one that nothing takes from it, and without favour two."""
        choices = len(self._exposures)
        if choices < 2:  # noqa: PLR2004 - one is no choice
            return None
        pair, place = divmod(self._number, 2)
        turn = pair + _digit_sum(pair // (2 * choices), choices)
        kept = place == _digit_sum(pair // PAIRS_KEPT, 2) % 2
        if not kept and self._exposure is not None and self._number <= self._exposure[1]:
            return self._exposure[0]
        return self._exposures[(turn if kept else turn + 1) % choices]

    def _next_lens(self) -> float | None:
        if len(self._lenses) < 2:  # noqa: PLR2004 - one is no choice
            return None
        if self._lens is not None and self._number <= self._lens[1]:
            return self._lens[0]
        return self._lenses[self._number // FRAMES_PER_FOCUS % len(self._lenses)]

    def _other_lens(self, lens_dioptre: float | None) -> float | None:
        """The position after the one at which it was blurred; while one is being tried, that one."""
        if len(self._lenses) < 2 or lens_dioptre is None or (self._lens is not None and self._number <= self._lens[1]):  # noqa: PLR2004 - one is no choice
            return None
        at = self._lenses.index(_nearest(self._lenses, lens_dioptre) or self._lenses[0])
        return self._lenses[(at + 1) % len(self._lenses)]


def _digit_sum(number: int, base: int) -> int:
    """Modulo the base it is the Thue-Morse sequence: each value as often as the others, and no period."""
    total = 0
    while number:
        number, digit = divmod(number, base)
        total += digit
    return total


def _nearest(choices: Sequence[_Number], value: float | None) -> _Number | None:
    """Which of the choices a frame was taken with: the camera reports what it really did."""
    return None if value is None or not choices else min(choices, key=lambda choice: abs(choice - value))
