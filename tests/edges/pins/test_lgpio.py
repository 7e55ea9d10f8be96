"""Pins on lgpio: claimed at rest, on the chip that the label names; what cannot be had is named."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from device.config import ButtonSection, BuzzerSection, RelaySection
from device.edges.pins import pins as pins_module
from device.edges.pins import rest
from device.edges.pins.pins import Pins
from device.errors import MissingPackage, PinsUnusable
from tests.edges.pins.pins_kit import BRIGHT, DARK, NAMES, section, upside_down
from tests.fakes.lgpio import QUEUE, SET_PULL_DOWN, SET_PULL_UP, FakeLgpio, error


class _Loader(importlib.abc.Loader, importlib.abc.MetaPathFinder):
    """Imports the pretend lgpio as the real one is imported, with what that does to the process."""

    def __init__(self, fake: FakeLgpio) -> None:
        self.fake = fake

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == "lgpio" else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        del spec
        return self.fake.module()

    def exec_module(self, module: ModuleType) -> None:
        del module
        self.fake.make_fifo()


LOADED = ("lgpio", "gpiozero.pins.lgpio", "device.edges.pins.lgpio")


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have lgpio, and what is built on it, imported anew; afterwards all is as before."""
    for name in LOADED:
        monkeypatch.delitem(sys.modules, name, raising=False)
        package, _, attribute = name.rpartition(".")
        if package in sys.modules:
            monkeypatch.delattr(sys.modules[package], attribute, raising=False)


@pytest.fixture
def lgpio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeLgpio]:
    """A board like a Pi 5 with an older kernel: its header is on the chip numbered 4, beyond one that cannot be opened."""
    fake = FakeLgpio("gpio-brcmstb@107d508500", "locked", "gpio-brcmstb@107d508520", "gpio-brcmstb@107d517c00", "pinctrl-rp1")
    forget(monkeypatch)
    monkeypatch.setattr(sys, "meta_path", [_Loader(fake), *sys.meta_path])
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC04170)
    monkeypatch.delenv("LG_WD", raising=False)
    for number in range(5):
        (tmp_path / f"gpiochip{number}").touch()
    (tmp_path / "gpiochip-by-label").touch()
    monkeypatch.setattr(pins_module, "DEV", tmp_path)
    before = Path.cwd()
    yield fake
    for name in LOADED:
        sys.modules.pop(name, None)
    os.chdir(before)


def test_an_output_is_never_claimed_at_the_level_that_pulls_the_relay(lgpio: FakeLgpio, tmp_path: Path) -> None:
    """From the claim on, parts that are on when low have driven nothing but high."""
    made = upside_down("active").model_copy(update={"pin_factory": "lgpio", "chip": "pinctrl-rp1"})
    pins = Pins(made, tmp_path)
    assert {name: set(lgpio.level(pin)) for name, pin in made.pins().items()} == {name: {1} for name in NAMES}
    pins.apply(DARK)
    assert {name: set(lgpio.level(pin)) for name, pin in made.pins().items()} == {name: {1} for name in NAMES}
    pins.apply(BRIGHT)
    assert {name: lgpio.level(pin)[-1] for name, pin in made.pins().items()} == dict.fromkeys(NAMES, 0)
    pins.close()
    assert {lgpio.lines[pin][-1] for pin in made.pins().values()} == {("in", 0)}
    assert lgpio.open_chips == []


def test_the_other_polarity_is_claimed_low(lgpio: FakeLgpio, tmp_path: Path) -> None:
    """Parts that are on when high have driven nothing but low until they are told."""
    made = section(pin_factory="lgpio", chip="pinctrl-rp1", buzzer=BuzzerSection(pin=18, kind="passive"))
    pins = Pins(made, tmp_path)
    pins.apply(DARK)
    assert {name: set(lgpio.level(pin)) for name, pin in made.pins().items()} == {name: {0} for name in NAMES}
    pins.apply(BRIGHT)
    assert lgpio.level(18)[-1] == 0.5
    pins.close()


