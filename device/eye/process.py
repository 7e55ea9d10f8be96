"""What the eye does to its own process: little rights, a hard limit for each frame, and no life after its gate.

The eye runs C libraries on hostile pictures. They cannot be interrupted from
Python, so every limit here is kept by the kernel.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Final

from device.confinement import keep_memory_private, keep_memory_small
from device.core.eye_messages import PARENT_VARIABLE

DATA_LIMIT_BYTES: Final = 1 << 30
"""Private memory. The largest picture that is let in, 25 megapixels with transparency, takes less than half of it."""

_PR_SET_PDEATHSIG: Final = 1


class FrameAlarm:
    """Ends the process when a frame takes too long, whatever it is doing.

    The alarm's default action is left in place on purpose: the kernel then
    kills the process with SIGALRM even inside a library that never returns,
    where a Python handler would wait and a thread might wait for the
    interpreter. Whoever started the eye starts it again.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def arm(self, limit_s: float) -> None:
        """From now on there are ``limit_s`` seconds; an earlier limit is forgotten."""
        signal.setitimer(signal.ITIMER_REAL, limit_s)

    def disarm(self) -> None:
        """No limit."""
        signal.setitimer(signal.ITIMER_REAL, 0)


def restrict() -> None:
    """No core dumps, which would hold frames; no reading of this process's memory by others; a bound on memory."""
    keep_memory_private()
    keep_memory_small()
    _lower(resource.RLIMIT_DATA, DATA_LIMIT_BYTES)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bound, bound))


class Parent:
    """The gate that started this eye, if one did. It must have started it directly, not through a shell."""

    def __init__(self) -> None:
        """Ask the kernel to kill this process when the gate's thread that started it ends."""
        text = os.environ.get(PARENT_VARIABLE, "")
        self.pid = int(text) if text.isascii() and text.isdigit() else None
        if self.pid is not None:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    @property
    def gone(self) -> bool:
        """Whether there was one and it is no more; also where it ended before the kernel was asked."""
        return self.pid is not None and os.getppid() != self.pid
