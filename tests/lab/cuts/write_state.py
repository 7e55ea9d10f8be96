"""Runs in the guest: replaces configuration, lists, keys and certificates again and again with the product's own writer.

``python -m tests.lab.cuts.write_state ROUNDS [unsynced]``. With ``unsynced``
the files are renamed into place without waiting for the disk: the control.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from device.edges.machine.files import replace_durably
from tests.lab.cuts.mark import mark

STATE = Path("/mnt/state")
FILES = {"gate.toml": 3_000, "deny.list": 130_000, "gate.cert": 1_500, "gate.key": 240, "command.json": 400}
"""Names and sizes: what the daemon keeps beside its record."""


def content(name: str, round_number: int) -> bytes:
    """A file of this round that says itself whether it is whole: number, filling, digest."""
    body = f"{name} {round_number}\n".encode().ljust(FILES[name], str(round_number % 10).encode())
    return body + b"\n" + hashlib.sha256(body).hexdigest().encode()


def whole(name: str, data: bytes) -> int | None:
    """The round that a file is of, None where it is not one whole file."""
    body, _, digest = data.rpartition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    return int(body.split(b"\n")[0].removeprefix(f"{name} ".encode()))


def hasty(path: Path, data: bytes) -> None:
    """The usual mistake: a new file renamed over the old one, and nobody waited for the disk."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


def main(rounds: int, replace: Callable[[Path, bytes], None]) -> None:
    """Every file in turn, each a promise once it is replaced."""
    STATE.mkdir()
    for number in range(1, rounds + 1):
        for name in FILES:
            replace(STATE / name, content(name, number))
            mark(f"file {name} {number}")


if __name__ == "__main__":
    main(int(sys.argv[1]), hasty if "unsynced" in sys.argv else replace_durably)
