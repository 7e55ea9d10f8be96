"""What passes between a service and its manager: notifications, and sockets that were made for it.

One datagram of text lines to the socket named by NOTIFY_SOCKET, and three
variables that describe descriptors from 3 on: the whole protocol, so no
library. Without those variables nothing is sent and nothing was passed.
Sources: sd_notify(3), sd_listen_fds_with_names(3).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

FIRST_PASSED: Final = 3
"""SD_LISTEN_FDS_START: the first descriptor that a manager passes."""

THREAD_NAME_LETTERS: Final = 15
"""The kernel keeps no more."""


class SystemdNotifier:
    """Implements ``ports.Notifier``. A service manager that does not answer never stops the gate."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET") if address is None else address
        self._watched = "WATCHDOG_USEC" in os.environ
        self._failed = False

    def ready(self) -> None:
        """Start-up is complete."""
        self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def patience(self, seconds: float) -> None:
        """See ``ports.Notifier``: opening a camera may take far longer than a frame."""
        if self._watched:
            self._send(f"WATCHDOG_USEC={round(seconds * 1e6)}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; line breaks are folded, they would end the field."""
        self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """An orderly stop began."""
        self._send("STOPPING=1")

    def _send(self, line: str) -> None:
        if not self._address:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.connect(name)
                channel.send(line.encode())
            self._failed = False
        except OSError as error:
            if not self._failed:
                log.warning("the service manager's socket %s does not answer: %s", self._address, error.strerror)
            self._failed = True


def passed_sockets(environment: Mapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """Listening sockets that the service manager made for this process, by name; one without a name is `unknown`.

    They are copies that do not outlive an exec and do not block, so this may be called again.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found = {}
    for number in range(count):
        name = names[number] if number < len(names) and names[number] else "unknown"
        found[name] = socket.socket(fileno=os.dup(FIRST_PASSED + number))
        found[name].settimeout(0)
    return found


def name_thread(name: str) -> None:
    """Name the calling thread for the kernel, so that ``top -H`` and a debugger tell threads apart. Source: proc_pid_comm(5).

    A kernel that will not is no reason to stop.
    """
    with suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name[:THREAD_NAME_LETTERS], encoding="ascii")


def under_systemd() -> bool:
    """Whether this process was started by systemd as part of a unit."""
    return "INVOCATION_ID" in os.environ