@pytest.mark.parametrize(("label", "number"), [("pinctrl-rp1", 4), ("gpio-brcmstb@107d508520", 2)])
def test_the_chip_is_found_by_its_label(lgpio: FakeLgpio, tmp_path: Path, label: str, number: int) -> None:
    """Whatever number this kernel gave it; chips looked at on the way are closed again."""
    pins = Pins(section(pin_factory="lgpio", chip=label), tmp_path)
    assert lgpio.open_chips == [number]
    pins.close()


def test_a_label_that_no_chip_has_is_refused_with_those_there_are(lgpio: FakeLgpio, tmp_path: Path) -> None:
    """The technician reads what to write instead, and which chip could not be opened."""
    with pytest.raises(PinsUnusable, match=r"pinctrl-bcm2711; found: .*gpiochip1: can not open.*pinctrl-rp1"):
        Pins(section(pin_factory="lgpio", chip="pinctrl-bcm2711"), tmp_path)
    assert lgpio.open_chips == []


def test_without_a_label_the_choice_is_gpiozeros_and_a_closed_chip_is_an_error(lgpio: FakeLgpio, tmp_path: Path) -> None:
    """No fallback to another factory, but an error that says what could not be opened."""
    lgpio.labels = ("locked",)
    with pytest.raises(PinsUnusable, match="cannot open the GPIO chip: can not open gpiochip"):
        Pins(section(pin_factory="lgpio"), tmp_path)


def test_a_line_held_by_another_program_is_named(lgpio: FakeLgpio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lgpio raises is no OSError; it still becomes an error that names the key."""

    def busy(handle: int, gpio: int, level: int = 0, lFlags: int = 0) -> int:  # noqa: N803 - as in the real module
        del handle, level, lFlags
        raise sys.modules["lgpio"].error(f"GPIO busy: {gpio}")

    Pins(section(pin_factory="lgpio", chip="pinctrl-rp1"), tmp_path).close()
    monkeypatch.setattr(sys.modules["lgpio"], "gpio_claim_output", busy)
    with pytest.raises(PinsUnusable, match=r"signals\.relay: pin 21: GPIO busy: 21"):
        Pins(section(pin_factory="lgpio", chip="pinctrl-rp1"), tmp_path)
    assert lgpio.open_chips == []


def test_lgpio_works_in_the_runtime_folder_and_the_process_stays_where_it_was(
    lgpio: FakeLgpio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LG_WD is set before the import, unless the unit has set it; relative paths mean what they meant."""
    here = Path.cwd()
    Pins(section(pin_factory="lgpio", chip="pinctrl-rp1"), tmp_path).close()
    assert (lgpio.working_directory, Path.cwd()) == (str(tmp_path), here)
    (tmp_path / "unit").mkdir()
    monkeypatch.setenv("LG_WD", str(tmp_path / "unit"))
    for name in LOADED:
        sys.modules.pop(name, None)
    Pins(section(pin_factory="lgpio", chip="pinctrl-rp1"), tmp_path).close()
    assert (lgpio.working_directory, Path.cwd()) == (str(tmp_path / "unit"), here)


def test_a_runtime_folder_that_is_missing_is_named(lgpio: FakeLgpio, tmp_path: Path) -> None:
    """A technician reads the folder's name, and no traceback about a FIFO of a strange name."""
    with pytest.raises(PinsUnusable, match=r"FIFO in .*nowhere"):
        Pins(section(pin_factory="lgpio"), tmp_path / "nowhere")
    assert lgpio.open_chips == []


@pytest.mark.parametrize("installed", [None, ModuleType("lgpio")])
def test_without_lgpio_the_package_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: ModuleType | None
) -> None:
    """No fallback to other pins; a stub of the same name, as pip may bring, counts as missing."""
    forget(monkeypatch)
    monkeypatch.setenv("LG_WD", str(tmp_path))
    monkeypatch.setitem(sys.modules, "lgpio", installed)
    with pytest.raises(MissingPackage, match="install the package python3-lgpio"):
        Pins(section(pin_factory="lgpio"), tmp_path)


DESCRIBES_LGPIO: Final = """
import inspect, json, lgpio, sys
functions, constants = json.loads(sys.argv[1])
print(json.dumps([
    {name: list(inspect.signature(getattr(lgpio, name)).parameters) for name in functions},
    {name: getattr(lgpio, name) for name in constants},
    issubclass(lgpio.error, OSError),
]))
"""


