"""The `gate` command: its exit codes and errors, verb by verb, as other programs rely on them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device import cli
from device.cli import main
from device.edges.certificate import renew
from device.errors import JournalBusy, Unsigned
from device.verbs import events, update
from device.workbench.stage import Stage
from tests.entries import Opener, checkin
from tests.fakes.clock import FakeClock

READS_ITS_CONFIGURATION = ("run", "eye", "events", "status", "selftest")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A gate's files; nothing runs."""
    (tmp_path / "frames").mkdir()
    return Stage(tmp_path / "gate", f"folder:{tmp_path / 'frames'}")


def process(*words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: daemon and eye change the one they run in."""
    command = [sys.executable, "-m", "device.cli", *words]
    return subprocess.run(command, env=os.environ | (environment or {}), check=False, capture_output=True, text=True)


@pytest.mark.parametrize("words", ["", "dem", "status --jso", "events --limit many", "update", "replay", "bench everything", "renew now"])
def test_a_wrong_line_is_usage(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with the usage on standard error. A word is never completed: what is unique today may not be tomorrow."""
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: gate")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_seconds_must_be_a_number_above_zero(seconds: str) -> None:
    """Usage: exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--seconds", seconds])
    assert caught.value.code == 2


@pytest.mark.parametrize("verb", READS_ITS_CONFIGURATION)
def test_a_configuration_that_cannot_be_read_is_named_by_every_verb(verb: str, tmp_path: Path) -> None:
    """Exit code 2: the file, why, and what to do."""
    path = tmp_path / "nowhere.toml"
    done = process(verb, "--config", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"gate: {path}: cannot be read: ")
    assert second == "  The configuration cannot be used. Mend the named key, then run `gate check-config FILE` again."


def test_unless_named_the_configuration_is_debians(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a gate nobody has to name it."""
    assert Path("/etc/gate/gate.toml") == cli.DEFAULT_CONFIG
    monkeypatch.setattr(cli, "DEFAULT_CONFIG", tmp_path / "gate.toml")
    assert main(["status"]) == 2
    assert str(tmp_path / "gate.toml") in capsys.readouterr().err


def test_check_config_says_good_or_names_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, or 2 with the key on standard error."""
    (tmp_path / "frames").mkdir()
    stage = Stage(tmp_path / "gate", f"folder:{tmp_path / 'frames'}")
    assert main(["check-config", str(stage.config_path)]) == 0
    assert "good: gate demo-gate of site demo-site" in capsys.readouterr().out
    (stage.folder / "site.key").unlink()
    assert main(["check-config", str(stage.config_path)]) == 2
    error = capsys.readouterr().err
    assert "privacy.site_key" in error
    assert "Mend the named key" in error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("status", "No gate is running here"),
        ("events", "journal.sqlite"),
        ("events --verify", "journal.sqlite"),
    ],
)
def test_what_is_asked_about_and_is_not_there_is_exit_code_1(
    stage: Stage, words: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No gate runs and it never did: no status, no record."""
    assert main([*words.split(), "--config", str(stage.config_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gate: ")
    assert says in err


def test_a_card_without_a_bundle_enrols_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; the file is named."""
    places = [word for name in ("card", "etc", "store") for word in (f"--{name}", str(tmp_path))]
    assert main(["enrol", *places, "--wait", "0"]) == 1
    assert f"{tmp_path / 'bundle.json'}" in capsys.readouterr().err


def test_a_gate_that_was_never_set_up_renews_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2: there is no configuration that says who it is. Code 3 belongs to a certificate that is new."""
    assert main(["renew", "--etc", str(tmp_path), "--store", str(tmp_path), "--wait", "0"]) == 2
    assert "gate.toml: cannot be read" in capsys.readouterr().err


class Installer:
    """In the place of `gate update`: notes what it was asked, and refuses what is not signed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []

    def run(self, package: Path, *, older: bool) -> int:
        """One package."""
        self.asked.append((package.name, older))
        if "unsigned" in package.name:
            raise Unsigned(f"{package}: there is no signature beside the package")
        return 0

    def run_handed_in(self, folder: Path) -> int:
        """A folder of them."""
        self.asked.append((folder.name, False))
        return 1


def test_an_update_hands_on_what_to_install_and_how_it_went(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand or handed in, never both; refused is exit code 1 with what to do."""
    installer = Installer()
    monkeypatch.setattr(update, "run_update", installer.run)
    monkeypatch.setattr(update, "run_handed_in", installer.run_handed_in)
    assert main(["update", "good.deb"]) == 0
    assert main(["update", "old.deb", "--older"]) == 0
    assert main(["update", "--handed-in", "folder"]) == 1
    assert capsys.readouterr().err == ""
    assert main(["update", "unsigned.deb"]) == 1
    assert installer.asked == [("good.deb", False), ("old.deb", True), ("folder", False), ("unsigned.deb", False)]
    assert "Do not install it by other means" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["update", "good.deb", "--handed-in", "folder"])


@pytest.mark.parametrize(("done", "code", "said"), [(True, 3, "renewed"), (False, 0, "not due")])
def test_a_new_certificate_has_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int, said: str, *, done: bool
) -> None:
    """The unit starts the gate anew for 3 and for nothing else."""
    found = renew.Renewed("gate-1", datetime(2027, 3, 1, tzinfo=UTC), done)
    monkeypatch.setattr(renew, "renew", lambda *_, **__: found)
    assert main(["renew"]) == code
    assert capsys.readouterr().out == f"gate-1: {said}; valid until 2027-03-01\n"


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 1), (JournalBusy("the record"), 1)])
def test_whatever_ends_a_verb_is_no_traceback(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    """A person who had enough, and what another process holds."""

    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(events, "print_events", fail)
    assert main(["events", "--config", str(stage.config_path)]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_failure(stage: Stage) -> None:
    """`gate events | head`: exit code 0, and not a word."""
    clock = FakeClock()
    opener = Opener(stage.folder / "state" / "journal.sqlite", clock)
    journal = opener()
    for number in range(400):
        journal.record(checkin(clock, number))
    opener.close()
    command = f'"{sys.executable}" -m device.cli events --json --limit 0 --config "{stage.config_path}"'
    script = f'{{ {command}; echo "code $?" >&2; }} | head -n 1'
    done = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == "code 0\n"


@pytest.mark.parametrize("before", [None, "debug"])
def test_the_processes_that_a_verb_starts_say_as_much_as_it_does(stage: Stage, monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    """LOG_LEVEL is what the caller set, else warnings; afterwards the caller's environment is as it was."""
    seen: list[str] = []

    def note(*_: object, **__: object) -> int:
        seen.append(os.environ["LOG_LEVEL"])
        return 0

    monkeypatch.delenv("LOG_LEVEL", raising=False)
    if before is not None:
        monkeypatch.setenv("LOG_LEVEL", before)
    monkeypatch.setattr(events, "print_events", note)
    assert main(["events", "--config", str(stage.config_path)]) == 0
    assert seen == [before or "WARNING"]
    assert os.environ.get("LOG_LEVEL") == before


def test_no_verb_but_demo_and_bench_knows_the_workbench() -> None:
    """A gate's package has none, and every other verb is for a gate."""
    tree = ast.parse(Path(cli.__file__).read_text(encoding="utf-8"))
    users = {
        getattr(part, "name", "the module")
        for part in tree.body
        for node in ast.walk(part)
        if isinstance(node, ast.ImportFrom | ast.Import) and "workbench" in ast.unparse(node)
    }
    assert users == {"demo", "bench"}


def test_asking_what_verbs_there_are_loads_none_of_them() -> None:
    """On a Pi each import is paid for in tenths of a second."""
    heavy = ("numpy", "pyzbar", "paho", "cryptography", "gpiozero", "sqlite3", "pydantic", "device.gate", "device.workbench")
    code = f"import sys, device.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
