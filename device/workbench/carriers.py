"""What a code is printed on or shown by: drawn flat, before a camera sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Callable

_MID_GREY: Final = 128
_FULL_SWING: Final = 115
"""Paper is this much lighter than middle grey and ink as much darker, at contrast 1."""
_LINE_MODULES: Final = 2
_MARGIN_MODULES: Final = 1


class Carriage(StrEnum):
    """What carries the code."""

    CARD = "card"
    BADGE = "badge"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Carrier:
    """A drawn carrier: its picture, how many of its pixels are one module, and where in it the code stands.

    ``code`` is left, top, right and bottom in pixels of the picture, the
    quiet zone included.
    """

    picture: Image.Image
    scale: int
    code: tuple[int, int, int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the code, in pixels of the picture."""
        left, top, right, bottom = self.code
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True, slots=True)
class _Design:
    """Size of a carrier in widths of its code, and where the code stands: 0 is at the left or top edge, 1 at the right or bottom."""

    width: float
    height: float
    across: float
    down: float


_DESIGNS: Final = {
    Carriage.CARD: _Design(4.4, 2.78, 0.94, 0.1),
    Carriage.BADGE: _Design(1.6, 2.5, 0.5, 0.85),
    Carriage.PHONE: _Design(1.2, 2.3, 0.5, 0.45),
}
"""A citizen card of 85.6 x 54 mm with a code of about 17 mm, a badge of 54 x 86 mm, a telephone whose screen the code fills across."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A carrier being drawn, in pixels. Places on it are given as parts of its width and height."""

    pen: ImageDraw.ImageDraw
    width: int
    height: int
    scale: int
    ink: int
    paper: int
    rng: np.random.Generator

    def at(self, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
        """A rectangle in pixels."""
        return left * self.width, top * self.height, right * self.width, bottom * self.height

    def grey(self, ink_part: float) -> int:
        """Between paper (0) and ink (1)."""
        return round(self.paper + ink_part * (self.ink - self.paper))

    def words(self, left: float, top: float, right: float, bottom: float) -> None:
        """Lines of words too small to read, as many as fit."""
        start, y, end, floor = self.at(left, top, right, bottom)
        step = _LINE_MODULES * self.scale
        while y + step <= floor:
            x = start
            line_end = start + (end - start) * self.rng.uniform(0.4, 1.0)
            while x < line_end:
                word = step * self.rng.uniform(1, 4)
                self.pen.rectangle((x, y, min(x + word, line_end), y + step * 0.5), fill=self.grey(0.8))
                x += word + step * 0.5
            y += step * 1.5


def draw(
    dark: NDArray[np.bool_], look: Carriage, scale: int, contrast: float, room: tuple[float, float], rng: np.random.Generator
) -> Carrier:
    """The carrier with the code on it, ``scale`` pixels for a module, and cut to ``room``, which is in modules, but never into the code.

    ``contrast`` is that of ink on paper, 0 to 1. What is printed beside the
    code is drawn from ``rng``.
    """
    swing = round(_FULL_SWING * contrast)
    ink, paper = _MID_GREY - swing, _MID_GREY + swing
    design, side = _DESIGNS[look], len(dark)
    width = round(scale * max(min(side * design.width, room[0]), side + 2 * _MARGIN_MODULES))
    height = round(scale * max(min(side * design.height, room[1]), side + 2 * _MARGIN_MODULES))
    picture = Image.new("L", (width, height), paper)
    _PRINTS[look](_Sheet(ImageDraw.Draw(picture), width, height, scale, ink, paper, rng))
    left, top = round((width - scale * side) * design.across), round((height - scale * side) * design.down)
    symbol = np.where(dark, np.uint8(ink), np.uint8(paper)).repeat(scale, axis=0).repeat(scale, axis=1)
    picture.paste(Image.fromarray(symbol), (left, top))
    return Carrier(picture, scale, (left, top, left + scale * side, top + scale * side))


def _card(sheet: _Sheet) -> None:
    """A portrait to the left and lines of print, as on a citizen card."""
    sheet.pen.rectangle(sheet.at(0.05, 0.33, 0.27, 0.88), fill=sheet.grey(0.3))
    sheet.pen.ellipse(sheet.at(0.11, 0.42, 0.21, 0.64), fill=sheet.grey(0.5))
    sheet.pen.pieslice(sheet.at(0.07, 0.66, 0.25, 1.08), 180, 360, fill=sheet.grey(0.7))
    sheet.pen.rectangle(sheet.at(0.05, 0.88, 0.27, 1.0), fill=sheet.paper)
    sheet.words(0.05, 0.08, 0.62, 0.28)
    sheet.words(0.32, 0.55, 0.94, 0.95)


def _badge(sheet: _Sheet) -> None:
    """A dark band with a slot for the clip, and a few words above the code."""
    sheet.pen.rectangle(sheet.at(0, 0, 1, 0.16), fill=sheet.grey(0.7))
    sheet.pen.rounded_rectangle(sheet.at(0.4, 0.05, 0.6, 0.09), radius=sheet.scale, fill=sheet.paper)
    sheet.words(0.15, 0.2, 0.85, 0.42)


def _phone(sheet: _Sheet) -> None:
    """A bright screen in a dark rim, a heading above the code and a button below it."""
    sheet.pen.rectangle(sheet.at(0, 0, 1, 1), fill=sheet.ink)
    sheet.pen.rounded_rectangle(sheet.at(0.03, 0.03, 0.97, 0.97), radius=3 * sheet.scale, fill=sheet.paper)
    sheet.words(0.2, 0.07, 0.8, 0.22)
    sheet.pen.rounded_rectangle(sheet.at(0.3, 0.84, 0.7, 0.9), radius=2 * sheet.scale, fill=sheet.grey(0.5))


_PRINTS: Final[dict[Carriage, Callable[[_Sheet], None]]] = {Carriage.CARD: _card, Carriage.BADGE: _badge, Carriage.PHONE: _phone}
