"""What a process that sees identities does so that its memory stays its own, and small."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_M_PERTURB: Final = -6
"""mallopt(3): what is freed is overwritten with this byte."""
_OVERWRITE: Final = 0xA5
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
_M_ARENA_MAX: Final = -8
LARGE_BYTES: Final = 1 << 20
"""Memory of this size is a frame's: the kernel gets it back when it is freed, and no more than this is kept for later."""

WIPING: Final = {"PYTHONMALLOC": "malloc"}
"""In the environment of a process that sees identities: Python's own allocator leaves what it frees as it was."""


def keep_memory_small() -> None:
    """What is freed goes back to the kernel, at 0.1 ms for a frame of the full size. To be called before there are threads.

    Left alone, glibc takes the first large piece that is freed for the usual
    size, and then keeps twice as much for each of several threads.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for parameter, value in ((_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, LARGE_BYTES), (_M_ARENA_MAX, 1)):
            library.mallopt(parameter, value)


def keep_memory_private() -> None:
    """No core dumps, which would hold what was just read, no reading by others of the same user, and what is freed is overwritten."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A core dump that goes through a pipe ignores the limit above; this it does not.
    library = ctypes.CDLL(None)
    library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # glibc alone has it. A decoder's copy of a payload would else stay until its place is used again.
    if hasattr(library, "mallopt"):
        library.mallopt(_M_PERTURB, _OVERWRITE)
