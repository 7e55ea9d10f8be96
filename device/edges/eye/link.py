"""The gate's end of the link to the eye, and, where the gate has its own eye, its supervision.

The eye parses hostile pictures with C libraries, so it may be killed, may
hang, may restart at any moment, and may be somebody else's by now. The gate
believes it nothing but well-formed messages, and its silence after a while.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import stat
import struct
import time
from collections.abc import Sequence
from typing import IO, Final

from device.config import GateConfig
from device.confinement import WIPING
from device.core.eye_messages import DATAGRAM_LIMIT_BYTES, PARENT_VARIABLE, BadDatagram, Beat, Glimpse, Message, Trouble, decode
from device.core.types import Json, Sighting
from device.edges.eye.child import Child, wait_readable
from device.errors import ConfigError
from device.ports import Clock

log = logging.getLogger(__name__)

PATH_LIMIT_BYTES: Final = 107
"""Bytes that the path of a Unix socket may have (unix(7))."""

BAD_LIMIT: Final = 20
"""Bad datagrams on one connection at which it is cut: that eye is of another version, or no longer itself."""

READ_AT_ONCE: Final = 100
"""Datagrams that one call reads at most: those that say nothing new are read over."""

START_LIMIT_S: Final = 20.0
"""Seconds that a new eye has for its first word; then it is killed. On a Pi the camera stack alone takes three."""

TEND_S: Final = 0.1
"""Seconds after which the eye's process is looked after again while nothing is heard."""

_SECOND_NS: Final = 1_000_000_000
_CREDENTIALS: Final = struct.Struct("3i")


