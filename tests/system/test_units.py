"""The units and their README belong together, and what they start can be started."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from device.cli import _parser
from device.edges.pins import rest

SYSTEMD: Final = Path(__file__).parents[2] / "systemd"
FILES: Final = sorted(path for path in SYSTEMD.rglob("*") if path.is_file() and path.name != "README.md")
UNITS: Final = [path for path in FILES if path.suffix in {".service", ".socket"}]
README: Final = (SYSTEMD / "README.md").read_text(encoding="utf-8")


def directives(path: Path) -> list[tuple[str, str]]:
    """Every setting of a unit: name and value."""
    lines = [line.partition("=") for line in path.read_text(encoding="utf-8").splitlines() if "=" in line and not line.startswith("#")]
    return [(name, value) for name, _, value in lines]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SYSTEMD)))
def test_every_file_has_its_sentence(path: Path) -> None:
    """What it is for."""
    assert re.search(rf"^\| `{re.escape(str(path.relative_to(SYSTEMD)))}` \| .+\. \|$", README, re.MULTILINE)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_every_setting_is_explained(path: Path) -> None:
    """A line that nobody can explain is a line that nobody dares to change."""
    explained = "\n".join(line for line in README.splitlines() if line.startswith(("* `", "  ")))
    missing = sorted({name for name, _ in directives(path) if name != "Description" and f"`{name}=" not in explained})
    assert missing == []


@pytest.mark.parametrize("path", [path for path in UNITS if path.suffix == ".service"], ids=lambda path: path.name)
def test_what_a_unit_starts_is_a_command_of_ours(path: Path) -> None:
    """The command line parses, by the program's own parser."""
    command = shlex.split(dict(directives(path))["ExecStart"])
    assert command[0] == "/opt/gate/current/bin/gate"
    assert _parser().parse_args(command[1:]).config == Path("/etc/gate/gate.toml")


def test_what_puts_the_pins_to_rest_reads_what_the_gate_noted() -> None:
    """By the gate's own Python, from the folder that outlives the gate."""
    settings = dict(directives(SYSTEMD / "gate.service"))
    module, note = rest.__name__, f"/run/{settings['RuntimeDirectory']}/{rest.NOTE}"
    assert shlex.split(settings["ExecStopPost"]) == ["/opt/gate/current/bin/python", "-I", "-m", module, note]
    assert settings["RuntimeDirectoryPreserve"] == "yes"


def test_the_hardware_watchdog_is_not_asked_for_more_than_it_can() -> None:
    """A Pi's counts to 15 s; older kernels mask a larger value or refuse it."""
    settings = dict(directives(SYSTEMD / "system.conf.d/60-gate-watchdog.conf"))
    assert int(settings["RuntimeWatchdogSec"].removesuffix("s")) <= 15


def test_a_crashed_kernel_starts_anew_before_the_hardware_watchdog_has_to() -> None:
    """Until then every line stays as it was, and with it an open door. Nought would be never."""
    settings = {name.strip(): value.strip() for name, value in directives(SYSTEMD / "sysctl.d/60-gate.conf")}
    watchdog_s = int(dict(directives(SYSTEMD / "system.conf.d/60-gate-watchdog.conf"))["RuntimeWatchdogSec"].removesuffix("s"))
    assert 0 < int(settings["kernel.panic"]) < watchdog_s


def test_no_log_is_kept_in_memory_only_and_none_grows_without_bound() -> None:
    """After Raspberry Pi OS's own drop-in, which says volatile."""
    settings = dict(directives(SYSTEMD / "journald.conf.d/60-gate.conf"))
    assert (settings["Storage"], settings["SystemMaxUse"]) == ("persistent", "64M")
    assert Path("60-gate.conf").name > "40-rpi-volatile-storage.conf"


def test_a_wrong_configuration_never_reboots_the_machine() -> None:
    """Exit code 2 is final; anything else that keeps happening is a reboot in the end."""
    settings = dict(directives(SYSTEMD / "gate.service"))
    assert (settings["RestartPreventExitStatus"], settings["Restart"], settings["StartLimitAction"]) == ("2", "always", "reboot")
