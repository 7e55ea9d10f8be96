"""The technician's card."""

from __future__ import annotations

from datetime import UTC, datetime

import pypdfium2
import pytest

from provisioning.common.catalogue import Lang, remedy, words
from provisioning.paper.technician_card import ERRORS, STEPS, technician_card
from provisioning.places.wiring import WIRING


@pytest.mark.parametrize("lang", Lang)
def test_the_technicians_card_says_what_the_tool_says(lang: Lang) -> None:
    """A side for each language; nothing runs over its end; each error's remedy stands as on the screen."""
    document = bytes(technician_card(datetime(2026, 11, 20, tzinfo=UTC)).output())
    reader = pypdfium2.PdfDocument(document)
    try:
        assert len(reader) == 2
        page = reader[0 if lang is Lang.VI else 1].get_textpage()
        words_there = " ".join(str(page.get_text_bounded()).split())
        lowest = min(page.get_charbox(number)[1] for number in range(page.count_chars()))
    finally:
        reader.close()
    for code in ERRORS:
        assert f"{code} {remedy(lang, code)}" in words_there
    wires = ", ".join(f"{words(lang, f'part.{part.name}')} {part.bcm}" for part in WIRING)
    assert wires in words_there
    for number, key in enumerate(STEPS, start=1):
        assert f"{number} {words(lang, key, wires=wires)}" in words_there
    assert lowest > 5 / 25.4 * 72, "five millimetres from the edge"
