"""The eye's end of the link: messages to the gate over a Unix SEQPACKET socket.

Nothing here ever waits. A gate that does not read makes the socket fill up,
and from then on messages are dropped and counted; a gate that has gone is
connected to again. The socket is one-way: the eye reads nothing from it but
its end.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from device.core.eye_messages import Hello, Message, encode
from device.eye.camera import SECOND_NS

log = logging.getLogger(__name__)

BUFFER_BYTES: Final = 128 * 1024
"""Of unread messages: some seconds of them, so that a gate that stalls for a moment loses none."""

RETRY_NS: Final = 100_000_000
"""Least time between two attempts to connect."""


class Link:
    """A connection that is tried again by itself. Each new one begins with ``hello``."""

    def __init__(self, path: Path, hello: Callable[[], Hello], now_ns: Callable[[], int]) -> None:
        self.dropped = 0
        self._path = path
        self._hello = hello
        self._now_ns = now_ns
        self._socket: socket.socket | None = None
        self._tried_ns: int | None = None
        self._lost_ns = now_ns()
        self._dropped_before: int | None = None

    @property
    def connected(self) -> bool:
        """Whether a gate is at the other end, as far as the last attempt showed."""
        return self._socket is not None

    @property
    def alone_s(self) -> float:
        """Seconds without a gate; 0 while there is one."""
        return 0.0 if self.connected else (self._now_ns() - self._lost_ns) / SECOND_NS

    def connect(self) -> bool:
        """Whether there is a gate; tries to reach one at most ten times a second. A refusal is not worth a line in the log."""
        now_ns = self._now_ns()
        if self._socket is not None:
            return True
        if self._tried_ns is not None and now_ns - self._tried_ns < RETRY_NS:
            return False
        self._tried_ns = now_ns
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            fresh.settimeout(0)
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            fresh.connect(str(self._path))
            fresh.send(encode(self._hello()))
        except OSError:
            fresh.close()
            return False
        log.info("connected to %s", self._path)
        self._socket = fresh
        return True

    def offer(self, message: Message) -> bool:
        """Whether the message is on its way. If not, nothing is counted: the caller offers it again, or counts it."""
        if not self.connect() or self._socket is None:
            return False
        try:
            self._socket.send(encode(message))
        except BlockingIOError:
            self._full()
            return False
        except OSError as error:
            log.warning("the gate has gone: %s", error.strerror)
            self.close()
            return False
        self._flowing()
        return True

    def send(self, message: Message) -> None:
        """Send, or drop and count."""
        self.dropped += not self.offer(message)

    def _full(self) -> None:
        if self._dropped_before is None:
            self._dropped_before = self.dropped
            log.warning("the gate does not read: what is seen is dropped")

    def _flowing(self) -> None:
        if self._dropped_before is not None:
            log.info("the gate reads again; %d messages were dropped", self.dropped - self._dropped_before)
            self._dropped_before = None

    def close(self) -> None:
        """Hang up. May be called twice."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
            self._lost_ns = self._now_ns()
