"""The eye put together: decoders checked, a gate greeted, looking until it is told to stop."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.config import GateConfig, parse
from device.core.eye_messages import Hello, Message, Trouble, decode
from device.core.types import Sighting
from device.errors import ConfigError, DecoderBroken
from device.eye import main as eye
from device.eye.decoder import Look, ZbarDecoder
from tests.eye.pages import png, symbol


class Gate:
    """The other end of the socket, in a folder with one picture."""

    def __init__(self, folder: Path) -> None:
        (folder / "frames").mkdir()
        (folder / "frames" / "1.png").write_bytes(png(symbol(b"held up")))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(folder / "eye.sock"))
        self._listener.listen()
        self._listener.settimeout(20)
        tree: dict[str, object] = {
            "gate": {"id": "gate-1", "site": "site-1", "runtime_dir": str(folder)},
            "privacy": {"site_key": "site.key"},
            "camera": {"source": f"folder:{folder / 'frames'}", "loop": False},
        }
        self.config: GateConfig = parse(tree, "gate.toml", folder)

    def heard(self) -> list[Message]:
        """All that the eye said until it hung up; it must have ended by now."""
        connection, _ = self._listener.accept()
        connection.settimeout(20)
        with connection:
            return [decode(datagram) for datagram in iter(lambda: connection.recv(65536), b"")]

    def close(self) -> None:
        """No more eyes."""
        self._listener.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A gate that listens."""
    gate = Gate(tmp_path)
    yield gate
    gate.close()


class StopAfter:
    """A stop that comes when the eye has waited so often: after its only picture it has nothing to do but wait."""

    def __init__(self, waits: int) -> None:
        self.left = waits

    def is_set(self) -> bool:
        """Whether it has come."""
        return self.left <= 0

    def wait(self, timeout: float | None = None) -> bool:
        """No time passes here."""
        assert timeout is None or timeout >= 0
        self.left -= 1
        return self.is_set()


class CountedAlarm:
    """An alarm that never rings, and knows whether it is armed."""

    def __init__(self) -> None:
        self.armed = False
        self.rounds = 0

    def arm(self, limit_s: float) -> None:
        """From now on."""
        assert limit_s > 0
        self.armed = True
        self.rounds += 1

    def disarm(self) -> None:
        """No more."""
        self.armed = False


def test_it_greets_the_gate_tells_what_it_sees_and_hangs_up_when_told_to_stop(gate: Gate) -> None:
    """First who it is, with its decoders; then the code; an orderly end leaves no alarm and no connection."""
    alarm = CountedAlarm()
    eye.run(gate.config, StopAfter(2), alarm)
    first, *others = gate.heard()
    assert isinstance(first, Hello)
    assert (first.pid, first.source, first.decoders) == (os.getpid(), "folder", ["zbar", "zxing", "zxing-plain"])
    assert [message.payload for message in others if isinstance(message, Sighting)] == [b"held up"]
    assert [message.code for message in others if isinstance(message, Trouble)] == ["source_ended"]
    assert alarm.rounds > 0
    assert not alarm.armed


def test_a_decoder_that_misreads_keeps_it_from_looking(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled symbol is read before anything else; whoever holds up a card is not to find out."""
    monkeypatch.setattr(ZbarDecoder, "look", lambda _self, _pixels: Look())
    with pytest.raises(DecoderBroken, match="zbar"):
        eye.run(gate.config, StopAfter(2), CountedAlarm())


def test_whatever_ends_it_the_connection_is_given_back(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate must see at once that its eye has gone."""

    def fail(*_: object, **__: object) -> None:
        raise ConfigError("camera.source: made to fail")

    monkeypatch.setattr("device.eye.loop.EyeLoop._watch", fail)
    with pytest.raises(ConfigError):
        eye.run(gate.config, StopAfter(2), CountedAlarm())
