"""A pretend lgpio: GPIO chips that remember what was done to each line.

It has the functions that gpiozero calls for outputs, with the signatures of the
real module (a test compares them where that is installed), and raises on
whatever it does not model. A line is claimed before it is written, as the
kernel demands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

SET_PULL_UP, SET_PULL_DOWN, SET_PULL_NONE = 32, 64, 128
RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, 3
SET_ACTIVE_LOW = 4
_IS_OUTPUT = 2
LINES = 54
QUEUE = 10
"""So many transmissions may wait on a line, with the one that is sent."""
SHORTEST_US = 10
"""No cycle is as short as this."""


class error(Exception):  # noqa: N801 - the name that the real module has
    """What lgpio raises: neither an OSError nor one of gpiozero's."""


class FakeLgpio:
    """The chips of one board, by their labels in order of number.

    As in the real one, a line that is an output is not claimed anew by another claim of an output (its flags stay), nor an input by a
    claim of an input; between one and the other it is given back and requested again. Levels are logical where a line was claimed
    active low; ``level`` tells those of the wire.
    """

    def __init__(self, *labels: str) -> None:
        """A chip labelled ``locked`` cannot be opened."""
        self.labels = labels
        self.open_chips: list[int] = []
        self.lines: dict[int, list[tuple[str, float]]] = {}
        """What was done to each line.

        ("in", 0), ("out", level), ("write", level), ("pwm", percent), ("pwm off", 0), ("pulse", µs), ("pulse off", 0).
        """
        self.flags: dict[int, int] = {}
        """Flags of each line's present claim: direction, bias, active low."""
        self.busy: set[int] = set()
        """Lines that another program holds."""
        self.sending: dict[int, list[tuple[int, int, int]]] = {}
        """What lgpio's thread has still to do on each line: µs on, µs off, and how many cycles; 0 are endless."""
        self.working_directory: str | None = None
        """LG_WD as it was when the module was imported."""

    def level(self, gpio: int) -> list[float]:
        """The levels of the wire, 0 to 1, that a line has driven since it was an output."""
        levels = [value / 100 if what == "pwm" else value for what, value in self.lines[gpio] if what in {"out", "write", "pwm"}]
        return [1 - value for value in levels] if self.flags[gpio] & SET_ACTIVE_LOW else levels

    def pull(self, gpio: int) -> int:
        """Where the line is pulled: `SET_PULL_UP`, `SET_PULL_DOWN`, or nowhere."""
        return self.flags[gpio] & (SET_PULL_UP | SET_PULL_DOWN)

    def held_us(self, gpio: int) -> int:
        """Microseconds for which lgpio's thread will still drive the line, if nobody tells it otherwise."""
        return sum(on * cycles for on, _, cycles in self.sending.get(gpio, []))

    def time_passes(self, gpio: int) -> None:
        """Lgpio's thread sends all that waits on a line, and releases it, whatever Python does. Not for what is endless."""
        waiting = self.sending.pop(gpio, [])
        for _ in waiting:
            self._note(self.open_chips[0], gpio, "write", 1)
        if waiting:
            self._note(self.open_chips[0], gpio, "write", 0)

    def gpiochip_open(self, gpiochip: int) -> int:
        """A handle."""
        if gpiochip >= len(self.labels) or self.labels[gpiochip] == "locked":
            raise error("can not open gpiochip")
        self.open_chips.append(gpiochip)
        return gpiochip

    def gpiochip_close(self, handle: int) -> int:
        """Free the handle."""
        self._check(handle)
        self.open_chips.remove(handle)
        return 0

    def gpio_get_chip_info(self, handle: int) -> list[object]:
        """Status, lines, name, label."""
        self._check(handle)
        return [0, LINES, f"gpiochip{handle}", self.labels[handle]]

    def gpio_get_mode(self, handle: int, gpio: int) -> int:
        """Direction and bias."""
        self._check(handle, gpio)
        return self.flags[gpio]

    def gpio_claim_input(self, handle: int, gpio: int, lFlags: int = 0) -> int:  # noqa: N803 - as in the real module
        """The line drives nothing."""
        self._claim(handle, gpio, 0, lFlags)
        return self._note(handle, gpio, "in", 0)

    def gpio_claim_output(self, handle: int, gpio: int, level: int = 0, lFlags: int = 0) -> int:  # noqa: N803 - as in the real module
        """The line drives ``level``."""
        self._claim(handle, gpio, _IS_OUTPUT, lFlags)
        return self._note(handle, gpio, "out", level)

    def gpio_read(self, handle: int, gpio: int) -> int:
        """The level last driven."""
        self._check(handle, gpio)
        if gpio not in self.flags:
            raise error("GPIO not allocated")
        return int(self.lines[gpio][-1][1])

    def gpio_write(self, handle: int, gpio: int, level: int) -> int:
        """Drive ``level``. The real one makes an output of an input on the way, without its flags: here that is an error."""
        self._output(handle, gpio)
        return self._note(handle, gpio, "write", int(level))

    def gpio_set_debounce_micros(self, handle: int, gpio: int, debounce_micros: int) -> int:
        """Nothing bounces here."""
        del debounce_micros
        return self._note(handle, gpio, "debounce", 0)

    def gpio_claim_alert(self, handle: int, gpio: int, eFlags: int, lFlags: int = 0, notify_handle: int | None = None) -> int:  # noqa: N803 - as in the real module
        """An input whose edges are told; as in the real one it is requested anew."""
        del eFlags, notify_handle
        self._check(handle, gpio)
        self.flags[gpio] = lFlags
        return self._note(handle, gpio, "in", 0)

    def tx_pwm(
        self, handle: int, gpio: int, pwm_frequency: float, pwm_duty_cycle: float, pulse_offset: int = 0, pulse_cycles: int = 0
    ) -> int:
        """Drive pulses; frequency 0 ends them."""
        if not 0 <= pwm_frequency <= 10_000 or not 0 <= pwm_duty_cycle <= 100:
            raise error("bad PWM parameter")
        micros = round(1e6 / pwm_frequency) if pwm_frequency else 0
        on = round(micros * pwm_duty_cycle / 100)
        self._send(handle, gpio, (on, micros - on, pulse_cycles), pulse_offset)
        return self._note(handle, gpio, "pwm" if pwm_frequency else "pwm off", pwm_duty_cycle)

    def tx_pulse(self, handle: int, gpio: int, pulse_on: int, pulse_off: int, pulse_offset: int = 0, pulse_cycles: int = 0) -> int:
        """So many cycles by lgpio's own thread, which then drives 0; on and off both 0 end what is sent, and leave the level."""
        self._send(handle, gpio, (pulse_on, pulse_off, pulse_cycles), pulse_offset)
        return self._note(handle, gpio, "pulse" if pulse_on or pulse_off else "pulse off", pulse_on * pulse_cycles)

    def module(self) -> ModuleType:
        """What stands in ``sys.modules`` for the real one."""
        made = ModuleType("lgpio")
        constants = {name: globals()[name] for name in FakeLgpio.constants()}
        vars(made).update(constants, error=error, callback=_Callback, **{name: getattr(self, name) for name in FakeLgpio.functions()})
        vars(made)["__getattr__"] = _not_modelled
        return made

    @staticmethod
    def constants() -> tuple[str, ...]:
        """The constants that gpiozero uses."""
        return ("SET_PULL_UP", "SET_PULL_DOWN", "SET_PULL_NONE", "SET_ACTIVE_LOW", "RISING_EDGE", "FALLING_EDGE", "BOTH_EDGES")

    @staticmethod
    def functions() -> dict[str, Callable[..., object]]:
        """The functions that are modelled."""
        return {name: value for name, value in vars(FakeLgpio).items() if name.startswith(("gpio", "tx_"))}

    def make_fifo(self) -> None:
        """What importing the real module does: move the process to LG_WD, and make a FIFO there."""
        self.working_directory = os.environ.get("LG_WD")
        if self.working_directory is not None and Path(self.working_directory).is_dir():
            os.chdir(self.working_directory)
        elif self.working_directory is not None:
            raise FileNotFoundError(2, "No such file or directory", ".lgd-nfy-3")

    def _claim(self, handle: int, gpio: int, direction: int, flags: int) -> None:
        self._check(handle, gpio)
        if gpio in self.busy:
            raise error("GPIO busy")
        if gpio not in self.flags or (self.flags[gpio] & _IS_OUTPUT) != direction:
            self.flags[gpio] = flags | direction
            self.sending.pop(gpio, None)

    def _output(self, handle: int, gpio: int) -> None:
        self._check(handle, gpio)
        if not self.flags.get(gpio, 0) & _IS_OUTPUT:
            raise error("GPIO not set as an output")

    def _send(self, handle: int, gpio: int, cycles: tuple[int, int, int], offset: int) -> None:
        """As in the real one a transmission waits for those before it, but takes the place of an endless one that waits, too."""
        self._output(handle, gpio)
        assert not offset, "not modelled"
        queue = self.sending.get(gpio, [])
        if queue and not cycles[0] + cycles[1]:
            del self.sending[gpio]
        elif cycles[0] + cycles[1] <= SHORTEST_US:
            raise error("bad PWM micros")
        else:
            queue = queue[:-1] if len(queue) > 1 and not queue[-1][2] else queue
            if len(queue) >= QUEUE:
                raise error("TX queue full")
            self.sending[gpio] = [*queue, cycles]

    def _note(self, handle: int, gpio: int, what: str, value: float) -> int:
        self._check(handle)
        self.lines.setdefault(gpio, []).append((what, value))
        return 0

    def _check(self, handle: int, gpio: int = 0) -> None:
        if handle not in self.open_chips:
            raise error("unknown handle")
        if not 0 <= gpio < LINES:
            raise error("bad GPIO number")


class _Callback:
    """What hears of edges: nobody touches anything here."""

    def __init__(self, *words: object) -> None:
        del words

    def cancel(self) -> None:
        """Hear no more."""


def _not_modelled(name: str) -> NoReturn:
    raise AttributeError(f"the pretend lgpio does not model {name}")
