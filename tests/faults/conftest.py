"""What the fault tests of the laboratory need on this machine."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from tests.lab.folder import prepare


@cache
def tools() -> Path:
    """Debian's packages that move clocks, disturb system calls and make networks."""
    return prepare("tools")


@pytest.fixture(autouse=True)
def laboratory(request: pytest.FixtureRequest) -> None:
    """Tests of the laboratory need root; the packages are installed where they are missing."""
    if request.node.get_closest_marker("lab") is not None:
        if os.geteuid() != 0:
            pytest.skip("the laboratory needs root")
        tools()
