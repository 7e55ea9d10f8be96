"""A machine that may have 512 MiB in all, as the smallest Pi that a gate runs on: gate, eye, broker, system and page cache together.

GATE_LAB_MINUTES says how long the gate works before its memory is judged; what was found is printed.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.lab import service
from tests.lab.folder import Folder
from tests.lab.nspawn import Machine, booted, wait_for

MINUTES: Final = float(os.environ.get("GATE_LAB_MINUTES", "1"))
CONTROLLER: Final = Path("/sys/fs/cgroup/memory")
LIMIT_BYTES: Final = 512 << 20
TOGETHER_KIB: Final = 150 * 1024
"""Gate and eye may take so much between them. What both have of a file is in memory once, and counted once."""
FULL_SIZE: Final = (2304, 1296)
"""Of a frame, where nothing else is configured."""
VIRTUAL_KIB: Final = FULL_SIZE[0] * FULL_SIZE[1] * 3 // 2 // 1024
"""The virtual camera keeps a picture of its own in the eye's memory, in the place of a sensor: that is the laboratory's."""
UNITS: Final = ("gate.service", "gate-eye.service")
GROWTH_KIB: Final = 8 * 1024
"""What a process may grow after its first minute: caches fill, nothing else."""

pytestmark = [pytest.mark.lab, pytest.mark.timeout(int(MINUTES * 60) + 600)]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A cgroup of 512 MiB, swap included where it is counted."""
    if not (CONTROLLER / "memory.limit_in_bytes").exists():
        pytest.skip(
            "this kernel keeps the memory controller in cgroup version 2: the emulated PC of test_machine.py has 512 MB all the same"
        )
    group = CONTROLLER / f"gate-lab-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), 30, (group / "cgroup.procs").read_text)
    group.rmdir()


def memory_of(machine: Machine, unit: str) -> dict[str, int]:
    """Of a service's main process, in KiB by the kernel's names: resident, the most that it was, and of what kind."""
    status = machine.read(f"/proc/{machine.show(unit, 'MainPID')}/status")
    return {
        line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith(("VmHWM:", "VmRSS:", "Rss", "VmSwap:"))
    }


def together_kib(machine: Machine) -> int:
    """What both main processes have resident: of anonymous memory the sum, of each file what the one that has more of it has.

    The camera's buffers are the kernel's, in the laboratory as on a Pi.
    """
    anonymous, files = 0, dict[str, int]()
    for unit in UNITS:
        of_file, path = Counter[str](), ""
        for line in machine.read(f"/proc/{machine.show(unit, 'MainPID')}/smaps").splitlines():
            name, *rest = line.split(maxsplit=5)
            if not name.endswith(":"):
                path = rest[4] if len(rest) > 4 else ""
            elif name == "Rss:" and not path.startswith("/memfd:"):
                of_file[path] += int(rest[0])
            elif name == "Anonymous:" and not path.startswith("/memfd:"):
                anonymous += int(rest[0])
                of_file[path] -= int(rest[0])
        files = {path: max(files.get(path, 0), of_file[path]) for path in {*files, *of_file}}
    return anonymous + sum(files.values())


def resident_kib(machine: Machine) -> dict[str, int]:
    """Of both services' main processes."""
    return {unit: memory_of(machine, unit)["VmRSS"] for unit in UNITS}


def cpu_s(machine: Machine) -> dict[str, float]:
    """Processor seconds of both services' main processes since they started."""
    found = {}
    for unit in UNITS:
        fields = machine.read(f"/proc/{machine.show(unit, 'MainPID')}/stat").rpartition(")")[2].split()
        found[unit] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def test_a_gate_works_within_512_mib_and_does_not_grow(installed: Folder, memory: Path, tmp_path: Path) -> None:
    """Ten frames a second, a decision in each; nothing is killed for want of memory, and nothing is restarted."""
    folder = installed.copy(tmp_path / "copy")
    service.furnish(folder)
    with booted(folder, memory) as machine:
        service.wait_deciding(machine)
        time.sleep(min(60.0, MINUTES * 30))
        first, used, began, decided = resident_kib(machine), cpu_s(machine), time.monotonic(), service.decisions(machine)
        while time.monotonic() - began < MINUTES * 60:
            time.sleep(1)
        last, spent, seconds = resident_kib(machine), cpu_s(machine), time.monotonic() - began
        print(f"after {seconds / 60:.0f} min and {service.decisions(machine) - decided} decisions: resident KiB {first} -> {last}")  # noqa: T201 - the figures for the record
        print({unit: f"{(spent[unit] - used[unit]) / seconds:.1%} of a core" for unit in UNITS})  # noqa: T201 - the figures for the record
        print(f"most used by everything: {int((memory / 'memory.max_usage_in_bytes').read_text()) >> 20} MiB")  # noqa: T201 - the figures for the record
        assert "oom_kill 0" in (memory / "memory.oom_control").read_text()
        assert {machine.show(unit, "NRestarts") for unit in UNITS} == {"0"}
        assert service.decisions(machine) > decided
        assert all(last[unit] - first[unit] < GROWTH_KIB for unit in UNITS), (first, last)
        assert together_kib(machine) <= TOGETHER_KIB
        assert (memory / "cgroup.procs").read_text().split(), "the machine was in the group"


def test_gate_and_eye_with_the_real_camera_stack_take_150_mib_and_no_swap(installed: Folder, memory: Path, tmp_path: Path) -> None:
    """Frames of the full size from real picamera2, a card held up and taken away again and again."""
    folder = installed.copy(tmp_path / "copy")
    service.furnish_camera(folder, FULL_SIZE)
    with booted(folder, memory) as machine:
        wait_for(lambda: service.status(machine).get("state") == "ready", 60, lambda: machine.journal("gate-eye.service"))
        before, began = service.decisions(machine), time.monotonic()
        while time.monotonic() - began < MINUTES * 60:
            shown = service.decisions(machine)
            service.show(machine, "card")
            wait_for(lambda shown=shown: service.decisions(machine) > shown, 30, lambda: machine.journal("gate-eye.service"))  # type: ignore[misc]  # mypy infers no lambda with a default
            service.show(machine, "nobody")
            time.sleep(2)
        found = resident_kib(machine)
        together = together_kib(machine) - VIRTUAL_KIB
        print(f"after {service.decisions(machine) - before} decisions: resident KiB {found}, together {together >> 10} MiB")  # noqa: T201 - the figures for the record
        print({unit: memory_of(machine, unit) for unit in UNITS})  # noqa: T201 - the figures for the record
        assert {machine.show(unit, "NRestarts") for unit in UNITS} == {"0"}
        assert {memory_of(machine, unit)["VmSwap"] for unit in UNITS} == {0}
        assert together <= TOGETHER_KIB, found
