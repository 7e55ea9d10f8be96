"""The boot partition of a Raspberry Pi's card, as it is mounted on a laptop."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioning.common.errors import Refused

MARKS: Final = ("config.txt", "cmdline.txt")
KERNELS: Final = ("kernel8.img", "kernel_2712.img")
"""64-bit kernels; a card with 32 bits alone has neither."""
SEED: Final = "user-data"
"""What cloud-init reads; an image with cloud-init has one, whether Imager customised it or not."""
PRESEED: Final = "rpi-preseed.toml"
"""What newer images of Raspberry Pi's read instead."""
ISSUE: Final = "issue.txt"
LEAST_FREE_BYTES: Final = 2 << 20
HALF: Final = ".new"
"""The end of a file's name while it is not whole."""


@dataclass(frozen=True, slots=True)
class BootPartition:
    """A folder that is one."""

    path: Path

    @classmethod
    def at(cls, path: Path, needs_bytes: int) -> BootPartition:
        """Raises Refused: E160 for what is no Pi's boot partition, E161 for one without cloud-init, E162 where it is full or read-only."""
        missing = [name for name in MARKS if not (path / name).is_file()]
        if not any((path / name).is_file() for name in KERNELS):
            missing.append(KERNELS[0])
        if not any(path.glob("bcm27*.dtb")):
            missing.append("bcm27….dtb")
        if missing:
            raise Refused("E160", path=path, missing=", ".join(missing))
        if not (path / SEED).is_file():
            raise Refused("E161", path=path, why=PRESEED if (path / PRESEED).exists() else f"{SEED}?")
        free = shutil.disk_usage(path).free
        if free < needs_bytes + LEAST_FREE_BYTES:
            raise Refused("E162", path=path, why=f"{free >> 20} MiB")
        if not os.access(path, os.W_OK):
            raise Refused("E162", path=path, why="read-only")
        return cls(path)

    @property
    def image(self) -> str | None:
        """Which image the card was written with, in its maker's words; None where it does not say."""
        try:
            lines = (self.path / ISSUE).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        return next((line.strip() for line in lines if line.startswith("Generated using ")), None)

    def write(self, name: str, content: bytes) -> None:
        """A file, whole or as it was; read back and compared. Raises Refused (E163)."""
        target = self.path / name
        growing = target.with_name(target.name + HALF)
        try:
            target.parent.mkdir(exist_ok=True, parents=True)
            with growing.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if growing.read_bytes() != content:
                raise Refused("E163", path=target, why="≠")
            growing.replace(target)
            _sync(target.parent)
        except OSError as error:
            raise Refused("E163", path=target, why=error.strerror) from error

    def blank(self, name: str) -> None:
        """Overwrite where it lies what is about to be replaced: Imager's password and network, an older card's key. Raises Refused (E163).

        A file that is only replaced leaves its bytes on the card, where anybody finds them.
        """
        path = self.path / name
        if not path.is_file():
            return
        try:
            with path.open("r+b") as file:
                file.write(b"\0" * path.stat().st_size)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Refused("E163", path=path, why=error.strerror) from error

    def sweep(self, folder: str) -> None:
        """Remove what an interrupted run left in a folder of ours: halves, and files of an older card. Raises Refused (E163)."""
        for path in [*self.path.glob(f"*{HALF}"), *(self.path / folder).rglob("*")]:
            if path.is_file():
                try:
                    if path.suffix != ".deb":  # nothing secret, and megabytes
                        self.blank(str(path.relative_to(self.path)))
                    path.unlink()
                except OSError as error:
                    raise Refused("E163", path=path, why=error.strerror) from error


def _sync(folder: Path) -> None:
    if os.name == "posix":  # Windows has no such call; there the drive is ejected by hand
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
