"""The service manager's notification socket (sd_notify).

One datagram of text lines to the socket named by NOTIFY_SOCKET: the whole
protocol, so no library. Without that variable nothing is sent.
Source: sd_notify(3).
"""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)


class SystemdNotifier:
    """Implements ``ports.Notifier``. A service manager that does not answer never stops the gate."""

    def __init__(self, address: str | None = None) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET") if address is None else address
        self._failed = False

    def ready(self) -> None:
        """Start-up is complete."""
        self._send("READY=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

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


def under_systemd() -> bool:
    """Whether this process was started by systemd as part of a unit."""
    return "INVOCATION_ID" in os.environ
