"""Makes a set: apt resolves and fetches, against the list of packages of the image that the cards are written with.

The list is the ``.info`` file beside each image of Raspberry Pi OS: `dpkg --list` after a few
lines. apt is given that as the state of a machine, so that what the set holds is what
that machine lacks. Runs where apt is (Debian, Raspberry Pi OS), as anybody; the folder that it
makes serves every laptop.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from provisioning.card.package_set import INDEX, PackageSet, SetFacts, digest_of, seal_set
from provisioning.common.errors import Refused

CAMERA: Final = ("python3-picamera2", "python3-libcamera", "python3-lgpio")
"""Of Raspberry Pi's own archive: camera and pins."""
MODEM: Final = ("modemmanager",)
"""For a site on a mobile network; Raspberry Pi OS Lite is without it since 2026."""
_DPKG_DEB: Final = "dpkg-deb"
_ROW: Final = re.compile(r"^[a-z]i\s+([a-z0-9][a-z0-9.+-]+)(?::([a-z0-9-]+))?\s+(\S+)\s+([a-z0-9-]+)\b", re.MULTILINE)
_GENERATED: Final = re.compile(r"^Generated using .+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a set is to be. ``sources`` are apt's own files; empty for those of this machine."""

    package: Path
    image_list: Path
    architecture: str
    extra: tuple[str, ...]
    sources: tuple[Path, ...] = ()


def make_set(wish: Wish, out: Path) -> PackageSet:
    """Into the folder ``out``, replacing the set there. Raises Refused: E166 with what apt says, E153, E167 for what is no list."""
    if shutil.which("apt-get") is None or shutil.which(_DPKG_DEB) is None:
        raise Refused("E166", why="apt-get, dpkg-deb?")
    image, installed = read_list(wish.image_list)
    name, version = _named(wish.package, wish.architecture)
    growing = out.with_name(f"{out.name}.new")
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        apt = Apt(Path(scratch), wish)
        apt.run("update")
        apt.believe(installed)
        apt.run("install", "--yes", "--no-install-recommends", "--no-remove", "--download-only", str(wish.package.absolute()), *wish.extra)
        for path in apt.fetched():
            one, there = _named(path, None)
            if installed.get(one, ("", ""))[1] != there:
                # An epoch's colon, written %3a by apt, is nothing for FAT.
                shutil.copyfile(path, growing / path.name.replace("%3a", "-"))
    shutil.copyfile(wish.package, growing / wish.package.name)
    (growing / INDEX).write_text("".join(_described(path) for path in sorted(growing.glob("*.deb"))), encoding="utf-8")
    fetched = dict(_named(path, None) for path in growing.glob("*.deb"))
    present = {one: here for one, (_, here) in installed.items()}
    packages = {name: version, **{one: fetched.get(one) or present[one] for one in wish.extra if one in fetched or one in present}}
    made = seal_set(growing, SetFacts(architecture=wish.architecture, image=image, packages=packages))
    shutil.rmtree(out, ignore_errors=True)
    growing.replace(out)
    return PackageSet(made.about, out, made.names)


def read_list(path: Path) -> tuple[str, Mapping[str, tuple[str, str]]]:
    """The image's name, and each of its packages with architecture and version. Raises Refused (E167) for what is no such list."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("E167", path=path) from error
    found = {row[1]: (row[4], row[3]) for row in _ROW.finditer(text)}
    generated = _GENERATED.search(text)
    if "dpkg" not in found or generated is None:
        raise Refused("E167", path=path)
    return generated[0].strip(), found


class Apt:
    """apt with a folder of its own for everything, and another machine's packages for installed."""

    def __init__(self, scratch: Path, wish: Wish) -> None:
        """``scratch`` is empty."""
        self._scratch, self._wish = scratch, wish
        for name in ("state/lists/partial", "cache/archives/partial", "etc/sources.list.d"):
            (scratch / name).mkdir(parents=True)
        (scratch / "state/status").touch()
        if wish.sources:
            for number, source in enumerate(wish.sources):
                shutil.copyfile(source, scratch / "etc/sources.list.d" / f"{number}{source.suffix}")
            etc = {"Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": scratch / "etc/sources.list.d"}
        else:
            etc = {}
        told = {
            "APT::Architecture": wish.architecture,
            "Dir::State": scratch / "state",
            "Dir::State::status": scratch / "state/status",
            "Dir::Cache": scratch / "cache",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "true",
            **etc,
        }
        lines = [f'{key} "{value}";' for key, value in told.items()]
        (scratch / "apt.conf").write_text("\n".join([*lines, f'APT::Architectures {{ "{wish.architecture}"; }};', ""]), encoding="utf-8")

    def run(self, verb: str, *words: str) -> str:
        """What apt-get, or apt-cache for ``dumpavail``, says. Raises Refused (E166) with its words where it fails."""
        program = "apt-cache" if verb == "dumpavail" else "apt-get"
        environment = os.environ | {"APT_CONFIG": str(self._scratch / "apt.conf"), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run([program, "-q", verb, *words], check=False, capture_output=True, text=True, env=environment)
        if done.returncode:
            wrong = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))] or done.stdout.splitlines()[-8:]
            raise Refused("E166", why=" ".join(wrong)[:900])
        return done.stdout

    def believe(self, installed: Mapping[str, tuple[str, str]]) -> None:
        """Take packages for installed. What they provide for others is what the archive says of them; the list does not say it.

        What they need is left out: they stand together on a machine that works, and a list of another day than the archive's
        would look broken to apt. So apt takes the archive's build of the same version for another one, and may fetch it too.
        """
        known = dict(_paragraphs(self.run("dumpavail")))
        with (self._scratch / "state/status").open("w", encoding="utf-8") as file:
            for name, (architecture, version) in installed.items():
                if architecture in {"all", self._wish.architecture}:
                    told = {"Package": name, "Status": "install ok installed", "Architecture": architecture, "Version": version}
                    told |= {key: known[name][key] for key in ("Provides", "Multi-Arch") if key in known.get(name, {})}
                    told |= {"Maintainer": "-", "Description": "-"}
                    file.write("".join(f"{key}: {value}\n" for key, value in told.items()) + "\n")

    def fetched(self) -> Sequence[Path]:
        """The packages that apt fetched and checked."""
        return sorted((self._scratch / "cache/archives").glob("*.deb"))


def _paragraphs(available: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for paragraph in available.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and not line.startswith(" "))
        if "Package" in fields:
            yield fields["Package"], fields


def _named(package: Path, architecture: str | None) -> tuple[str, str]:
    """Name and version. Raises Refused (E153) for what is no package, or another architecture's."""
    form = "${Package} ${Version} ${Architecture}"
    done = subprocess.run([_DPKG_DEB, "--show", f"--showformat={form}", str(package)], check=False, capture_output=True, text=True)
    words = done.stdout.split()
    if done.returncode or len(words) != len(form.split()):
        raise Refused("E153", path=package, why="!= .deb")
    if architecture is not None and words[2] not in {architecture, "all"}:
        raise Refused("E153", path=package, why=words[2])
    return words[0], words[1]


def _described(package: Path) -> str:
    fields = subprocess.run([_DPKG_DEB, "--field", str(package)], check=True, capture_output=True, text=True).stdout.rstrip()
    return f"{fields}\nFilename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest_of(package)}\n\n"
