"""The packages that a gate needs beyond a stock Raspberry Pi OS Lite: a repository for apt in one folder, hash for hash.

Made once for an image and an architecture (`provisioning.card.package_set_maker`), and
written to each card.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provisioning.card.first_boot import SUMS
from provisioning.common.errors import Refused

ABOUT: Final = "packages.json"
INDEX: Final = "Packages"
LIMIT_BYTES: Final = 256 << 20


class SetFacts(BaseModel):
    """``packages.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    """Debian's name of it."""
    image: str
    """The image whose list of packages it was made against, as ``issue.txt`` on its boot partition says it."""
    packages: Annotated[dict[str, str], Field(min_length=1)]
    """What is to be installed by name, and its version; whatever these need lies beside them."""


@dataclass(frozen=True, slots=True)
class PackageSet:
    """A set that is whole."""

    about: SetFacts
    folder: Path
    names: tuple[str, ...]
    """Its files, the list of digests last."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum((self.folder / name).stat().st_size for name in self.names)

    def content(self, name: str) -> bytes:
        """A file."""
        return (self.folder / name).read_bytes()

    def has(self, package: str) -> bool:
        """Whether a package is in it, to be installed by name."""
        return package in self.about.packages


def read_set(folder: Path, architecture: str) -> PackageSet:
    """The set in a folder. Raises Refused: E164 where there is none, E165 for a damaged one or another architecture's."""
    if not (folder / SUMS).is_file():
        raise Refused("E164", path=folder, architecture=architecture)
    try:
        about = SetFacts.model_validate_json((folder / ABOUT).read_bytes())
        listed = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        names = []
        for digest, _, name in (line.partition("  ") for line in listed):
            if Path(name).name != name or digest_of(folder / name) != digest:
                raise Refused("E165", path=folder / name, why="SHA-256", architecture=architecture)
            names.append(name)
    except (OSError, ValidationError, ValueError) as error:
        raise Refused("E165", path=folder, why=str(error).splitlines()[0], architecture=architecture) from error
    if about.architecture != architecture:
        raise Refused("E165", path=folder, why=about.architecture, architecture=architecture)
    packages = PackageSet(about, folder, (*names, SUMS))
    if packages.size > LIMIT_BYTES:
        raise Refused("E165", path=folder, why=f"{packages.size >> 20} MiB", architecture=architecture)
    return packages


def seal_set(folder: Path, about: SetFacts) -> PackageSet:
    """Write ``packages.json`` and the list of digests over a folder that holds the packages and their index."""
    (folder / ABOUT).write_text(json.dumps(about.model_dump(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{digest_of(folder / name)}  {name}\n" for name in names), encoding="utf-8")
    return PackageSet(about, folder, (*names, SUMS))


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
