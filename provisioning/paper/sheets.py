"""Paper of a site: the label on a gate, the poster beside it, badges, the authority's sheet of fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from provisioning.common.catalogue import Lang, words
from provisioning.paper.printing import blank
from provisioning.paper.style import A4_MM, AMBER, BLACK, GREEN, GREY, RED
from provisioning.places.communes import communes
from provisioning.places.wiring import door_of
from provisioning.registry.tables import Gate, Site

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

LABEL_MM: Final = (100.0, 62.0)
"""A common roll of labels."""
LABEL_NAME_MM: Final = 18.0


def label_text(gate: Gate) -> str:
    """What the label's QR code says: which gate, and nothing secret."""
    return f"GATE:{gate.id}:{gate.site}:{gate.lane}"


def label(site: Site, gate: Gate, at: datetime) -> Sheet:
    """The label of a gate: id, site, what it is fitted with, hotline, and a code that says which gate it is."""
    sheet = blank(LABEL_MM, gate.id, at)
    sheet.symbol(label_text(gate), (60, 11), 38)
    sheet.say(words(Lang.VI, "paper.label_title"), (4, 4), 92, 10, bold=True)
    sheet.say(words(Lang.EN, "paper.label_title"), (4, 8.5), 56, 6.5, colour=GREY)
    below = sheet.say(f"{gate.id[:1]} {gate.id[1:5]} {gate.id[5:]}", (4, 14), 56, 16, bold=True)
    # Long names get smaller letters, so that nothing runs into the lines about who to call.
    fits = (size for size in (9.0, 8.0, 7.0, 6.0) if sheet.height(site.name, 56, size) < LABEL_NAME_MM)
    below = sheet.say(site.name, (4, below + 1.5), 56, next(fits, 5.0))
    place = communes().get(site.commune)
    below = sheet.say(f"{place.full_name if place else site.commune} · {site.id} · {gate.lane}", (4, below + 1), 56, 7, colour=GREY)
    sheet.say(f"{gate.board} · {gate.kit} · {door_of(gate)}", (4, below + 0.5), 56, 7, colour=GREY)
    below = sheet.say(words(Lang.VI, "paper.broken", hotline=site.hotline), (4, 49), 92, 9, bold=True)
    sheet.say(words(Lang.EN, "paper.broken", hotline=site.hotline), (4, below + 0.5), 92, 6.5, colour=GREY)
    return sheet


def poster(site: Site, at: datetime) -> Sheet:
    """A4 beside the gate: how to hold the code, what the lamps mean, and why a record is kept."""
    sheet = blank(A4_MM, site.name, at)
    below = sheet.say(words(Lang.VI, "paper.hold_title"), (15, 16), 180, 26, bold=True, align="C")
    below = sheet.say(words(Lang.EN, "paper.hold_title"), (15, below + 1), 180, 13, colour=GREY, align="C")
    _hand(sheet, (45, below + 8))
    below += 72
    for key in ("paper.hold_1", "paper.hold_2"):
        below = sheet.say(words(Lang.VI, key), (15, below + 2), 180, 15, align="C")
        below = sheet.say(words(Lang.EN, key), (15, below), 180, 10, colour=GREY, align="C")
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
    sheet.say(f"{site.name} · {site.id}", (15, 288), 180, 7, colour=GREY, align="R")
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
    sheet.say(words(Lang.VI, "paper.span"), (left + 31, top + 16), 56, 16, bold=True, align="C")


CARD_MM: Final = (85.6, 54.0)
"""ISO/IEC 7810 ID-1, as every card in a purse."""
COLUMNS: Final = 2
ROWS: Final = 5
BADGE_TEXT_MM: Final = 26.0


def badges(site: Site, issued: Sequence[tuple[str, str, datetime]], at: datetime) -> Sheet:
    """A4 sheets of ten cards to cut out. ``issued``: what stands on each, what its code says, and when it ends."""
    sheet = blank(A4_MM, site.name, at)
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
    sheet = blank(A4_MM, name, at)
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
