"""A machine whose clock is wrong: `libfaketime` under the gate, and files that say which boot it is and whether it is synchronised."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIBRARY: Final = "libfaketime.so.1"
FOLDERS: Final = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime")


def library() -> Path | None:
    """Debian's libfaketime, where it is installed."""
    return next((path for folder in FOLDERS if (path := Path(folder) / LIBRARY).exists()), None)


@dataclass
class MovedClock:
    """The files in ``folder``; take effect at once, but for a new boot, which begins with the next start."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.right()
        self.boot()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to live by this clock. The monotonic clocks stay true."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "time"),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
            # Meant for an old C library. With a newer one each thread that waits for Python's lock spins instead, and lamps come late.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "GATE_TEST_CLOCK": str(self.folder),
        }

    def set(self, moment: str) -> None:
        """In libfaketime's words: `@1970-01-01 00:00:00` runs on from there, `+1h` is that far off."""
        whole = self.folder / "time.new"
        whole.write_text(moment + "\n")
        whole.replace(self.folder / "time")

    def right(self) -> None:
        """The true time."""
        self.set("+0")

    def synced(self, *, true: bool) -> None:
        """Whether a time server has been heard in this boot."""
        if true:
            (self.folder / "synced").touch()
        else:
            (self.folder / "synced").unlink(missing_ok=True)

    def boot(self) -> None:
        """Another boot, which begins now and knows no time yet."""
        self.synced(true=False)
        began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        (self.folder / "boot").write_text(f"{began_ns} {uuid.uuid4()}\n")
