"""The names of topics: ``gates/v1/{gate}/{up|down}/…``, built and taken apart in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

ROOT: Final = "gates/v1"
ALL: Final = "all"
"""Stands for every gate, below ``down/list`` and ``down/part`` only."""

GATE_PATTERN: Final = r"[a-z0-9-]{3,32}"
"""A gate's id is the common name of its certificate."""
NAME_PATTERN: Final = r"[a-z0-9-]{1,64}"
"""The id of a command, or the name of a list."""

UP_CHECKIN: Final = "checkin"
UP_AUDIT: Final = "audit"
UP_STATE: Final = "state"
UP_HELLO: Final = "hello"
UP_HEALTH: Final = "health"
UP_CONFIG: Final = "config"
DOWN_ACK: Final = "ack"
DOWN_CONFIG: Final = "config"
COMMAND: Final = "cmd"
DOWN_LIST: Final = "list"
DOWN_PART: Final = "part"
"""Bytes of a list, by their digest: retained, and fetched by subscribing to just this topic."""
_PART_DIGITS: Final = 32

_GATE: Final = re.compile(GATE_PATTERN)
_TOPIC: Final = re.compile(
    rf"{ROOT}/(?P<gate>{GATE_PATTERN})/"
    rf"(?:(?P<up>up)/(?:(?P<said>checkin|audit|state|hello|health|config)|cmd/(?P<state_of>{NAME_PATTERN}))"
    rf"|(?P<down>down)/(?:(?P<told>ack|config)|(?P<tree>cmd|list|part)/(?P<name>{NAME_PATTERN})))"
)


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, taken apart. ``name`` is the id of a command or the name of a list, otherwise empty."""

    gate: str
    way: Literal["up", "down"]
    kind: str
    name: str = ""

    def __str__(self) -> str:
        """As it stands on the wire."""
        return "/".join(part for part in (ROOT, self.gate, self.way, self.kind, self.name) if part)


def is_gate(gate: str) -> bool:
    """Whether ``gate`` may be a gate's id. ``all`` may not: it is the word for every gate."""
    return gate != ALL and _GATE.fullmatch(gate) is not None


def up(gate: str, kind: str, name: str = "") -> str:
    """The topic on which ``gate`` says something. Raises ValueError for a gate or name that could leave its own tree."""
    return _checked(Topic(gate, "up", kind, name))


def down(gate: str, kind: str, name: str = "") -> str:
    """The topic on which ``gate`` is told something. Raises ValueError like ``up``."""
    return _checked(Topic(gate, "down", kind, name))


def down_filter(gate: str, kind: str) -> str:
    """The filter that subscribes to all commands to a gate, or to all lists of one or of ``ALL``."""
    return f"{down(gate, kind, 'x').removesuffix('x')}+"


def parse_topic(text: str) -> Topic | None:
    """The topic in ``text``, or None for anything that the contract does not name."""
    match = _TOPIC.fullmatch(text)
    if match is None:
        return None
    if match["up"]:
        topic = Topic(match["gate"], "up", match["said"] or COMMAND, match["state_of"] or "")
    else:
        topic = Topic(match["gate"], "down", match["told"] or match["tree"], match["name"] or "")
    return topic if is_gate(topic.gate) or (topic.way == "down" and topic.kind in {DOWN_LIST, DOWN_PART}) else None


def part(gate: str, sha256: str, number: int) -> str:
    """The topic of one part of a blob, counted from 0. Raises ValueError like ``up``."""
    return down(gate, DOWN_PART, f"{sha256[:_PART_DIGITS]}-{number}")


def source(gate: str) -> str:
    """The CloudEvents ``source`` of a gate."""
    return f"/gates/{gate}"


def _checked(topic: Topic) -> str:
    text = str(topic)
    if parse_topic(text) != topic:
        raise ValueError(f"no topic of the contract: {text!r}")
    return text
