"""The documents that are made from the code: as committed, complete, and named when they are out of date."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.config import GateConfig
from device.core.machine import State
from device.core.problems import Problem
from device.core.reasons import Reason
from device.workbench import documents
from device.workbench.documents import BEGIN, END, configuration, main, problems, reasons


def test_the_committed_documents_are_as_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    """A changed setting, reason or state without its document is noticed."""
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    """Section by section; a section in a section has a heading of its own."""
    text = configuration()
    for name, field in GateConfig.model_fields.items():
        assert f"## `[{name}]`" in text
        (section,) = (one for one in (field.annotation, *getattr(field.annotation, "__args__", ())) if hasattr(one, "model_fields"))
        assert [key for key in section.model_fields if f"| `{key}` | " not in text] == []
    assert "| `id` | needed | " in text
    assert "| `fps` | `15.0` | " in text
    assert "| `seal_to` | none | " in text


def test_no_bar_in_a_description_breaks_a_table() -> None:
    """Each row has as many cells as its head."""
    for text in (configuration(), reasons(), problems()):
        width = 0
        for line in text.splitlines():
            cells = line.replace("\\|", "").count("|")
            if line.startswith("|---"):
                width = cells
            elif line.startswith("| ") and width:
                assert cells == width, line
            elif not line:
                width = 0


@pytest.mark.parametrize(("text", "codes"), [(reasons(), Reason), (problems(), Problem)], ids=["reasons", "problems"])
def test_every_code_stands_once_in_the_first_column(text: str, codes: type[Reason | Problem]) -> None:
    """A reader who searches for what the gate said finds it."""
    assert [code.value for code in codes if text.count(f"| `{code.value}` |") < 1] == []


def test_every_state_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Mermaid, between the marks; what people wrote around it stays."""
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text(f"before\n{BEGIN}\nof yesterday\n{END}\nafter\n", encoding="utf-8")
    made = documents.documents()[tmp_path / "README.md"]
    assert made.startswith(f"before\n{BEGIN}\n```mermaid\n")
    assert made.endswith(f"```\n{END}\nafter\n")
    assert "of yesterday" not in made
    assert [state for state in State if state.value not in made] == []


def test_what_is_out_of_date_is_named_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` writes nothing and ends with 1; without it what was stale is written, and the rest is left alone."""
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text(f"# Made up\n{BEGIN}\n{END}\n", encoding="utf-8")
    assert main(["--check"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "reference/reasons.md differs from the code: run python -m device.workbench.documents" in err
    assert len(err.splitlines()) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md"]
    assert main([]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert main(["--check"]) == 0
    (tmp_path / "reference" / "problems.md").write_text("edited by hand", encoding="utf-8")
    assert main([]) == 0
    assert capsys.readouterr().out == "wrote reference/problems.md\n"
