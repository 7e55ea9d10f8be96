"""What the laboratory's tests share: the Debian folder, and copies of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.folder import Folder, prepare


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
