"""A gate's wiring: the header as it is seen, each fitted part at its pin, and how the door is wired. For whoever opens the case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from provisioning.common.catalogue import Lang, words
from provisioning.paper.printing import blank
from provisioning.paper.style import A4_MM, AMBER, BLACK, BLUE, GREEN, GREY, RED, Colour
from provisioning.places.wiring import CONTACTS, GROUNDS, RESERVED, SUPPLY, WIRING, Door, PowerLoss, WiredPart, fitted
from provisioning.registry.tables import Gate, Site

if TYPE_CHECKING:
    from provisioning.paper.drawing import Sheet

WHITE: Final = (255, 255, 255)
COLOURS: Final[Mapping[str, Colour]] = {
    "green": GREEN,
    "red": RED,
    "yellow": (250, 205, 0),
    "blue": BLUE,
    "white": WHITE,
    "orange": AMBER,
    "violet": (130, 60, 170),
    "grey": (140, 140, 140),
    "black": BLACK,
    "brown": (120, 70, 30),
}
"""Of wires, by the names in the table."""
PALE: Final = frozenset({"yellow", "white", "orange"})
"""On these a number is black."""
GROUND: Final = "black"
FIVE_VOLTS: Final = "brown"

ROWS: Final = 20
PITCH_MM: Final = 5.9
RADIUS_MM: Final = 2.3
COLUMN_MM: Final = (101.0, 109.0)
"""Middles of the header's two columns: odd numbers on the left, even ones on the right."""
NUMBER_MM: Final = 7.8
"""Wider than the pin, since the printer leaves a margin within; no wider than a column."""
WIRE_MM: Final = 14.0
LABEL_MM: Final = 68.0
TABLE_MM: Final = (15.0, 94.0, 114.0, 138.0)
"""Where part, header number, BCM number and colour begin."""
GATE_NOTES: Final = ("paper.wire_lamps", "paper.wire_spare")
DOOR_NOTES: Final[Mapping[str, str]] = {PowerLoss.OPEN: "paper.wire_open", PowerLoss.LOCKED: "paper.wire_locked"}


def wiring_sheet(site: Site, gate: Gate, at: datetime) -> Sheet:
    """A4: what hangs on which pin of this gate. Only fitted parts stand on it."""
    sheet, parts = blank(A4_MM, gate.id, at), fitted(gate)
    below = _both(sheet, "paper.wire_title", 12, (16, 9), {"id": gate.id}, bold=True)
    below = sheet.say(f"{site.name} · {site.id} · {gate.lane} · {gate.board}", (15, below + 1), 180, 8)
    below = sheet.say(_fitting(gate), (15, below + 0.5), 180, 9, bold=True)
    below = _both(sheet, "paper.wire_hold", below + 1, (9, 7), {})
    below = _header(sheet, below + 3, _wires(gate, parts))
    below = _table(sheet, below + 2, parts)
    facts: dict[str, str] = {"spare": ", ".join(map(str, sorted(RESERVED))), "grounds": ", ".join(map(str, GROUNDS)), "supply": str(SUPPLY)}
    notes = list(GATE_NOTES)
    if gate.door == Door.RELAY and gate.power_loss is not None:
        (relay,) = (part for part in parts if part.name == "relay")
        facts |= {"relay": str(relay.header), "ground": str(GROUNDS[-1]), "contact": CONTACTS[gate.power_loss]}
        notes = ["paper.wire_relay", DOOR_NOTES[gate.power_loss], *notes]
    for key in notes:
        below = _both(sheet, key, below + 1.5, (8.5, 7), facts)
    sheet.say(f"{at:%Y-%m-%d %H:%M} UTC", (15, 288), 180, 7, colour=GREY, align="R")
    return sheet


def _fitting(gate: Gate) -> str:
    keys = f"kit.{gate.kit}", f"door.{gate.power_loss or gate.door}"
    return " — ".join(" · ".join(words(lang, key) for lang in Lang) for key in keys)


def _both(sheet: Sheet, key: str, top: float, sizes_pt: tuple[float, float], facts: Mapping[str, str], *, bold: bool = False) -> float:
    below = sheet.say(words(Lang.VI, key, **facts), (15, top), 180, sizes_pt[0], bold=bold)
    return sheet.say(words(Lang.EN, key, **facts), (15, below + 0.3), 180, sizes_pt[1], colour=GREY)


