"""An emulated PC with the kernel's own GPIO chip and watchdog: pins by label, safe pins, a crashed kernel, boot times, 512 MB."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from device.core.score import Lamp
from device.core.signals import Lights, Pattern, Tones, pattern
from device.core.types import Sign
from device.edges.pins.gpio_signals import shipped_score
from tests.lab import service
from tests.lab.folder import Folder
from tests.lab.machine import ONE_PERSON, Emulated, furnish

pytestmark = [pytest.mark.lab, pytest.mark.vm, pytest.mark.timeout(1800)]

GUEST: Final = Path(__file__).with_name("guest")
CONFIGURATION: Final = service.CONFIGURATION.replace(
    'pin_factory = "mock"',
    'pin_factory = "lgpio"\nchip = "pinctrl-bcm2711"\n[signals.relay]\npin = 21\n[signals.white]\npin = 24\n'
    '[signals.button]\npin = 25\n[trust]\nprovince = "/etc/gate/province.pem"',
).replace("fps = 10.0", "fps = 4.0")
"""Slower frames: the processor is emulated."""

STEADY: Final = CONFIGURATION + "".join(
    f"[signals.{lamp}]\npin = {pin}\npwm = false\n" for lamp, pin in (("green", 17), ("red", 27), ("amber", 22), ("blue", 23))
)
"""Lamps that only switch, so that a level read now and then is what a person sees."""
ALONE: Final = STEADY.replace("/var/lib/lab/frames", str(ONE_PERSON))
OUTCOMES: Final = {
    "accept_in": (Sign.ACCEPT_IN, STEADY.replace('direction = "both"', 'direction = "in"')),
    "accept_out": (Sign.ACCEPT_OUT, STEADY.replace('direction = "both"', 'direction = "out"')),
    "already": (Sign.ALREADY, ALONE.replace("duplicate_window_s = 0.0", "duplicate_window_s = 600.0")),
    "refer": (Sign.REFER, ALONE.replace("[policy]", '[policy]\nlists = [{ name = "never-sent", use = "allow" }]')),
    "unreadable": (Sign.UNREADABLE, ALONE),
    "out_of_service": (Sign.OUT_OF_SERVICE, ALONE),
}
"""Each with the sign that is to be seen, and how a gate comes to show it."""
PAUSE_S: Final = 0.6
LATE_S: Final = 0.03
"""A line's change may be so late in the emulated machine, where the gate's other threads and the eye share one processor with it."""


SHORT: Final = {"accept_in", "out_of_service"}
"""One that passes and one that stays; the others are of the long form: each takes a minute."""
CHOSEN: Final = [pytest.param(name, marks=() if name in SHORT else pytest.mark.soak) for name in OUTCOMES]


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest, installed: Folder, tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    """One boot in which everything is tried that leaves the machine alive: 512 MB, clock in 1970, no network, no broker's peer."""
    folder = installed.copy(tmp_path_factory.mktemp("machine") / "copy", {})
    furnish(folder, GUEST, CONFIGURATION)
    made = Emulated(folder, tmp_path_factory.mktemp("emulated"))
    (made.share / "plan").write_text("boot answers button outcomes killed busy renumbered")
    (made.share / "outcomes").mkdir()
    asked = {
        item.callspec.params.get("name")
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    }
    for name, (_, text) in OUTCOMES.items():
        if name not in asked:
            continue
        (made.share / "outcomes" / f"{name}.toml").write_text(text)
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
    # The watch may begin in the middle of a refusal: the first that was seen whole.
    whole = next(first for first in rises if first > 1 and not any(first - 1 < at < first for at in rises))
    assert not any(whole - 0.3 < at < whole + 1.2 for at in opened), (rises, opened)
    pulses = durations(found["changes"], "relay")[1:-1]
    # Somebody who passes while the door is still released has it released for longer.
    assert all(0.5 - LATE_S < length < 1.0 for length in pulses), pulses
    assert sorted(pulses)[len(pulses) // 2] < 0.5 + LATE_S, pulses


def test_a_held_button_opens_the_window_for_an_order_and_a_touch_does_not(machine: Emulated) -> None:
    """By the kernel's own chip, under the service's own sandbox: blue and red together say it, and the record has it."""
    found = machine.result("button")
    assert "commissioning" not in found["states"]
    print(f"held for {found['held_s']:.1f} s of the emulated machine")  # noqa: T201 - a figure for the record
    assert found["held_s"] >= 3.0
    lit_at = {name: [at for at, line, level in found["changes"] if line == name and level and at > 0] for name in ("blue", "red")}
    together = [at for at in lit_at["red"] if any(abs(at - other) < LATE_S for other in lit_at["blue"])]
    assert len(together) >= 3, lit_at
    windows = [event for event in found["events"] if event.get("data", event).get("what") == "window"]
    assert len(windows) == 1, found["events"][-5:]


@pytest.mark.parametrize("name", CHOSEN)
def test_each_outcome_does_to_the_lines_what_the_score_writes(machine: Emulated, name: str) -> None:
    """Every level of every lamp and beep of the sign, in order and for as long as written, read from the kernel's own lines."""
    sign, _ = OUTCOMES[name]
    found = machine.result("outcomes")[name]
    meant = pattern(shipped_score(), sign, "normal", "full").wired(dict.fromkeys(Lamp, False))
    wanted = spoken(meant)
    if meant.standing:
        stands(seen_spans(found["changes"]), meant)
        return
    shown = [part for part in showings(found["changes"]) if any(line in part for line in wanted if line != "buzzer")]
    print(name, wanted, shown[:3])  # noqa: T201 - what was seen, for the record
    agreeing = [part for part in shown if agrees(part, wanted)]
    assert len(agreeing) >= 2, (wanted, shown, found["problems"])
    # Beside them only what was cut by the beginning or the end of the watch, and what led to the situation.
    assert len(agreeing) >= len(shown) - 3, (wanted, [part for part in shown if part not in agreeing])


def spoken(sign: Pattern) -> dict[str, list[tuple[float, float]]]:
    """What the score writes for one showing, or one period: beginning and length of each light and beep, in seconds, by line."""
    tracks: dict[str, Lights | Tones] = {lamp.value: light for lamp, light in sign.lamps.items()} | {"buzzer": sign.sound}
    return {name: spans for name, part in tracks.items() if (spans := lit(part))}


def lit(part: Lights | Tones) -> list[tuple[float, float]]:
    """The spans of a track in which there is light or sound."""
    return [(start / 1000, ms / 1000) for start, (ms, value) in zip(part.starts_ms, part.spans, strict=False) if value]


def seen_spans(changes: list[tuple[float, str, int]]) -> list[tuple[float, float, str]]:
    """Beginning, end and line of each light and beep that was seen whole."""
    spans: list[tuple[float, float, str]] = []
    since: dict[str, float] = {}
    for at, line, level in changes:
        if line in {"green", "red", "amber", "buzzer"} and at > 0:
            if level:
                since[line] = at
            elif line in since:
                spans.append((since.pop(line), at, line))
    return sorted(spans)


def showings(changes: list[tuple[float, str, int]]) -> list[dict[str, list[tuple[float, float]]]]:
    """Lights and beeps as they were seen, parted where all was dark and silent for longer than within any passing sign."""
    parted: list[dict[str, list[tuple[float, float]]]] = []
    begun = ended = -math.inf
    for first, last, line in seen_spans(changes):
        if first - ended > PAUSE_S:
            parted.append({})
            begun = first
        parted[-1].setdefault(line, []).append((first - begun, last - first))
        ended = max(ended, last)
    return parted


def stands(spans: list[tuple[float, float, str]], meant: Pattern) -> None:
    """A standing sign's lights come again and again as written, and no beep comes sooner than it may."""
    # A gate whose camera is slow to come says so too, and then lets people pass.
    begun = max((last for _, last, line in spans if line in {"green", "red"}), default=0.0)
    amber = [(first, last) for first, last, line in spans if line == "amber" and first > begun]
    ((_, length),) = lit(meant.lamps[Lamp.AMBER])
    period = meant.lamps[Lamp.AMBER].length_ms / 1000
    whole = [last - first for first, last in amber if abs(last - first - length) < LATE_S]
    apart = [later - earlier for (earlier, _), (later, _) in pairwise(amber)]
    regular = [gap for gap in apart if abs(gap - period) < LATE_S]
    # A chirp keeps its distance from the one before, also from one while the camera was coming.
    passed = min((first for first, _, line in spans if line in {"green", "red"}), default=0.0)
    early = [first for first, _, line in spans if line == "amber" and first < passed]
    beeps = [
        (first, last - first)
        for first, last, line in spans
        if line == "buzzer" and (first > amber[0][0] or (early and first < passed - LATE_S))
    ]
    print(meant.sign, amber[:4], beeps)  # noqa: T201 - what was seen, for the record
    assert len(whole) >= max(4, len(amber) // 2), amber
    assert len(regular) >= max(3, len(apart) // 2), apart
    ((after, beep),) = lit(meant.sound)
    alike = [at for at, length in beeps if abs(length - beep) < LATE_S / 2]
    assert alike, (beeps, beep)
    assert alike[0] >= (early or [amber[0][0]])[0] + after - LATE_S or meant.sign is not Sign.OUT_OF_SERVICE
    assert all(later - earlier > meant.sound.length_ms / 1000 - LATE_S for earlier, later in pairwise(alike)), alike


def agrees(seen: dict[str, list[tuple[float, float]]], wanted: dict[str, list[tuple[float, float]]]) -> bool:
    """Whether the same lines did the same, each light and beep at its time and for its length."""
    if seen.keys() != wanted.keys() or any(len(seen[line]) != len(wanted[line]) for line in wanted):
        return False
    return all(
        abs(at - meant_at) < LATE_S and abs(length - meant_length) < LATE_S
        for line in wanted
        for (at, length), (meant_at, meant_length) in zip(seen[line], wanted[line], strict=True)
    )


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
    assert killed["at_rest_s"] < 0.2


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


@pytest.mark.soak
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
