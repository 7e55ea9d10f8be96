"""Pages to files."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.common.errors import Refused
from provisioning.paper import printing, sheets
from provisioning.paper.drawing import Sheet
from provisioning.registry.tables import Gate, Site
from tests.provisioning.paper.pages import AT


def test_a_page_that_cannot_be_kept_is_named(school: tuple[Site, Gate], tmp_path: Path) -> None:
    """And leaves nothing behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="E145"):
        printing.save_pdf(sheets.label(*school, AT), tmp_path / "file" / "label.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_drawn_before_its_step_and_once_for_both_files(school: tuple[Site, Gate], tmp_path: Path) -> None:
    """A plan that is not carried out costs nothing; both files show the same page."""
    drawn: list[Sheet] = []

    def draw() -> Sheet:
        drawn.append(sheets.label(*school, AT))
        return drawn[-1]

    steps = printing.steps(draw, tmp_path / "label", 0o600)
    assert [step.facts["path"] for step in steps] == [tmp_path / "label.pdf", tmp_path / "label.png"]
    assert not drawn
    for step in steps:
        step.do()
    assert len(drawn) == 1
    assert (tmp_path / "label.png").read_bytes() == printing.png((tmp_path / "label.pdf").read_bytes())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