@pytest.mark.skipif(find_spec("lgpio") is None, reason="lgpio is not installed (on a Pi: python3-lgpio)")
def test_the_pretend_lgpio_has_the_signatures_of_the_real_one(tmp_path: Path) -> None:
    """Each function and constant that is modelled is there, and takes the same.

    In a process of its own: the real one starts a thread that never ends.
    """
    fake = FakeLgpio().module()
    functions, constants = list(FakeLgpio.functions()), list(FakeLgpio.constants())
    command = [sys.executable, "-c", DESCRIBES_LGPIO, json.dumps([functions, constants])]
    said = subprocess.run(command, check=True, cwd=tmp_path, env=os.environ | {"LG_WD": str(tmp_path)}, stdout=subprocess.PIPE)
    assert json.loads(said.stdout) == [
        {name: list(inspect.signature(getattr(fake, name)).parameters) for name in functions},
        {name: getattr(fake, name) for name in constants},
        False,
    ]


@pytest.mark.parametrize("active_high", [True, False])
def test_no_line_floats_from_the_claim_on_and_after_the_close(lgpio: FakeLgpio, tmp_path: Path, *, active_high: bool) -> None:
    """Each output is pulled towards rest while it drives and when it is given back, and was driven to rest before that."""
    made = section(pin_factory="lgpio", chip="pinctrl-rp1") if active_high else upside_down("active")
    made = made.model_copy(update={"pin_factory": "lgpio", "chip": "pinctrl-rp1", "button": ButtonSection(pin=25)})
    outputs = {name: pin for name, pin in made.pins().items() if name != "button"}
    rest, towards = (0, SET_PULL_DOWN) if active_high else (1, SET_PULL_UP)
    pins = Pins(made, tmp_path, lambda: None)
    assert {lgpio.pull(pin) for pin in outputs.values()} == {towards}
    assert lgpio.pull(25) == SET_PULL_UP
    pins.apply(BRIGHT)
    pins.close()
    assert {name: lgpio.pull(pin) for name, pin in outputs.items()} == dict.fromkeys(outputs, towards)
    assert lgpio.pull(25) == SET_PULL_UP
    for name, pin in outputs.items():
        assert lgpio.lines[pin][-1] == ("in", 0), name
        driven = [value for what, value in lgpio.lines[pin] if what in {"out", "write"}]
        assert driven[-1] == (0 if name == "relay" else rest), name


@pytest.mark.parametrize("active_high", [True, False])
def test_a_gate_that_hangs_holds_no_door(lgpio: FakeLgpio, tmp_path: Path, *, active_high: bool) -> None:
    """The relay is pulled at once, and released by lgpio's own thread when nobody here does it."""
    relay = RelaySection(pin=21, pulse_ms=700, active_high=active_high)
    pins = Pins(section(pin_factory="lgpio", chip="pinctrl-rp1", relay=relay), tmp_path)
    pulled = 1.0 if active_high else 0.0
    levels = [lgpio.level(21)[-1]]
    pins.apply(replace(DARK, relay=True, openings=1))
    levels.append(lgpio.level(21)[-1])
    assert lgpio.held_us(21) == 700_000
    # Nothing of Python's runs any more.
    lgpio.time_passes(21)
    levels.append(lgpio.level(21)[-1])
    assert levels == [1 - pulled, pulled, 1 - pulled]
    pins.close()


def test_openings_while_the_door_is_open_are_one_pulse_from_the_last(lgpio: FakeLgpio, tmp_path: Path) -> None:
    """The same snapshot again does nothing. However many there were, lgpio's thread holds the door for one pulse more, and not for each."""
    pins = Pins(section(pin_factory="lgpio", chip="pinctrl-rp1", relay=RelaySection(pin=21, pulse_ms=30_000)), tmp_path)
    for openings in (1, 1, *range(2, 2 * QUEUE)):
        assert pins.apply(replace(DARK, relay=True, openings=openings))
        assert lgpio.held_us(21) == 30_000_000
    assert [what for what, _ in lgpio.lines[21]].count("pulse") == 2 * QUEUE - 1
    pins.close()


