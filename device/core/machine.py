"""The gate as a literal table: in which state it is, what can happen, and what it then does, in this order.

``step`` is all the logic there is; the loop carries the actions out. The
diagram in the documents is drawn from ``TABLE``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """What the gate is to the people before it."""

    STARTING = "starting"
    READY = "ready"
    ASKING = "asking"
    COMMISSIONING = "commissioning"
    OUT_OF_SERVICE = "out of service"
    STOPPED = "stopped"


class Input(StrEnum):
    """What can happen to it."""

    EYE_ALIVE = "the eye is alive"
    EYE_SILENT = "the eye is silent"
    PASSED = "a person may pass"
    ANSWERED = "a code is refused, referred or was just scanned"
    UNREADABLE = "a code stays unreadable"
    CLEAR = "nothing unreadable is in view"
    WINDOW_OPEN = "the button opened the window for an order"
    WINDOW_SHUT = "the window for an order is shut"
    ORDER_TAKEN = "a technician's order is taken"
    ORDER_REFUSED = "a technician's order is refused"
    STOP = "an orderly stop"


class Action(StrEnum):
    """What the loop must carry out, in the order given."""

    RECORD = "record the event"
    SHOW = "show the answer"
    OPEN = "open the door"
    STAND_READY = "stand: ready"
    STAND_UNREADABLE = "stand: closer, hold still"
    STAND_OUT = "stand: out of service"
    STAND_COMMISSIONING = "stand: waiting for an order"
    SHOW_TAKEN = "show: the order is taken"
    SHOW_REFUSED = "show: the order is refused"
    AUDIT_EYE_LOST = "record: eye lost"
    AUDIT_EYE_BACK = "record: eye back"


_PASS: Final = (Action.RECORD, Action.SHOW, Action.OPEN)
_ANSWER: Final = (Action.RECORD, Action.SHOW)
_BACK: Final = (Action.STAND_READY, Action.AUDIT_EYE_BACK)
_LOST: Final = (Action.STAND_OUT, Action.AUDIT_EYE_LOST)

TABLE: Final[dict[tuple[State, Input], tuple[State, tuple[Action, ...]]]] = {
    (State.STARTING, Input.EYE_ALIVE): (State.READY, (Action.STAND_READY,)),
    (State.STARTING, Input.EYE_SILENT): (State.OUT_OF_SERVICE, _LOST),
    (State.STARTING, Input.PASSED): (State.READY, (*_PASS, Action.STAND_READY)),
    (State.STARTING, Input.ANSWERED): (State.READY, (*_ANSWER, Action.STAND_READY)),
    (State.STARTING, Input.STOP): (State.STOPPED, ()),
    (State.READY, Input.PASSED): (State.READY, _PASS),
    (State.READY, Input.ANSWERED): (State.READY, _ANSWER),
    (State.READY, Input.UNREADABLE): (State.ASKING, (Action.STAND_UNREADABLE,)),
    (State.READY, Input.EYE_SILENT): (State.OUT_OF_SERVICE, _LOST),
    (State.READY, Input.STOP): (State.STOPPED, ()),
    (State.ASKING, Input.PASSED): (State.READY, (*_PASS, Action.STAND_READY)),
    (State.ASKING, Input.ANSWERED): (State.READY, (*_ANSWER, Action.STAND_READY)),
    (State.ASKING, Input.CLEAR): (State.READY, (Action.STAND_READY,)),
    (State.ASKING, Input.EYE_SILENT): (State.OUT_OF_SERVICE, _LOST),
    (State.ASKING, Input.STOP): (State.STOPPED, ()),
    (State.READY, Input.WINDOW_OPEN): (State.COMMISSIONING, (Action.STAND_COMMISSIONING,)),
    (State.ASKING, Input.WINDOW_OPEN): (State.COMMISSIONING, (Action.STAND_COMMISSIONING,)),
    (State.COMMISSIONING, Input.PASSED): (State.COMMISSIONING, _PASS),
    (State.COMMISSIONING, Input.ANSWERED): (State.COMMISSIONING, _ANSWER),
    (State.COMMISSIONING, Input.ORDER_TAKEN): (State.COMMISSIONING, (Action.SHOW_TAKEN,)),
    (State.COMMISSIONING, Input.ORDER_REFUSED): (State.COMMISSIONING, (Action.SHOW_REFUSED,)),
    (State.COMMISSIONING, Input.WINDOW_SHUT): (State.READY, (Action.STAND_READY,)),
    (State.COMMISSIONING, Input.EYE_SILENT): (State.OUT_OF_SERVICE, _LOST),
    (State.COMMISSIONING, Input.STOP): (State.STOPPED, ()),
    (State.OUT_OF_SERVICE, Input.EYE_ALIVE): (State.READY, _BACK),
    (State.OUT_OF_SERVICE, Input.PASSED): (State.READY, (*_PASS, *_BACK)),
    (State.OUT_OF_SERVICE, Input.ANSWERED): (State.READY, (*_ANSWER, *_BACK)),
    (State.OUT_OF_SERVICE, Input.STOP): (State.STOPPED, ()),
}
"""(state, input) → (next state, actions). A pair without a row changes nothing and does nothing."""


def step(state: State, event: Input) -> tuple[State, tuple[Action, ...]]:
    """The next state and what to do. A pair that has no row leaves everything as it is."""
    return TABLE.get((state, event), (state, ()))


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {_id(State.STARTING)}"]
    lines += [f'    state "{state.value}" as {_id(state)}' for state in State if " " in state.value]
    for (state, event), (after, actions) in TABLE.items():
        doing = f" / {'; '.join(action.value.replace(':', '') for action in actions)}" if actions else ""
        lines.append(f"    {_id(state)} --> {_id(after)}: {event.value}{doing}")
    lines.append(f"    {_id(State.STOPPED)} --> [*]")
    return "\n".join(lines) + "\n"


def _id(state: State) -> str:
    return state.value.replace(" ", "_")
