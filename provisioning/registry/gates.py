"""Gates as the desk plans, fits and moves them: what a new one is, and which step of its life may come next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from provisioning.common.errors import Refused
from provisioning.common.ids import GATE, new_id
from provisioning.places.wiring import Door, Fitting, Kit, PowerLoss
from provisioning.registry.registry import FORWARD, Registry
from provisioning.registry.tables import Gate, GateState, Site

BOARDS: Final = {"pi3": "pinctrl-bcm2835", "zero2w": "pinctrl-bcm2835", "pi4": "pinctrl-bcm2711", "pi5": "pinctrl-rp1"}
"""Board, and the label of its GPIO chip."""
_LANE: Final = re.compile(r"[a-z0-9-]{1,16}")
"""As the gate's own configuration takes it."""
_Choice = TypeVar("_Choice", bound=StrEnum)


def planned(site: Site, lane: str, direction: str, board: str, fitting: Fitting) -> Gate:
    """A new gate of a site, under a new id, not kept yet. Raises Refused (E133), naming the option."""
    lane, direction, now = checked_lane(lane), checked_direction(direction), datetime.now(UTC)
    told = {"id": new_id(GATE), "site": site.id, "lane": lane, "direction": direction, "board": checked_board(board)}
    return Gate(**told, **_columns(fitting), state=GateState.PLANNED, created=now, changed=now)


def checked_board(board: str) -> str:
    """A board that is known. Raises Refused (E133)."""
    if board not in BOARDS:
        raise Refused("E133", value=f"--board {board}", why=" | ".join(BOARDS))
    return board


def checked_fitting(kit: str, door: str, power_loss: str | None) -> Fitting:
    """What a gate is to be fitted with. Raises Refused (E133), naming the option: a door is not without a word about power loss."""
    chosen = Fitting(_one(Kit, "--kit", kit), _one(Door, "--door", door), None if power_loss is None else _power_loss(power_loss))
    if chosen.door == Door.RELAY and chosen.power_loss is None:
        raise Refused("E133", value="--door relay", why=f"--power-loss {' | '.join(PowerLoss)}")
    if chosen.door == Door.NONE and chosen.power_loss is not None:
        raise Refused("E133", value=f"--power-loss {chosen.power_loss}", why="--door relay")
    return chosen


def _power_loss(text: str) -> PowerLoss:
    return _one(PowerLoss, "--power-loss", text)


def _one(choices: type[_Choice], option: str, text: str) -> _Choice:
    if text not in set(choices):
        raise Refused("E133", value=f"{option} {text}", why=" | ".join(choices))
    return choices(text)


def _columns(fitting: Fitting) -> Mapping[str, str | None]:
    # Plain texts, as the registry gives them back: a row is written to YAML and JSON too.
    return {
        "kit": str(fitting.kit),
        "door": str(fitting.door),
        "power_loss": None if fitting.power_loss is None else str(fitting.power_loss),
    }


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


def refitted(gate: Gate, board: str | None, kit: str | None, door: str | None, power_loss: str | None) -> Mapping[str, str | None]:
    """What becomes different in a gate when what is told, and not None, is so from now on. Without a door nothing is kept about power loss.

    Raises Refused: E133, and E150 for one that is gone.
    """
    if gate.state == GateState.DECOMMISSIONED:
        raise Refused("E150", id=gate.id)
    kept = None if door == Door.NONE else gate.power_loss
    fitting = checked_fitting(kit or gate.kit, door or gate.door, power_loss or kept)
    wanted = {"board": checked_board(board or gate.board), **_columns(fitting)}
    return {key: value for key, value in wanted.items() if value != getattr(gate, key)}


def refit(registry: Registry, gate: str, changed: Mapping[str, str | None]) -> None:
    """Keep what became different; the gate's card still says what it said."""
    with registry.change() as session:
        row = session.get_one(Gate, gate)
        for key, value in changed.items():
            setattr(row, key, value)
        row.changed = datetime.now(UTC)


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
