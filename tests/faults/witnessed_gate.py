"""A gate whose lamps are watched by somebody else: each new answer on the pins is written to a file, at once, with its time.

``python -m tests.faults.witnessed_gate CONFIG WITNESS``. Only the pins are
watched: nothing is read back from the record, so this can tell what was shown
and then lost.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import device.gate
from device import config as configuration
from device.confinement import keep_memory_private
from device.core.player import Snapshot
from device.core.types import Sign
from device.edges.machine import clock
from device.edges.machine.clock import Discipline, SystemClock

STANDING = {None, Sign.READY, Sign.UNREADABLE, Sign.OUT_OF_SERVICE}


class Witness:
    """Writes one line for each answer, without a buffer that a kill could empty."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._seen = 0
        # The wall clock may be moved on purpose: the time is the monotonic clock's, and where that began is told from outside.
        self._offset_ns = int(os.environ.get("GATE_TEST_MONOTONIC_ZERO_NS", time.time_ns() - time.monotonic_ns()))

    def __call__(self, snapshot: Snapshot) -> None:
        """The pins changed."""
        if snapshot.showing != self._seen:
            self._seen = snapshot.showing
            if snapshot.sign not in STANDING and snapshot.sign is not None:
                os.write(self._file, f"{time.monotonic_ns() + self._offset_ns} {snapshot.sign.value}\n".encode())


class BootTime:
    """The module ``time``, with a CLOCK_BOOTTIME that began at another moment: a boot of the test's own making."""

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self.CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
        self.monotonic_ns, self.time_ns = time.monotonic_ns, time.time_ns

    def clock_gettime_ns(self, which: int) -> int:
        """As in ``time``."""
        return time.clock_gettime_ns(which) - self._began_ns


def move_clock(folder: Path) -> None:
    """Let files say what no test can make the kernel say: which boot it is, and whether the clock is synchronised."""
    # The eye lives by the monotonic clock, and the library has no good hand with its sleep.
    os.environ.pop("LD_PRELOAD", None)
    began_ns, _ = (folder / "boot").read_text(encoding="ascii").split()
    (folder / "boot-id").write_text((folder / "boot").read_text(encoding="ascii").split()[1], encoding="ascii")
    clock.time = BootTime(int(began_ns))  # type: ignore[assignment,attr-defined]  # the part of it that is used

    def discipline() -> Discipline:
        return Discipline((folder / "synced").exists(), 5)

    device.gate.SystemClock = partial(  # type: ignore[assignment,attr-defined]  # made in the same way
        SystemClock, discipline=discipline, synchronized=folder / "never", boot_id=folder / "boot-id"
    )


def main(config_path: Path, witness_path: Path) -> None:
    """Run until SIGTERM, or until killed."""
    keep_memory_private()
    # What the oracle reads of the log: how many answers nobody saw.
    logging.basicConfig(level=logging.WARNING)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if "GATE_TEST_CLOCK" in os.environ:
        move_clock(Path(os.environ["GATE_TEST_CLOCK"]))
    with device.gate.Gate(configuration.load(config_path), config_path, on_change=Witness(witness_path)) as gate:
        gate.run(stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
