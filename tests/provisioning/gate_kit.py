"""An enrolled gate at work on this machine, before faces, with its desk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from device.gate import Gate as Program
from device.settings.desired import Desired, open_desired
from device.workbench import people
from device.workbench.scenes import Pose, scene
from tests.gate.test_gate import turning, until
from tests.provisioning.enrolment_kit import Province

POLICY: Final = """\
[policy]
accept = ["citizen_card"]
duplicate_window_s = 0.0
rearm_s = 0.2
lists = [{ name = "workers", use = "allow" }]
"""
WORKER, STRANGER = people.people(2, people.seeded(11))


def desk(town: Province) -> list[str]:
    """The options by which the desk's connection is made."""
    papers = town.papers("desk")
    return ["--cert", str(papers.cert), "--key", str(papers.key)]


@contextmanager
def at_gate(path: Path) -> Iterator[tuple[Program, Desired]]:
    """The gate's program with its configuration as it stands, connected."""
    desired = open_desired(path)
    assert desired is not None
    with turning(Program(desired.effective(), path, desired=desired)) as program:
        assert until(lambda: program.uplink is not None and program.uplink.stats()["phase"] == "online")
        yield program, desired


def faces(folder: Path) -> Path:
    """A worker and a stranger in turn, with nobody between."""
    folder.mkdir()
    noise = np.random.default_rng(3)
    for number, person in enumerate((WORKER, None, STRANGER, None)):
        payloads = [] if person is None else [people.citizen_card(person)]
        picture = scene(payloads, Pose(px_per_module=4), noise, (640, 480)) if payloads else np.full((480, 640), 200, np.uint8)
        for again in range(4):
            Image.fromarray(picture).save(folder / f"{number}{again}.png")
    return folder
