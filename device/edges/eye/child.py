"""A process that the gate keeps running: started, watched, killed when it hangs, started again.

Single-threaded: nothing happens but in the calls.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from device.ports import Clock

log = logging.getLogger(__name__)

BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before a restart: the first after a long good run, the last repeated while it keeps failing."""

GOOD_RUN_S: Final = 10.0
"""Seconds that a run must have lasted for the next failure to count as a first one."""

STOP_LIMIT_S: Final = 2.0
"""Seconds that a process has for an orderly stop; then it is killed."""

_SECOND_NS: Final = 1_000_000_000


class Child:
    """One program by its argument list. ``restarts`` counts the starts after the first."""

    def __init__(self, command: Sequence[str], clock: Clock, environment: Mapping[str, str]) -> None:
        self.restarts = 0
        self._command = list(command)
        self._clock = clock
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._started_ns = 0
        self._due_ns = clock.monotonic_ns()
        self._failures = 0

    @property
    def pid(self) -> int | None:
        """The number of the running process; None while none runs."""
        return None if self._process is None else self._process.pid

    @property
    def running_s(self) -> float:
        """Seconds since the running process was started; 0 while none runs."""
        return 0.0 if self._process is None else (self._clock.monotonic_ns() - self._started_ns) / _SECOND_NS

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when the process ends; None while none runs."""
        return self._pidfd

    def tend(self) -> None:
        """Take leave of a process that has ended, and start the next one when its wait is over."""
        if self._process is not None and self._process.poll() is not None:
            self._ended(self._process.returncode)
        if self._process is None and self._clock.monotonic_ns() >= self._due_ns:
            self._start()

    def kill(self, why: str) -> None:
        """End the process at once, whatever it is doing, and wait until it is gone. ``tend`` starts it again."""
        if self._process is not None:
            log.warning("the eye (pid %d) is killed: %s", self._process.pid, why)
            self._process.kill()
            # A stopped process dies of SIGKILL too, so this never waits long.
            self._ended(self._process.wait())

    def close(self) -> None:
        """Ask the process to stop, and kill it after ``STOP_LIMIT_S``. None is left, not even a dead one."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._forget()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(
                self._command,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output belongs to the gate's own answers
                process_group=0,  # Ctrl-C reaches the gate, which stops its eye in order
            )
        except OSError as error:
            log.error("the eye does not start: %s", error)  # noqa: TRY400 - the reason is one line, a traceback says no more
            self._delay()
            return
        self._started_ns = self._clock.monotonic_ns()
        with contextlib.suppress(OSError):
            self._pidfd = os.pidfd_open(self._process.pid)

    def _ended(self, code: int) -> None:
        log.warning("the eye (pid %d) ended: %s", self.pid or 0, describe_exit(code))
        if self.running_s >= GOOD_RUN_S:
            self._failures = 0
        self._forget()
        self._delay()

    def _delay(self) -> None:
        wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        self._failures += 1
        self.restarts += 1
        self._due_ns = self._clock.monotonic_ns() + round(wait_s * _SECOND_NS)

    def _forget(self) -> None:
        self._process = None
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None


def describe_exit(code: int) -> str:
    """What the exit code of a process says, in words."""
    if code >= 0:
        return f"exit code {code}"
    if code == -signal.SIGALRM:
        return "a frame took too long (SIGALRM)"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def wait_readable(descriptors: Sequence[int], timeout_s: float) -> None:
    """Wait until one of the descriptors can be read or was hung up, at most ``timeout_s``."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(timeout_s * 1000)
