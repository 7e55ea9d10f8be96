"""The report on paper."""

from __future__ import annotations

from pathlib import Path

import pypdfium2

from provisioning.fleet import sheet
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GateState
from tests.provisioning.fleet.fleet_kit import gate, heard, report


def test_the_document_has_three_pages_with_every_letter(registry: Registry, tmp_path: Path) -> None:
    """Two hundred silent gates do not run off the paper."""
    for number in range(60):
        gate(registry, GateState.IN_SERVICE, 5, f"Trung tâm Giáo dục Nghề nghiệp - Giáo dục Thường xuyên số {number}")
    found = report(registry, heard(tmp_path / "events.sqlite"))
    document = pypdfium2.PdfDocument(bytes(sheet.report(found).output()))
    try:
        assert len(document) == 3
        text = document[2].get_textpage().get_text_bounded()
        assert "Cổng im lặng" in text
        assert text.count("(report.csv)") == 2
        heights = [document[2].get_textpage().get_charbox(place)[1] for place in range(0, document[2].get_textpage().count_chars(), 20)]
        assert min(heights) > 20
    finally:
        document.close()
