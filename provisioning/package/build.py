"""Builds ``gate_VERSION_ARCH.deb``: the same bytes from the same commit, wherever and whenever.

The package carries wheels, not an installed program: its postinst makes
``/opt/gate/VERSION`` from them without any network.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Final

from provisioning.package.wheelhouse import LOCK, TARGETS, Target, complete

ROOT: Final = Path(__file__).parents[2]
FILES: Final = Path(__file__).parent / "files"

SYSTEMD: Final = {
    "sysusers.d/gate.conf": "usr/lib/sysusers.d/gate.conf",
    "tmpfiles.d/gate.conf": "usr/lib/tmpfiles.d/gate.conf",
    "udev/60-gate.rules": "usr/lib/udev/rules.d/60-gate.rules",
    "sysctl.d/60-gate.conf": "usr/lib/sysctl.d/60-gate.conf",
    "journald.conf.d/60-gate.conf": "usr/lib/systemd/journald.conf.d/60-gate.conf",
    "system.conf.d/60-gate-watchdog.conf": "usr/lib/systemd/system.conf.d/60-gate-watchdog.conf",
}
"""What holds for the machine and not for a version: where it lies in ``systemd/`` and in the package."""

OWN: Final = {
    "gate-switch": "usr/lib/gate/gate-switch",
    "gate-enrol.service": "usr/lib/systemd/system/gate-enrol.service",
    "gate-renew.service": "usr/lib/systemd/system/gate-renew.service",
    "gate-renew.timer": "usr/lib/systemd/system/gate-renew.timer",
    "gate-trial.service": "usr/lib/systemd/system/gate-trial.service",
    "gate-update.service": "usr/lib/systemd/system/gate-update.service",
    "gate-update.path": "usr/lib/systemd/system/gate-update.path",
    "gate.toml": "usr/share/doc/gate/examples/gate.toml",
    "copyright": "usr/share/doc/gate/copyright",
    "lintian-overrides": "usr/share/lintian/overrides/gate",
}
"""The package's own files: they work whatever version is the current one."""

SCRIPTS: Final = ("postinst", "prerm", "postrm")

DEPENDS: Final = (
    "python3 (>= 3.13~), python3 (<< 3.14), python3-venv, python3-numpy, libzbar0t64, systemd (>= 257~), passwd",
    "python3-libcamera, python3-picamera2, python3-lgpio",
)
"""Depends and Recommends. The recommended are on every Pi's own archive; a gate without a camera runs without them."""


class BuildError(Exception):
    """The package could not be built. The message says why and on what."""


@dataclass(frozen=True)
class Source:
    """What is built: the project's folder, its version and the moment that every file is dated with."""

    root: Path
    version: str
    epoch: int


def source(root: Path = ROOT) -> Source:
    """The project as it stands. The moment is SOURCE_DATE_EPOCH, else that of the last commit."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    match = re.search(r'^version = "([0-9A-Za-z.+~]+)"$', text, re.MULTILINE)
    if match is None:
        raise BuildError(f"{root}/pyproject.toml: no version of the form that Debian takes")
    return Source(root, match[1], int(os.environ.get("SOURCE_DATE_EPOCH") or _commit_time(root)))


def build(project: Source, architecture: str, out: Path) -> Path:
    """Build the package for one architecture into the folder ``out``. Raises BuildError or WheelhouseError."""
    target = TARGETS[architecture]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        tree.mkdir(mode=0o755)
        wheels = tree / "usr/share/gate/wheels"
        wheels.mkdir(parents=True)
        gather(project, target, wheels)
        lay_out(project, tree)
        control(project, target, tree)
        date(tree, project.epoch)
        return _pack(project, target, tree, out)


def gather(project: Source, target: Target, folder: Path) -> None:
    """Our own wheel, and beside it what it needs."""
    own_wheel(project, folder)
    complete(folder, LOCK.read_text(encoding="utf-8"), target)


def own_wheel(project: Source, folder: Path) -> None:
    """The project's wheel, by hatchling, which dates its members by SOURCE_DATE_EPOCH."""
    with tempfile.TemporaryDirectory() as name:
        clean = Path(name) / "project"
        _copy(project.root, clean)
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel", "--no-deps", "--no-index"]
        command += ["--no-build-isolation", "--wheel-dir", str(folder), str(clean)]
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(project.epoch)}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(f"the project's own wheel could not be built: {done.stderr.strip()[-2000:]}")


