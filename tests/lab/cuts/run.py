"""One run of the power-cut laboratory: a workload in a guest, then many disks as a cut would have left them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.lab.folder import Folder

DISK_BYTES: Final = 48 << 20
LOG_BYTES: Final = 2 << 30
GUEST_LIMIT_S: Final = 300.0
EXCHANGE: Final = "/exchange"


def write(folder: Folder, exchange: Path, job: str, options: str = "") -> Path:
    """Run ``job`` (module and arguments, with commas between) in a guest, and return the log of its disk.

    Raises AssertionError with the guest's words where the workload did not come to its end.
    """
    for name, size in (("disk.img", DISK_BYTES), ("log.img", LOG_BYTES)):
        with (exchange / name).open("wb") as file:
            file.truncate(size)
    command = ["linux.uml", "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet", "panic=1"]
    command += ["con=null", "con0=fd:0,fd:1", "ssl=null", "init=/lab/tests/lab/cuts/guest.sh"]
    command += [f"ubd0={EXCHANGE}/disk.img", f"ubd1={EXCHANGE}/log.img", f"job={job}"]
    if options:
        command.append(f"options={options}")
    done = folder.run(command, environment={"TMPDIR": "/dev/shm"}, check=False, timeout_s=GUEST_LIMIT_S)  # noqa: S108 - where user-mode Linux keeps its memory
    assert "the workload is done" in done.stdout, done.stdout[-3000:]
    return exchange / "log.img"


def cut(what: str, log: Path, cuts: int, seed: int) -> dict[str, Any]:
    """Cut the power ``cuts`` times and count what was found."""
    folder = log.parent / f"look-{seed}"
    folder.mkdir(exist_ok=True)
    command = ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-m", "tests.lab.cuts.look"]
    command += [what, str(log), str(DISK_BYTES), str(cuts), str(seed), str(folder)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, f"the looker failed on {log}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found
