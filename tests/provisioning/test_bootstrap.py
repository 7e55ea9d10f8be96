"""What ``provisioning/bootstrap`` does on a machine where all goes well."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.provisioning.pretend_machine import PretendMachine


@pytest.fixture
def machine(tmp_path: Path) -> PretendMachine:
    """A pretended machine that lacks nothing but the environment."""
    return PretendMachine(tmp_path)


def test_the_command_runs_with_its_arguments_in_the_callers_folder(machine: PretendMachine) -> None:
    """Arguments with spaces arrive whole, the folder stays, and standard output is the command's alone."""
    run = machine.run("gate", "two words", "", "*")
    assert (run.status, run.out) == (0, f"{machine.home}\ntwo words\n\n*\n")


def test_the_commands_exit_code_is_the_scripts(machine: PretendMachine) -> None:
    """What the command reports reaches the caller."""
    assert machine.run("sh", "-c", "exit 37").status == 37


def test_the_commands_of_the_environment_come_first(machine: PretendMachine) -> None:
    """A program in the environment is found before one of the same name elsewhere, and Debian's sbin at last."""
    run = machine.run("printenv", "PATH")
    assert run.out.strip() == f"{machine.project}/.venv/bin:{machine.bin}:/usr/sbin"


def test_the_command_gets_a_clean_environment(machine: PretendMachine) -> None:
    """Variables that would bring in foreign modules, or send pip elsewhere, do not reach Python."""
    machine.environment |= {"PYTHONPATH": "/elsewhere", "PYTHONHOME": "/elsewhere", "PIP_TARGET": "/elsewhere", "PIP_USER": "1"}
    run = machine.run("printenv")
    assert "elsewhere" not in run.out
    assert "PIP_USER" not in run.out
    assert f"VIRTUAL_ENV={machine.project}/.venv" in run.out.splitlines()


def test_the_command_does_not_inherit_the_lock(machine: PretendMachine) -> None:
    """A daemon started through the script would otherwise keep the lock for as long as it lives."""
    assert machine.run("sh", "-c", "test ! -e /proc/self/fd/9").status == 0


def test_the_first_run_installs_in_order(machine: PretendMachine) -> None:
    """Packages of the system, then the environment, then the locked packages, then the project."""
    machine.say(missing="libzbar mosquitto", lists="libzbar0\nmosquitto")
    run = machine.run()
    steps = [next(word for word in ("apt-get", "venv", "--require-hashes", "--editable") if word in call) for call in run.installed]
    assert steps == ["apt-get", "venv", "--require-hashes", "--editable"]
    assert run.installed[0].endswith("install --yes --no-install-recommends libzbar0 mosquitto")


def test_packages_come_only_as_the_lock_names_them(machine: PretendMachine) -> None:
    """Hashes are demanded, nothing else is resolved, nothing is built from source, and the project needs no network."""
    run = machine.run()
    locked, project = run.called("-m pip")
    assert "--require-hashes --no-deps --only-binary :all:" in locked
    assert locked.endswith(f"-r {machine.project}/provisioning/requirements.lock")
    assert "--no-index --no-deps --no-build-isolation" in project


def test_the_desks_command_is_made_beside_the_projects_own(machine: PretendMachine) -> None:
    """No package has it, since a gate has no desk: it runs the desk's module with the environment's Python and the caller's arguments."""
    machine.run()
    run = machine.run("gate-provision", "site", "add", "--name", "Hoa Phượng")
    assert run.calls[-1] == "python -P -m provisioning.cli site add --name Hoa Phượng"


def test_the_second_run_only_looks(machine: PretendMachine) -> None:
    """When everything is there, one question to the interpreter is all that happens before the command."""
    machine.run()
    run = machine.run()
    assert run.status == 0
    assert run.err == ""
    assert [call.split()[0] for call in run.calls] == ["python3", "gate"]


def test_a_changed_lock_makes_the_environment_anew(machine: PretendMachine) -> None:
    """An environment made from another lock would hold packages that the lock does not name."""
    machine.run()
    (machine.project / ".venv" / "left over").touch()
    (machine.project / "provisioning" / "requirements.lock").write_text("one==2\n", encoding="utf-8")
    run = machine.run()
    assert len(run.installed) == 3
    assert not (machine.project / ".venv" / "left over").exists()


def test_a_changed_setting_only_links_the_project_again(machine: PretendMachine) -> None:
    """pyproject.toml holds entry points, so the link is renewed; the packages stay."""
    machine.run()
    (machine.project / "pyproject.toml").write_text("[project]\n# changed\n", encoding="utf-8")
    run = machine.run()
    assert len(run.installed) == 1
    assert "--editable" in run.installed[0]


def test_another_python_makes_the_environment_anew(machine: PretendMachine) -> None:
    """After an upgrade of the system the old environment's interpreter no longer fits."""
    machine.run()
    machine.say(version="3.13")
    assert len(machine.run().installed) == 3


def test_a_moved_project_makes_the_environment_anew(machine: PretendMachine) -> None:
    """An environment holds absolute paths, so it does not survive a move."""
    machine.run()
    machine.project = machine.project.rename(machine.home / "elsewhere")
    assert len(machine.run().installed) == 3


