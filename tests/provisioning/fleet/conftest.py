"""An empty registry for the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.registry.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Empty."""
    made = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield made
    made.close()
