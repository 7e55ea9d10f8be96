"""An emulated PC with the kernel's own GPIO chip and watchdog: pins by label, safe pins, a crashed kernel, boot times, 512 MB."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from tests.lab import service
from tests.lab.folder import Folder
from tests.lab.machine import Emulated, furnish

pytestmark = [pytest.mark.lab, pytest.mark.vm, pytest.mark.timeout(1800)]

GUEST: Final = Path(__file__).with_name("guest")
CONFIGURATION: Final = service.CONFIGURATION.replace(
    'pin_factory = "mock"', 'pin_factory = "lgpio"\nchip = "pinctrl-bcm2711"\n[signals.relay]\npin = 25\n[signals.white]\npin = 24'
).replace("fps = 10.0", "fps = 4.0")
"""Slower frames: the processor is emulated."""


@pytest.fixture(scope="module")
def machine(installed: Folder, tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    """One boot in which everything is tried that leaves the machine alive: 512 MB, clock in 1970, no network, no broker's peer."""
    folder = installed.copy(tmp_path_factory.mktemp("machine") / "copy", {})
    furnish(folder, GUEST, CONFIGURATION)
    made = Emulated(folder, tmp_path_factory.mktemp("emulated"))
    (made.share / "plan").write_text("boot answers killed busy renumbered")
    print(f"machine on for {made.run(memory_mib=512, clock='1970-01-01'):.0f} s")  # noqa: T201 - a figure for the record
    return made


def test_a_machine_of_512_mb_boots_into_service_in_1970_without_any_network(machine: Emulated) -> None:
    """Every unit is well, the gate has decided, and says that it does not know the time."""
    boot = machine.result("boot")
    print({name: boot[name] for name in boot if name not in {"status", "first"}})  # noqa: T201 - the figures for the record
    assert boot["failed"] == ""
    assert boot["clock"] < 1_000_000_000 or "clock" in boot["status"]["problems"]
    assert "clock" in boot["status"]["problems"]
    assert boot["status"]["decisions"]["decisions"] >= 1
    assert boot["mem_total_kib"] < 512 * 1024
    assert boot["mem_available_kib"] > 100 * 1024
    assert sum(boot["resident_kib"].values()) < 200 * 1024


def test_the_lines_do_what_the_score_says(machine: Emulated) -> None:
    """Read from outside: an accept lights green, pulses the relay, sounds once; a refusal flashes red and opens nothing."""
    found = machine.result("answers")
    edges: Counter[tuple[str, int]] = Counter()
    for at, name, level in found["changes"]:
        edges[name, level] += at > 0
    accepted = [event for event in found["events"] if event.get("data", event).get("decision") == "accept"]
    refused = [event for event in found["events"] if event.get("data", event).get("decision") == "reject"]
    assert accepted
    assert refused
    assert edges["green", 1] >= 5, (edges, machine.words())
    assert edges["relay", 1] >= 5, edges
    rises = [at for at, line, level in found["changes"] if line == "red" and level and at > 0]
    flashes = Counter(
        len([at for at in rises if first <= at < first + 2]) for first in rises if not any(first - 1 < at < first for at in rises)
    )
    # Four flashes each, but where something cuts them short; at most three in any second.
    assert flashes[4] >= 1, (flashes, rises)
    assert max(flashes) == 4, (flashes, rises)
    assert max(sum(at <= other < at + 1 for other in rises) for at in rises) <= 3, rises
    assert edges["buzzer", 1] >= 5 + 3 * flashes[4], edges
    opened = [at for at, line, level in found["changes"] if line == "relay" and level and at > 0]
    assert not any(rises[0] - 0.3 < at < rises[0] + 1.2 for at in opened), (rises, opened)
    for length in durations(found["changes"], "relay")[1:-1]:
        assert 0.4 < length < 1.0, durations(found["changes"], "relay")


def durations(changes: list[tuple[float, str, int]], name: str) -> list[float]:
    """How long a line was high, each time."""
    found, since = [], None
    for at, line, level in changes:
        if line == name:
            if level:
                since = at
            elif since is not None:
                found.append(at - since)
                since = None
    return found


def test_pins_are_at_rest_at_once_after_kill_minus_nine(machine: Emulated) -> None:
    """No lamp stays lit and no door stays open when the process is gone: the kernel gives the lines back."""
    killed = machine.result("killed")
    assert set(killed["levels"].values()) == {0}
    assert killed["at_rest_s"] < 1


def test_a_busy_pin_is_said_and_taken_when_it_is_free(machine: Emulated) -> None:
    """The gate goes on with the others."""
    busy = machine.result("busy")
    assert "signals" in busy["problems"]
    assert busy["cured_s"] < 60


def test_the_chip_is_found_by_its_label_whatever_its_number(machine: Emulated) -> None:
    """Another chip was there first; a label that no chip has is reported, and is not another chip's."""
    found: dict[str, Any] = machine.result("renumbered")
    assert "gpiochip1 [pinctrl-bcm2711]" in found["detected"], found["detected"]
    assert "signals" in found["wrong"]["problems"]
    assert "no GPIO chip is labelled pinctrl-rp1" in found["wrong"]["failing"][0]


def test_a_crashed_kernel_is_reset_by_the_watchdog_and_the_gate_comes_back(installed: Folder, tmp_path: Path) -> None:
    """Panic with no reboot of its own: the hardware watchdog resets the machine, and the record goes on where it was."""
    folder = installed.copy(tmp_path / "copy", {})
    furnish(folder, GUEST, CONFIGURATION)
    machine = Emulated(folder, tmp_path / "emulated")
    (machine.share / "plan").write_text("boot crash")
    machine.run(reboots=True, watchdog=True)
    before, crash, after = machine.result("boot"), machine.result("crash"), machine.result("after")
    assert "hardware watchdog" in before["watchdog"].lower(), before["watchdog"]
    assert after["status"]["journal"]["epoch"] == crash["epoch"]
    assert after["status"]["journal"]["newest"] > crash["newest"]
    print(f"in service again {after['at'] - crash['at']:.0f} s after the crash")  # noqa: T201 - a figure for the record
