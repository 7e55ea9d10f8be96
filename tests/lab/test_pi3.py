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
    """Green and the relay go high; however the gate ends while they are, both are inputs at rest, though this kernel keeps outputs."""
    folder = board.copy(tmp_path / "copy", {})
    pi3.furnish(folder, CONFIGURATION)
    machine = Pi3(folder, prepare("pi3-kernel"), tmp_path)
    seen: dict[int, list[int]] = {GREEN: [], RELAY: []}
    begun: dict[str, list[int]] = {}
    ended: dict[str, list[tuple[int, int]]] = {}

    def watch(now: Pi3) -> bool:
        time.sleep(0.02)
        for pin, levels in seen.items():
            level = now.level(pin)
            if not levels or levels[-1] != level:
                levels.append(level)
        for name in pi3.ENDS:
            if now.said(f"LAB-BEGIN {name}") and name not in begun:
                begun[name] = [now.function(pin) for pin in seen]
            if now.said(f"LAB-REST {name}") and name not in ended:
                ended[name] = [(now.function(pin), now.level(pin)) for pin in seen]
        return now.said("LAB-END")

    took = machine.run(watch)
    print(f"{took:.0f} s; levels seen: {seen}; at the end of each: {ended}")  # noqa: T201 - the figures for the record
    assert sum(seen[GREEN]) >= 2, machine.words()
    assert sum(seen[RELAY]) >= 4, machine.words()
    assert {name: functions[1] for name, functions in begun.items()} == dict.fromkeys(pi3.ENDS, OUTPUT)
    assert ended == {name: [(INPUT, 0), (INPUT, 0)] for name in pi3.ENDS}
