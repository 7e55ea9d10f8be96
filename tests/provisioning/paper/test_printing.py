"""Pages to files."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.common.errors import Refused
from provisioning.paper import printing, sheets
from provisioning.registry.tables import Gate, Site
from tests.provisioning.paper.pages import AT


def test_a_page_that_cannot_be_kept_is_named(school: tuple[Site, Gate], tmp_path: Path) -> None:
    """And leaves nothing behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="E145"):
        printing.save_pdf(sheets.label(*school, AT), tmp_path / "file" / "label.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
