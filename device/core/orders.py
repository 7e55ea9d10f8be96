"""Orders from the province: whether one may be begun, by what it says and what the gate knows of the time.

Pure. The signature is checked before, and what became of earlier orders is
kept elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from device.core import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from device.core.types import ClockReading

SECOND_NS: Final = 1_000_000_000
ACT_LIFE_S: Final = 30
"""What happens before people's eyes is meant now or not at all."""
MAINTAIN_LIFE_S: Final = 24 * 3600
"""What maintains a gate may wait for it so long."""


class Order(StrEnum):
    """What a gate can be told to do."""

    IDENTIFY = "identify"
    OPEN = "open"
    SELFTEST = "selftest"
    REPORT = "report"
    RESTART = "restart"
    RESEND = "resend"
    SET_DRAIN_RATE = "set-drain-rate"
    SEND_LOG = "send-log"
    UPDATE = "update"
    WIPE = "wipe"


LIFE_S: Final[Mapping[Order, int]] = {order: ACT_LIFE_S if order in {Order.IDENTIFY, Order.OPEN} else MAINTAIN_LIFE_S for order in Order}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order is not begun."""

    reason: str

    @property
    def state(self) -> wire.CommandStatus:
        """What the province is told."""
        return "expired" if self.reason == "expired" else "rejected"


def judge(command: wire.Command, gate: str, now: ClockReading) -> Order | Refusal:
    """The order in a command whose signature is good, or why it is not begun.

    Without the time no order counts: nobody could say whether it is an old
    one. The clock's doubt is held against the order.
    """
    if command.gate != gate:
        return Refusal("foreign")
    try:
        order = Order(command.name)
    except ValueError:
        return Refusal("unknown_order")
    issued_s, expires_s = wire.seconds_of(command.issued), wire.seconds_of(command.expires)
    if not 0 < expires_s - issued_s <= LIFE_S[order]:
        return Refusal("life_too_long")
    if not now.trusted:
        return Refusal("clock_unknown")
    doubt_ns = now.uncertainty_ms * 1_000_000
    if now.wall_ns + doubt_ns >= expires_s * SECOND_NS:
        return Refusal("expired")
    # An order from the future is one whose life cannot be told; the province's clock may be a little ahead.
    if now.wall_ns + doubt_ns + LIFE_S[Order.OPEN] * SECOND_NS < issued_s * SECOND_NS:
        return Refusal("not_yet")
    return order
