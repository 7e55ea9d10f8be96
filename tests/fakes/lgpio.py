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
_IS_OUTPUT = 2


class error(Exception):  # noqa: N801 - the name that the real module has
    """What lgpio raises: neither an OSError nor one of gpiozero's."""


class FakeLgpio:
    """The chips of one board, by their labels in order of number."""

    def __init__(self, *labels: str) -> None:
        """A chip labelled ``locked`` cannot be opened."""
        self.labels = labels
        self.open_chips: list[int] = []
        self.lines: dict[int, list[tuple[str, float]]] = {}
        """What was done to each line: ("in", 0), ("out", level), ("write", level), ("pwm", duty in percent), ("pwm off", 0)."""
        self.working_directory: str | None = None
        """LG_WD as it was when the module was imported."""

    def level(self, gpio: int) -> list[float]:
        """The levels, 0 to 1, that a line has driven since it was an output."""
        return [value / 100 if what == "pwm" else value for what, value in self.lines[gpio] if what in {"out", "write", "pwm"}]

    def gpiochip_open(self, gpiochip: int) -> int:
        """A handle."""
        if gpiochip >= len(self.labels) or self.labels[gpiochip] == "locked":
            raise error("can not open gpiochip")
        self.open_chips.append(gpiochip)
        return gpiochip

    def gpiochip_close(self, handle: int) -> int:
        """Free the handle."""
        self.open_chips.remove(handle)
        return 0

    def gpio_get_chip_info(self, handle: int) -> list[object]:
        """Status, lines, name, label."""
        return [0, 54, f"gpiochip{handle}", self.labels[handle]]

    def gpio_get_mode(self, handle: int, gpio: int) -> int:
        """Of the flags only the one that says output."""
        self._check(handle)
        claims = [what for what, _ in self.lines[gpio] if what in {"in", "out"}]
        return _IS_OUTPUT if claims[-1] == "out" else 0

    def gpio_claim_input(self, handle: int, gpio: int, lFlags: int = 0) -> int:  # noqa: N803 - as in the real module
        """The line drives nothing."""
        del lFlags
        return self._note(handle, gpio, "in", 0)

    def gpio_claim_output(self, handle: int, gpio: int, level: int = 0, lFlags: int = 0) -> int:  # noqa: N803 - as in the real module
        """The line drives ``level``."""
        del lFlags
        return self._note(handle, gpio, "out", level)

    def gpio_read(self, handle: int, gpio: int) -> int:
        """The level last driven."""
        self._check(handle)
        return int(self.lines[gpio][-1][1])

    def gpio_write(self, handle: int, gpio: int, level: int) -> int:
        """Drive ``level``. Raises for a line that is no output."""
        if not self.gpio_get_mode(handle, gpio):
            raise error("GPIO not set as an output")
        return self._note(handle, gpio, "write", int(level))

    def tx_pwm(
        self, handle: int, gpio: int, pwm_frequency: float, pwm_duty_cycle: float, pulse_offset: int = 0, pulse_cycles: int = 0
    ) -> int:
        """Drive pulses; frequency 0 ends them."""
        if pulse_offset or pulse_cycles or not 0 <= pwm_frequency <= 10_000 or not 0 <= pwm_duty_cycle <= 100:
            raise error("bad PWM parameter")
        return self._note(handle, gpio, "pwm" if pwm_frequency else "pwm off", pwm_duty_cycle)

    def module(self) -> ModuleType:
        """What stands in ``sys.modules`` for the real one."""
        made = ModuleType("lgpio")
        constants = {name: globals()[name] for name in FakeLgpio.constants()}
        vars(made).update(constants, error=error, **{name: getattr(self, name) for name in FakeLgpio.functions()})
        vars(made)["__getattr__"] = _not_modelled
        return made

    @staticmethod
    def constants() -> tuple[str, ...]:
        """The constants that gpiozero uses."""
        return ("SET_PULL_UP", "SET_PULL_DOWN", "SET_PULL_NONE", "RISING_EDGE", "FALLING_EDGE", "BOTH_EDGES")

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

    def _note(self, handle: int, gpio: int, what: str, value: float) -> int:
        self._check(handle)
        self.lines.setdefault(gpio, []).append((what, value))
        return 0

    def _check(self, handle: int) -> None:
        if handle not in self.open_chips:
            raise error("unknown handle")


def _not_modelled(name: str) -> NoReturn:
    raise AttributeError(f"the pretend lgpio does not model {name}")
