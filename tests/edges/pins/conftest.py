"""No test of the pins leaves gpiozero to choose a factory."""

from __future__ import annotations

import gpiozero
import pytest


@pytest.fixture(autouse=True)
def _no_factory_is_ever_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking gpiozero for its own choice fails the test; so does its warning, as any warning does."""

    def guess() -> None:
        raise AssertionError("gpiozero was left to choose a pin factory")

    monkeypatch.setattr(gpiozero.Device, "_default_pin_factory", staticmethod(guess))
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setenv("GPIOZERO_MOCK_PIN_CLASS", "mocktriggerpin")
