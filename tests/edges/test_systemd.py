"""What passes between a service and its manager: notifications, passed sockets, names of threads."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.edges import systemd
from device.edges.systemd import SystemdNotifier, name_thread, passed_sockets


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


def passed(count: str = "1", names: str = "eye", pid: int | None = None) -> dict[str, str]:
    """The environment of a process to which sockets were passed."""
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": names}


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that the manager listens on; its descriptor stands for the first that it passes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
        made.bind(str(tmp_path / "passed.sock"))
        made.listen()
        monkeypatch.setattr(systemd, "FIRST_PASSED", made.fileno())
        yield made


def test_a_passed_socket_is_found_by_its_name(listener: socket.socket) -> None:
    """The same socket, in a descriptor of our own, which does not block and closes on exec."""
    found = passed_sockets(passed())["eye"]
    with found:
        assert found.getsockname() == listener.getsockname()
        assert (found.gettimeout(), found.get_inheritable()) == (0, False)
        assert found.fileno() != listener.fileno()


@pytest.mark.usefixtures("listener")
def test_a_socket_without_a_name_is_unknown() -> None:
    """As sd_listen_fds_with_names has it."""
    found = passed_sockets(passed(names=""))
    found["unknown"].close()
    assert list(found) == ["unknown"]


@pytest.mark.parametrize("environment", [{}, passed(pid=1), passed(count="0")])
def test_what_was_passed_to_another_process_is_not_ours(environment: dict[str, str]) -> None:
    """A child inherits the variables, not the sockets."""
    assert passed_sockets(environment) == {}
