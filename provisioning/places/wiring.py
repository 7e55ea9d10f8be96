"""What hangs on which pin of a gate's Pi: the one table from which configuration, boot lines, paper and acceptance come.

The relay has a pin of its own that is pulled low from power on, as BCM 9 to 27 are; 0 to 8 are pulled high, and would open
the door for the seconds until the firmware has read ``config.txt``. Buses (I2C, UART, the first SPI) stay free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, Protocol, TypeAlias


class Kit(StrEnum):
    """Which parts a case holds."""

    BASIC = "basic"
    """Two lamps and the buzzer."""
    FULL = "full"
    """All lamps, the buzzer, and the technician's button."""


class Door(StrEnum):
    """What the gate lets people through."""

    NONE = "none"
    """Nothing: lamps and sound alone."""
    RELAY = "relay"
    """A relay that is pulled for a moment with each accept."""


class PowerLoss(StrEnum):
    """What a door does when there is no power."""

    OPEN = "open"
    """It opens by itself: the lock needs power to hold."""
    LOCKED = "locked"
    """It stays shut from outside: the lock needs power to open."""


class Fitted(Protocol):
    """Whatever says what a gate is fitted with: its row in the registry, or a `Fitting`."""

    @property
    def kit(self) -> str:
        """A `Kit`."""

    @property
    def door(self) -> str:
        """A `Door`."""

    @property
    def power_loss(self) -> str | None:
        """A `PowerLoss`; None without a door."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a gate is fitted with. The default is what every gate had before there was a choice."""

    kit: Kit = Kit.FULL
    door: Door = Door.NONE
    power_loss: PowerLoss | None = None


Level: TypeAlias = Literal["high", "low"]
Contact: TypeAlias = Literal["NC", "NO"]

CONTACTS: Final[dict[str, Contact]] = {PowerLoss.OPEN: "NC", PowerLoss.LOCKED: "NO"}
"""The relay's contact that the lock's supply goes through, beside COM. The relay is pulled to open and at rest otherwise: a lock that
holds by power gets it over the contact that is shut at rest, one that opens by power over the other."""


@dataclass(frozen=True, slots=True)
class WiredPart:
    """One part and its wire. ``header`` is the number on the 40-pin header; ``colour`` is the wire's."""

    name: str
    bcm: int
    header: int
    direction: Literal["output", "input"]
    active: Level
    colour: str
    kits: frozenset[Kit]

    @property
    def rest(self) -> Level:
        """The level at which the part does nothing."""
        return "low" if self.active == "high" else "high"


_EVERY: Final = frozenset(Kit)
_FULL: Final = frozenset({Kit.FULL})

WIRING: Final[Sequence[WiredPart]] = (
    WiredPart("green", 17, 11, "output", "high", "green", _EVERY),
    WiredPart("red", 27, 13, "output", "high", "red", _EVERY),
    WiredPart("amber", 22, 15, "output", "high", "yellow", _FULL),
    WiredPart("blue", 23, 16, "output", "high", "blue", _FULL),
    WiredPart("white", 24, 18, "output", "high", "white", _FULL),
    WiredPart("buzzer", 18, 12, "output", "high", "orange", _EVERY),
    # In no kit: the door decides.
    WiredPart("relay", 21, 40, "output", "high", "violet", frozenset()),
    WiredPart("button", 25, 22, "input", "low", "grey", _FULL),
)
RESERVED: Final = frozenset({5, 6, 12, 13, 16, 20, 26})
"""BCM numbers that are kept for what watches the doorway."""
GROUNDS: Final = (6, 9, 14, 20, 25, 30, 34, 39)
"""Header numbers of ground."""
SUPPLY: Final = 2
"""Header number of the 5 V for the relay's board."""


def door_of(gate: Fitted) -> str:
    """Door and power loss in one: ``none``, ``relay open``, ``relay locked``."""
    return gate.door if gate.power_loss is None else f"{gate.door} {gate.power_loss}"


def fitted(gate: Fitted) -> Sequence[WiredPart]:
    """The parts that a gate has, in the table's order."""
    return [part for part in WIRING if gate.kit in part.kits or (part.name == "relay" and gate.door == Door.RELAY)]


def signals_lines(gate: Fitted) -> Sequence[str]:
    """The lines of ``[signals]`` in a gate's configuration that say what hangs where; ``kit`` is the first."""
    return [f'kit = "{gate.kit}"', *(f"{part.name} = {{ {', '.join(_settings(part))} }}" for part in fitted(gate))]


def config_lines(gate: Fitted) -> Sequence[str]:
    """The lines of ``config.txt`` that put each fitted pin to rest from power on, and back when the program is gone.

    Raspberry Pi's kernels keep an output as it was after its holder died, a lit lamp or an open door; ``strict_gpiod`` ends that.
    """
    return ["dtparam=strict_gpiod", *(f"gpio={part.bcm}={_at_boot(part)}" for part in fitted(gate))]


def _settings(part: WiredPart) -> Sequence[str]:
    # A button always goes to ground: there is no level to choose.
    level = [] if part.direction == "input" else [f"active_high = {'true' if part.active == 'high' else 'false'}"]
    return [f"pin = {part.bcm}", *level]


def _at_boot(part: WiredPart) -> str:
    if part.direction == "input":
        return "ip,pu" if part.rest == "high" else "ip,pd"
    return "op,dh" if part.rest == "high" else "op,dl"
