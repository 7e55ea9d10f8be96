"""A copy of the Debian folder, booted: its own systemd is process 1 of a container, with real units, cgroups and sandboxes.

The kernel is the host's. What the container cannot have: devices made by the
kernel, and the memory and CPU controllers where the host keeps them in cgroup
version 1.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.lab.folder import ENVIRONMENT, RUN_LIMIT_S, Folder

BOOT_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.1
REBOOTS: Final = 133
"""Exit code of systemd-nspawn under --keep-unit when the machine asks to be booted again."""

_NSPAWN: Final = [
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--directory=.", "--private-network"),
    *("--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off"),
    # A gate's units may use what a Pi's system has: watch these three leave and come back.
    *("--capability=CAP_SYS_PTRACE,CAP_NET_ADMIN",),
]


class Machine:
    """A booted copy. ``run`` executes commands in it. ``memory`` is a cgroup (version 1) that holds all of it."""

    def __init__(self, folder: Folder, memory: Path | None = None) -> None:
        self.folder = folder
        self._into = [] if memory is None else ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(memory / "cgroup.procs")]
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def start(self) -> None:
        """Boot, and wait until the system answers. Raises AssertionError with the console's last words."""
        console = self.folder.scratch / "console"
        console.parent.mkdir(parents=True, exist_ok=True)
        with console.open("ab") as out:
            self._process = subprocess.Popen(
                [*self._into, *self.folder.mounted_command(_NSPAWN)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        wait_for(self._answers, BOOT_LIMIT_S, lambda: f"the system does not answer; its console: {console.read_text()[-2000:]}")

    def stop(self) -> None:
        """Power off in order; killed when it does not. Harmless on a machine that is off."""
        if self._process is None:
            return
        if self._process.poll() is None and self._leader:
            os.kill(self._leader, signal.SIGRTMIN + 4)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.pull_the_plug()
        self._process = None

    def pull_the_plug(self) -> None:
        """Kill everything in it at once. The host's page cache survives, so this is no test of what reached a disk."""
        if self._leader:
            os.kill(self._leader, signal.SIGKILL)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, *command: str, check: bool = True, timeout_s: float = RUN_LIMIT_S) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside. Both outputs come back as one text. Raises CalledProcessError with what was said in its notes."""
        enter = [
            "nsenter",
            "-t",
            str(self._leader),
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "-C",
            f"--root=/proc/{self._leader}/root",
            "--wdns=/",
            "--",
        ]
        done = subprocess.run(
            [*enter, *command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=ENVIRONMENT,
            timeout=timeout_s,
        )
        if check and done.returncode:
            error = subprocess.CalledProcessError(done.returncode, list(command), done.stdout)
            error.add_note(done.stdout[-6000:])
            raise error
        return done

    def said(self, *command: str) -> str:
        """What a command says, without its last line break; its exit code does not matter."""
        return self.run(*command, check=False).stdout.rstrip("\n")

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.said("systemctl", "show", "--value", "--property", name, unit)

    def journal(self, unit: str) -> str:
        """What the system's journal has of a unit, for the message of a failed test."""
        return self.said("journalctl", "--no-pager", "--output=short-monotonic", "--lines=60", "--unit", unit)

    def host_pid(self, inside: int) -> int:
        """The host's number of a process that the machine counts as ``inside``."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                numbers = _namespace_pids(entry)
                if len(numbers) > 1 and numbers[-1] == inside and _is_below(int(entry.name), self._leader):
                    return int(entry.name)
        raise AssertionError(f"no process {inside} in the machine")

    def wait_rebooted(self, limit_s: float) -> None:
        """Wait until the machine reboots by itself, and let it come up. Fails when it does anything else."""
        assert self._process is not None
        assert self._process.wait(limit_s) == REBOOTS, (self.folder.scratch / "console").read_text()[-2000:]
        self._leader = 0
        self.start()

    def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        target = Path(f"/proc/{self._leader}/root{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        """Read a file inside."""
        return Path(f"/proc/{self._leader}/root{path}").read_text(encoding="utf-8")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder.scratch / "console").read_text())
        self._leader = _leader_of(self._process.pid)
        return bool(self._leader) and self.said("systemctl", "is-system-running") in {"running", "degraded"}


@contextmanager
def booted(folder: Folder, memory: Path | None = None) -> Iterator[Machine]:
    """The folder, booted, and off again whatever happens."""
    machine = Machine(folder, memory)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()


def wait_for(true: Callable[[], bool], limit_s: float, otherwise: Callable[[], str]) -> float:
    """Wait until ``true`` holds, and return how many seconds that took. Fails with what ``otherwise`` says."""
    started = time.monotonic()
    while not true():
        waited = time.monotonic() - started
        assert waited < limit_s, f"not within {limit_s:g} s: {otherwise()}"
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - started


def _leader_of(pid: int) -> int:
    """The container's process 1: the child of systemd-nspawn, which the mounting shell became. 0 while there is none."""
    children = _children(pid)
    for child in children:
        if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
            return child
    return next((found for child in children if (found := _leader_of(child))), 0)


def _namespace_pids(process: Path) -> list[int]:
    """The numbers of a process in each of the namespaces that it is in, the outermost first."""
    try:
        status = (process / "status").read_text()
    except OSError:
        return []
    return next(([int(number) for number in line.split()[1:]] for line in status.splitlines() if line.startswith("NSpid:")), [])


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def _children(pid: int) -> Sequence[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
