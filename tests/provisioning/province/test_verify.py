"""Whether the province's record is whole: by the events themselves, with what is wrong and an exit code."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from provisioning.province.event_store import SqliteStore
from provisioning.province.intake import judge
from provisioning.province.verify import main
from tests.provisioning.province.events import Chain


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The collector's file with five events of one gate."""
    path, chain, store = tmp_path / "events.sqlite", Chain().grow(5), SqliteStore(tmp_path / "events.sqlite")
    store.keep([judge(chain.topic(seq), body) for seq, body in chain.bodies.items()], "2026-11-27T06:00:00Z")
    store.close()
    return path


def change(path: Path, statement: str) -> None:
    """Somebody at the file."""
    with closing(sqlite3.connect(path)) as store, store:
        store.execute(statement)


def test_a_whole_record_is_said_to_be_whole(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and how many events it has."""
    assert main(["--db", str(kept), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["events"], told["findings"]) == (5, [])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = CAST(replace(CAST(body AS TEXT), 'accept', 'reject') AS BLOB) WHERE seq = 3",
        "DELETE FROM events WHERE seq = 3",
    ],
)
def test_what_was_changed_or_taken_out_is_named_with_its_place(kept: Path, capsys: pytest.CaptureFixture[str], statement: str) -> None:
    """Exit code 1, whatever the collector noted."""
    change(kept, statement)
    assert main(["--db", str(kept), "--json"]) == 1
    assert {finding["seq"] for finding in json.loads(capsys.readouterr().out)["findings"]} == {3}
    assert main(["--db", str(kept)]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) > 1
    assert "lỗi · faults" in shown[-1]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, for a certificate too that is not there, or is no option at all."""
    assert main(["--db", str(tmp_path / "none.sqlite")]) == 2
    assert "none.sqlite" in capsys.readouterr().err
    assert main(["--db", str(tmp_path / "none.sqlite"), "--cert", f"g1={tmp_path / 'none.pem'}"]) == 2
    with pytest.raises(SystemExit) as ended:
        main(["--db", "x", "--cert", "g1"])
    assert ended.value.code == 2
