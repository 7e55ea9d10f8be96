"""The wiring table: no pin twice, none that is kept for others, and a gate starts with what is generated of it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from gpiozero.pins.mock import MockFactory

import provisioning
from device.config import SignalsSection
from provisioning.common.catalogue import Lang, words
from provisioning.places import wiring
from provisioning.places.wiring import GROUNDS, RESERVED, SUPPLY, WIRING, Door, Fitting, Kit, PowerLoss, config_lines, fitted, signals_lines

DOORS: Final = [(Door.NONE, None), *((Door.RELAY, one) for one in PowerLoss)]
FITTINGS: Final = [Fitting(kit, door, power_loss) for kit, (door, power_loss) in product(Kit, DOORS)]
EVERYTHING: Final = Fitting(Kit.FULL, Door.RELAY, PowerLoss.OPEN)
BUSES: Final = frozenset({0, 1, 2, 3, 7, 8, 9, 10, 11, 14, 15})
"""BCM numbers of the board's own EEPROM, I2C, the first SPI and the UART."""


def generated(fitting: Fitting) -> SignalsSection:
    """What a gate makes of the lines."""
    return SignalsSection.model_validate(tomllib.loads("\n".join(signals_lines(fitting))))


def test_no_pin_is_used_twice_and_none_that_is_kept_for_others() -> None:
    """Nor a colour; the doorway's inputs and the buses stay free."""
    for column in ([part.bcm for part in WIRING], [part.header for part in WIRING], [part.colour for part in WIRING]):
        assert len(set(column)) == len(WIRING)
    assert not {part.bcm for part in WIRING} & (RESERVED | BUSES)


def test_the_header_is_that_of_the_board() -> None:
    """By the drawing of the header that gpiozero has: pins, grounds and the supply."""
    header = MockFactory(revision="c03115").board_info.headers["J8"].pins
    assert {part.name: header[part.header].name for part in WIRING} == {part.name: f"GPIO{part.bcm}" for part in WIRING}
    assert [number for number, pin in sorted(header.items()) if pin.name == "GND"] == list(GROUNDS)
    assert header[SUPPLY].name == "5V"


def test_whatever_acts_is_at_rest_before_anything_is_read_from_the_card() -> None:
    """BCM 0 to 8 are pulled high at power on, 9 to 27 low: an output there rests low."""
    outputs = [part for part in WIRING if part.direction == "output"]
    assert [part.name for part in outputs if part.bcm <= 8 or part.rest != "low"] == []


@pytest.mark.parametrize("fitting", FITTINGS, ids=str)
def test_a_gate_takes_what_is_generated_and_knows_exactly_the_fitted_parts(fitting: Fitting) -> None:
    """By its own check of the pins; levels too."""
    section = generated(fitting)
    assert section.kit == fitting.kit
    assert section.pins() == {part.name: part.bcm for part in fitted(fitting)}
    levels = {part.name: part.active == "high" for part in fitted(fitting) if part.direction == "output"}
    assert {name: getattr(section, name).active_high for name in levels} == levels


def test_a_gate_without_a_line_of_it_has_the_tables_pins() -> None:
    """The defaults of a gate's configuration are the same wiring."""
    default = SignalsSection()
    assert default.pins() == {part.name: part.bcm for part in fitted(Fitting()) if part.name != "button"}
    assert default.model_dump(exclude={"button"}) == generated(Fitting()).model_dump(exclude={"button"})


def test_the_kits_hold_what_they_are_called_for() -> None:
    """The button is the full kit's; the relay comes with the door, in either."""
    assert [part.name for part in fitted(Fitting(Kit.BASIC))] == ["green", "red", "buzzer"]
    assert [part.name for part in fitted(Fitting())] == [part.name for part in WIRING if part.name != "relay"]
    for kit in Kit:
        added = {part.name for part in fitted(Fitting(kit, Door.RELAY, PowerLoss.LOCKED))} - {part.name for part in fitted(Fitting(kit))}
        assert added == {"relay"}


def test_a_gate_of_the_former_kind_keeps_its_button() -> None:
    """Those that are up have it on BCM 25; what moved is the relay, which none of them has."""
    assert {part.name: part.bcm for part in WIRING if part.name in {"button", "relay"}} == {"button": 25, "relay": 21}


def test_every_fitted_pin_has_its_line_at_boot() -> None:
    """Outputs low, the button pulled up; and released pins become inputs again."""
    assert list(config_lines(EVERYTHING)) == [
        "dtparam=strict_gpiod",
        *(f"gpio={pin}=op,dl" for pin in (17, 27, 22, 23, 24, 18, 21)),
        "gpio=25=ip,pu",
    ]
    assert list(config_lines(Fitting(Kit.BASIC))) == ["dtparam=strict_gpiod", "gpio=17=op,dl", "gpio=27=op,dl", "gpio=18=op,dl"]


def test_a_part_that_acts_when_low_rests_high(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the boot lines and in the configuration alike."""
    upside_down = tuple(replace(part, active="low") if part.name == "relay" else part for part in WIRING)
    monkeypatch.setattr(wiring, "WIRING", upside_down)
    assert "gpio=21=op,dh" in config_lines(EVERYTHING)
    relay = generated(EVERYTHING).relay
    assert relay is not None
    assert not relay.active_high


def test_the_contact_is_the_one_that_does_without_power_what_was_said() -> None:
    """At rest COM and NC are joined: over them a lock gets the power that holds it."""
    assert wiring.CONTACTS == {"open": "NC", "locked": "NO"}


def test_the_technicians_guide_has_the_table() -> None:
    """Each part once, with both numbers, the wire and its kits; and what is kept free."""
    text = (Path(provisioning.__file__).parent / "guides" / "technician.md").read_text(encoding="utf-8")
    wires = text.partition("## Đấu dây · Wiring")[2].partition("\n## ")[0]
    rows = [line for line in wires.splitlines() if line.startswith("| ") and any(letter.isdigit() for letter in line)]
    assert rows == [guide_row(part) for part in WIRING]
    assert f"BCM {', '.join(map(str, sorted(RESERVED)))}" in text


def guide_row(part: wiring.WiredPart) -> str:
    """A part's line in the guide."""
    name, colour = (" · ".join(words(lang, key) for lang in Lang) for key in (f"part.{part.name}", f"colour.{part.colour}"))
    where = ", ".join(kit for kit in Kit if kit in part.kits) or "--door relay"
    return f"| {name} | {part.header} | {part.bcm} | {colour} | {where} |"
