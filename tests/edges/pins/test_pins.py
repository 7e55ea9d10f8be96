"""The pins: off until told otherwise, whatever their polarity, on the factory that is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st

from device.config import BuzzerSection, LampSection, RelaySection, SignalsSection
from device.core.score import Lamp
from device.edges.pins import pins as pins_module
from device.edges.pins.pins import Pins
from device.errors import PinsUnusable
from tests.edges.pins.pins_kit import BRIGHT, DARK, NAMES, section, upside_down


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
    made = section(**lamps, buzzer=buzzer, relay=RelaySection(pin=21, active_high=active_high))
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
    relay = boards[0].pin(21)
    Jam(boards[0], monkeypatch, 17, 27, 22)
    pins.close()
    assert relay.function == "input"
    assert relay.states[-1].state == 0


def test_a_pin_that_the_board_has_not_is_named_and_the_others_are_freed(boards: list[Any]) -> None:
    """BCM 45 is not on the header."""
    with pytest.raises(PinsUnusable, match=r"signals\.blue: pin 45"):
        Pins(section(blue=LampSection(pin=45)))
    assert boards[0].pins == {}


def test_pretended_pins_do_not_remember_for_ever() -> None:
    """A gate with mock pins may run for days, as in the soak."""
    factory = MockFactory(pin_class=pins_module.PretendPin)
    pin = factory.pin(17)
    pin.function = "output"
    for number in range(10 * pins_module.PRETENDED_STATES):
        pin.state = number % 2
    assert pins_module.PRETENDED_STATES <= len(pin.states) <= 2 * pins_module.PRETENDED_STATES
    assert pin.states[-1].state == 1
