"""What is done in the emulated machine, one boot after another. Results go to the shared folder as JSON; then it is switched off.

``/mnt/share/plan`` names what to do in this boot.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from device.verbs.status import read_status
from tests.lab.guest.lines import Lines

SHARE = Path("/mnt/share")
PINS = {"green": 17, "red": 27, "amber": 22, "blue": 23, "white": 24, "buzzer": 18, "relay": 21}
LIMIT_S = 50.0
OUTCOME_S = 11.0
"""So long the lines are watched in each situation."""


def said(*command: str) -> str:
    """What a command says; its exit code does not matter."""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def status() -> dict[str, Any]:
    """What the gate says of itself; empty where it says nothing. Each start of `gate status` would take half a second here."""
    return read_status(Path("/run/gate")) or {}


def wait(true: Callable[[], object], what: str) -> float:
    """Seconds until something holds."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > LIMIT_S:
            log = said("journalctl", "-u", "gate", "-u", "gate-eye", "-n", "40", "--no-pager")
            raise SystemExit(f"not within the limit: {what}; {status()}\n{log}")
        time.sleep(0.05)
    return time.monotonic() - started


def result(name: str, content: object) -> None:
    """Leave something for the host."""
    (SHARE / f"{name}.json").write_text(json.dumps(content))
    os.sync()


def decided(count: int = 1) -> bool:
    """Whether the gate has made so many decisions."""
    return int(status().get("decisions", {}).get("decisions", 0)) >= count


def main_pid(unit: str) -> int:
    """The main process of a unit."""
    return int(said("systemctl", "show", "--value", "-p", "MainPID", unit))


def stamp(unit: str, name: str) -> float:
    """A moment of a unit, in seconds since the kernel started."""
    return int(said("systemctl", "show", "--value", "-p", name, unit)) / 1e6


