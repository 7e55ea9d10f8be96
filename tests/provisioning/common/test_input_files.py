"""Files that people bring: read as they were meant, or refused with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.common import input_files
from provisioning.common.errors import Refused
from provisioning.common.input_files import csv_rows, text_of


def brought(folder: Path, content: bytes) -> Path:
    """A file."""
    path = folder / "brought.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_text_is_read_with_or_without_the_mark_at_its_beginning(tmp_path: Path, mark: bytes) -> None:
    """Vietnamese spreadsheets write it, editors do not."""
    assert text_of(brought(tmp_path, mark + "số,tên".encode())) == "số,tên"


def test_the_byte_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    """E131 with its place in the file, which an editor can show."""
    with pytest.raises(Refused) as refused:
        text_of(brought(tmp_path, b"abc\xff"))
    assert (refused.value.code, refused.value.facts["byte"]) == ("E131", 3)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E130; one that is just small enough is."""
    monkeypatch.setattr(input_files, "SIZE_LIMIT", 4)
    assert text_of(brought(tmp_path, b"1234")) == "1234"
    with pytest.raises(Refused, match="E130"):
        text_of(brought(tmp_path, b"12345"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """E130 with the system's own words."""
    with pytest.raises(Refused) as refused:
        text_of(tmp_path / "none.csv")
    assert (refused.value.code, refused.value.facts["why"]) == ("E130", "No such file or directory")


@pytest.mark.parametrize("mark", [",", ";"])
def test_rows_are_numbered_by_their_line_and_hold_what_is_filled(mark: str) -> None:
    """With either mark between the cells; an empty line counts, an empty cell is none."""
    rows = csv_rows(Path("x"), f"a{mark}b\n1{mark}\n\n2{mark}3\n")
    assert rows == {2: {"a": "1"}, 4: {"a": "2", "b": "3"}}


def test_a_mark_within_a_name_does_not_change_what_stands_between_cells() -> None:
    """The one that is there more often in the first line is it."""
    assert csv_rows(Path("x"), 'a;"b,c";d\n1;2;3\n') == {2: {"a": "1", "b,c": "2", "d": "3"}}


def test_a_row_with_more_cells_than_names_is_refused_with_its_line() -> None:
    """E132: what stood there would be lost."""
    with pytest.raises(Refused) as refused:
        csv_rows(Path("x"), "a,b\n1,2\n1,2,3\n")
    assert (refused.value.code, refused.value.facts["row"], refused.value.facts["why"]) == ("E132", 3, "> 2 columns")
