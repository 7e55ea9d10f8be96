"""The wheels that a gate's package carries: exactly what the lock names, for the gate's Python and processor, and nothing else."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK: Final = Path(__file__).parents[1] / "requirements.lock"

PYTHON: Final = "3.13"
"""Of Debian 13 and Raspberry Pi OS Trixie."""

FROM_APT: Final = frozenset({"numpy"})
"""A second numpy beside apt's breaks what apt built against its own."""

_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)
_ELF_MACHINES: Final = {62: "amd64", 183: "arm64"}


class WheelhouseError(Exception):
    """The wheels are not those that the package must carry. The message names the wheel."""


@dataclass(frozen=True)
class Target:
    """A Debian architecture, and what pip and Python's markers call it."""

    architecture: str
    machine: str

    @property
    def platforms(self) -> list[str]:
        """Wheel platforms that glibc 2.41 of Debian 13 runs, newest first."""
        return [f"manylinux_2_{minor}_{self.machine}" for minor in range(41, 16, -1)] + [f"manylinux2014_{self.machine}"]

    @property
    def environment(self) -> dict[str, str]:
        """What the markers of the lock are judged by."""
        return {
            "python_version": PYTHON,
            "python_full_version": f"{PYTHON}.5",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "extra": "",
        }


TARGETS: Final = {"amd64": Target("amd64", "x86_64"), "arm64": Target("arm64", "aarch64")}


@dataclass(frozen=True)
class Pin:
    """One package of the lock: its name and its lines, hashes and all."""

    name: str
    lines: str


def pins(lock: str, target: Target) -> dict[str, Pin]:
    """The lock's packages that hold for ``target``, by canonical name."""
    starts = list(_PIN.finditer(lock))
    ends = [match.start() for match in starts[1:]] + [len(lock)]
    found: dict[str, Pin] = {}
    for match, end in zip(starts, ends, strict=True):
        if match[3] is None or Marker(match[3]).evaluate(target.environment):
            name = canonicalize_name(match[1])
            # The marker was judged here, for another machine than this one.
            first = f"{match[1]}=={match[2]} \\\n"
            found[name] = Pin(name, first + lock[match.end() + 1 : end])
    return found


def download(wanted: list[Pin], target: Target, folder: Path) -> None:
    """Fetch the wheels into ``folder`` with pip, each against its hashes. Raises WheelhouseError with pip's words."""
    lines = folder / "wanted.lock"
    lines.write_text("".join(pin.lines for pin in wanted), encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "--require-hashes"]
    command += [
        "--only-binary",
        ":all:",
        "--implementation",
        "cp",
        "--python-version",
        PYTHON,
        "--abi",
        "cp313",
        "--abi",
        "abi3",
        "--abi",
        "none",
    ]
    command += [word for platform in target.platforms for word in ("--platform", platform)]
    done = subprocess.run([*command, "--dest", str(folder), "-r", str(lines)], check=False, capture_output=True, text=True)
    lines.unlink()
    if done.returncode:
        raise WheelhouseError(f"pip could not fetch the wheels for {target.architecture}: {done.stderr.strip()[-2000:]}")


def missing(folder: Path, target: Target) -> list[str]:
    """Canonical names of what the wheels in ``folder`` need and neither ``folder`` nor apt has."""
    wheels = sorted(folder.glob("*.whl"))
    present = {canonicalize_name(wheel.name.split("-")[0]) for wheel in wheels}
    wanted = {name for wheel in wheels for name in _requirements(_metadata(wheel), target)}
    return sorted(wanted - present - FROM_APT)


def complete(folder: Path, lock: str, target: Target) -> None:
    """Fetch what the wheels in ``folder`` need, and what that needs, until nothing is missing. Raises WheelhouseError."""
    available = pins(lock, target)
    while names := missing(folder, target):
        unknown = [name for name in names if name not in available]
        if unknown:
            raise WheelhouseError(f"not in the lock for {target.architecture}: {', '.join(unknown)}; renew provisioning/requirements.lock")
        download([available[name] for name in names], target, folder)
    for wheel in sorted(folder.glob("*.whl")):
        check_machine(wheel, target)


def check_machine(wheel: Path, target: Target) -> None:
    """Raise WheelhouseError if a program or library in the wheel is for another processor."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                start = member.read(20)
            if start[:4] == b"\x7fELF":
                (machine,) = struct.unpack_from("<H", start, 18)
                if _ELF_MACHINES.get(machine) != target.architecture:
                    raise WheelhouseError(f"{wheel.name}: {name} is for ELF machine {machine}, not for {target.architecture}")


def _metadata(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def _requirements(metadata: str, target: Target) -> list[str]:
    lines = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    parsed = [Requirement(line) for line in lines]
    return [canonicalize_name(one.name) for one in parsed if one.marker is None or one.marker.evaluate(target.environment)]
