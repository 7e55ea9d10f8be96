"""The technician's card, to be laminated: from parts to an accepted gate, the lamps, each error. Vietnamese before, English behind."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from provisioning.common.catalogue import Lang, remedy, words
from provisioning.paper.printing import blank
from provisioning.paper.style import A4_MM, AMBER, BLACK, BLUE, GREEN, GREY, RED
from provisioning.places.wiring import WIRING

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

STEPS: Final = (
    "paper.card_step_1",
    "paper.card_step_2",
    "paper.card_step_3",
    "paper.card_step_4",
    "paper.card_step_5",
    "paper.card_step_6",
    "paper.card_step_7",
)
LAMPS: Final = (
    ("paper.card_lamp_ready", (BLUE,)),
    ("paper.card_lamp_accept", (GREEN,)),
    ("paper.card_lamp_already", (GREEN, AMBER)),
    ("paper.card_lamp_reject", (RED,)),
    ("paper.card_lamp_refer", (AMBER,)),
    ("paper.card_lamp_service", (BLUE, RED)),
    ("paper.card_lamp_dark", ()),
)
ERRORS: Final = ("E110", "E115", "E142", "E151", "E160", "E162", "E163", "E174", "E180", "E181", "E184", "E185")
"""What a technician meets; every error of the tool says the same on the screen."""


def technician_card(at: datetime) -> Sheet:
    """A4, two pages: one side of the card for each language."""
    sheet = blank(A4_MM, "gate-provision", at)
    _side(sheet, Lang.VI)
    sheet.add_page()
    _side(sheet, Lang.EN)
    return sheet


def _wires(lang: Lang) -> str:
    """Every part that a gate may have, at its pin."""
    return ", ".join(f"{words(lang, f'part.{part.name}')} {part.bcm}" for part in WIRING)


def _side(sheet: Sheet, lang: Lang) -> None:
    below = sheet.say(words(lang, "paper.card_title"), (15, 12), 180, 18, bold=True) + 2
    for number, key in enumerate(STEPS, start=1):
        sheet.say(f"{number}", (15, below), 7, 12, bold=True)
        below = sheet.say(words(lang, key, wires=_wires(lang)), (23, below), 172, 11) + 2.2
    below = sheet.say(words(lang, "paper.card_lamps"), (15, below + 2), 180, 13, bold=True) + 2
    for key, colours in LAMPS:
        for place, colour in enumerate(colours):
            sheet.set_fill_color(colour)
            sheet.ellipse(16 + place * 5, below + 0.3, 3.6, 3.6, style="F")
        below = sheet.say(words(lang, key), (28, below), 167, 10.5) + 1.6
    below = sheet.say(words(lang, "paper.card_errors"), (15, below + 2), 180, 13, bold=True) + 2
    for code in ERRORS:
        sheet.say(code, (15, below), 13, 10, bold=True, colour=RED)
        below = sheet.say(remedy(lang, code), (28, below), 167, 10, colour=BLACK) + 1.4
    sheet.say(words(lang, "paper.card_rest"), (15, max(below + 3, 280)), 180, 8, colour=GREY)
