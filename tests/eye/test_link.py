"""The eye's end of the link: it never waits, drops what cannot be sent, and finds its gate again."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.core.eye_messages import Beat, Hello, Message, decode
from device.core.types import Box, Sighting
from device.eye.link import Link
from tests.fakes.clock import FakeClock

HELLO = Hello(pid=7, source="folder", decoders=["zbar"])
BEAT = Beat(frames=1, skipped=0, empty=0, read=0, taken_ns=0, cpu_ms=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the socket."""
    return tmp_path / "eye.sock"


@pytest.fixture
def gate(path: Path) -> Iterator[socket.socket]:
    """A gate that listens."""
    with listening(path) as listener:
        yield listener


def listening(path: Path) -> socket.socket:
    """A socket as the gate makes it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(1)
    listener.settimeout(5)
    return listener


def link(path: Path, clock: FakeClock) -> Link:
    """An eye's end."""
    return Link(path, lambda: HELLO, clock.monotonic_ns)


def received(connection: socket.socket) -> list[Message]:
    """All that has arrived."""
    connection.settimeout(0)
    messages: list[Message] = []
    while True:
        try:
            datagram = connection.recv(65536)
        except BlockingIOError:
            return messages
        if not datagram:
            return messages
        messages.append(decode(datagram))


def test_a_connection_begins_with_hello_and_messages_follow(path: Path, gate: socket.socket) -> None:
    """One datagram each."""
    eye = link(path, FakeClock())
    sighting = Sighting(b"\x00\xff" * 100, 3, 5, 6, Box(1, 2, 3, 4), "zxing", partial=True)
    assert eye.offer(BEAT)
    assert eye.offer(sighting)
    connection, _ = gate.accept()
    assert received(connection) == [HELLO, BEAT, sighting]
    connection.close()
    eye.close()


def test_without_a_gate_messages_are_dropped_and_counted(path: Path) -> None:
    """And it is tried no more than ten times a second."""
    clock = FakeClock()
    eye = link(path, clock)
    eye.send(BEAT)
    with listening(path):
        eye.send(BEAT)
        assert eye.dropped == 2
        clock.advance(0.1)
        eye.send(BEAT)
        assert eye.connected
        assert eye.dropped == 2
    eye.close()


def test_a_gate_that_does_not_read_costs_the_eye_nothing_but_messages(path: Path, gate: socket.socket) -> None:
    """A thousand full sightings into a full socket: no wait, the rest is counted, memory stays bounded."""
    eye = link(path, FakeClock())
    sighting = Sighting(bytes(2000), 1, 1, 1, Box(0, 0, 1, 1), "zxing")
    before = time.monotonic()
    for _ in range(1000):
        eye.send(sighting)
    assert time.monotonic() - before < 2
    assert eye.connected
    assert 900 < eye.dropped < 1000
    connection, _ = gate.accept()
    assert len(received(connection)) == 1 + 1000 - eye.dropped
    connection.close()
    eye.close()


def test_a_gate_that_reads_again_gets_messages_again(path: Path, gate: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log when it began to fail, one with the count when it is over."""
    caplog.set_level("INFO")
    eye = link(path, FakeClock())
    sighting = Sighting(bytes(2000), 1, 1, 1, Box(0, 0, 1, 1), "zxing")
    for _ in range(200):
        eye.send(sighting)
    connection, _ = gate.accept()
    received(connection)
    eye.send(BEAT)
    assert received(connection) == [BEAT]
    assert caplog.text.count("the gate does not read") == 1
    assert f"the gate reads again; {eye.dropped} messages were dropped" in caplog.text
    connection.close()
    eye.close()


def test_a_gate_that_was_started_again_is_found_by_itself(path: Path) -> None:
    """Its socket is a new file at the same path."""
    clock = FakeClock()
    eye = link(path, clock)
    with listening(path) as first:
        eye.send(BEAT)
        first.accept()[0].close()
    eye.send(BEAT)
    assert not eye.connected
    path.unlink()
    with listening(path) as second:
        clock.advance(1)
        assert eye.offer(BEAT)
        connection, _ = second.accept()
        assert received(connection) == [HELLO, BEAT]
        connection.close()
    eye.close()


def test_it_knows_how_long_it_has_been_alone(path: Path) -> None:
    """From its start, and again from the moment the gate has gone; never while there is one."""
    clock = FakeClock()
    eye = link(path, clock)
    clock.advance(3)
    assert eye.alone_s == 3
    with listening(path) as gate:
        assert eye.connect()
        clock.advance(60)
        assert eye.alone_s == 0
        gate.accept()[0].close()
    eye.send(BEAT)
    clock.advance(2)
    assert eye.alone_s == 2


def test_a_refused_offer_is_not_counted(path: Path) -> None:
    """The caller offers again."""
    eye = link(path, FakeClock())
    assert not eye.offer(BEAT)
    assert eye.dropped == 0


def test_closing_twice_is_closing_once(path: Path, gate: socket.socket) -> None:
    """On every way out."""
    eye = link(path, FakeClock())
    eye.connect()
    gate.accept()[0].close()
    eye.close()
    eye.close()
    assert not eye.connected
