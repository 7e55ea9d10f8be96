"""The wiring sheet: each fitted part at its pin, none that is not fitted, and no line over another."""

from __future__ import annotations

from typing import Final

import pytest

from provisioning.common.catalogue import Lang, entries, words
from provisioning.paper.wiring_sheet import COLOURS, FIVE_VOLTS, GROUND, wiring_sheet
from provisioning.places.wiring import GROUNDS, SUPPLY, WIRING, Door, Fitting, Kit, PowerLoss, fitted
from provisioning.registry.tables import GateState
from tests.provisioning.paper.pages import AT, decode, lines_on, pixels, running_into_each_other, text_of
from tests.provisioning.registry.rows import a_gate, a_site

LONG: Final = "Trung tâm Giáo dục Nghề nghiệp - Giáo dục Thường xuyên và Hướng nghiệp Khu vực Đông Nam " * 2
FITTINGS: Final = [
    *(Fitting(kit) for kit in Kit),
    *(Fitting(kit, Door.RELAY, power_loss) for kit in Kit for power_loss in PowerLoss),
]


def drawn(fitting: Fitting, name: str = "Trường Tiểu học Hoa Phượng") -> bytes:
    """The sheet of a gate with this fitting."""
    site = a_site(name.strip())
    return bytes(wiring_sheet(site, a_gate(site, GateState.PLANNED, fitting), AT).output())


@pytest.mark.parametrize("fitting", FITTINGS, ids=str)
def test_each_fitted_part_stands_at_its_pin_and_no_other_part(fitting: Fitting) -> None:
    """In the drawing beside its pin, and in the table with both numbers and the wire's colour; in both languages."""
    document = drawn(fitting)
    told = text_of(document)
    for part in WIRING:
        name, colour = (" · ".join(words(lang, key) for lang in Lang) for key in (f"part.{part.name}", f"colour.{part.colour}"))
        assert told.count(name) == (2 if part in fitted(fitting) else 0)
        assert (f"{name} {part.header} {part.bcm} {colour}" in told) is (part in fitted(fitting))
    lines = [(text.strip(), left / 72 * 25.4, (bottom + top) / 2) for text, (left, bottom, _, top) in lines_on(document)]
    for part in fitted(fitting):
        labels = [middle for text, _, middle in lines if text.endswith(words(Lang.EN, f"part.{part.name}"))]
        (pin,) = (middle for text, left, middle in lines if text == str(part.header) and 98 < left < 112 and middle > 300)
        assert any(abs(middle - pin) < 3 for middle in labels), part


@pytest.mark.parametrize("fitting", FITTINGS, ids=str)
def test_every_pin_has_its_number_and_nothing_runs_into_anything(fitting: Fitting) -> None:
    """Forty numbers, each whole; a margin all around, with a long name too."""
    document = drawn(fitting, LONG)
    there = [text.strip() for text, (left, _, right, _) in lines_on(document) if left / 72 * 25.4 > 97 and right / 72 * 25.4 < 113]
    assert {str(number) for number in range(1, 41)} <= {one for text in there for one in text.split()}
    assert running_into_each_other(document) == []
    assert min(bottom for _, (_, bottom, _, _) in lines_on(document)) > 6 / 25.4 * 72
    assert max(right for _, (_, _, right, _) in lines_on(document)) < 200 / 25.4 * 72


@pytest.mark.parametrize(("power_loss", "contact"), [(PowerLoss.OPEN, "COM và NC"), (PowerLoss.LOCKED, "COM và NO")])
def test_the_door_is_wired_to_what_was_said_of_power_loss(power_loss: PowerLoss, contact: str) -> None:
    """The contact by name, the supply and the ground of the relay's board; without a door not a word of it."""
    told = text_of(drawn(Fitting(Kit.BASIC, Door.RELAY, power_loss)))
    assert words(Lang.VI, f"door.{power_loss}") in told
    assert contact in told
    assert told.count("COM và") == 1
    assert f"VCC vào chân {SUPPLY}" in told
    assert f"GND vào chân {GROUNDS[-1]}" in told
    assert "COM" not in text_of(drawn(Fitting()))


def test_every_wire_has_a_colour_and_every_part_a_name() -> None:
    """Of the table, of ground and of the supply; and none that nobody uses."""
    used = {part.colour for part in WIRING}
    assert set(COLOURS) == used | {GROUND, FIVE_VOLTS}
    assert set(entries()["colour"]) == used
    assert set(entries()["part"]) == {part.name for part in WIRING} | {"ground", "supply"}
    assert set(entries()["kit"]) == set(Kit)
    assert set(entries()["door"]) == {"none", *PowerLoss}


def test_the_eye_reads_nothing_on_it() -> None:
    """It may lie before the camera."""
    assert decode(pixels(drawn(FITTINGS[-1]))) == ()
