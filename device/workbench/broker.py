"""A Mosquitto of our own on this machine, for the demo and the benchmarks: loopback only, nothing kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from device.errors import BrokerMissing, BrokerNotStarted

READY_S: Final = 10.0
STOP_S: Final = 5.0
LOOPBACK: Final = "127.0.0.1"
_SEARCH: Final = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin")
"""Debian puts Mosquitto where a user's PATH does not look."""


def find_mosquitto() -> Path:
    """The program. Raises BrokerMissing where it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_SEARCH])
    found = shutil.which("mosquitto", path=path)
    if found is None:
        raise BrokerMissing("no program `mosquitto` on the PATH nor in " + ", ".join(_SEARCH))
    return Path(found)


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


class MosquittoProcess:
    """A running Mosquitto with a given configuration."""

    def __init__(self, folder: Path, port: int, settings: str) -> None:
        """``settings`` stand beside what every one of ours has: the folder is private, and the log goes to a file in it."""
        self.folder = folder
        self.port = port
        self.log_path = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(settings)

    def configure(self, settings: str) -> None:
        """Write another configuration, for the next start."""
        # As root Mosquitto would change to a user that may not read this folder.
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config.write_text(f"{user}set_tcp_nodelay true\nlog_dest stderr\n{settings}", encoding="utf-8")

    @property
    def pid(self) -> int | None:
        """The process, None when it is not running."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it, and return when its port answers. Raises BrokerMissing, or BrokerNotStarted with its own words."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [find_mosquitto(), "-c", self._config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        limit = time.monotonic() + READY_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > limit:
                self.kill()
                raise BrokerNotStarted(f"mosquitto on port {self.port}: {self._last_words()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """An orderly stop; after a limit it is killed."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """As a crash: nothing is written, no connection is closed properly."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=0.2):
            return True
        return False

    def _last_words(self) -> str:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return " / ".join(lines[-2:]) if lines else "it said nothing"


class PrivateBroker:
    """A broker for one run on this machine. Anonymous, because only this machine reaches it. A context manager."""

    host: Final = LOOPBACK

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="gate-broker-")
        self.port = free_port()
        lines = (
            f"listener {self.port} {LOOPBACK}",
            "allow_anonymous true",
            "persistence false",
            "max_queued_messages 0",
            "log_type error",
            "log_type warning",
        )
        self._mosquitto = MosquittoProcess(Path(self._folder.name), self.port, "\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        try:
            self._mosquitto.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._mosquitto.stop()
        self._folder.cleanup()
