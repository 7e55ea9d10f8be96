"""What a card carries beyond a stock image, and what writing it costs: ``python -m tests.bench.packages``.

Against the laboratory's stock card (`tests/lab/prepare stock`; needs root the first time): its own list for amd64, and for arm64 the same
list with that architecture's name, as Raspberry Pi OS's own cannot be had here. Debian's archive only, so without the
camera's packages. Prints one line of JSON.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from device.workbench.bench import machine
from provisioning.card.package_set import PackageSet, read_set
from provisioning.card.package_set_maker import Wish, make_set
from provisioning.card.writer import Card, steps
from provisioning.enrolment.claims import Enrolment
from provisioning.package.build import build, source
from provisioning.registry.tables import GateState
from tests.lab.folder import prepare
from tests.provisioning.card.pi_card import pi_card
from tests.provisioning.enrolment_kit import PHRASE, province

MACHINES = {"amd64": "x86-64-linux-gnu", "arm64": "aarch64-linux-gnu"}
"""How packages for one machine alone are called."""


def archive(folder: Path, architecture: str) -> Path:
    """Debian's, wherever this machine's apt fetches from."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    mirror = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    keys = next(one for one in Path("/usr/share/keyrings").glob("debian-archive-keyring.*"))
    path = folder / f"{architecture}.list"
    path.write_text(f"deb [arch={architecture} signed-by={keys}] {mirror} trixie main\n")
    return path


def measure(folder: Path, architecture: str) -> tuple[PackageSet, dict[str, Any]]:
    """The set for one architecture: seconds, bytes by package."""
    package = build(source(), architecture, folder)
    listed = folder / f"{architecture}.info"
    told = (prepare("stock") / "packages.info").read_text()
    listed.write_text(re.sub(r"\bamd64\b", architecture, told).replace("x86-64-linux-gnu", MACHINES[architecture]))
    started = time.perf_counter()
    made = make_set(Wish(package, listed, architecture, (), (archive(folder, architecture),)), folder / architecture)
    seconds = time.perf_counter() - started
    sizes = {name.split("_")[0]: (made.folder / name).stat().st_size for name in made.names if name.endswith(".deb")}
    return made, {"made_s": round(seconds, 1), "bytes": made.size, "packages": sizes}


def write_card_s(folder: Path, packages: PackageSet) -> float:
    """Seconds of one `card write` onto a folder of this machine's disk, its plan included."""
    (folder / "town").mkdir()
    town = province(folder / "town")
    gate, path = town.gate(GateState.PLANNED), pi_card(folder / "bootfs")
    (path / "issue.txt").write_text(f"{packages.about.image}\n")
    started = time.perf_counter()
    again = read_set(packages.folder, packages.about.architecture)
    for step in steps(Card(gate, path, Enrolment("enrol.example.org", 8884), again), town.registry, town.authority, PHRASE):
        step.do()
    town.registry.close()
    return time.perf_counter() - started


def main() -> int:
    """Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="gate-packages-") as name:
        found: dict[str, Any] = {}
        _, found["amd64"] = measure(Path(name), "amd64")
        made, found["arm64"] = measure(Path(name), "arm64")
        found["card_write_s"] = round(write_card_s(Path(name), made), 2)
    print(json.dumps({"on": machine(), **found}))  # noqa: T201 - its result
    return 0


if __name__ == "__main__":
    sys.exit(main())
