"""Files that the tool leaves: whole or not at all, closed to others where they must be, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import os
import stat
from pathlib import Path

import pytest

from provisioning.common.errors import Refused
from provisioning.common.output_files import csv_table, save


def test_a_file_is_written_into_folders_that_are_made(tmp_path: Path) -> None:
    """With its mode, and nothing beside it."""
    path = tmp_path / "one" / "two" / "file"
    save(b"content", path, 0o600)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_file_that_was_open_to_all_is_closed_by_the_next_one(tmp_path: Path) -> None:
    """Its content never stands under the old mode."""
    path = tmp_path / "file"
    save(b"open", path)
    save(b"closed", path, 0o600)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"closed", 0o600)


def test_what_a_run_before_left_half_done_is_no_hindrance(tmp_path: Path) -> None:
    """It is written anew."""
    (tmp_path / ".file.new").write_bytes(b"half")
    save(b"whole", tmp_path / "file")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"whole")]


def test_a_disk_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """E145, the old content, and no half file."""
    path = tmp_path / "file"
    save(b"old", path)

    def fails(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(Refused) as refused:
        save(b"new", path)
    assert (refused.value.code, refused.value.facts["why"]) == ("E145", "No space left on device")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize("cell", ["=1+1", "+84", "-1", "@x", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(cell: str) -> None:
    """Whatever a gate or a person wrote into it."""
    assert next(csv.reader(io.StringIO(csv_table(("a",), [(cell,)]).decode("utf-8-sig").split("\r\n", 1)[1])))[0] == f"'{cell}"


def test_a_table_has_the_mark_by_which_spreadsheets_know_it_and_numbers_stay_numbers() -> None:
    """Its names first."""
    assert csv_table(("số", "tên"), [(-1, "Đặng")]) == b"\xef\xbb\xbf" + "số,tên\r\n-1,Đặng\r\n".encode()
