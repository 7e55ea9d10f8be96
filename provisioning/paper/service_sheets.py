"""Paper for the work at a gate: an order for its camera."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from provisioning.catalogue import Lang, words
from provisioning.paper.sheets import BLACK, GREY, Sheet
from provisioning.registry.tables import Gate, Site

A4_MM: Final = (210.0, 297.0)
ORDER_MM: Final = 165.0
"""So large, a module of the largest order is more than a millimetre and a half."""


def order(site: Site, gate: Gate, text: str, hours: int, at: datetime) -> Sheet:
    """A4, or a screen: whose order it is, what to do, and the code."""
    sheet = Sheet(A4_MM, gate.id, at)
    below = sheet.say(words(Lang.VI, "paper.order_title", id=gate.id), (20, 15), 170, 18, bold=True)
    below = sheet.say(words(Lang.EN, "paper.order_title", id=gate.id), (20, below + 1), 170, 10, colour=GREY)
    below = sheet.say(f"{site.name} · {site.id}", (20, below + 2), 170, 11)
    for key in ("paper.order_1", "paper.order_2", "paper.order_3"):
        below = sheet.say(words(Lang.VI, key, hours=hours), (20, below + 2), 170, 11, colour=BLACK)
        below = sheet.say(words(Lang.EN, key, hours=hours), (20, below + 0.3), 170, 8, colour=GREY)
    sheet.symbol(text, ((A4_MM[0] - ORDER_MM) / 2, below + 5), ORDER_MM)
    sheet.say(f"{at:%Y-%m-%d %H:%M} UTC", (20, below + 8 + ORDER_MM), 170, 8, colour=GREY)
    return sheet
