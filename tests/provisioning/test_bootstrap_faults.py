"""What ``provisioning/bootstrap`` says when a machine cannot give what is needed: one clear error, nothing half-made."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provisioning.pretend_machine import PretendMachine

APT_OFFLINE = """Err:1 mirror bookworm InRelease
  Temporary failure resolving 'mirror'
W: Some index files failed to download. They have been ignored, or old ones used instead."""
APT_LOCKED = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)"
APT_FULL = "E: You don't have enough free space in /var/cache/apt/archives/."
PIP_OFFLINE = """WARNING: Retrying after connection broken by 'NewConnectionError': Temporary failure in name resolution
ERROR: Could not find a version that satisfies the requirement one==1 (from versions: none)
ERROR: No matching distribution found for one==1"""
PIP_UNSERVED = "ERROR: No matching distribution found for one==1"
PIP_FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
PIP_OTHER_FILE = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."


@pytest.fixture
def machine(tmp_path: Path) -> PretendMachine:
    """A pretended machine that lacks nothing but the environment."""
    return PretendMachine(tmp_path)


@pytest.fixture
def public_machine() -> Iterator[PretendMachine]:
    """One that other users can look into: pytest's own temporary folders are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield PretendMachine(Path(folder) / "home")


def test_without_a_command_it_shows_its_use(machine: PretendMachine) -> None:
    """A call without a command is a mistake in use."""
    run = machine.finish(machine.start())
    assert run.status == 2
    assert run.out == ""
    assert run.err.startswith("usage: ")


def test_an_unknown_command_is_named(machine: PretendMachine) -> None:
    """A misspelt command gives the shell's usual exit code and its name."""
    run = machine.run("gaet")
    assert run.status == 127
    assert "no command gaet" in run.err


def test_a_machine_without_apt_is_told_what_it_lacks(machine: PretendMachine) -> None:
    """On another kind of system each missing thing is named, to be installed by hand."""
    machine.say(missing="libzbar mosquitto")
    machine.take_tool("apt-get")
    run = machine.run()
    assert run.status == 1
    assert "Missing on this machine: libzbar mosquitto. There is no apt-get" in run.err
    assert run.installed == []


def test_apt_without_network_is_told_apart(machine: PretendMachine) -> None:
    """Without lists and without network the missing packages are named, with the question that helps."""
    machine.say(missing="libzbar mosquitto", update_fails=APT_OFFLINE)
    run = machine.run()
    assert run.status == 1
    assert "Missing on this machine: libzbar0 mosquitto" in run.err
    assert "Is this machine online?" in run.err
    assert not run.called("install")


@pytest.mark.parametrize(
    ("words", "advice"),
    [(APT_OFFLINE, "online"), (APT_LOCKED, "Another package manager"), (APT_FULL, "disk is full"), ("E: broken packages", "tool's own")],
)
def test_a_failing_apt_is_explained(machine: PretendMachine, words: str, advice: str) -> None:
    """The end of apt's own words, what is missing, and what to do."""
    machine.say(missing="libzbar mosquitto", lists="libzbar0\nmosquitto", apt_fails=words)
    run = machine.run()
    assert run.status == 1
    assert words.splitlines()[-1] in run.err
    assert "Missing on this machine: libzbar0 mosquitto" in run.err
    assert advice in run.err.splitlines()[-1]


def test_a_failed_installation_unmasks_mosquitto_and_leaves_its_setting(machine: PretendMachine) -> None:
    """What was masked for the installation is freed, and a service that was never installed is not disabled."""
    machine.say(missing="mosquitto", lists="mosquitto", apt_fails=APT_LOCKED)
    calls = machine.run().called("systemctl")
    assert [call.split()[2] for call in calls] == ["mask", "unmask"]


def test_a_refusal_of_sudo_leaves_the_command_for_an_administrator(machine: PretendMachine) -> None:
    """Somebody who may not install learns what to ask for."""
    machine.say(missing="libzbar mosquitto", lists="libzbar0\nmosquitto", uid="1000", sudo_refuses="")
    run = machine.run()
    assert run.status == 1
    assert "sudo refused" in run.err
    assert run.err.rstrip().endswith("apt-get install --no-install-recommends libzbar0 mosquitto")


def test_a_machine_without_sudo_leaves_the_command_for_an_administrator(machine: PretendMachine) -> None:
    """Debian installs no sudo where root has a password."""
    machine.say(missing="libzbar", lists="libzbar0", uid="1000")
    machine.take_tool("sudo")
    run = machine.run()
    assert run.status == 1
    assert "There is no sudo here" in run.err
    assert run.err.rstrip().endswith("apt-get install --no-install-recommends libzbar0")


def test_an_installation_that_changes_nothing_is_noticed(machine: PretendMachine) -> None:
    """A library for another architecture installs well and is still not found: no endless circle."""
    machine.say(missing="libzbar", lists="libzbar0", apt_lies="")
    run = machine.run()
    assert run.status == 1
    assert "still not found: libzbar" in run.err


