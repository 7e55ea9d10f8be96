"""A site and its gate, of which paper speaks."""

from __future__ import annotations

import pytest

from provisioning.registry.tables import Gate, GateState, Site
from tests.provisioning.registry.rows import a_gate, a_site


@pytest.fixture
def school() -> tuple[Site, Gate]:
    """A site and its gate."""
    site = a_site()
    return site, a_gate(site, GateState.PLANNED)