def _name(key: str) -> str:
    return " · ".join(words(lang, key) for lang in Lang)


def _wires(gate: Gate, parts: Sequence[WiredPart]) -> Mapping[int, tuple[str, str]]:
    """By header number: the wire's colour, and where it goes."""
    wires = {part.header: (part.colour, _name(f"part.{part.name}")) for part in parts}
    return wires if gate.door == Door.NONE else {**wires, SUPPLY: (FIVE_VOLTS, _name("part.supply"))}


def _header(sheet: Sheet, top: float, wires: Mapping[int, tuple[str, str]]) -> float:
    """The 40 pins, with a wire to the name of each part. Returns where it ends."""
    margin = PITCH_MM / 2 + 0.8
    sheet.set_line_width(0.3)
    sheet.set_draw_color(*GREY)
    sheet.rect(COLUMN_MM[0] - margin, top, COLUMN_MM[1] - COLUMN_MM[0] + 2 * margin, ROWS * PITCH_MM + 1.6)
    for number in range(1, 2 * ROWS + 1):
        across, down = COLUMN_MM[(number + 1) % 2], top + 0.8 + PITCH_MM * ((number - 1) // 2 + 0.5)
        colour, label = wires.get(number, (GROUND if number in GROUNDS else "", _name("part.ground") if number in GROUNDS else ""))
        if number in wires:
            _wire(sheet, number, (across, down), COLOURS[colour])
        _pin(sheet, number, (across, down), colour)
        _label(sheet, number, down, label, wired=number in wires)
    return top + ROWS * PITCH_MM + 1.6


def _pin(sheet: Sheet, number: int, at_mm: tuple[float, float], colour: str) -> None:
    sheet.set_line_width(0.3)
    sheet.set_draw_color(*GREY)
    sheet.set_fill_color(*COLOURS.get(colour, WHITE))
    corner = at_mm[0] - RADIUS_MM, at_mm[1] - RADIUS_MM
    # Pin 1 is square on the board too.
    draw = sheet.rect if number == 1 else sheet.ellipse
    draw(*corner, 2 * RADIUS_MM, 2 * RADIUS_MM, style="DF")
    ink = WHITE if colour and colour not in PALE else BLACK if colour else GREY
    sheet.say(str(number), (at_mm[0] - NUMBER_MM / 2, at_mm[1] - 1.35), NUMBER_MM, 6, bold=bool(colour), colour=ink, align="C")


def _wire(sheet: Sheet, number: int, at_mm: tuple[float, float], colour: Colour) -> None:
    outwards = -1 if number % 2 else 1
    start = at_mm[0] + outwards * RADIUS_MM, at_mm[1]
    # A white wire is seen by its edge.
    for width, ink in ((1.7, GREY), (1.2, colour)):
        sheet.set_line_width(width)
        sheet.set_draw_color(*ink)
        sheet.line(*start, start[0] + outwards * WIRE_MM, start[1])


def _label(sheet: Sheet, number: int, down: float, label: str, *, wired: bool) -> None:
    size = 9.0 if wired else 6.5
    gap = RADIUS_MM + (WIRE_MM + 2 if wired else 3)
    if number % 2:
        sheet.say(label, (COLUMN_MM[0] - gap - LABEL_MM, down - size * 0.225), LABEL_MM, size, bold=wired, align="R")
    else:
        sheet.say(label, (COLUMN_MM[1] + gap, down - size * 0.225), LABEL_MM, size, bold=wired)


def _table(sheet: Sheet, top: float, parts: Sequence[WiredPart]) -> float:
    """A line for each part. Returns where it ends."""
    heads = "paper.wire_part", "paper.wire_header", "paper.wire_bcm", "paper.wire_colour"
    for across, key in zip(TABLE_MM, heads, strict=True):
        sheet.say(_name(key), (across, top), 60, 7, bold=True, colour=GREY)
    below = top + 4
    for part in (one for one in WIRING if one in parts):
        cells = _name(f"part.{part.name}"), str(part.header), str(part.bcm), _name(f"colour.{part.colour}")
        for across, cell in zip(TABLE_MM, cells, strict=True):
            sheet.say(cell, (across, below), 78, 8.5)
        below += 4.3
    return below
