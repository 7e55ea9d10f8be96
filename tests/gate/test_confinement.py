"""A process that sees identities keeps its memory to itself, and gives back what it no longer needs."""

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


FRAMES: Final = """
import sys
from threading import Thread
from device.eye.process import restrict
if sys.argv[1:] == ["as an eye does"]:
    restrict()

def resident_kib():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])

def pass_by():
    # What is freed first tells glibc how large the usual is; what is kept then lies above what was freed.
    for _ in range(3):
        frames = [bytearray(6 << 20) for _ in range(3)]
        kept.append(bytearray(90_000))
        del frames

kept = []
before = resident_kib()
for step in (pass_by, pass_by):
    worker = Thread(target=step)
    worker.start()
    worker.join()
pass_by()
print(resident_kib() - before)
"""


def test_frames_that_have_passed_take_no_memory() -> None:
    """Neither in the main thread nor in the camera's own; left alone, glibc keeps megabytes for the next ones."""
    kept_kib = {}
    for how in ("as an eye does", "as it is"):
        done = subprocess.run([sys.executable, "-c", FRAMES, how], check=True, capture_output=True, text=True)
        kept_kib[how] = int(done.stdout)
    assert kept_kib["as an eye does"] < 3 * 1024 < kept_kib["as it is"]
