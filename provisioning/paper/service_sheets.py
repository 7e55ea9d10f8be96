"""Paper for the work at a gate: an order for its camera, the test codes, the record of its acceptance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from provisioning.acceptance import Grade, JudgedGate
from provisioning.badges.targets import EXPIRED, FOREIGN, GOOD, REVOKED
from provisioning.common.catalogue import Lang, words
from provisioning.paper.printing import blank
from provisioning.paper.style import A4_MM, BLACK, GREEN, GREY, RED
from provisioning.places.wiring import door_of
from provisioning.registry.tables import Gate, Site

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

ORDER_MM: Final = 165.0
"""So large, a module of the largest order is more than a millimetre and a half."""


def order(site: Site, gate: Gate, text: str, hours: int, at: datetime) -> Sheet:
    """A4, or a screen: whose order it is, what to do, and the code."""
    sheet = blank(A4_MM, gate.id, at)
    below = sheet.say(words(Lang.VI, "paper.order_title", id=gate.id), (20, 15), 170, 18, bold=True)
    below = sheet.say(words(Lang.EN, "paper.order_title", id=gate.id), (20, below + 1), 170, 10, colour=GREY)
    below = sheet.say(f"{site.name} · {site.id}", (20, below + 2), 170, 11)
    for key in ("paper.order_1", "paper.order_2", "paper.order_3"):
        below = sheet.say(words(Lang.VI, key, hours=hours), (20, below + 2), 170, 11, colour=BLACK)
        below = sheet.say(words(Lang.EN, key, hours=hours), (20, below + 0.3), 170, 8, colour=GREY)
    sheet.symbol(text, ((A4_MM[0] - ORDER_MM) / 2, below + 5), ORDER_MM)
    sheet.say(f"{at:%Y-%m-%d %H:%M} UTC", (20, below + 8 + ORDER_MM), 170, 8, colour=GREY)
    return sheet


TARGET_MM: Final = 28.0
TARGETS: Final[Mapping[str, str]] = {
    GOOD: "paper.target_good",
    EXPIRED: "paper.target_expired",
    REVOKED: "paper.target_revoked",
    FOREIGN: "paper.target_foreign",
}
SHORT: Final = 8
"""So many letters of a value need no more than a tick does."""
MARKS: Final[Mapping[Grade, str]] = {"pass": "✓", "warn": "!", "fail": "✗"}


def acceptance(site: Site, found: JudgedGate, by: str, at: datetime, names: Mapping[str, Mapping[Lang, str]]) -> Sheet:
    """One page A4. ``names`` has the words for each check that is not a part of the gate."""
    gate = found.gate
    sheet = blank(A4_MM, gate.id, at)
    below = sheet.say(words(Lang.VI, "paper.accept_title", id=gate.id), (15, 12), 180, 16, bold=True)
    below = sheet.say(words(Lang.EN, "paper.accept_title", id=gate.id), (15, below + 0.5), 180, 9, colour=GREY)
    facts = {"site": f"{site.name} ({site.id})", "lane": gate.lane, "direction": gate.direction, "version": found.report.version}
    facts |= {"board": gate.board, "kit": gate.kit, "door": door_of(gate)}
    told = {**facts, "at": f"{at:%Y-%m-%d %H:%M}", "by": by}
    below = sheet.say(words(Lang.VI, "paper.accept_facts", **told), (15, below + 2), 180, 9)
    key = "paper.accept_well" if found.well else "paper.accept_unwell"
    below = sheet.say(words(Lang.VI, key), (15, below + 3), 180, 14, bold=True, colour=GREEN if found.well else RED)
    below = sheet.say(words(Lang.EN, key), (15, below + 0.5), 180, 9, colour=GREY) + 3
    for line in found.lines:
        name = names.get(line.check, {Lang.VI: line.check, Lang.EN: ""})
        colour = RED if line.grade == "fail" else BLACK
        sheet.say(MARKS[line.grade], (15, below), 6, 9, bold=True, colour=colour)
        label = f"{name[Lang.VI]} · {name[Lang.EN]}" if name[Lang.EN] else name[Lang.VI]
        # A question needs the width that its answer leaves: what a gate has at most stays on one page.
        value_mm = (180, 15) if len(line.value) <= SHORT else (118, 77)
        left = sheet.say(label, (21, below), value_mm[0] - 24, 8, colour=colour)
        right = sheet.say(line.value[:120], (value_mm[0], below), value_mm[1], 8, colour=colour)
        below = max(left, right) + 1.2
    below = sheet.say(words(Lang.VI, "paper.accept_digest", digest=found.digest), (15, below + 3), 180, 7, colour=GREY)
    sheet.say(words(Lang.VI, "paper.accept_sign"), (15, below + 6), 90, 9)
    sheet.say(words(Lang.EN, "paper.accept_sign"), (15, below + 11), 90, 7, colour=GREY)
    return sheet


def targets(site: Site, codes: Mapping[str, str], at: datetime) -> Sheet:
    """A4, four codes of the size of a card's, by the names in ``TARGETS``."""
    sheet = blank(A4_MM, site.id, at)
    below = sheet.say(words(Lang.VI, "paper.targets_title", site=site.name), (15, 12), 180, 16, bold=True)
    below = sheet.say(words(Lang.EN, "paper.targets_title", site=site.name), (15, below + 0.5), 180, 9, colour=GREY)
    below = sheet.say(words(Lang.VI, "paper.targets_how"), (15, below + 3), 180, 11)
    below = sheet.say(words(Lang.EN, "paper.targets_how"), (15, below + 0.5), 180, 8, colour=GREY) + 8
    for number, (name, key) in enumerate(TARGETS.items()):
        across, down = 15 + (number % 2) * 95, below + (number // 2) * 100
        sheet.say(words(Lang.VI, key), (across, down), 85, 12, bold=True)
        sheet.say(words(Lang.EN, key), (across, down + 6), 85, 8, colour=GREY)
        # Of a card's size: what reads these reads badges.
        sheet.symbol(codes[name], (across + 20, down + 20), TARGET_MM)
    sheet.say(f"{at:%Y-%m-%d %H:%M} UTC", (15, 285), 170, 8, colour=GREY)
    return sheet
