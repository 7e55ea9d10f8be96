"""The arm64 package on an emulated Raspberry Pi 3: the Pi's own pin driver, levels read from its registers from outside."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from provisioning.package.build import build, source
from tests.lab import pi3, service
from tests.lab.conftest import PACKAGES
from tests.lab.folder import Folder, prepare
from tests.lab.pi3 import INPUT, OUTPUT, Pi3

pytestmark = [pytest.mark.pi3, pytest.mark.timeout(3600)]

GREEN, RELAY = 17, 21
PULSE_MS: Final = 2_000
"""In `guest/relay.py`, which only the guest can import."""
CONFIGURATION: Final = service.CONFIGURATION.replace(
    'pin_factory = "mock"', 'pin_factory = "lgpio"\nchip = "pinctrl-bcm2835"\n[signals.relay]\npin = 21\npulse_ms = 5000'
).replace("fps = 10.0", "fps = 2.0")


@pytest.fixture(scope="module")
def board(laboratory: None, tmp_path_factory: pytest.TempPathFactory) -> Folder:  # noqa: ARG001 - asked for its effect
    """An arm64 Debian 13 with the arm64 package installed by dpkg, under emulation of its programs."""
    packages = tmp_path_factory.mktemp("arm64")
    build(source(), "arm64", packages)
    made = Folder(prepare("pi3"), tmp_path_factory.mktemp("board"), binds={packages: PACKAGES})
    started = time.monotonic()
    made.run(["sh", "-c", f"dpkg --install {PACKAGES}/*.deb"], timeout_s=1800)
    print(f"arm64 package installed under emulation in {time.monotonic() - started:.0f} s")  # noqa: T201 - a figure for the record
    return made


def test_every_wheel_works_on_arm64(board: Folder) -> None:
    """Imported and used, not only unpacked: decoders, sealing, pins."""
    say = (
        "import lgpio, cryptography.hazmat.primitives.hpke, pydantic, PIL.Image, zxingcpp, device.gate, platform; print(platform.machine())"
    )
    assert board.run(["/opt/gate/current/bin/python", "-c", say]).stdout.strip() == "aarch64"
    check = (
        "from device.eye.ladder import make_ladder; from device.eye.selfcheck import check; check(make_ladder().decoders); print('reads')"
    )
    assert board.run(["/opt/gate/current/bin/python", "-c", check]).stdout.strip() == "reads"


def test_whatever_ends_the_gate_its_lines_are_at_rest(board: Folder, tmp_path: Path) -> None:
    """Green and the relay go high; however the gate ends while they are, both are inputs at rest, though this kernel keeps outputs.

    And after the kernel's own end, which the product has start anew. On the way, on real lgpio: a thread that hangs holds the door
    for one pulse, and openings in turn leave nothing behind.
    """
    folder = board.copy(tmp_path / "copy", {})
    pi3.furnish(folder, CONFIGURATION)
    machine = Pi3(folder, prepare("pi3-kernel"), tmp_path)
    seen: dict[int, list[int]] = {GREEN: [], RELAY: []}
    begun: dict[str, tuple[int, int]] = {}
    ended: dict[str, list[tuple[int, int]]] = {}
    crashed: list[float] = []

    def both(now: Pi3) -> list[tuple[int, int]]:
        return [(now.function(pin), now.level(pin)) for pin in seen]

    def watch(now: Pi3) -> bool:
        time.sleep(0.02)
        for pin, levels in seen.items():
            level = now.level(pin)
            if not levels or levels[-1] != level:
                levels.append(level)
        for name in (*pi3.ENDS, "crash"):
            if name not in begun and now.said(f"LAB-BEGIN {name}"):
                begun[name] = both(now)[1]
                crashed.append(time.monotonic())
            if name not in ended and now.said(f"LAB-REST {name}"):
                ended[name] = both(now)
        # A board that starts anew has inputs: the emulator's reset, as the processor's on a Pi.
        if "crash" in begun and [function for function, _ in both(now)] == [INPUT, INPUT]:
            ended["crash"] = both(now)
        return "crash" in ended

    took = machine.run(watch)
    after_us = {name: machine.figures(f"LAB-AFTER {name}")[0] for name in pi3.ENDS}
    (hung_ms,), (opened_ms, again_ms) = machine.figures("LAB-HUNG"), machine.figures("LAB-OPENED")
    print(f"{took:.0f} s; levels seen: {seen}; at the end of each: {ended}")  # noqa: T201 - the figures for the record
    print(f"from the process's end to the unit's, us: {after_us}; python, rest, lgpio, ms: {machine.figures('LAB-COST')}")  # noqa: T201 - the same
    print(f"hung {hung_ms} ms, opened {opened_ms} ms, crash to inputs {time.monotonic() - crashed[-1]:.1f} s")  # noqa: T201 - the same
    assert sum(seen[GREEN]) >= 2, machine.words()
    assert sum(seen[RELAY]) >= 4, machine.words()
    assert {name: function for name, (function, _) in begun.items()} == dict.fromkeys((*pi3.ENDS, "crash"), OUTPUT)
    assert begun["crash"] == (OUTPUT, 1), "the crashed kernel holds the door until it starts anew"
    assert ended == {name: [(INPUT, 0), (INPUT, 0)] for name in (*pi3.ENDS, "crash")}
    assert machine.figures("LAB-PANIC") == [1]
    assert PULSE_MS - 100 < hung_ms < PULSE_MS + 1_000
    assert PULSE_MS - 1_000 < opened_ms < PULSE_MS + 1_000
    assert again_ms == -1, "a door that was shut opened again"
