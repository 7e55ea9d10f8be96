"""The access list of a running broker."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from provisioning.broker.access import apply
from provisioning.common.errors import Refused


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
