"""The service manager's notification socket (sd_notify), and names of threads for whoever looks from outside.

One datagram of text lines to the socket named by NOTIFY_SOCKET: the whole
protocol, so no library. Without that variable nothing is sent.
Source: sd_notify(3).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

THREAD_NAME_LETTERS: Final = 15
"""Letters that the kernel keeps of a thread's name; longer names are cut."""


class SystemdNotifier:
    """Implements ``ports.Notifier``. A service manager that does not answer never stops the gate."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET") if address is None else address
        self._watched = "WATCHDOG_USEC" in os.environ
        self._failed = False

    def ready(self) -> None:
        """Tell that the start-up is complete."""
        self._send("READY=1")

    def alive(self) -> None:
        """Tell the watchdog that the program is alive."""
        self._send("WATCHDOG=1")

    def patience(self, seconds: float) -> None:
        """See ``ports.Notifier``: opening a camera may take far longer than a frame."""
        if self._watched:
            self._send(f"WATCHDOG_USEC={round(seconds * 1e6)}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; line breaks are folded, they would end the field."""
        self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """Tell that an orderly stop began."""
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


def name_thread(name: str) -> None:
    """Name the calling thread for the kernel, so that ``top -H`` and a debugger tell threads apart. Source: proc_pid_comm(5).

    A kernel that will not is no reason to stop.
    """
    with suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name[:THREAD_NAME_LETTERS], encoding="ascii")


def under_systemd() -> bool:
    """Whether this process was started by systemd as part of a unit."""
    return "INVOCATION_ID" in os.environ
