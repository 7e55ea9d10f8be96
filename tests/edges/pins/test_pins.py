"""The pins: off until told otherwise, whatever their polarity, on the factory that is named."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st

from device.config import BuzzerSection, LampSection, RelaySection, SignalsSection
from device.core.player import Player, Snapshot
from device.core.score import Lamp
from device.core.signals import patterns
from device.edges.pins import pins as pins_module
from device.edges.pins.gpio_signals import shipped_score
from device.edges.pins.pins import Pins
from device.errors import MissingPackage, PinsUnusable
from tests.fakes.lgpio import FakeLgpio

NAMES = ("green", "red", "amber", "blue", "white", "buzzer", "relay")
DARK: Snapshot = Player(patterns(shipped_score(), "normal", "full")).advance(0)
BRIGHT = replace(DARK, lamps=dict.fromkeys(Lamp, 1.0), tone_hz=2000, volume=1.0, relay=True)


def section(**keys: Any) -> SignalsSection:  # noqa: ANN401 - whatever the test is about
    """All seven parts, on pretend pins unless said otherwise."""
    return SignalsSection(**{"pin_factory": "mock", "relay": RelaySection(pin=25), **keys})


def upside_down(kind: str = "passive") -> SignalsSection:
    """Every part is on when its pin is low."""
    lamps = {lamp.value: LampSection(pin=pin, active_high=False) for pin, lamp in enumerate(Lamp, 5)}
    buzzer = BuzzerSection.model_validate({"pin": 11, "kind": kind, "active_high": False})
    return section(**lamps, buzzer=buzzer, relay=RelaySection(pin=12, active_high=False))


@pytest.fixture(autouse=True)
def _no_factory_is_ever_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking gpiozero for its own choice fails the test; so does its warning, as any warning does."""

    def guess() -> None:
        raise AssertionError("gpiozero was left to choose a pin factory")

    monkeypatch.setattr(gpiozero.Device, "_default_pin_factory", staticmethod(guess))
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setenv("GPIOZERO_MOCK_PIN_CLASS", "mocktriggerpin")


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each pretend board as it is made."""
    return capture(monkeypatch)


def capture(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep each pretend board that is made from now on."""
    made: list[Any] = []

    def make(**keys: object) -> object:
        made.append(MockFactory(**keys))
        return made[-1]

    monkeypatch.setattr(pins_module, "MockFactory", make)
    return made


def drive(board: Any, number: int) -> float:  # noqa: ANN401 - gpiozero has no types
    """The level that a pin drives. Raises when it drives nothing."""
    pin = board.pin(number)
    assert pin.function == "output"
    return float(pin.state)


@pytest.mark.parametrize("kind", ["active", "passive"])
@pytest.mark.parametrize("active_high", [True, False])
def test_every_pin_is_off_from_the_start_and_on_when_told(boards: list[Any], kind: str, active_high: bool) -> None:  # noqa: FBT001 - a case
    """Off is low, or high for a part that is on when low."""
    buzzer = BuzzerSection.model_validate({"pin": 18, "kind": kind, "active_high": active_high})
    lamps = {lamp.value: LampSection(pin=pin, active_high=active_high) for pin, lamp in enumerate(Lamp, 5)}
    made = section(**lamps, buzzer=buzzer, relay=RelaySection(pin=25, active_high=active_high))
    pins = Pins(made)
    numbers = made.pins()
    assert set(numbers) == set(NAMES)
    assert {name: drive(boards[0], number) for name, number in numbers.items()} == dict.fromkeys(NAMES, 1.0 - active_high)
    assert pins.apply(BRIGHT)
    expected = dict.fromkeys(NAMES, float(active_high)) | ({"buzzer": 0.5} if kind == "passive" else {})
    assert {name: drive(boards[0], number) for name, number in numbers.items()} == expected
    pins.close()


def test_closing_switches_everything_off_and_frees_the_pins(boards: list[Any]) -> None:
    """First off, then inputs; closing again does nothing."""
    pins = Pins(upside_down())
    pins.apply(BRIGHT)
    kept = [boards[0].pin(number) for number in upside_down().pins().values()]
    pins.close()
    pins.close()
    assert [pin.function for pin in kept] == ["input"] * 7
    assert all(1.0 in [state.state for state in pin.states[-2:]] for pin in kept), "each was driven to rest before it was freed"
    assert boards[0].pins == {}


@given(st.lists(st.integers(2, 27), min_size=7, max_size=7, unique=True))
def test_any_pins_of_the_header_will_do(numbers: list[int]) -> None:
    """Lamps, buzzer and relay are where the configuration says, and nothing else is touched."""
    lamps = {lamp.value: LampSection(pin=pin) for lamp, pin in zip(Lamp, numbers, strict=False)}
    with pytest.MonkeyPatch.context() as patch:
        made = capture(patch)
        pins = Pins(section(**lamps, buzzer=BuzzerSection(pin=numbers[5]), relay=RelaySection(pin=numbers[6])))
        pins.apply(BRIGHT)
        assert {int(info.name.removeprefix("GPIO")) for info in made[0].pins} == set(numbers)
        assert {drive(made[0], number) for number in numbers} == {1.0}
        pins.close()


