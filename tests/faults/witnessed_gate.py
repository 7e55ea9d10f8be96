"""A gate whose lamps are watched by somebody else: each new answer on the pins is written to a file, at once, with its time.

``python -m tests.faults.witnessed_gate CONFIG WITNESS``. Only the pins are
watched: nothing is read back from the record, so this can tell what was shown
and then lost.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from device import config as configuration
from device.core.player import Snapshot
from device.core.types import Sign
from device.gate import Gate

STANDING = {None, Sign.READY, Sign.UNREADABLE, Sign.OUT_OF_SERVICE}


class Witness:
    """Writes one line for each answer, without a buffer that a kill could empty."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._seen = 0

    def __call__(self, snapshot: Snapshot) -> None:
        """The pins changed."""
        if snapshot.showing != self._seen:
            self._seen = snapshot.showing
            if snapshot.sign not in STANDING and snapshot.sign is not None:
                os.write(self._file, f"{time.clock_gettime_ns(time.CLOCK_REALTIME)} {snapshot.sign.value}\n".encode())


def main(config_path: Path, witness_path: Path) -> None:
    """Run until SIGTERM, or until killed."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Gate(configuration.load(config_path), config_path, on_change=Witness(witness_path)) as gate:
        gate.run(stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
