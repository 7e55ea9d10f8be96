"""The laptop's own check: what is missing, what is wrong, and what is only worth knowing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning import doctor
from provisioning.authority.creation import make
from provisioning.desk import Desk, Settings

PHRASE = "ba bon nam sau"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk whose folder does not exist yet."""
    made = Desk(Settings(tmp_path / "home"))
    yield made
    made.close()


def outcomes(desk: Desk) -> dict[str, str]:
    """Of each check."""
    return {row["check"]: row["outcome"] for row in doctor.checks(desk)}


def test_a_laptop_that_is_only_set_up_has_no_folder_and_no_authority_yet(desk: Desk) -> None:
    """Which is said, and wrong is nothing. Whether there is an ssh is another matter."""
    found = outcomes(desk)
    assert {check for check, outcome in found.items() if outcome == "warn"} - {"ssh"} == {"home", "authority"}
    assert "fail" not in found.values()


def test_a_folder_that_others_can_read_is_wrong(desk: Desk) -> None:
    """Keys lie in it."""
    desk.settings.home.mkdir(mode=0o700)
    assert outcomes(desk)["home"] == "pass"
    desk.settings.home.chmod(0o750)
    assert outcomes(desk)["home"] == "fail"


def test_a_root_key_that_is_not_in_the_safe_is_worth_a_word(desk: Desk) -> None:
    """As long as it lies here."""
    desk.settings.home.mkdir(mode=0o700)
    root = make(desk.authority.folder, "Test", PHRASE).folder / "root.key.pem"
    assert (outcomes(desk)["authority"], outcomes(desk)["root_key"]) == ("pass", "warn")
    root.unlink()
    assert outcomes(desk)["root_key"] == "pass"


def test_a_laptop_without_ssh_can_do_all_but_log_in(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worth a word before somebody stands at a gate; the code says what to install."""
    (tmp_path / "ssh").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert outcomes(desk)["ssh"] == "pass"
    monkeypatch.setenv("PATH", "/nowhere")
    assert {row["value"] for row in doctor.checks(desk) if row["check"] == "ssh"} == {"E210"}
    assert outcomes(desk)["ssh"] == "warn"


def test_a_registry_that_cannot_be_opened_is_named_by_its_code(tmp_path: Path) -> None:
    """The other checks go on."""
    rows = {row["check"]: row for row in doctor.checks(Desk(Settings(tmp_path, registry="sqlite:////nowhere/r.sqlite")))}
    assert (rows["registry"]["outcome"], rows["registry"]["value"]) == ("fail", "E120")
    assert "space" in rows


def test_a_clock_from_before_the_tool_was_made_is_wrong(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else it says."""
    monkeypatch.setattr(time, "time", lambda: doctor.RELEASED_S)
    assert outcomes(desk)["clock"] == "fail"
    monkeypatch.setattr(time, "time", lambda: doctor.RELEASED_S + 1)
    assert outcomes(desk)["clock"] == "pass"
