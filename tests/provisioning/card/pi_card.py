"""A card as Raspberry Pi Imager leaves it, and a set of packages for it."""

from __future__ import annotations

from pathlib import Path

from provisioning.card.package_set import INDEX, PackageSet, SetFacts, seal_set

IMAGE = "Generated using pi-gen, a test, 0123abc, stage2"
CMDLINE = "console=serial0,115200 root=PARTUUID=1234-02 rootwait\n"


def pi_card(path: Path) -> Path:
    """What Imager leaves on the first partition, as far as anybody looks at it."""
    path.mkdir()
    for name, content in {"config.txt": "arm_64bit=1\n", "cmdline.txt": CMDLINE, "kernel8.img": "x", "bcm2711-rpi-4-b.dtb": "x"}.items():
        (path / name).write_text(content)
    (path / "user-data").write_text("#cloud-config\n")
    (path / "issue.txt").write_text(f"Raspberry Pi reference 2026-06-16\n{IMAGE}\n")
    return path


def a_set(path: Path, **packages: str) -> PackageSet:
    """Packages that nobody will install."""
    path.mkdir(parents=True)
    wanted = {"gate": "0.2.0", **packages}
    for name, version in wanted.items():
        (path / f"{name}_{version}_arm64.deb").write_bytes(b"!<arch>\n" + name.encode())
    (path / INDEX).write_text("".join(f"Package: {name}\nVersion: {version}\n\n" for name, version in wanted.items()))
    return seal_set(path, SetFacts(architecture="arm64", image=IMAGE, packages=wanted))
