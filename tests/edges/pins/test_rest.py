"""Lines put to rest from outside a dead process. The kernel is pretended here; the emulated machines have a real one."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from device.edges.pins import rest

REQUEST = struct.Struct("@64I 32s QI5I IIQQ 216x II5Ii")
"""gpio_v2_line_request by linux/gpio.h, laid out by the compiler's own rules: its members stand where those put them."""


class Kernel:
    """A GPIO chip's character device."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests: list[tuple[int, int, int | None]] = []
        """Line, flags, and of an output its level."""
        self.busy: set[int] = set()
        self.descriptors: list[int] = []
        monkeypatch.setattr(rest, "fcntl", SimpleNamespace(ioctl=self.ioctl))

    def ioctl(self, chip: int, number: int, answer: bytearray) -> int:
        """Take a line."""
        assert os.fstat(chip)
        # Direction both ways, size, type and number, as the kernel's macro puts them together.
        assert number == 3 << 30 | REQUEST.size << 16 | 0xB4 << 8 | 7
        line, *more = REQUEST.unpack(answer)
        consumer, flags, attributes = more[63:66]
        kind, _, value, mask, lines = more[71:76]
        assert (consumer.rstrip(b"\0"), lines) == (b"gate rest", 1)
        if line in self.busy:
            raise OSError(16, "Device or resource busy")
        if flags & rest.OUTPUT:
            assert (attributes, kind, mask) == (1, 2, 1)
        self.requests.append((line, flags, value if flags & rest.OUTPUT else None))
        self.descriptors.append(os.open(os.devnull, os.O_RDONLY))
        answer[-4:] = struct.pack("@i", self.descriptors[-1])
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """One."""
    return Kernel(monkeypatch)


def noted(folder: Path, chip: str = os.devnull) -> str:
    """What a gate left behind: a lamp that is dark when low, a relay that is released when high."""
    path = folder / rest.NOTE
    path.write_text(rest.note(4, {17: 0, 21: 1}).replace("/dev/gpiochip4", chip))
    return str(path)


def test_each_line_is_driven_to_rest_and_let_go_pulled_there(kernel: Kernel, tmp_path: Path) -> None:
    """First as an output, so that a kernel that keeps outputs keeps the right level; and nothing is held afterwards."""
    assert rest.main([noted(tmp_path)]) == 0
    down, up = rest.INPUT | rest.PULL_DOWN, rest.INPUT | rest.PULL_UP
    assert kernel.requests == [(17, rest.OUTPUT, 0), (17, down, None), (21, rest.OUTPUT, 1), (21, up, None)]
    for descriptor in kernel.descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_line_that_somebody_holds_keeps_no_other_from_its_rest(
    kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and the exit code tells."""
    kernel.busy.add(17)
    assert rest.main([noted(tmp_path)]) == 1
    assert {line for line, _, _ in kernel.requests} == {21}
    assert "pin 17 is not at rest" in capsys.readouterr().err


def test_a_chip_that_is_gone_and_a_gate_that_never_took_a_pin(kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first is a failure, the second is none."""
    assert rest.main([noted(tmp_path, str(tmp_path / "nowhere"))]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert rest.main([str(tmp_path / "no-note")]) == 0
    assert rest.main([]) == 2
    assert kernel.requests == []


@pytest.mark.parametrize("text", ["", "/dev/null 17", "/dev/null 17=", "/dev/null x=1", "/dev/null 17=0=1"])
def test_a_note_that_nobody_can_read_is_named(kernel: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """No traceback, and no line touched by a half of it."""
    path = tmp_path / rest.NOTE
    path.write_text(text)
    assert rest.main([str(path)]) == 1
    assert str(path) in capsys.readouterr().err
    assert kernel.requests == []


def test_the_note_is_read_as_it_was_written() -> None:
    """Chip and levels."""
    assert rest.read_note(rest.note(4, {17: 0, 21: 1})) == ("/dev/gpiochip4", {17: 0, 21: 1})


def test_it_loads_next_to_nothing(tmp_path: Path) -> None:
    """A door is open as long as it takes: no more than Python loads by itself, and the two that ask the kernel."""
    print_loaded = "import sys; {}; print(*sys.modules)"
    run = f"sys.argv = ['rest', {str(tmp_path / 'none')!r}]; from device.edges.pins import rest"
    bare, loaded = (
        subprocess.run([sys.executable, "-I", "-c", print_loaded.format(code)], check=True, capture_output=True, text=True).stdout.split()
        for code in ("pass", run)
    )
    ours = {"device", "device.edges", "device.edges.pins", "device.edges.pins.rest"}
    assert set(loaded) - set(bare) == {*ours, "__future__", "fcntl", "struct", "_struct"}