def test_a_named_python_is_used(machine: PretendMachine) -> None:
    """GATE_PYTHON chooses the interpreter, with spaces in its path too."""
    named = machine.home / "my python"
    (machine.bin / "python3").rename(named)
    machine.environment["GATE_PYTHON"] = str(named)
    assert machine.run().called("my python -I -c")


def test_it_works_through_a_symbolic_link(machine: PretendMachine) -> None:
    """A link in a folder of programs finds the project that it points into."""
    link = machine.home / "bootstrap"
    link.symlink_to(machine.script)
    run = machine.run(script=link)
    assert run.status == 0
    assert (machine.project / ".venv" / "bin" / "python").exists()


@pytest.mark.parametrize(("known", "name"), [("libzbar0", "libzbar0"), ("libzbar0\nlibzbar0t64", "libzbar0t64")])
def test_the_library_is_installed_by_the_name_of_its_release(machine: PretendMachine, known: str, name: str) -> None:
    """Debian 13 renamed libzbar0 to libzbar0t64."""
    machine.say(missing="libzbar", lists=known)
    run = machine.run()
    assert run.called("apt-get", "install")[0].endswith(f" {name}")
    assert not run.called("apt-get", "update")


def test_lists_are_refreshed_when_apt_knows_no_such_package(machine: PretendMachine) -> None:
    """A new machine has no package lists yet."""
    machine.say(missing="libzbar mosquitto")
    run = machine.run()
    assert run.status == 0
    assert [call.split()[-1] for call in run.called("apt-get")] == ["update", "mosquitto"]


def test_stale_lists_are_refreshed_once(machine: PretendMachine) -> None:
    """Old lists name files that the archive no longer has."""
    machine.say(missing="libzbar", lists="libzbar0", stale="")
    run = machine.run()
    assert run.status == 0
    assert [call.split()[-1] for call in run.called("apt-get")] == ["libzbar0", "update", "libzbar0"]


def test_a_machine_without_python_gets_one(machine: PretendMachine) -> None:
    """The smallest Debian has no Python; it is installed with venv, and then everything else."""
    (machine.bin / "python3").rename(machine.pretend / "python3")
    machine.say(missing="mosquitto")
    run = machine.run()
    assert run.status == 0
    assert [call.rpartition("recommends ")[2] for call in run.called("install --yes")] == ["python3 python3-venv", "mosquitto"]


def test_debians_python_gets_its_venv_module(machine: PretendMachine) -> None:
    """Debian splits venv off; the package is named after the version in use."""
    (machine.home / "usr" / "bin").mkdir(parents=True)
    debian = machine.home / "usr" / "bin" / "python3"
    (machine.bin / "python3").rename(debian)
    (machine.bin / "python3").symlink_to(debian)
    machine.environment["GATE_PYTHON"] = str(debian)
    machine.say(missing="venv", lists="python3.11-venv")
    assert machine.run().called("apt-get", "install")[0].endswith(" python3.11-venv")


def test_mosquitto_is_installed_asleep(machine: PretendMachine) -> None:
    """The service is masked during the installation, so that it does not start, and left unmasked and disabled."""
    machine.say(missing="mosquitto", lists="mosquitto")
    run = machine.run()
    calls = [call for call in run.calls if call.split()[0] in {"systemctl", "apt-get", "service"}]
    assert [next(word for word in ("unmask", "mask", "install", "stop", "disable") if word in call) for call in calls] == [
        "mask",
        "install",
        "stop",
        "unmask",
        "disable",
    ]


def test_an_installed_mosquitto_is_left_alone(machine: PretendMachine) -> None:
    """A service that somebody already runs is nobody else's to stop."""
    machine.say(missing="libzbar", lists="libzbar0\nmosquitto")
    run = machine.run()
    assert not run.called("systemctl")
    assert not run.called("service")


def test_an_ordinary_user_installs_through_sudo(machine: PretendMachine) -> None:
    """Only what installs packages runs with rights; the environment belongs to the user."""
    machine.say(missing="libzbar", lists="libzbar0", uid="1000")
    run = machine.run()
    assert run.status == 0
    assert run.called("sudo", "apt-get", "libzbar0")
    assert not run.called("sudo", "-m pip")


def test_a_second_bootstrap_waits_for_the_first(machine: PretendMachine) -> None:
    """Two at once make one environment, and both run their command."""
    os.mkfifo(machine.pretend / "hold")
    first = machine.start("gate", "first")
    with (machine.pretend / "hold").open("w", encoding="utf-8"):  # opens when the first has begun to install
        second = machine.start("gate", "second")
        assert second.stderr is not None
        said = second.stderr.readline()
    one, two = machine.finish(first), machine.finish(second, earlier=said)
    assert "waiting for another bootstrap" in said
    assert (one.status, two.status) == (0, 0)
    assert len([*one.installed, *two.installed]) == 3


def test_help_explains_the_use(machine: PretendMachine) -> None:
    """Asked for help, the script gives it on standard output and installs nothing."""
    run = machine.run("--help")
    assert run.status == 0
    assert run.out.startswith("usage: ")
    assert run.calls == ()
