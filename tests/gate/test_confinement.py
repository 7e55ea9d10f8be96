"""A process that sees identities keeps its memory to itself."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

PROGRAM: Final = """
import ctypes, resource
from device.confinement import keep_memory_private
keep_memory_private()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
place = libc.malloc(4000)
ctypes.memmove(place, b"064090001234" * 300, 3600)
libc.free(place)
# The first bytes of a freed place are the allocator's own.
print(b"064090001234" in ctypes.string_at(place + 64, 3000))
"""


def test_no_core_dump_is_left_nobody_reads_along_and_what_is_freed_is_overwritten() -> None:
    """Asked of the kernel, and of the memory itself."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(0, 0) 0", "False"]
