"""A card as Raspberry Pi Imager leaves it."""

from __future__ import annotations

from pathlib import Path

CMDLINE = "console=serial0,115200 root=PARTUUID=1234-02 rootwait\n"


def pi_card(path: Path) -> Path:
    """What Imager leaves on the first partition, as far as anybody looks at it."""
    path.mkdir()
    for name, content in {"config.txt": "arm_64bit=1\n", "cmdline.txt": CMDLINE, "kernel8.img": "x", "bcm2711-rpi-4-b.dtb": "x"}.items():
        (path / name).write_text(content)
    (path / "user-data").write_text("#cloud-config\n")
    return path
