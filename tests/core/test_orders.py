"""Whether an order from afar may be begun: for whom, which one, how long it lives, and what the gate knows of the time."""

from __future__ import annotations

from typing import Final

import pytest

from device.core import wire
from device.core.orders import ACT_LIFE_S, LIFE_S, MAINTAIN_LIFE_S, Order, Refusal, judge
from device.core.types import ClockReading

NOW_S: Final = 1_764_547_200
GATE: Final = "gate-07"


def command(order: str = "restart", *, gate: str = GATE, issued_s: int = 0, life_s: int = 20) -> wire.Command:
    """An order that was made so many seconds after now."""
    moments = [wire.time_text((NOW_S + second) * 1_000_000_000) for second in (issued_s, issued_s + life_s)]
    names = {"id": "c-1", "gate": gate, "name": order, "signature": "x" * 64}
    return wire.Command.model_validate({"type": "vn.gate.command.v1", "issued": moments[0], "expires": moments[1], **names})


def at(seconds: float, *, trusted: bool = True, uncertainty_ms: int = 0) -> ClockReading:
    """So many seconds after now."""
    return ClockReading(0, 0, int((NOW_S + seconds) * 1e9), "boot", trusted=trusted, uncertainty_ms=uncertainty_ms)


@pytest.mark.parametrize("order", Order)
def test_each_order_lives_as_long_as_what_it_does_is_meant(order: Order) -> None:
    """What happens before people's eyes half a minute, what maintains a gate a day; to the second."""
    longest_s = ACT_LIFE_S if order in {Order.IDENTIFY, Order.OPEN} else MAINTAIN_LIFE_S
    assert LIFE_S[order] == longest_s
    assert judge(command(order, life_s=longest_s), GATE, at(0)) is order
    assert judge(command(order, life_s=longest_s + 1), GATE, at(0)) == Refusal("life_too_long")
    assert judge(command(order, life_s=1), GATE, at(0)) is order
    assert judge(command(order, life_s=0), GATE, at(0)) == Refusal("life_too_long")
    assert judge(command(order, life_s=-5), GATE, at(0)) == Refusal("life_too_long")


def test_half_a_minute_and_a_day() -> None:
    """The two lives themselves."""
    assert (ACT_LIFE_S, MAINTAIN_LIFE_S) == (30, 86_400)


def test_an_order_to_another_gate_or_of_another_kind_is_not_begun() -> None:
    """Named first, whatever else is wrong with it."""
    assert judge(command(gate="gate-08"), GATE, at(0, trusted=False)) == Refusal("foreign")
    assert judge(command("dance"), GATE, at(0)) == Refusal("unknown_order")


def test_without_the_time_no_order_counts() -> None:
    """Nobody could say whether it is an old one."""
    assert judge(command(), GATE, at(0, trusted=False)) == Refusal("clock_unknown")


def test_the_clocks_doubt_is_held_against_an_order() -> None:
    """It is over as soon as it may be over."""
    assert judge(command(life_s=20), GATE, at(19.999)) is Order.RESTART
    assert judge(command(life_s=20), GATE, at(20)) == Refusal("expired")
    assert judge(command(life_s=20), GATE, at(19.5, uncertainty_ms=499)) is Order.RESTART
    assert judge(command(life_s=20), GATE, at(19.5, uncertainty_ms=500)) == Refusal("expired")


def test_the_provinces_clock_may_be_half_a_minute_ahead() -> None:
    """And the gate's doubt more; what is made later than that has a life that nobody can tell."""
    assert judge(command(issued_s=30), GATE, at(0)) is Order.RESTART
    assert judge(command(issued_s=31), GATE, at(0)) == Refusal("not_yet")
    assert judge(command(issued_s=31), GATE, at(0, uncertainty_ms=1_000)) is Order.RESTART
    assert judge(command(issued_s=31), GATE, at(0, uncertainty_ms=999)) == Refusal("not_yet")


@pytest.mark.parametrize(("reason", "state"), [("expired", "expired"), ("foreign", "rejected"), ("clock_unknown", "rejected")])
def test_the_province_is_told_whether_an_order_was_too_late_or_no_good(reason: str, state: str) -> None:
    """The one may be given again as it is."""
    assert Refusal(reason).state == state