@pytest.mark.parametrize("openings", [1, 2, 5])
def test_a_door_that_was_shut_does_not_open_again_by_itself(lgpio: FakeLgpio, tmp_path: Path, openings: int) -> None:
    """Of openings while the door was open nothing is left when the player shuts it."""
    pins = Pins(section(pin_factory="lgpio", chip="pinctrl-rp1", relay=RelaySection(pin=21)), tmp_path)
    for count in range(1, openings + 1):
        pins.apply(replace(DARK, relay=True, openings=count))
    pins.apply(DARK)
    shut = len(lgpio.level(21))
    lgpio.time_passes(21)
    assert set(lgpio.level(21)[shut - 1 :]) == {0}
    pins.close()


def test_a_pulse_that_lgpio_does_not_take_opens_nothing(lgpio: FakeLgpio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the player could end it: the door stays shut, it is said, and tried again."""
    pins = Pins(section(pin_factory="lgpio", chip="pinctrl-rp1", relay=RelaySection(pin=21)), tmp_path)

    def refuse(*_words: object) -> int:
        raise error("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["lgpio"], "tx_pulse", refuse)
        assert not pins.apply(replace(DARK, relay=True, openings=1))
    assert (pins.failing, set(lgpio.level(21))) == (("relay",), {0})
    assert pins.apply(replace(DARK, relay=True, openings=1))
    assert lgpio.level(21)[-1] == 1
    pins.close()


def test_what_is_to_be_done_with_the_pins_of_a_dead_gate_is_noted(lgpio: FakeLgpio, tmp_path: Path) -> None:
    """The chip as it is numbered here, and the level at which each output does nothing."""
    made = upside_down("active").model_copy(update={"pin_factory": "lgpio", "chip": "pinctrl-rp1", "button": ButtonSection(pin=25)})
    Pins(made, tmp_path).close()
    outputs = {pin for name, pin in made.pins().items() if name != "button"}
    assert rest.read_note((tmp_path / rest.NOTE).read_text()) == ("/dev/gpiochip4", dict.fromkeys(outputs, 1))
    assert lgpio.open_chips == []


def test_a_note_that_cannot_be_written_keeps_no_lamp_dark(lgpio: FakeLgpio, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said in one line."""
    (tmp_path / rest.NOTE).mkdir()
    pins = Pins(section(pin_factory="lgpio", chip="pinctrl-rp1"), tmp_path)
    assert pins.apply(BRIGHT)
    assert "nobody puts its pins to rest" in caplog.text
    pins.close()
    assert lgpio.open_chips == []


@pytest.mark.parametrize(
    "fault",
    ["busy", "write to an input", "unclaimed", "pwm on an input", "pulse on an input", "number", "handle", "queue", "none"],
)
def test_the_pretend_lgpio_refuses_what_the_real_one_refuses(fault: str) -> None:
    """And transmissions and writes to what is no output, of which the real one makes an output without its flags."""
    fake = FakeLgpio("chip")
    handle = fake.gpiochip_open(0)
    fake.gpio_claim_input(handle, 17)
    fake.gpio_claim_output(handle, 27)
    fake.gpio_claim_output(handle, 24)
    fake.busy.add(22)
    for _ in range(QUEUE):
        fake.tx_pulse(handle, 27, 1_000, 0, 0, 5)
    deeds = {
        "busy": lambda: fake.gpio_claim_output(handle, 22),
        "write to an input": lambda: fake.gpio_write(handle, 17, 1),
        "unclaimed": lambda: fake.gpio_write(handle, 23, 1),
        "pwm on an input": lambda: fake.tx_pwm(handle, 17, 200, 50),
        "pulse on an input": lambda: fake.tx_pulse(handle, 17, 1_000, 0, 0, 1),
        "number": lambda: fake.gpio_claim_output(handle, 54),
        "handle": lambda: fake.gpio_claim_input(7, 17),
        "queue": lambda: fake.tx_pulse(handle, 27, 1_000, 0, 0, 1),
        "none": lambda: fake.tx_pulse(handle, 24, 0, 0),
    }
    with pytest.raises(error):
        deeds[fault]()
