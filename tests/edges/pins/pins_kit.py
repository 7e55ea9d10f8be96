"""What the tests of the pins share: the parts of a gate, all off and all on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from device.config import BuzzerSection, LampSection, RelaySection, SignalsSection
from device.core.player import Player, Snapshot
from device.core.score import Lamp
from device.core.signals import patterns
from device.edges.pins.gpio_signals import shipped_score

NAMES = ("green", "red", "amber", "blue", "white", "buzzer", "relay")
DARK: Snapshot = Player(patterns(shipped_score(), "normal", "full")).advance(0)
BRIGHT = replace(DARK, lamps=dict.fromkeys(Lamp, 1.0), tone_hz=2000, volume=1.0, relay=True)


def section(**keys: Any) -> SignalsSection:  # noqa: ANN401 - whatever the test is about
    """All seven parts, on pretend pins unless said otherwise."""
    return SignalsSection(**{"pin_factory": "mock", "relay": RelaySection(pin=21), **keys})


def upside_down(kind: str = "passive") -> SignalsSection:
    """Every part is on when its pin is low."""
    lamps = {lamp.value: LampSection(pin=pin, active_high=False) for pin, lamp in enumerate(Lamp, 5)}
    buzzer = BuzzerSection.model_validate({"pin": 11, "kind": kind, "active_high": False})
    return section(**lamps, buzzer=buzzer, relay=RelaySection(pin=12, active_high=False))