def lay_out(project: Source, tree: Path) -> None:
    """Every file but the wheels, with its rights."""
    for name, place in SYSTEMD.items():
        _put(project.root / "systemd" / name, tree / place)
    for name, place in OWN.items():
        _put(FILES / name, tree / place, 0o755 if place.startswith("usr/lib/gate/") else 0o644)
    units = tree / "usr/lib/systemd/system"
    for unit in sorted(path.name for path in (project.root / "systemd").glob("gate*.*")):
        (units / unit).symlink_to(f"/opt/gate/current/share/gate/systemd/{unit}")
    (tree / "usr/bin").mkdir()
    (tree / "usr/bin/gate").symlink_to("/opt/gate/current/bin/gate")
    log = f"gate ({project.version}) stable; urgency=medium\n\n  * See CHANGES.md of the project.\n\n"
    log += f" -- The gate's builders <gate@example.org>  {_rfc2822(project.epoch)}\n"
    (tree / "usr/share/doc/gate/changelog.gz").write_bytes(gzip.compress(log.encode(), 9, mtime=0))


def control(project: Source, target: Target, tree: Path) -> None:
    """The package's own description and scripts."""
    folder = tree / "DEBIAN"
    folder.mkdir()
    for name in SCRIPTS:
        text = (FILES / name).read_text(encoding="utf-8").replace("@VERSION@", project.version)
        (folder / name).write_text(text, encoding="utf-8")
    size_kib = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink()) // 1024
    fields = {
        "Package": "gate",
        "Version": project.version,
        "Architecture": target.architecture,
        "Maintainer": "The gate's builders <gate@example.org>",
        "Installed-Size": str(size_kib),
        "Depends": DEPENDS[0],
        "Recommends": DEPENDS[1],
        "Section": "misc",
        "Priority": "optional",
        "Description": "unattended gate: reads codes, decides, records, reports\n"
        " Reads the QR code that a person holds up to the camera, decides on the spot,\n"
        " answers with lamps and a buzzer, keeps the record and publishes it over MQTT.\n"
        " .\n"
        " Carries its Python packages and installs them without network in /opt/gate,\n"
        " one folder for each version.",
    }
    (folder / "control").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()), encoding="utf-8")


def date(tree: Path, epoch: int) -> None:
    """The same rights and the same moment on everything: whoever builds, with whatever umask, and whenever."""
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.name in SCRIPTS or path.name == "gate-switch"
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _pack(project: Source, target: Target, tree: Path, out: Path) -> Path:
    deb = out / f"gate_{project.version}_{target.architecture}.deb"
    # The wheels are compressed already: xz makes it no smaller than gzip, in ten times the time, and more of it on a Pi.
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z6", "--build", str(tree), str(deb)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(project.epoch), "LC_ALL": "C", "TZ": "UTC"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(f"dpkg-deb failed: {done.stderr.strip()}")
    return deb


def _copy(root: Path, clean: Path) -> None:
    """What the wheel is made of, without whatever else lies about: caches would change its bytes."""
    clean.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("device", "systemd"):
        shutil.copytree(root / name, clean / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, clean / name)
    for path in [clean, *clean.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _put(origin: Path, place: Path, mode: int = 0o644) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, place)
    place.chmod(mode)


def _commit_time(root: Path) -> str:
    git = shutil.which("git")
    command = [git or "git", "-C", str(root), "log", "-1", "--format=%ct"]
    said = "" if git is None else subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    if not said:
        raise BuildError(f"git tells no commit of {root}: set SOURCE_DATE_EPOCH to the seconds since 1970 that files are to be dated with")
    return said


def _rfc2822(epoch: int) -> str:
    return formatdate(epoch)
