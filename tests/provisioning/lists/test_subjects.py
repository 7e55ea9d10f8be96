"""Whom a list names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning.registry.tables import GateState
from tests.provisioning.enrolment_kit import Province, run
from tests.provisioning.gate_kit import POLICY, desk


@pytest.mark.parametrize(
    ("rows", "code", "says"),
    [
        ("number\n64090000001\n", "E193", "row 2: these 11 characters are no number of the class citizen"),
        ("number,class\n064090000001,\n\nAB1234567890123,citizen\n", "E193", "row 4"),
        ("number,class\n0123456789,phone\n", "E132", "class"),
        ("so\n064090000001\n", "E193", "row 2: these 0 characters"),
        ("number\n", "E194", "names 0 people"),
        ("number,class\n064090000001,citizen,more\n", "E132", "row 2"),
        ('number\n"064090000001\n', "E132", "unexpected end"),
    ],
)
def test_a_file_of_people_is_taken_whole_or_not_at_all(
    town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str, code: str, says: str
) -> None:
    """The row is named, the number never: it is somebody's."""
    gate = town.gate(GateState.ENROLLED)
    (tmp_path / "policy.toml").write_text(POLICY)
    run(capsys, "site", "change", gate.site, "--policy", str(tmp_path / "policy.toml"))
    listed = tmp_path / "people.csv"
    listed.write_text(rows)
    told = run(capsys, "list", "publish", "--site", gate.site, *desk(town), "--name", "workers", "--people", str(listed), code=2)
    assert told["error"] == code
    assert says in told["message"]
    assert "0640900" not in json.dumps(told)


def test_what_a_list_is_made_of_must_fit_its_name(town: Province, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The revoked badges come from the registry alone, every other list from a file alone."""
    gate = town.gate(GateState.ENROLLED)
    (tmp_path / "policy.toml").write_text(POLICY.replace("lists = [", 'lists = [{ name = "revoked", use = "status" }, '))
    run(capsys, "site", "change", gate.site, "--policy", str(tmp_path / "policy.toml"))
    words = ("list", "publish", "--site", gate.site, *desk(town))
    assert run(capsys, *words, "--name", "workers", code=2)["error"] == "E133"
    (tmp_path / "people.csv").write_text("number\n064090000001\n")
    assert run(capsys, *words, "--people", str(tmp_path / "people.csv"), code=2)["error"] == "E133"
