"""What carries a code leaves the code whole."""

from __future__ import annotations

import numpy as np
import pytest

from device.workbench.carriers import Carriage, draw
from device.workbench.symbols import modules

DARK = modules(b"064090001234")
SIDE = len(DARK)
VAST = (1000.0, 1000.0)


@pytest.mark.parametrize("look", Carriage)
@pytest.mark.parametrize("room", [VAST, (SIDE * 1.5, SIDE * 1.5), (1.0, 1.0)])
def test_symbol_stands_untouched_where_the_carrier_says(look: Carriage, room: tuple[float, float]) -> None:
    """Neither print nor a lack of room reaches into the code or its quiet zone."""
    carrier = draw(DARK, look, 3, 1.0, room, np.random.default_rng(1))
    code = np.asarray(carrier.picture.crop(carrier.code))
    assert np.array_equal(code < 128, DARK.repeat(3, axis=0).repeat(3, axis=1))
    left, top, right, bottom = carrier.code
    assert carrier.centre == ((left + right) / 2, (top + bottom) / 2)


@pytest.mark.parametrize(
    ("look", "proportion", "share"),
    [(Carriage.CARD, 85.6 / 54, 17 / 85.6), (Carriage.BADGE, 54 / 86, 30 / 54), (Carriage.PHONE, 75 / 150, 55 / 75)],
)
def test_carriers_have_the_proportions_of_real_things(look: Carriage, proportion: float, share: float) -> None:
    """A card of 85.6 x 54 mm with a code of 17 mm, a badge of 54 x 86 mm with one of 30 mm, a telephone with one of 55 mm."""
    carrier = draw(DARK, look, 4, 1.0, VAST, np.random.default_rng(1))
    width, height = carrier.picture.size
    assert width / height == pytest.approx(proportion, rel=0.06)
    assert 4 * (SIDE - 8) / width == pytest.approx(share, rel=0.25)


def test_contrast_is_that_of_ink_on_paper() -> None:
    """Middle grey at 0, nearly black on white at 1."""
    for contrast, swing in ((0.0, 0), (0.5, 57), (1.0, 115)):
        code = draw(DARK, Carriage.CARD, 2, contrast, VAST, np.random.default_rng(1))
        pixels = np.asarray(code.picture.crop(code.code)).astype(int)
        assert pixels.max() - 128 == pytest.approx(swing, abs=1)
        assert 128 - pixels.min() == pytest.approx(swing, abs=1)
