"""Watches the lines of the simulated chip, as a meter on the pins would: the kernel itself writes down each change, and when it came."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

SPARE = 57
"""A line of the chip that nobody uses."""
TRACING = Path("/sys/kernel/tracing")
SWITCH = "events/gpio/gpio_value/enable"
BUFFER_KIB = 16_384
"""A dimmed lamp writes a thousand lines in a second."""
CHANGE = re.compile(r" (\d+\.\d+): gpio_value: (\d+) set ([01])$", re.MULTILINE)


def chip() -> Path:
    """The sysfs folder of the chip with the Pi's label."""
    for label in Path("/sys/devices/platform").glob("gpio-sim.*/gpiochip*/../gpiochip*"):
        if (label / f"sim_gpio{SPARE}").exists():
            return label
    raise SystemExit("there is no simulated chip of 58 lines")


class Lines:
    """Every change of some lines since it was made: seconds, line, level."""

    def __init__(self, lines: dict[str, int]) -> None:
        base = chip()
        self._files = {name: base / f"sim_gpio{pin}" / "value" for name, pin in lines.items()}
        self._stop()
        for name, word in {"trace_clock": "mono", "buffer_size_kb": str(BUFFER_KIB), "trace": "", SWITCH: "1"}.items():
            (TRACING / name).write_text(word)
        first = self._first()
        self._names = {first + pin: name for name, pin in lines.items()}
        self._started = time.monotonic()
        self._began = self.levels()

    def levels(self) -> dict[str, int]:
        """How they stand now."""
        return {name: int(path.read_text()) for name, path in self._files.items()}

    def stop(self) -> list[tuple[float, str, int]]:
        """All that came. The levels at the beginning are its first entries."""
        self._stop()
        said = (TRACING / "trace").read_text()
        found = re.search(r"entries-in-buffer/entries-written: (\d+)/(\d+)", said)
        if found is None or found[1] != found[2]:
            raise SystemExit(f"the kernel's buffer was too small: {said[:300]}")
        seen = dict(self._began)
        changes = [(0.0, name, level) for name, level in seen.items()]
        for at, number, value in CHANGE.findall(said):
            name, level = self._names.get(int(number)), int(value)
            if name is not None and float(at) > self._started and level != seen[name]:
                seen[name] = level
                changes.append((float(at) - self._started, name, level))
        return changes

    def _first(self) -> int:
        """The number by which the kernel knows the chip's first line: a line that nobody uses is moved, and it says which that was."""
        subprocess.run(["gpioset", "--chip", chip().name, "--toggle", "0", f"{SPARE}=1"], check=True)
        return max(int(number) for _, number, _ in CHANGE.findall((TRACING / "trace").read_text())) - SPARE

    def _stop(self) -> None:
        (TRACING / SWITCH).write_text("0")
