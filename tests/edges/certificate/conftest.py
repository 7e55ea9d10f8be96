"""The province's side, from its own tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.authority import keys
from tests.provisioning.enrolment_kit import Province, province


@pytest.fixture(scope="session", autouse=True)
def quick_passphrase() -> Iterator[None]:
    """Stretching a passphrase is slow on purpose; here nobody guesses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "STRETCH_COST", 2**4)
        yield


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Province]:
    """A province whose brokers do not run yet."""
    one = province(tmp_path)
    yield one
    one.registry.close()
