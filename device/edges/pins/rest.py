"""Puts a gate's lines to rest when the gate is dead: ``python -I -m device.edges.pins.rest FILE``.

Raspberry Pi's kernels keep an output as it was after its holder died: a lit
lamp, a door that stays open. systemd runs this after the gate has ended, however
that was (``ExecStopPost=``). ``FILE`` is what the gate noted when it took its pins; so
a broken configuration hinders nobody here.

It must be quick on the smallest board, because a door is open as long as it
takes: so the note is words and no JSON, types are for the checker alone, and
the kernel itself is asked. Source: linux/gpio.h, second version of the
character device.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

NOTE: Final = "pins-at-rest"
"""In the gate's runtime folder: the chip's device, and the level at which each line does nothing: ``/dev/gpiochip0 17=0 21=1``."""

GET_LINE: Final = 0xC250B407
"""GPIO_V2_GET_LINE_IOCTL: read and write, a request of 592 bytes, type 0xB4, number 7."""
INPUT, OUTPUT, PULL_UP, PULL_DOWN = 1 << 2, 1 << 3, 1 << 8, 1 << 9
_VALUES: Final = 2
"""GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES."""
_CONSUMER: Final = b"gate rest"
_REQUEST: Final = struct.Struct("=64I32sQI5I" + "II Q Q" + "216x" + "II5Ii")
"""gpio_v2_line_request: offsets, consumer, flags and attributes (one of ten), how many lines, buffer, descriptor."""


def note(chip: int, rest: Mapping[int, int]) -> str:
    """What the gate writes when it has taken its pins: ``rest`` has the physical level of each line."""
    return " ".join([f"/dev/gpiochip{chip}", *(f"{line}={level}" for line, level in rest.items())])


def read_note(text: str) -> tuple[str, dict[int, int]]:
    """The chip's device and the level of each line. Raises ValueError for what `note` does not write."""
    device, *lines = text.split()
    pairs = (word.split("=") for word in lines)
    return device, {int(line): int(level) for line, level in pairs}


def request(line: int, flags: int, level: int = 0) -> bytearray:
    """A request for one line; of an output with its first level."""
    attributes = (1, _VALUES, level, 1) if flags & OUTPUT else (0, 0, 0, 0)
    count, kind, value, mask = attributes
    padding = (0,) * 5
    return bytearray(_REQUEST.pack(line, *(0,) * 63, _CONSUMER, flags, count, *padding, kind, 0, value, mask, 1, 0, *padding, -1))


def descriptor_of(answer: bytes | bytearray) -> int:
    """Where the kernel answers: the line is held as long as this is open."""
    descriptor: int = _REQUEST.unpack(answer)[-1]
    return descriptor


def rest_line(chip: int, line: int, level: int) -> None:
    """Drive a line to rest, then let go of it as an input that is pulled there. Raises OSError, as for a line that is held."""
    for flags in (OUTPUT, INPUT | (PULL_UP if level else PULL_DOWN)):
        answer = request(line, flags, level)
        fcntl.ioctl(chip, GET_LINE, answer)
        os.close(descriptor_of(answer))


def main(argv: Sequence[str]) -> int:
    """Returns the exit code: 0 all lines are at rest, or nobody took any; 1 some are not; 2 usage."""
    if len(argv) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        with open(argv[0], encoding="ascii") as file:  # noqa: PTH123 - pathlib costs half the time that this takes
            device, rest = read_note(file.read())
        chip = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        if error.filename == argv[0]:
            return 0
        sys.stderr.write(f"pins are not at rest: {error}\n")
        return 1
    except (OSError, ValueError) as error:
        sys.stderr.write(f"pins are not at rest: {argv[0]}: {error}\n")
        return 1
    failed = 0
    for line, level in rest.items():
        try:
            rest_line(chip, line, level)
        except OSError as error:
            failed += 1
            sys.stderr.write(f"pin {line} is not at rest: {error}\n")
    os.close(chip)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
