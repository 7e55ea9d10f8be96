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
from contextlib import suppress
from pathlib import Path
from typing import Final

import lgpio
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

from device.errors import PinsUnusable

errors: tuple[type[Exception], ...] = (lgpio.error,)
"""What lgpio raises; it is neither an OSError nor one of gpiozero's."""


SLICE_US: Final = 10_000
"""Microseconds of one cycle of the relay's pulse: lgpio begins a cycle at a multiple of its length, so this is how late it may begin."""


class IdleFactory(LGPIOFactory):  # type: ignore[misc]  # gpiozero has no types
    """Pins of one chip; those numbered in ``idle_high`` are at rest when high."""

    def __init__(self, chip: int | None, idle_high: Collection[int]) -> None:
        """``chip`` is the number in ``/dev/gpiochipN``; None is gpiozero's choice for the board."""
        super().__init__(chip=chip)
        self.idle_high = frozenset(idle_high)
        self.pin_class = IdlePin


class IdlePin(LGPIOPin):  # type: ignore[misc]  # gpiozero has no types
    """A pin that becomes an output at the level of rest, starts PWM there, and floats at no time: its pull is towards rest.

    When it is closed it is driven to rest once more, and left as an input that is pulled there: Raspberry Pi's kernels keep what was
    last, and a lamp's transistor takes a floating line for whatever it likes.
    """

    _pwm: tuple[float, int] | None

    def __init__(self, factory: IdleFactory, info: object) -> None:
        """As gpiozero's, but for the pull."""
        super(LGPIOPin, self).__init__(factory, info)
        self._pwm = self._bounce = self._callback = None
        self._edges = lgpio.BOTH_EDGES
        lgpio.gpio_claim_input(self.factory._handle, self._number, self._rest_pull())  # noqa: SLF001 - gpiozero gives pins no other way

    def close(self) -> None:
        """Rest, and let go. A second call, and one after the factory's, does nothing."""
        if self.factory._handle is not None:  # noqa: SLF001 - gpiozero gives pins no other way
            if self._pwm is None and self.function == "output":
                lgpio.gpio_write(self.factory._handle, self._number, int(self._idle()))  # noqa: SLF001 - gpiozero gives pins no other way
            lgpio.gpio_claim_input(self.factory._handle, self._number, self._rest_pull())  # noqa: SLF001 - gpiozero gives pins no other way

    def _idle(self) -> bool:
        return self._number in self.factory.idle_high

    def _rest_pull(self) -> int:
        return int(lgpio.SET_PULL_UP if self._idle() else lgpio.SET_PULL_DOWN)

    def _set_function(self, value: str) -> None:
        if value == "output":
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(self._idle()), self._rest_pull())  # noqa: SLF001 - gpiozero gives pins no other way
        else:
            super()._set_function(value)

    def _set_frequency(self, value: float | None) -> None:
        if not value and self._pwm is None:
            return  # lgpio would make an output of a line that was never one, or is none any more
        if value and self._pwm is None and self.function == "output":
            self._pwm = (value, 100 * self._idle())
            lgpio.tx_pwm(self.factory._handle, self._number, *self._pwm)  # noqa: SLF001 - gpiozero gives pins no other way
        else:
            super()._set_frequency(value)


class RelayLine:
    """The door's relay, pulled for one pulse by lgpio's own thread, which is no Python's: a gate that hangs holds no door.

    The kernel turns the level around for a relay that pulls at low, so that a pulse is a pulse for both.
    """

    def __init__(self, factory: IdleFactory, pin: int, pulse_ms: int, *, active_high: bool) -> None:
        """Released. A pulse is no shorter than ``pulse_ms``, and with nobody to end it some 40 ms longer at most."""
        self._handle, self._pin = factory._handle, pin  # noqa: SLF001 - gpiozero gives pins no other way
        self._slices = -(-pulse_ms * 1_000 // SLICE_US)
        self._pull = lgpio.SET_PULL_DOWN if active_high else lgpio.SET_PULL_UP
        lgpio.gpio_claim_output(self._handle, pin, 0, self._pull | (0 if active_high else lgpio.SET_ACTIVE_LOW))

    def on(self) -> None:
        """Pull at once, for one pulse from now: what is left of one before it counts no more.

        lgpio queues what comes while something is sent, and a write takes nothing out of the queue: without the stop a door
        would open again, by itself, after it was shut. lgpio's thread is asked first and the line written then, so that
        nothing is pulled which that thread will not release.
        """
        self._stop()
        lgpio.tx_pulse(self._handle, self._pin, SLICE_US, 0, 0, self._slices)
        lgpio.gpio_write(self._handle, self._pin, 1)

    def off(self) -> None:
        """Release; nothing pulls again afterwards."""
        self._stop()
        lgpio.gpio_write(self._handle, self._pin, 0)

    def close(self) -> None:
        """Let go, pulled towards rest."""
        lgpio.gpio_claim_input(self._handle, self._pin, self._pull)

    def _stop(self) -> None:
        # Refused where nothing is sent, as after a pulse that ended by itself.
        with suppress(lgpio.error):
            lgpio.tx_pulse(self._handle, self._pin, 0, 0)


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
