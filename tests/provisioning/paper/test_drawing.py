"""A sheet: where text ends, what is white around a symbol, and the same bytes for the same content."""

from __future__ import annotations

import pytest

from provisioning.paper import printing
from provisioning.paper.drawing import QUIET_MODULES, Sheet
from tests.provisioning.paper.pages import AT, decode, pixels


def sheet() -> Sheet:
    """An empty one of ten by ten centimetres."""
    return Sheet((100.0, 100.0), "test", AT)


def test_text_is_wrapped_to_its_width_and_says_where_it_ends() -> None:
    """Twice as much text in the same width ends lower; the next may begin there."""
    page = sheet()
    one, two = page.say("Đông Nam", (5, 5), 40, 12), page.say("Đông Nam " * 10, (5, 5), 40, 12)
    assert 5 < one < two
    assert page.height("Đông Nam", 40, 12) == pytest.approx(one - 5)
    # fpdf2 holds the typeface's files until then.
    page.output()


@pytest.mark.parametrize("error", ["m", "q"])
def test_a_symbol_keeps_its_square_and_the_white_around_it(error: str) -> None:
    """On a black page: without the white no reader finds it."""
    page = sheet()
    page.set_fill_color(0)
    page.rect(0, 0, 100, 100, style="F")
    page.symbol("GATE:g1", (20, 20), 50, error="q" if error == "q" else "m")
    seen = pixels(bytes(page.output()))
    assert [symbol.payload for symbol in decode(seen)] == [b"GATE:g1"]
    side = 50 * printing.DOTS_PER_MM
    # The smallest symbol has 21 modules.
    quiet = round(side / (21 + 2 * QUIET_MODULES) * QUIET_MODULES)
    left = 20 * printing.DOTS_PER_MM
    assert seen[left + 6 : left + side - 6, left + 6 : left + quiet - 6].min() == 255
    assert seen[left + 6 : left + side - 6, left + side - quiet + 6 : left + side - 6].min() == 255
    for outside in (left - 12, left + side + 6):
        assert seen[left + 6 : left + side - 6, outside : outside + 6].max() == 0


def test_the_same_content_of_the_same_day_is_the_same_file() -> None:
    """So that two pages can be compared by their bytes."""
    pages = [sheet(), sheet()]
    for page in pages:
        page.say("Đ", (5, 5), 40, 12)
    assert bytes(pages[0].output()) == bytes(pages[1].output())
