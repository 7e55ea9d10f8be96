"""The access list of a running broker."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from provisioning.broker.access import apply, gone
from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GateState
from tests.provisioning.registry.rows import a_gate, a_site


def test_an_access_list_keeps_its_owner_and_says_what_is_wrong(tmp_path: Path) -> None:
    """The broker reads it as another user than whoever writes it."""
    path = tmp_path / "gates.acl"
    with pytest.raises(Refused, match="E182"):
        apply(path, ["g1111"], None)
    path.write_text("old")
    path.chmod(0o640)
    (tmp_path / "pid").write_text("no number")
    with pytest.raises(Refused, match="E183"):
        apply(path, ["g1111"], tmp_path / "pid")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "user g1111\ntopic deny gates/#" in path.read_text()


def test_those_that_are_gone_are_revoked_or_decommissioned(tmp_path: Path) -> None:
    """And nobody else."""
    registry, site = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}"), a_site()
    registry.add(site)
    for state in GateState:
        registry.add(a_gate(site, state))
    assert {registry.gate(name).state for name in gone(registry)} == {GateState.REVOKED, GateState.DECOMMISSIONED}
    registry.close()
