"""A sheet on which text, symbols and lines are drawn: fpdf2, with a typeface that has every Vietnamese letter.

Loading fpdf2 takes longer than most verbs: whoever wants an empty sheet asks `provisioning.paper.printing` for it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import segno
from fpdf import FPDF
from fpdf.enums import MethodReturnValue, XPos, YPos

from provisioning.paper.style import BLACK, FACE, Colour, typefaces

QUIET_MODULES: Final = 4


class Sheet(FPDF):
    """A page of a given size in millimetres, dated so that the same content gives the same bytes."""

    def __init__(self, size_mm: tuple[float, float], title: str, at: datetime) -> None:
        orientation: Literal["landscape", "portrait"] = "landscape" if size_mm[0] > size_mm[1] else "portrait"
        super().__init__(orientation=orientation, unit="mm", format=(min(size_mm), max(size_mm)))
        for style, path in typefaces().items():
            self.add_font(FACE, "B" if style else "", str(path))
        self.set_auto_page_break(auto=False)
        self.set_margin(0)
        self.set_title(title)
        self.set_creation_date(at)
        self.add_page()

    def say(
        self,
        text: str,
        at_mm: tuple[float, float],
        width_mm: float,
        size_pt: float,
        *,
        bold: bool = False,
        colour: Colour = BLACK,
        align: Literal["L", "C", "R"] = "L",
    ) -> float:
        """Text from a corner downwards, wrapped to a width. Returns where it ends, in millimetres from the top."""
        self.set_font(FACE, "B" if bold else "", size_pt)
        self.set_text_color(*colour)
        self.set_xy(*at_mm)
        self.multi_cell(width_mm, size_pt * 0.45, text, align=align, new_x=XPos.LEFT, new_y=YPos.NEXT)
        return self.get_y()

    def height(self, text: str, width_mm: float, size_pt: float) -> float:
        """How high bold text would be, wrapped to a width, in millimetres."""
        self.set_font(FACE, "B", size_pt)
        lines = self.multi_cell(width_mm, size_pt * 0.45, text, dry_run=True, output=MethodReturnValue.LINES)
        return len(lines) * size_pt * 0.45 if isinstance(lines, list) else 0.0

    def symbol(self, text: str, at_mm: tuple[float, float], side_mm: float, *, error: Literal["m", "q"] = "m") -> None:
        """A QR symbol with its quiet zone within a square."""
        matrix = segno.make_qr(text, error=error, boost_error=False).matrix
        module = side_mm / (len(matrix) + 2 * QUIET_MODULES)
        self.set_fill_color(255)
        self.rect(*at_mm, side_mm, side_mm, style="F")
        self.set_fill_color(0)
        for down, row in enumerate(matrix):
            across = 0
            while across < len(row):
                run = across
                while run < len(row) and row[run]:
                    run += 1
                if run > across:
                    left, top = at_mm[0] + (QUIET_MODULES + across) * module, at_mm[1] + (QUIET_MODULES + down) * module
                    # Neighbouring rows overlap by a hair, or viewers show white lines between them.
                    self.rect(left, top, (run - across) * module, module * 1.02, style="F")
                across = max(run, across + 1)
