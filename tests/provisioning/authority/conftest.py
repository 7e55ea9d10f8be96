"""One authority for all tests of a file."""

from __future__ import annotations

import pytest

from provisioning.authority.authority import Authority
from provisioning.authority.creation import make
from tests.provisioning.authority.made import NOW, PHRASE


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority."""
    return make(tmp_path_factory.mktemp("home") / "authority", "Test", PHRASE, NOW)
