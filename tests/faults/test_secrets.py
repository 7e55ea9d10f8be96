"""No name and no number in the clear: not in the record, a temporary file, the log or on the wire; in memory for one decision only."""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from PIL import Image

from device.workbench import people
from device.workbench.scenes import Pose, empty_scene, scene
from tests.faults.site import CODES, Site, say, site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

SIZE: Final = (640, 480)
AT_ONCE: Final = 2
"""A person before the camera, and the one whose decision has just been made."""
QUIET_S: Final = 3.0
LEAST: Final = 8
"""Bytes. Shorter shapes stand in other data by chance."""


def identities() -> list[str]:
    """Names and numbers of those who stand before the camera (see `site.draw`)."""
    found = []
    for person in people.people(CODES, people.seeded(5)):
        fields = people.citizen_card(person).decode().split("|")
        found += [fields[0], fields[2]]
    return found


def shapes(text: str) -> list[bytes]:
    """What a text looks like wherever somebody might have put it."""
    plain = text.encode()
    folded = [plain, text.encode("utf-16-le"), plain.hex().encode(), plain[::-1]]
    folded += [base64.b64encode(plain[at:])[2:-4] for at in range(3)]
    escaped = text.encode("unicode_escape")
    return [shape for shape in {*folded, escaped} if len(shape) >= LEAST]


def found_in(data: bytes, needles: Sequence[bytes]) -> list[bytes]:
    """Which of them stand in the data."""
    return [needle for needle in needles if needle in data]


@contextmanager
def watched(folder: Path) -> Iterator[Site]:
    """A site whose people are known, with everything kept that the broker and the province saw."""
    with site(folder) as one:
        noise = np.random.default_rng(5)
        for number, person in enumerate(people.people(CODES, people.seeded(5))):
            picture = scene([people.citizen_card(person)], Pose(px_per_module=4), noise, SIZE)
            Image.fromarray(picture).save(folder / "frames" / f"{number:03d}.png")
        yield one


def leave(one: Site) -> None:
    """Nobody stands before the camera any more."""
    empty = Image.fromarray(empty_scene(np.random.default_rng(1), SIZE))
    for path in Path(one.stage.source.partition(":")[2]).iterdir():
        empty.save(path)
    time.sleep(QUIET_S)


def test_the_search_finds_what_is_there() -> None:
    """Each shape of a name in the middle of other bytes: else the tests below could not fail."""
    name = "Rơ Châm H'Blui"
    for at in range(3):
        assert found_in(base64.b64encode(b"x" * at + b"abc" + name.encode() + b"xyz"), shapes(name))
    for shape in (name.encode(), name.encode("utf-16-le"), name.encode().hex().encode(), name.encode("unicode_escape")):
        assert found_in(b"\0\1" + shape + b"\2", shapes(name))
    assert not found_in(b"somebody else", shapes(name))


def test_nobody_is_named_in_any_file_in_the_log_or_in_the_province(tmp_path: Path) -> None:
    """Forty people pass, the broker is away for a while, and the gate is killed; then everything that was written is searched."""
    needles = [shape for text in identities() for shape in shapes(text)]
    with watched(tmp_path) as one:
        one.wait_answers(CODES, limit_s=60)
        one.down({"broker"})
        one.wait_answers(10)
        one.kill({"gate"})
        one.up({"broker"})
        one.wait_answers(3)
        one.settle()
        found = one.compare()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".png"]
    hits = {str(path.relative_to(tmp_path)): found_in(path.read_bytes(), needles)[:3] for path in files}
    say(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes searched for {len(needles)} shapes; {found}")
    assert found.held >= CODES
    assert {name.split("/")[-1] for name in hits} >= {"journal.sqlite", "log", "province.sqlite"}
    assert not {name: hit for name, hit in hits.items() if hit}


def test_a_payload_lives_in_memory_for_one_decision(tmp_path: Path) -> None:
    """The memory of gate and eye is read from outside: while people pass it holds the latest, and then nobody."""
    needles = [text.encode() for text in identities() if len(text.encode()) >= LEAST]
    with watched(tmp_path) as one:
        one.wait_answers(CODES, limit_s=60)
        assert one.gate is not None
        busy = {name: len(set(found_in(memory(pid), needles))) for name, pid in processes(one)}
        leave(one)
        quiet = {name: found_in(memory(pid), needles) for name, pid in processes(one)}
    say(f"names and numbers in memory while {CODES} people pass: {busy}; {QUIET_S:.0f} s after the last: {quiet}")
    assert all(count <= 2 * AT_ONCE for count in busy.values()), busy
    assert not any(quiet.values()), quiet


def processes(one: Site) -> list[tuple[str, int]]:
    """Gate and eye."""
    assert one.gate is not None
    assert one.eye_pid is not None
    return [("gate", one.gate.pid), ("eye", one.eye_pid)]


def memory(pid: int) -> bytes:
    """All memory of a process that can be written."""
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as content:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            where, rights, *_ = line.split()
            if rights.startswith("rw"):
                first, last = (int(part, 16) for part in where.split("-"))
                content.seek(first)
                found += content.read(last - first)
    return bytes(found)


def test_a_running_gate_leaves_no_core_dump(tmp_path: Path) -> None:
    """Neither gate nor eye may be dumped, whatever the machine is set to."""
    with site(tmp_path) as one:
        one.stop()
        command = [sys.executable, "-m", "device.cli", "run", "--config", str(one.stage.config_path)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                one.gate = process
                one.wait(lambda: one.told("eye", "alive"), 20, "a running eye")
                limits = {name: core_limit(pid) for name, pid in processes(one)}
            finally:
                process.terminate()
    assert limits == {"gate": ("0", "0"), "eye": ("0", "0")}


def core_limit(pid: int) -> tuple[str, str]:
    """The soft and the hard limit on a core dump."""
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size"))
    soft, hard = line.split()[4:6]
    return soft, hard