def test_the_basic_kit_touches_two_lamps_and_the_buzzer(boards: list[Any]) -> None:
    """Pins of lamps that a small site does not have stay free for others."""
    pins = Pins(SignalsSection(pin_factory="mock", kit="basic"))
    assert pins.apply(replace(BRIGHT, lamps={Lamp.GREEN: 1.0, Lamp.RED: 1.0}))
    assert {info.name for info in boards[0].pins} == {"GPIO17", "GPIO27", "GPIO18"}
    pins.close()


def test_a_full_kit_without_the_light_on_the_card_works(boards: list[Any]) -> None:
    """The white lamp may be missing."""
    pins = Pins(section(white=None))
    assert pins.apply(BRIGHT)
    assert len(boards[0].pins) == 6
    pins.close()


def test_a_passive_buzzer_gets_its_tone_and_its_volume(boards: list[Any]) -> None:
    """The tone is the frequency of the pulses, the volume their width; silence is no pulse."""
    pins = Pins(section(buzzer=BuzzerSection(pin=18, kind="passive")))
    pin = boards[0].pin(18)
    heard = []
    for tone_hz, volume in ((2000, 1.0), (500, 1.0), (500, 0.1), (None, 0.1)):
        pins.apply(replace(DARK, tone_hz=tone_hz, volume=volume))
        heard.append((pin.frequency, round(pin.state, 3)))
    assert heard == [(2000, 0.5), (500, 0.5), (500, 0.05), (500, 0.0)]
    pins.close()


def test_lamps_dim_unless_they_only_switch_and_the_light_on_the_card_never_does(boards: list[Any]) -> None:
    """PWM on a dimmable lamp; a plain output for a lamp behind a relay, and for white: the camera would see it flicker."""
    made = section(red=LampSection(pin=27, pwm=False), white=LampSection(pin=24, pwm=True))
    pins = Pins(made)
    assert {name: boards[0].pin(pin).frequency for name, pin in made.pins().items() if name in set(Lamp)} == {
        "green": 200,
        "red": None,
        "amber": 200,
        "blue": 200,
        "white": None,
    }
    pins.close()


def test_a_pin_is_written_only_when_its_level_changes(boards: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same snapshot again costs nothing; one lamp's change touches one pin."""
    pins = Pins(section())
    pins.apply(DARK)
    written: list[str] = []
    for info, pin in boards[0].pins.items():
        monkeypatch.setattr(pin, "_set_state", lambda _value, name=info.name: written.append(name))
    pins.apply(DARK)
    pins.apply(replace(DARK, lamps={**DARK.lamps, Lamp.RED: 1.0}))
    assert written == ["GPIO27"]
    pins.close()


class Jam:
    """Pins that refuse to be written while ``jammed``."""

    def __init__(self, board: Any, monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:  # noqa: ANN401 - gpiozero has no types
        self.jammed = True
        for number in numbers:
            pin = board.pin(number)
            monkeypatch.setattr(pin, "_set_state", self.write(pin, pin._set_state))  # noqa: SLF001 - the seam where gpiozero writes

    def write(self, pin: Any, really: Callable[[float], None]) -> Callable[[float], None]:  # noqa: ANN401 - gpiozero has no types
        """A write that may fail as the kernel's does."""

        def attempt(value: float) -> None:
            if self.jammed:
                raise OSError(5, f"Input/output error on {pin}")
            really(value)

        return attempt


def test_a_pin_that_fails_is_logged_once_tried_again_and_stops_no_other(
    boards: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has one line when it begins and one when it ends; every failed try is counted."""
    caplog.set_level("INFO", logger="device.edges.pins.pins")
    pins = Pins(section())
    jam = Jam(boards[0], monkeypatch, 27)
    assert [pins.apply(BRIGHT) for _ in range(5)] == [False] * 5
    assert (pins.failing, pins.write_errors) == (("red",), 5)
    assert {drive(boards[0], number) for name, number in section().pins().items() if name != "red"} == {1.0}
    jam.jammed = False
    assert pins.apply(BRIGHT)
    assert (pins.failing, drive(boards[0], 27)) == ((), 1.0)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert all("signals.red" in record.getMessage() for record in caplog.records)
    pins.close()


def test_pins_that_fail_while_closing_do_not_keep_the_others_on(boards: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay is released though a lamp's pin is broken."""
    pins = Pins(section())
    pins.apply(BRIGHT)
    relay = boards[0].pin(25)
    Jam(boards[0], monkeypatch, 17, 27, 22)
    pins.close()
    assert relay.function == "input"
    assert relay.states[-1].state == 0


def test_a_pin_that_the_board_has_not_is_named_and_the_others_are_freed(boards: list[Any]) -> None:
    """BCM 45 is not on the header."""
    with pytest.raises(PinsUnusable, match=r"signals\.blue: pin 45"):
        Pins(section(blue=LampSection(pin=45)))
    assert boards[0].pins == {}


# --- lgpio ---------------------------------------------------------------------------


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
    with pytest.raises(PinsUnusable, match=r"signals\.relay: pin 25: GPIO busy: 25"):
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
    """Not a traceback about a FIFO of a strange name."""
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


def test_pretended_pins_do_not_remember_for_ever() -> None:
    """A gate with mock pins may run for days, as in the soak."""
    factory = MockFactory(pin_class=pins_module.PretendPin)
    pin = factory.pin(17)
    pin.function = "output"
    for number in range(10 * pins_module.PRETENDED_STATES):
        pin.state = number % 2
    assert pins_module.PRETENDED_STATES <= len(pin.states) <= 2 * pins_module.PRETENDED_STATES
    assert pin.states[-1].state == 1
