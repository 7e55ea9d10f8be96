"""What the laboratory's tests share: the Debian folder, and copies of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from provisioning.package.build import build, source
from tests.lab.folder import Folder, prepare

PACKAGES: Final = "/packages"
"""Where the built packages lie inside."""

TESTS: Final = Path(__file__).parents[1]
"""Of the project: to be found inside as /lab/tests, so that parts of a test can run there."""


@pytest.fixture(scope="session")
def laboratory() -> None:
    """Only root may mount, start machines and make Debian folders. All else that is missing is made, or is an error."""
    if os.geteuid() != 0:
        pytest.skip("the laboratory needs root")


@pytest.fixture(scope="session")
def folder(laboratory: None) -> Path:  # noqa: ARG001 - asked for its effect
    """The Debian 13 folder. Not to be changed: work in a ``copy`` of it."""
    return prepare("folder")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Folder:
    """A throw-away copy of the Debian folder for one test."""
    return Folder(folder, tmp_path / "copy")


@pytest.fixture(scope="session")
def packages(laboratory: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - asked for its effect
    """A folder with the gate's package for this machine, built from the tree as it stands."""
    out = tmp_path_factory.mktemp("packages")
    build(source(), "amd64", out)
    return out


@pytest.fixture(scope="session")
def installed(folder: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The Debian folder with the package installed in it, offline. Not to be changed: work in a copy of it."""
    made = Folder(folder, tmp_path_factory.mktemp("installed"), binds={packages: PACKAGES, TESTS: "/lab/tests"})
    made.run(["sh", "-c", f"dpkg --install {PACKAGES}/*.deb"])
    return made