def boot() -> dict[str, Any]:
    """When what was there, in seconds since the kernel started, and what the machine had left."""
    wait(decided, "a first decision")
    first = json.loads(said("journalctl", "-u", "gate", "-o", "json", "-n", "1"))
    memory = {line.split(":")[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    return {
        "first_decision_by_s": time.clock_gettime(time.CLOCK_BOOTTIME),
        "gate_started_s": stamp("gate.service", "ExecMainStartTimestampMonotonic"),
        "gate_ready_s": stamp("gate.service", "ActiveEnterTimestampMonotonic"),
        "eye_ready_s": stamp("gate-eye.service", "ActiveEnterTimestampMonotonic"),
        "clock": time.time(),
        "status": json.loads(said("/usr/bin/gate", "status", "--json")),
        "mem_total_kib": memory["MemTotal"],
        "mem_available_kib": memory["MemAvailable"],
        "resident_kib": {unit: resident(unit) for unit in ("gate.service", "gate-eye.service")},
        "first": first.get("MESSAGE"),
        "failed": said("systemctl", "--failed", "--no-legend"),
        "watchdog": said("journalctl", "-b", "-g", "hardware watchdog", "--no-pager", "-o", "cat"),
    }


def resident(unit: str) -> int:
    """Resident memory of a unit's main process, in KiB."""
    for line in Path(f"/proc/{main_pid(unit)}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def answers() -> dict[str, Any]:
    """What the lamps do while codes pass, beside what the record says of each."""
    lines = Lines(PINS)
    begin = status().get("decisions", {}).get("decisions", 0)
    wait(lambda: decided(begin + 8), "eight more decisions")
    time.sleep(3)
    changes = lines.stop()
    events = [json.loads(line) for line in said("/usr/bin/gate", "events", "--json", "--limit", "0").splitlines()]
    return {"changes": changes, "events": events, "pins": PINS}


def outcomes() -> dict[str, Any]:
    """What the lines do in each situation that the host has written a configuration for."""
    path = Path("/etc/gate/gate.toml")
    good = path.read_text()
    found = {}
    for case in sorted((SHARE / "outcomes").glob("*.toml")):
        said("systemctl", "stop", "gate.service", "gate-eye.service")
        path.write_text(case.read_text())
        found[case.stem] = situation(case.stem)
    path.write_text(good)
    said("systemctl", "restart", "gate-eye.service", "gate.service")
    return found


def situation(name: str) -> dict[str, Any]:
    """Start the gate and watch the lines for a while, from the first lamp on or from when the camera is gone."""
    said("systemctl", "reset-failed", "gate-eye.service", "gate.service")  # so many starts in a few minutes are limited
    if name == "unreadable":
        said("systemctl", "start", "gate.service")
        said("systemctl", "stop", "gate-eye.service")  # the gate wants it, and so it was started
        user = ["setpriv", "--reuid=gate-eye", "--regid=gate-eye", "--clear-groups"]
        command = [*user, sys.executable, "-m", "tests.lab.guest.glimpses", "/run/gate/eye/eye.sock"]
        with subprocess.Popen(command) as eye:
            lines = Lines(PINS)
            time.sleep(OUTCOME_S)
            eye.kill()
        return {"changes": lines.stop(), "problems": status().get("problems")}
    lines = Lines(PINS)
    said("systemctl", "start", "gate-eye.service", "gate.service")
    if name == "out_of_service":
        wait(decided, "a decision before the camera goes")
        said("systemctl", "stop", "gate-eye.service")
    else:
        wait(lambda: any(lines.levels()[lamp] for lamp in ("green", "red", "amber")), f"a lamp for {name}")
    time.sleep(OUTCOME_S)
    return {"changes": lines.stop(), "problems": status().get("problems")}


def button() -> dict[str, Any]:
    """Touch the technician's button, then hold it: what the gate says of itself, and what the lamps do."""
    (pull,) = Path("/sys/devices/platform").glob("gpio-sim.*/gpiochip*/sim_gpio25/pull")
    states = [status().get("state")]
    pull.write_text("pull-down")
    time.sleep(0.5)
    pull.write_text("pull-up")
    time.sleep(4)
    states.append(status().get("state"))
    pull.write_text("pull-down")
    began = time.monotonic()
    wait(lambda: status().get("state") == "commissioning", "the window for an order")
    held_s = time.monotonic() - began
    pull.write_text("pull-up")
    lines = Lines(PINS)
    time.sleep(6)
    events = [json.loads(line) for line in said("/usr/bin/gate", "events", "--json", "--limit", "50").splitlines()]
    return {"states": states, "held_s": held_s, "changes": lines.stop(), "events": events}


def killed() -> dict[str, Any]:
    """Kill -9 while the relay is held or a lamp is lit: how soon every line is at rest."""
    said("systemctl", "mask", "--runtime", "gate.service")
    lines = Lines(PINS)
    pid = main_pid("gate.service")  # asked before: the asking takes a second of its own here
    wait(lambda: any(lines.levels().values()), "a lit lamp")
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while any(lines.levels().values()) and time.monotonic() - at < 10:
        time.sleep(0.001)
    took = time.monotonic() - at
    levels = lines.levels()
    lines.stop()
    said("systemctl", "unmask", "--runtime", "gate.service")
    return {"at_rest_s": took, "levels": levels}


def busy() -> dict[str, Any]:
    """Another process holds a pin: the gate says so and goes on; when it is free again the gate takes it."""
    said("systemctl", "stop", "gate.service")
    chip = next(line.split()[0] for line in said("gpiodetect").splitlines() if "pinctrl-bcm2711" in line)
    with subprocess.Popen(["gpioset", "--chip", chip, "27=0"]) as holder:
        time.sleep(1)
        said("systemctl", "start", "gate.service")
        wait(lambda: "signals" in status().get("problems", []), "the busy pin in the status")
        seen = status()
        holder.kill()
    took = wait(lambda: status() and "signals" not in status()["problems"], "the pin taken back")
    return {"problems": seen["problems"], "signals": seen["signals"], "cured_s": took}


def renumbered() -> dict[str, Any]:
    """Which number the chip has, and what becomes of a gate whose label is of no chip."""
    found = said("gpiodetect")
    path = Path("/etc/gate/gate.toml")
    good = path.read_text()
    path.write_text(good.replace("pinctrl-bcm2711", "pinctrl-rp1"))
    said("systemctl", "restart", "gate.service")
    time.sleep(8)
    wrong = {"problems": status().get("problems"), "failing": status()["signals"]["failing"]}
    path.write_text(good)
    said("systemctl", "reset-failed", "gate.service")
    said("systemctl", "restart", "gate.service")
    wait(decided, "a decision with the right label")
    return {"detected": found, "wrong": wrong}


def crash() -> None:
    """Stop the kernel dead: only the watchdog can help."""
    os.sync()
    Path("/proc/sys/kernel/panic").write_text("0")
    Path("/proc/sysrq-trigger").write_text("c")


STEPS: dict[str, Callable[[], dict[str, Any]]] = {
    "boot": boot,
    "answers": answers,
    "button": button,
    "outcomes": outcomes,
    "killed": killed,
    "busy": busy,
    "renumbered": renumbered,
}


def main() -> None:
    """Do what this boot is for."""
    for step in (SHARE / "plan").read_text().split():
        sys.stderr.write(f"step {step}\n")
        if step == "crash":
            (SHARE / "plan").write_text("after")
            result("crash", {"at": time.time(), "newest": status()["journal"]["newest"], "epoch": status()["journal"]["epoch"]})
            crash()
        elif step == "after":
            result("after", boot() | {"at": time.time()})
        else:
            result(step, STEPS[step]())


if __name__ == "__main__":
    main()
