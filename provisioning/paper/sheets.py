"""Paper: the label on a gate, the poster beside it, the authority's sheet of fingerprints. PDF and PNG from one description.

The PDF is made by fpdf2, with DejaVu Sans, which has every Vietnamese
letter; the typeface comes with matplotlib. QR symbols are drawn as vectors by
segno's matrix, so that no scaling blurs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, TypeAlias

import segno
from fpdf import FPDF
from fpdf.enums import Align, MethodReturnValue, XPos, YPos

from provisioning.desk.catalogue import Lang, words
from provisioning.places.communes import communes
from provisioning.registry.tables import Gate, Site

Colour: TypeAlias = "tuple[int, int, int]"

FACE: Final = "DejaVu"
BLACK: Final = (0, 0, 0)
GREY: Final = (90, 90, 90)
GREEN: Final = (0, 140, 70)
RED: Final = (200, 30, 30)
AMBER: Final = (235, 150, 0)
BLUE: Final = (30, 90, 200)
LABEL_MM: Final = (100.0, 62.0)
"""A common roll of labels."""
QUIET_MODULES: Final = 4


def typefaces() -> Mapping[str, Path]:
    """The files of the typeface, by style."""
    folder = Path(str(files("matplotlib"))) / "mpl-data" / "fonts" / "ttf"
    return {"": folder / "DejaVuSans.ttf", "B": folder / "DejaVuSans-Bold.ttf"}


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
        align: Align = Align.L,
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


def label_text(gate: Gate) -> str:
    """What the label's QR code says: which gate, and nothing secret."""
    return f"GATE:{gate.id}:{gate.site}:{gate.lane}"


def label(site: Site, gate: Gate, at: datetime) -> Sheet:
    """The label of a gate: id, site, hotline, and a code that says which gate it is."""
    sheet = Sheet(LABEL_MM, gate.id, at)
    sheet.symbol(label_text(gate), (60, 11), 38)
    sheet.say(words(Lang.VI, "paper.label_title"), (4, 4), 92, 10, bold=True)
    sheet.say(words(Lang.EN, "paper.label_title"), (4, 8.5), 56, 6.5, colour=GREY)
    below = sheet.say(f"{gate.id[:1]} {gate.id[1:5]} {gate.id[5:]}", (4, 14), 56, 16, bold=True)
    below = sheet.say(site.name, (4, below + 1.5), 56, 9)
    place = communes().get(site.commune)
    sheet.say(f"{place.full_name if place else site.commune} · {site.id} · {gate.lane}", (4, below + 1), 56, 7, colour=GREY)
    below = sheet.say(words(Lang.VI, "paper.broken", hotline=site.hotline), (4, 49), 92, 9, bold=True)
    sheet.say(words(Lang.EN, "paper.broken", hotline=site.hotline), (4, below + 0.5), 92, 6.5, colour=GREY)
    return sheet


def poster(site: Site, at: datetime) -> Sheet:
    """A4 beside the gate: how to hold the code, what the lamps mean, and why a record is kept."""
    sheet = Sheet((210, 297), site.name, at)
    below = sheet.say(words(Lang.VI, "paper.hold_title"), (15, 16), 180, 26, bold=True, align=Align.C)
    below = sheet.say(words(Lang.EN, "paper.hold_title"), (15, below + 1), 180, 13, colour=GREY, align=Align.C)
    _hand(sheet, (45, below + 8))
    below += 72
    for key in ("paper.hold_1", "paper.hold_2"):
        below = sheet.say(words(Lang.VI, key), (15, below + 2), 180, 15, align=Align.C)
        below = sheet.say(words(Lang.EN, key), (15, below), 180, 10, colour=GREY, align=Align.C)
    below += 5
    for key, colour in (("paper.lamp_green", GREEN), ("paper.lamp_amber", AMBER), ("paper.lamp_red", RED)):
        sheet.set_fill_color(*colour)
        sheet.ellipse(18, below + 0.5, 13, 13, style="F")
        end = sheet.say(words(Lang.VI, key), (37, below), 158, 15, bold=True)
        sheet.say(words(Lang.EN, key), (37, end), 158, 10, colour=GREY)
        below += 23
    sheet.set_draw_color(*GREY)
    sheet.line(15, 228, 195, 228)
    facts = {"purpose": site.purpose, "legal_basis": site.legal_basis, "contact": site.contact, "hotline": site.hotline}
    below = sheet.say(words(Lang.VI, "paper.notice_title"), (15, 230), 180, 11, bold=True)
    below = sheet.say(words(Lang.VI, "paper.notice", **facts), (15, below), 180, 9.5)
    below = sheet.say(words(Lang.EN, "paper.notice_title"), (15, below + 2), 180, 8, bold=True, colour=GREY)
    below = sheet.say(words(Lang.EN, "paper.notice", **facts), (15, below), 180, 7.5, colour=GREY)
    sheet.say(f"{site.name} · {site.id}", (15, 288), 180, 7, colour=GREY, align=Align.R)
    return sheet


