"""What passes between a service and its manager: notifications, and names of threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.edges.machine.systemd import SystemdNotifier, name_thread


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The manager's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(5)
        yield end


def test_patience_is_asked_for_only_where_there_is_a_watchdog(
    manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent to a manager that watches nothing, it would set a watchdog that nobody had asked for."""
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    SystemdNotifier(str(tmp_path / "notify")).patience(21)
    monkeypatch.setenv("WATCHDOG_USEC", "25000000")
    SystemdNotifier(str(tmp_path / "notify")).patience(21)
    assert manager.recv(100) == b"WATCHDOG_USEC=21000000"


def test_a_thread_carries_its_name_for_the_kernel() -> None:
    """As `top -H` and the laboratory's debugger see it, cut to what the kernel keeps."""
    seen = []

    def run() -> None:
        name_thread("a name longer than fifteen")
        seen.append(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == ["a name longer t\n"]
