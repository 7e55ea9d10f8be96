"""A province for enrolment, before its brokers run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provisioning.enrolment_kit import Province, province


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Province]:
    """A province whose brokers do not run yet."""
    one = province(tmp_path)
    yield one
    one.registry.close()
