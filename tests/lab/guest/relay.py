"""Runs in the emulated Pi 3: the signals on real lgpio, and what it costs to put pins to rest. Says its figures on standard output."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import lgpio

from device.config import RelaySection, SignalsSection
from device.core.player import Snapshot
from device.edges.machine.clock import SystemClock
from device.edges.pins import rest
from device.edges.pins.gpio_signals import GpioSignals, shipped_score

RELAY: Final = 21
PULSE_MS: Final = 2_000
OPENINGS: Final = 5
FOLDER: Final = Path("/run/lab")
LIMIT_S: Final = 20.0
TRIES: Final = 10


class Board:
    """The signals, and the relay's level as the kernel reads it."""

    def __init__(self, on_change: Callable[[Snapshot], None] | None = None) -> None:
        section = SignalsSection(pin_factory="lgpio", chip="pinctrl-bcm2835", relay=RelaySection(pin=RELAY, pulse_ms=PULSE_MS))
        self.signals = GpioSignals(section, shipped_score(), SystemClock(), runtime_dir=FOLDER, on_change=on_change)
        self.pins: Any = self.signals._pins  # noqa: SLF001 - its handle is the only one that may read the line

    def held_ms(self, limit_s: float) -> int:
        """How long the relay is pulled from now on, or from when it is; -1 when it is not, or longer than the limit."""
        begun, pulled = time.monotonic(), None
        while time.monotonic() - begun < limit_s:
            if lgpio.gpio_read(self.pins._factory._handle, RELAY):  # noqa: SLF001 - as above
                pulled = pulled or time.monotonic()
            elif pulled is not None:
                return round((time.monotonic() - pulled) * 1000)
        return -1


def hang(snapshot: Snapshot) -> None:
    """A listener that never comes back once the door is open: nobody plays on."""
    if snapshot.relay:
        time.sleep(1e6)


def cost_ms(*words: str) -> int:
    """Of Python with these words, in the middle."""
    taken = []
    for _ in range(TRIES):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-I", *words], check=True)
        taken.append(time.monotonic() - begun)
    return round(sorted(taken)[TRIES // 2] * 1000)


def main() -> None:
    """One hang, then openings in turn, then the costs: Python alone, rest, lgpio's import."""
    hanging = Board(hang)
    hanging.signals.open_door()
    say("HUNG", hanging.held_ms(LIMIT_S))
    hanging.pins.close()
    well = Board()
    for _ in range(OPENINGS):
        well.signals.open_door()
        time.sleep(0.1)
    say("OPENED", well.held_ms(LIMIT_S), well.held_ms(2 * OPENINGS * PULSE_MS / 1000))
    well.signals.close()
    note = str(FOLDER / rest.NOTE)
    say("COST", cost_ms("-c", "pass"), cost_ms("-m", rest.__name__, note), cost_ms("-c", "import lgpio"))


def say(word: str, *figures: int) -> None:
    """A line on the console."""
    sys.stdout.write(f"LAB-{word} {' '.join(map(str, figures))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
    # The thread that hangs would be waited for.
    os._exit(0)
