"""The lock names every package that the project needs, by hash, for each machine it runs on, and no host."""

from __future__ import annotations

import re
import tomllib
from typing import Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

from tests.provisioning.pretend_machine import ROOT

LOCK: Final = (ROOT / "provisioning" / "requirements.lock").read_text(encoding="utf-8")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

MACHINES: Final = [(python, machine) for python in ("3.11", "3.13") for machine in ("x86_64", "aarch64")]


def entries() -> dict[str, str]:
    """Each locked requirement as written, and the hashes that follow it."""
    found = {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n", "", LOCK).strip()):
        requirement, _, hashes = entry.partition(" \\\n")
        found[requirement] = hashes
    return found


def environment(python: str, machine: str) -> dict[str, str]:
    """The markers of one kind of machine."""
    return {name: str(value) for name, value in default_environment().items()} | {
        "python_version": python,
        "python_full_version": f"{python}.2",
        "platform_machine": machine,
    }


def locked_for(python: str, machine: str) -> dict[str, Version]:
    """Names and versions that pip installs there. Fails where it would be asked for two versions of one name."""
    versions: dict[str, Version] = {}
    for text in entries():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment(python, machine)):
            (specifier,) = requirement.specifier
            assert requirement.name not in versions, text
            versions[requirement.name] = Version(specifier.version)
    return versions


def wanted() -> list[Requirement]:
    """Everything that the project says it needs, to run, to be tested and to be built."""
    extras = PROJECT["project"]["optional-dependencies"]
    lists = [PROJECT["project"]["dependencies"], extras["bench"], extras["dev"], PROJECT["build-system"]["requires"]]
    return [Requirement(text) for texts in lists for text in texts]


@pytest.mark.parametrize(("requirement", "hashes"), entries().items())
def test_each_package_is_locked_to_one_version_by_hash(requirement: str, hashes: str) -> None:
    """An exact version, and at least one SHA-256, without which pip would take any file of that name."""
    assert re.search(r"==[0-9][^ ,*]*( ;|$)", requirement)
    assert re.fullmatch(r"(    --hash=sha256:[0-9a-f]{64}( \\\n)?)+", hashes)


def test_no_host_and_no_option_stands_in_the_lock() -> None:
    """Where packages come from is the machine's affair: a mirror serves as well as the original."""
    assert "http" not in LOCK
    assert "://" not in LOCK
    assert not re.search(r"(?m)^\s*-", re.sub(r"(?m)^    --hash=.*$", "", LOCK))


def test_the_lock_says_how_it_is_renewed() -> None:
    """The command at its top is what made it, and names this file and both extras."""
    command = LOCK.splitlines()[1]
    assert command.startswith("#    uv pip compile --universal --python-version 3.11 ")
    assert "--generate-hashes" in command
    assert "--extra bench --extra provision --extra dev --output-file provisioning/requirements.lock pyproject.toml" in command


@pytest.mark.parametrize(("python", "machine"), MACHINES)
def test_the_lock_satisfies_what_the_project_asks_for(python: str, machine: str) -> None:
    """A requirement changed in pyproject.toml without renewing the lock is found here, not on a fresh machine."""
    locked = locked_for(python, machine)
    for requirement in wanted():
        if requirement.marker is None or requirement.marker.evaluate(environment(python, machine)):
            assert requirement.specifier.contains(locked[requirement.name]), requirement


@pytest.mark.parametrize("name", ["pip", "hatchling", "editables"])
def test_the_tools_that_install_the_project_are_locked(name: str) -> None:
    """The project is built without an isolated environment, so its builder must come from the lock."""
    assert all(name in locked_for(*machine) for machine in MACHINES)
