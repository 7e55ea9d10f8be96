"""The private broker: there when it is said to be, alone, and gone without a trace."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from device.errors import BrokerMissing, BrokerNotStarted
from device.workbench import broker as brokers
from device.workbench.broker import MosquittoProcess, PrivateBroker, find_mosquitto, free_port


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something listens."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def test_a_private_broker_answers_when_it_is_handed_over_and_is_gone_afterwards() -> None:
    """With its folder and its process."""
    with PrivateBroker() as broker:
        assert answers(broker.port)
        folder, pid = broker._mosquitto.folder, broker._mosquitto.pid  # noqa: SLF001 - what must be gone
        assert folder.is_dir()
    assert not answers(broker.port)
    assert not folder.exists()
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_private_broker_is_reached_from_this_machine_only() -> None:
    """It lets anybody in, so it listens on loopback alone."""
    with PrivateBroker() as broker:
        listening = Path("/proc/net/tcp").read_text(encoding="ascii")
        rows = [line.split()[1] for line in listening.splitlines() if f":{broker.port:04X} " in line and line.split()[3] == "0A"]
        assert rows == [f"0100007F:{broker.port:04X}"]


def test_two_private_brokers_run_side_by_side() -> None:
    """Each on its own port."""
    with PrivateBroker() as one, PrivateBroker() as other:
        assert one.port != other.port
        assert answers(one.port)
        assert answers(other.port)


def test_it_is_found_where_a_users_path_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian puts it into /usr/sbin."""
    found = find_mosquitto()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(brokers, "_SEARCH", (str(found.parent),))
    assert find_mosquitto() == found


def test_a_machine_without_mosquitto_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no folder behind."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(brokers, "_SEARCH", ())
    with pytest.raises(BrokerMissing) as missing, PrivateBroker():
        pass
    assert "Install the package `mosquitto`" in missing.value.advice


def test_a_mosquitto_that_does_not_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    """A setting that it does not know."""
    process = MosquittoProcess(tmp_path, free_port(), "no_such_setting true\n")
    with pytest.raises(BrokerNotStarted, match="no_such_setting"):
        process.start()
    assert process.pid is None


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    """Also twice."""
    process = MosquittoProcess(tmp_path, free_port(), "")
    process.stop()
    process.kill()
