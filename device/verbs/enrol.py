"""`gate enrol`: a first boot's certificate, and lamps that say that it is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from device import config as configuration
from device.core.types import Sign
from device.edges.certificate.enrol import CONFIG, Places, enrol
from device.edges.machine.clock import SystemClock
from device.edges.pins.gpio_signals import GpioSignals, shipped_score
from device.errors import ConfigError

FIFO: Final = Path("/run")
"""Where lgpio makes its own, before the gate's folder is there."""


def run_enrol(card: Path, etc: Path, store: Path, wait_s: float) -> int:
    """Get the certificate and say whose it is. Returns 0; raises EnrolmentRefused and KeyUnusable."""
    with waiting_lamps(card):
        gate = enrol(Places(card, etc, store), wait_s)
    print(f"{gate}: enrolled")
    return 0


@contextmanager
def waiting_lamps(card: Path) -> Iterator[GpioSignals | None]:
    """While a new gate waits for its certificate, its own lamps say that it is not in service yet.

    Pins that cannot be had belong to a gate that runs, or are not wired yet: that keeps nobody from enrolling.
    """
    try:
        section = configuration.load(card / CONFIG).signals
    except ConfigError:
        yield None  # a gate that is enrolled already, or a card of which the reader of the bundle says what is wrong
        return
    signals = GpioSignals(section, shipped_score(), SystemClock(), runtime_dir=FIFO)
    try:
        signals.show(Sign.OUT_OF_SERVICE)
        yield signals
    finally:
        signals.close()