class EyeLink:
    """Implements ``ports.Eye``. Not for use from several threads, and opened in the thread that uses it.

    The newest connection wins: an eye that was started again has no need to
    wait until the old one is missed. Only processes of this user or of root
    may connect, and, where the configuration names a socket for an eye of
    another user, those of the group to which the socket's folder gives it.
    """

    def __init__(self, config: GateConfig, clock: Clock, command: Sequence[str] | None) -> None:
        """Listen; start ``command`` as the gate's own eye, unless the configuration names a socket for one run separately.

        Raises ConfigError, naming the key, where the socket cannot be made.
        """
        self._clock = clock
        self._silent_ns = round(config.eye.silent_limit_s * _SECOND_NS)
        self._path = config.eye_socket
        self._key = "gate.runtime_dir" if config.eye.socket is None else "eye.socket"
        self._connection: socket.socket | None = None
        self._life_ns: int | None = None
        self._heard_ns: int | None = None
        self._bad_here = 0
        self._bad = 0
        self._cut = 0
        self._refused = 0
        self._connections = 0
        self._trouble: Trouble | None = None
        self._closed = False
        self._guests = config.eye.socket is not None
        self._lock = self._claim()
        try:
            self._listener = self._listen()
        except OSError as error:
            self._lock.close()
            raise ConfigError(f"{self._key}: no socket can be made at {self._path}: {error.strerror}") from error
        own = {PARENT_VARIABLE: str(os.getpid()), "OPENBLAS_NUM_THREADS": "1", **WIPING}
        self._child = Child(command, clock, own) if command is not None and config.eye.socket is None else None
        if self._child:
            self._child.tend()

    # ---------------------------------------------------------------- ports.Eye

    def receive(self, timeout_s: float) -> Message | None:
        """See ``ports.Eye``. Also accepts connections and looks after the eye's process, so it is to be called again and again."""
        end = time.monotonic() + timeout_s
        while True:
            self._accept()
            message = self._next()
            if message is not None:
                return message
            self._tend()
            left_s = end - time.monotonic()
            if left_s <= 0:
                return None
            wait_readable(self._descriptors(), min(left_s, TEND_S))

    @property
    def alive(self) -> bool:
        """Whether a frame was looked at within the limit: a beat says so, and so does anything seen."""
        return self._life_ns is not None and self._clock.monotonic_ns() - self._life_ns <= self._silent_ns

    def stats(self) -> dict[str, Json]:
        """Counters since the start, and ``pid`` of the gate's own eye while it runs."""
        return {
            "alive": self.alive,
            "connected": self._connection is not None,
            "connections": self._connections,
            "restarts": 0 if self._child is None else self._child.restarts,
            "bad_datagrams": self._bad,
            "dropped": self._cut,
            "refused": self._refused,
            "pid": None if self._child is None else self._child.pid,
        }

    def close(self) -> None:
        """See ``ports.Eye``. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._child:
            self._child.close()
        self._hang_up()
        self._listener.close()
        self._path.unlink(missing_ok=True)
        self._lock.close()

    # ---------------------------------------------------------------- the socket

    def _claim(self) -> IO[bytes]:
        """A lock beside the socket: two gates on one socket would take turns in losing their eyes."""
        length = len(os.fsencode(self._path))
        if length > PATH_LIMIT_BYTES:
            raise ConfigError(f"{self._key}: {self._path} has {length} bytes; the path of a socket has at most {PATH_LIMIT_BYTES}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = self._path.with_name(self._path.name + ".lock").open("ab")
        except OSError as error:
            raise ConfigError(f"{self._key}: {self._path.parent} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ConfigError(f"{self._key}: another gate uses {self._path}") from None
        return lock

    def _listen(self) -> socket.socket:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(self._path.lstat().st_mode):
                self._path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.settimeout(0)
            listener.bind(str(self._path))
            # Nobody can connect before listen, so there is no moment at which others could.
            self._path.chmod(0o660 if self._guests else 0o600)
            self._group = self._path.stat().st_gid
            listener.listen(4)
        except OSError:
            listener.close()
            raise
        return listener

    def _accept(self) -> None:
        while True:
            try:
                fresh, _ = self._listener.accept()
            except OSError:
                # Nobody there, or gone again before they were answered.
                return
            if not self._welcome(fresh):
                self._refused += 1
                log.warning("a process of another user tried to be the eye and was refused")
                fresh.close()
                continue
            self._hang_up()
            fresh.settimeout(0)
            self._connection = fresh
            self._connections += 1
            self._bad_here = 0

    def _welcome(self, connection: socket.socket) -> bool:
        """Processes of this user and of root, and a separately run eye that belongs to the socket's group."""
        uid, gid = _peer(connection)
        return uid in {os.getuid(), 0} or (self._guests and gid == self._group)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _descriptors(self) -> list[int]:
        ends = [self._listener.fileno()]
        if self._connection is not None:
            ends.append(self._connection.fileno())
        pidfd = None if self._child is None else self._child.fileno()
        return ends if pidfd is None else [*ends, pidfd]

    # ---------------------------------------------------------------- messages

    def _next(self) -> Message | None:
        for _ in range(READ_AT_ONCE):
            datagram = self._datagram()
            if datagram is None:
                return None
            try:
                message = decode(datagram)
            except BadDatagram as error:
                self._count_bad(error)
                continue
            if self._note(message):
                return message
        return None

    def _datagram(self) -> bytes | None:
        if self._connection is None:
            return None
        try:
            datagram = self._connection.recv(DATAGRAM_LIMIT_BYTES + 1)
        except BlockingIOError:
            return None
        except OSError:
            datagram = b""
        if not datagram:
            # Its end, or a datagram of no bytes, which no eye sends.
            self._hang_up()
            return None
        return datagram

    def _note(self, message: Message) -> bool:
        """Whether the message is news. A trouble that lasts is told once; a beat says that it is over."""
        now_ns = self._clock.monotonic_ns()
        self._heard_ns = now_ns
        if isinstance(message, Beat | Sighting | Glimpse):
            self._life_ns = now_ns
        if isinstance(message, Beat):
            self._trouble = None
        if isinstance(message, Trouble):
            known, self._trouble = self._trouble, message
            return message != known
        return True

    def _count_bad(self, error: BadDatagram) -> None:
        self._bad += 1
        self._bad_here += 1
        if self._bad_here == 1:
            log.warning("from the eye: %s", error)
        if self._bad_here >= BAD_LIMIT:
            self._cut += 1
            log.warning("the eye sent %d bad datagrams: its connection is cut", self._bad_here)
            self._hang_up()
            if self._child:
                self._child.kill("it no longer speaks this version")
                self._heard_ns = None

    # ---------------------------------------------------------------- the process

    def _tend(self) -> None:
        """Called only when nothing more is waiting to be read, so that a gate that was slow does not take its eye for silent."""
        if self._child is None:
            return
        running = self._child.pid
        now_ns = self._clock.monotonic_ns()
        if self._heard_ns is not None and now_ns - self._heard_ns > self._silent_ns:
            self._child.kill(f"silent for {(now_ns - self._heard_ns) / _SECOND_NS:.1f} s")
        elif self._heard_ns is None and self._child.running_s > START_LIMIT_S:
            self._child.kill(f"not a word within {START_LIMIT_S:g} s of its start")
        self._child.tend()
        if self._child.pid != running:
            self._heard_ns = None


def _peer(connection: socket.socket) -> tuple[int, int]:
    """User and group of the process at the other end, by the kernel's word (unix(7), SO_PEERCRED)."""
    _, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid), int(gid)
