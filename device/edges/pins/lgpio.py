"""gpiozero on lgpio, for pins that must never be wrong, not even while they are claimed.

Importing this module imports lgpio, which then changes the working directory
and makes a FIFO there: let `device.edges.pins.pins` do it. Only on a Pi.

gpiozero claims an output low and then sets its level. On a relay that pulls at
low this is a pulse of some microseconds at each start, and on a lamp lit at low
a whole PWM period. Here an output is claimed at the level at which its device
is off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import lgpio
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

from device.errors import PinsUnusable

errors: tuple[type[Exception], ...] = (lgpio.error,)
"""What lgpio raises; it is neither an OSError nor one of gpiozero's."""


class IdleFactory(LGPIOFactory):  # type: ignore[misc]  # gpiozero has no types
    """Pins of one chip; those numbered in ``idle_high`` are off when high."""

    def __init__(self, chip: int | None, idle_high: Collection[int]) -> None:
        """``chip`` is the number in ``/dev/gpiochipN``; None is gpiozero's choice for the board."""
        super().__init__(chip=chip)
        self.idle_high = frozenset(idle_high)
        self.pin_class = IdlePin


class IdlePin(LGPIOPin):  # type: ignore[misc]  # gpiozero has no types
    """A pin that becomes an output at the level of rest, and starts PWM there."""

    _pwm: tuple[float, int] | None

    def _idle(self) -> bool:
        return self._number in self.factory.idle_high

    def _set_function(self, value: str) -> None:
        if value == "output":
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(self._idle()))  # noqa: SLF001 - gpiozero gives pins no other way
        else:
            super()._set_function(value)

    def _set_frequency(self, value: float | None) -> None:
        if value and self._pwm is None and self.function == "output":
            self._pwm = (value, 100 * self._idle())
            lgpio.tx_pwm(self.factory._handle, self._number, *self._pwm)  # noqa: SLF001 - gpiozero gives pins no other way
        else:
            super()._set_frequency(value)


def chip_number(label: str, dev: Path) -> int:
    """The number of the GPIO chip with ``label``, of those in the folder ``dev``. Raises PinsUnusable that lists the labels found.

    Kernels renumber chips; labels stay.
    """
    found: dict[str, int] = {}
    for number in _chip_numbers(dev):
        found.setdefault(_label_of(number), number)
    if label not in found:
        raise PinsUnusable(f"signals.chip: no GPIO chip is labelled {label}; found: {', '.join(sorted(found)) or 'none'}")
    return found[label]


def _chip_numbers(dev: Path) -> Iterator[int]:
    names = (path.name.removeprefix("gpiochip") for path in dev.glob("gpiochip*"))
    return iter(sorted(int(name) for name in names if name.isdecimal()))


def _label_of(number: int) -> str:
    """The label, or where it cannot be opened a remark in its place."""
    try:
        handle = lgpio.gpiochip_open(number)
    except lgpio.error as error:
        return f"(gpiochip{number}: {error})"
    try:
        _, _, _, label = lgpio.gpio_get_chip_info(handle)
        return str(label)
    finally:
        lgpio.gpiochip_close(handle)
