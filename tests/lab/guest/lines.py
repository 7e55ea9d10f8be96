"""Watches the lines of the simulated chip, as a meter on the pins would, through sysfs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

LABEL = "pinctrl-bcm2711"
EVERY_S = 0.004


def chip() -> Path:
    """The sysfs folder of the chip with the Pi's label."""
    for label in Path("/sys/devices/platform").glob("gpio-sim.*/gpiochip*/../gpiochip*"):
        if (label / "sim_gpio57").exists():
            return label
    raise SystemExit("there is no simulated chip of 58 lines")


class Lines:
    """Every change of some lines since ``start``: seconds, line, level."""

    def __init__(self, lines: dict[str, int]) -> None:
        base = chip()
        self._files = {name: base / f"sim_gpio{pin}" / "value" for name, pin in lines.items()}
        self.changes: list[tuple[float, str, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def levels(self) -> dict[str, int]:
        """How they stand now."""
        return {name: int(path.read_text()) for name, path in self._files.items()}

    def stop(self) -> list[tuple[float, str, int]]:
        """All that was seen."""
        self._stop.set()
        self._thread.join()
        return self.changes

    def _watch(self) -> None:
        seen = self.levels()
        started = time.monotonic()
        self.changes += [(0.0, name, level) for name, level in seen.items()]
        while not self._stop.wait(EVERY_S):
            now = self.levels()
            at = time.monotonic() - started
            self.changes += [(at, name, level) for name, level in now.items() if level != seen[name]]
            seen = now
