"""A machine that may have 512 MiB in all, as the smallest Pi that a gate runs on: gate, eye, broker, system and page cache together.

GATE_LAB_MINUTES says how long the gate works before its memory is judged; what was found is printed.
"""

from __future__ import annotations

import os
import time
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


def resident_kib(machine: Machine) -> dict[str, int]:
    """Of both services' main processes."""
    found = {}
    for unit in UNITS:
        status = machine.read(f"/proc/{machine.show(unit, 'MainPID')}/status")
        found[unit] = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return found


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
        assert (memory / "cgroup.procs").read_text().split(), "the machine was in the group"
