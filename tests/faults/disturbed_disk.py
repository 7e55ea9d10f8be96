"""A disk that fails under a running process: system calls on chosen files fail or wait, by `strace`'s injection, until it lets go."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SYNCS: Final = "fdatasync,fsync"
WRITES: Final = "pwrite64,write,ftruncate"
ATTACH_LIMIT_S: Final = 10.0


@contextmanager
def disturbed(pid: int, files: Sequence[Path], calls: str, fault: str) -> Iterator[Path]:
    """While inside, ``calls`` of the process on ``files`` meet ``fault``, in strace's words: `error=EIO`, `delay_enter=5s`.

    Gives the file in which each disturbed call is written down.
    """
    trace = files[0].with_name("disturbed.log")
    command = ["strace", "-f", "-q", "-o", str(trace), "-p", str(pid), "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
    for path in files:
        command += ["-P", str(path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tracer:
        try:
            limit = time.monotonic() + ATTACH_LIMIT_S
            while _tracer_of(pid) != tracer.pid:
                assert tracer.poll() is None, "strace could not attach"
                assert time.monotonic() < limit, "strace did not attach in time"
                time.sleep(0.01)
            yield trace
        finally:
            tracer.terminate()
            tracer.wait()


def _tracer_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("TracerPid"))
