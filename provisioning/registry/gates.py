"""Gates as the desk plans and moves them: what a new one is, and which step of its life may come next."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, new_id
from provisioning.registry.registry import FORWARD, Registry
from provisioning.registry.tables import Gate, GateState, Site

BOARDS: Final = {"pi3": "pinctrl-bcm2835", "zero2w": "pinctrl-bcm2835", "pi4": "pinctrl-bcm2711", "pi5": "pinctrl-rp1"}
"""Board, and the label of its GPIO chip."""
_LANE: Final = re.compile(r"[a-z0-9-]{1,16}")
"""As the gate's own configuration takes it."""


def planned(site: Site, lane: str, direction: str, board: str) -> Gate:
    """A new gate of a site, under a new id, not kept yet. Raises Refused (E133), naming the option."""
    lane, direction, now = checked_lane(lane), checked_direction(direction), datetime.now(UTC)
    if board not in BOARDS:
        raise Refused("E133", value=board, why=" | ".join(BOARDS))
    told = {"id": new_id(GATE), "site": site.id, "lane": lane, "direction": direction, "board": board}
    return Gate(**told, state=GateState.PLANNED, created=now, changed=now)


def checked_lane(lane: str) -> str:
    """A lane as a gate's configuration takes it. Raises Refused (E133)."""
    if not _LANE.fullmatch(lane):
        raise Refused("E133", value=f"--lane {lane}", why="a-z 0-9 -, 1-16")
    return lane


def checked_direction(direction: str) -> str:
    """A direction. Raises Refused (E133)."""
    if direction not in {"in", "out", "both"}:
        raise Refused("E133", value=f"--direction {direction}", why="in | out | both")
    return direction


def place(registry: Registry, gate: str, lane: str, direction: str, site: str) -> None:
    """A gate stands somewhere else from now on."""
    with registry.change() as session:
        row = session.get_one(Gate, gate)
        row.lane, row.direction, row.site, row.changed = lane, direction, site, datetime.now(UTC)


def has_to_move(gate: Gate, state: GateState) -> bool:
    """Whether a gate comes into a state by a step; False where it is in it. Raises Refused (E115) where no step leads there."""
    if gate.state == state:
        return False
    if state not in FORWARD[GateState(gate.state)]:
        raise Refused("E115", id=gate.id, state=gate.state, wanted=state)
    return True


def has_to_begin(registry: Registry, gate: Gate) -> bool:
    """Whether a gate begins its service by a step. Raises Refused: E115, and E185 where its last acceptance was not good."""
    moves = has_to_move(gate, GateState.IN_SERVICE)
    last = registry.acceptance(gate.id)
    if last is not None and not last.well:
        raise Refused("E185", id=gate.id)
    return moves