def _hand(sheet: Sheet, at_mm: tuple[float, float]) -> None:
    """The gate's camera on the left, a card on the right, the span between them."""
    left, top = at_mm
    sheet.set_line_width(0.8)
    sheet.set_draw_color(*BLACK)
    sheet.set_fill_color(40)
    sheet.rect(left, top, 28, 50, style="DF", round_corners=True, corner_radius=3)
    sheet.set_fill_color(255)
    sheet.ellipse(left + 7, top + 16, 14, 14, style="F")
    sheet.set_fill_color(40)
    sheet.ellipse(left + 10.5, top + 19.5, 7, 7, style="F")
    sheet.set_fill_color(255)
    sheet.rect(left + 90, top + 6, 30, 40, style="DF", round_corners=True, corner_radius=2)
    # A pattern like a code's, and not a code: a poster in view of the camera must not be read.
    sheet.set_fill_color(0)
    for across, down in ((0, 0), (12, 0), (0, 12)):
        sheet.rect(left + 95 + across, top + 12 + down, 8, 8, style="D")
    for across, down in ((12, 12), (16, 16), (12, 20), (20, 12), (4, 22), (20, 20)):
        sheet.rect(left + 95 + across, top + 12 + down, 3, 3, style="F")
    sheet.set_line_width(0.5)
    sheet.line(left + 31, top + 26, left + 87, top + 26)
    for end, inward in ((left + 31, 3), (left + 87, -3)):
        sheet.line(end, top + 26, end + inward, top + 24)
        sheet.line(end, top + 26, end + inward, top + 28)
    sheet.say(words(Lang.VI, "paper.span"), (left + 31, top + 16), 56, 16, bold=True, align=Align.C)


CARD_MM: Final = (85.6, 54.0)
"""ISO/IEC 7810 ID-1, as every card in a purse."""
COLUMNS: Final = 2
ROWS: Final = 5
BADGE_TEXT_MM: Final = 26.0


def badges(site: Site, issued: Sequence[tuple[str, str, datetime]], at: datetime) -> Sheet:
    """A4 sheets of ten cards to cut out. ``issued``: what stands on each, what its code says, and when it ends."""
    sheet = Sheet((210, 297), site.name, at)
    left = (210 - COLUMNS * CARD_MM[0]) / 2
    top = (297 - ROWS * CARD_MM[1]) / 2
    for number, (name, text, ends) in enumerate(issued):
        place = number % (COLUMNS * ROWS)
        if number and not place:
            sheet.add_page()
        across, down = left + place % COLUMNS * CARD_MM[0], top + place // COLUMNS * CARD_MM[1]
        sheet.set_line_width(0.1)
        sheet.set_draw_color(190)
        sheet.rect(across, down, *CARD_MM)
        sheet.symbol(text, (across + CARD_MM[0] - 47, down + 3.5), 46)
        # Long names get smaller letters, so that nothing runs into the last line.
        high = partial(_badge_height, sheet, site.name, name)
        fits = (scale for scale in (1, 0.85, 0.7, 0.6) if high(scale) < BADGE_TEXT_MM)
        scale = next(fits, 0.5)
        below = sheet.say(site.name, (across + 3, down + 5), 35, 8 * scale, bold=True)
        below = sheet.say(name, (across + 3, below + 2), 35, 11 * scale, bold=True)
        sheet.say(words(Lang.VI, "paper.badge_ends", date=f"{ends:%d/%m/%Y}"), (across + 3, below + 2), 35, 7)
        sheet.say(words(Lang.VI, "paper.badge_found", hotline=site.hotline), (across + 3, down + 42), 36, 6, colour=GREY)
    return sheet


def _badge_height(sheet: Sheet, site: str, name: str, scale: float) -> float:
    return sheet.height(site, 35, 8 * scale) + sheet.height(name, 35, 11 * scale)


def fingerprints(name: str, prints: Mapping[str, str], lang: Lang, at: datetime) -> Sheet:
    """A4: each fingerprint in groups of four digits."""
    sheet = Sheet((210, 297), name, at)
    below = sheet.say(words(lang, "paper.fingerprints_title"), (20, 20), 170, 16, bold=True)
    below = sheet.say(words(lang, "paper.fingerprints", name=name, at=f"{at:%Y-%m-%d %H:%M} UTC"), (20, below + 3), 170, 10)
    for purpose, digits in prints.items():
        below = sheet.say(purpose, (20, below + 5), 170, 11, bold=True)
        for line in _lines(digits):
            below = sheet.say(line, (20, below + 0.5), 170, 11)
    return sheet


def _lines(digits: str) -> Sequence[str]:
    groups = [digits[start : start + 4] for start in range(0, len(digits), 4)]
    return [" ".join(groups[start : start + 8]) for start in range(0, len(groups), 8)]


def now() -> datetime:
    """The time on a page."""
    return datetime.now(UTC).replace(microsecond=0)