@pytest.mark.parametrize("version", ["2.7", "3.1", "3.9", "3.10"])
def test_an_old_python_is_refused(machine: PretendMachine, version: str) -> None:
    """Below 3.11 nothing is installed, and the way to another interpreter is named."""
    machine.say(version=version, missing="libzbar")
    run = machine.run()
    assert run.status == 2
    assert f"python3 is Python {version}" in run.err
    assert "GATE_PYTHON" in run.err
    assert run.installed == []


def test_a_named_python_that_is_not_there_is_refused(machine: PretendMachine) -> None:
    """A wrong GATE_PYTHON is a mistake in use: no other interpreter is taken in its place."""
    machine.environment["GATE_PYTHON"] = "/nowhere/python3.13"
    run = machine.run()
    assert run.status == 2
    assert "GATE_PYTHON names /nowhere/python3.13" in run.err


def test_a_program_that_is_no_python_is_refused(machine: PretendMachine) -> None:
    """GATE_PYTHON may name anything, so what does not answer like Python is named."""
    machine.environment["GATE_PYTHON"] = "ls"
    run = machine.run()
    assert run.status == 2
    assert "ls is no Python that works" in run.err


def test_a_python_of_ones_own_without_venv_is_refused(machine: PretendMachine) -> None:
    """No package of Debian can complete an interpreter that did not come from Debian."""
    machine.say(missing="venv")
    run = machine.run()
    assert run.status == 2
    assert "has no venv or ensurepip" in run.err
    assert run.installed == []


def test_a_full_disk_is_found_before_anything_is_made(machine: PretendMachine) -> None:
    """The need is known beforehand, so nobody waits a minute to learn of it."""
    machine.say(free_mib="12")
    run = machine.run()
    assert run.status == 1
    assert "has 12 MiB free" in run.err
    assert run.installed == []


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (PIP_OFFLINE, "Is this machine online?"),
        (PIP_UNSERVED, "must be 64-bit"),
        (PIP_FULL, "disk is full"),
        (PIP_OTHER_FILE, "not the file that the lock names"),
    ],
)
def test_a_failing_pip_is_explained_and_its_environment_not_trusted(machine: PretendMachine, words: str, advice: str) -> None:
    """The cause is named, the command does not run, and the next run begins anew."""
    machine.say(pip_fails=words)
    run = machine.run()
    assert run.status == 1
    assert words.splitlines()[-1] in run.err
    assert advice in run.err
    assert "Retrying" not in run.err
    assert not run.called("gate")
    machine.forget("pip_fails")
    assert len(machine.run().installed) == 3


def test_a_failing_venv_is_named(machine: PretendMachine) -> None:
    """Without an environment nothing goes on."""
    machine.say(venv_fails="Error: Command returned non-zero exit status 1.")
    run = machine.run()
    assert run.status == 1
    assert "cannot be made" in run.err
    assert not run.called("-m pip")


def test_a_failing_link_is_done_again_alone(machine: PretendMachine) -> None:
    """The packages were complete; only the project's own step is repeated."""
    machine.say(link_fails="ERROR: hatchling: invalid pyproject.toml")
    run = machine.run()
    assert run.status == 1
    assert "could not link the project" in run.err
    machine.forget("link_fails")
    again = machine.run()
    assert again.status == 0
    assert len(again.installed) == 1


def test_a_command_that_cannot_be_written_is_named(machine: PretendMachine) -> None:
    """And the environment does not count as made."""
    machine.run()
    command = machine.project / ".venv" / "bin" / "gate-provision"
    command.unlink()
    command.mkdir()
    (machine.project / "pyproject.toml").write_text("[project]\n# changed\n", encoding="utf-8")
    run = machine.run()
    assert run.status == 1
    assert f"{command} cannot be written." in run.err
    assert machine.run().status == 1


def test_an_environment_cut_short_is_made_anew(machine: PretendMachine) -> None:
    """A folder without the stamp, as after a power cut, is not taken for an environment."""
    (machine.project / ".venv" / "bin").mkdir(parents=True)
    (machine.project / ".venv" / "bin" / "python").symlink_to(machine.bin / "true")
    assert len(machine.run().installed) == 3


def test_an_environment_whose_python_is_gone_is_made_anew(machine: PretendMachine) -> None:
    """The stamp alone does not help when the interpreter was removed."""
    machine.run()
    (machine.project / ".venv" / "bin" / "python").unlink()
    assert len(machine.run().installed) == 3


def test_an_incomplete_copy_of_the_project_is_named(machine: PretendMachine) -> None:
    """The script alone, copied elsewhere, says which file it needs."""
    (machine.project / "provisioning" / "requirements.lock").unlink()
    run = machine.run()
    assert run.status == 1
    assert "requirements.lock is missing" in run.err


def test_a_folder_that_no_search_path_can_hold_is_refused(machine: PretendMachine) -> None:
    """A colon separates the folders of a search path."""
    machine.project = machine.project.rename(machine.home / "a:b")
    run = machine.run()
    assert run.status == 1
    assert "holds a colon" in run.err


def test_a_folder_of_somebody_else_is_named(public_machine: PretendMachine) -> None:
    """Who may not write there is told so before anything is downloaded."""
    run = public_machine.run_as_stranger()
    assert run.status == 1
    assert "cannot be written" in run.err
    assert run.installed == []
