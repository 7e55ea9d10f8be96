"""A desk with two sites and an empty collector's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.authority.authority import Authority
from provisioning.authority.creation import make
from tests.provisioning.unsealing.desk_kit import PHRASE, Desk


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all."""
    return make(tmp_path_factory.mktemp("unsealing") / "authority", "Test", PHRASE)


@pytest.fixture
def desk(tmp_path: Path, authority: Authority) -> Iterator[Desk]:
    """At work."""
    made = Desk(tmp_path, authority)
    yield made
    made.registry.close()
