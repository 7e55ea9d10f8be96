"""`gate update`: installs a newer version of the gate, if it is signed.

Run by root, by a technician or by ``gate-update.service`` for a package that
the daemon handed in. What is checked is a private copy, so that nothing can be
swapped between the check and the installation. The package itself then puts
the version on trial, and goes back by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from device.edges.keys.release import load_keys, verify
from device.edges.machine.files import replace_durably
from device.errors import Unsigned, UpdateRefused

KEYS: Final = Path("/etc/gate/release-keys")
STATE: Final = Path("/var/lib/gate-package")
PACKAGE: Final = "gate"
LIMIT_BYTES: Final = 256 << 20
"""Many times a package's size; more is not even read."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a package says of itself."""

    name: str
    version: str
    architecture: str


def run_update(package: Path, *, older: bool, keys: Path = KEYS, state: Path = STATE) -> int:
    """Check and install ``package``, whose signature lies beside it as ``PACKAGE.sig``. Returns 0 when it was installed.

    Raises Unsigned or UpdateRefused, and then has changed nothing but the report of the last update.
    """
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state) as folder:
        copy = Path(folder) / "gate.deb"
        try:
            content = _copy_in(package, copy)
            verify(content, _copy_signature(package, copy), load_keys(keys))
            offer = _offer(copy)
            _check(offer, older=older)
        except (Unsigned, UpdateRefused) as error:
            _report(state, "refused", str(error), package.name)
            raise
        return _install(copy, offer, state)


def run_handed_in(folder: Path, *, keys: Path = KEYS, state: Path = STATE) -> int:
    """Everything that the daemon handed in: ``NAME.ready`` says that ``NAME`` and ``NAME.sig`` are whole. All of it is taken away."""
    code = 0
    for ready in sorted(folder.glob("*.deb.ready")):
        package = ready.with_suffix("")
        try:
            code |= run_update(package, older=False, keys=keys, state=state)
        except (Unsigned, UpdateRefused) as error:
            print(f"gate update: {error}")
            code = 1
        finally:
            for path in (package, Path(f"{package}.sig"), ready):
                with contextlib.suppress(OSError):
                    path.unlink()
    return code


def _copy_in(origin: Path, copy: Path) -> bytes:
    """The package's bytes, once read and once written: no link is followed, and nothing without an end is read."""
    try:
        with os.fdopen(os.open(origin, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            content = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UpdateRefused(f"{origin}: cannot be read: {error.strerror}") from error
    if len(content) > LIMIT_BYTES:
        raise UpdateRefused(f"{origin}: larger than {LIMIT_BYTES >> 20} MiB")
    copy.write_bytes(content)
    return content


def _copy_signature(package: Path, copy: Path) -> Path:
    signature = copy.with_name("gate.deb.sig")
    origin = Path(f"{package}.sig")
    if origin.is_symlink() or not origin.is_file():
        raise Unsigned(f"{origin}: there is no signature beside the package")
    shutil.copyfile(origin, signature)
    return signature


def _offer(package: Path) -> Offer:
    fields = _said("dpkg-deb", "--field", str(package), "Package", "Version", "Architecture")
    values = dict(line.split(": ", 1) for line in fields.splitlines() if ": " in line)
    try:
        return Offer(values["Package"], values["Version"], values["Architecture"])
    except KeyError as error:
        raise UpdateRefused(f"the signed file is no Debian package: it has no field {error}") from error


def _check(offer: Offer, *, older: bool) -> None:
    here = _said("dpkg", "--print-architecture")
    if offer.name != PACKAGE:
        raise UpdateRefused(f"the package is {offer.name}, not {PACKAGE}")
    if offer.architecture not in {here, "all"}:
        raise UpdateRefused(f"the package is for {offer.architecture}; this machine is {here}")
    installed = _said("dpkg-query", "--show", "--showformat", "${Version}", PACKAGE)
    newer = subprocess.run([_program("dpkg"), "--compare-versions", offer.version, "gt", installed], check=False).returncode == 0
    if not newer and not older:
        raise UpdateRefused(f"version {offer.version} is not newer than {installed}, which is installed; --older takes it all the same")


def _install(package: Path, offer: Offer, state: Path) -> int:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run([_program("dpkg"), "--install", str(package)], check=False, env=environment)
    if done.returncode:
        _report(state, "failed", f"dpkg ended with {done.returncode}; its own log says why", offer.version)
        return 1
    return 0


def _report(state: Path, result: str, reason: str, version: str) -> None:
    """In the same words as the package's own reports: one place to look."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    report = {"version_from": "", "version_to": version, "result": result, "reason": reason, "at": at}
    replace_durably(state / "last-update.json", json.dumps(report).encode() + b"\n", mode=0o644)


def _said(program: str, *arguments: str) -> str:
    """What a program of Debian's says; empty where it fails."""
    done = subprocess.run([_program(program), *arguments], check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UpdateRefused(f"{name} is not on this machine: packages are for Debian")
    return found
