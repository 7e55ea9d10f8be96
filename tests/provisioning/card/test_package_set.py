"""A set: whole, for the right architecture, or not taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.card import package_set as module
from provisioning.card.first_boot import SUMS
from provisioning.card.package_set import ABOUT, INDEX, read_set
from provisioning.common.errors import Refused
from tests.provisioning.card.pi_card import IMAGE, a_set


def test_a_whole_kit_is_read_as_it_was_made(tmp_path: Path) -> None:
    """With all of its files, the list of digests last."""
    made = a_set(tmp_path / "packages", chrony="4.6")
    found = read_set(tmp_path / "packages", "arm64")
    assert found == made
    assert found.names == (INDEX, "chrony_4.6_arm64.deb", "gate_0.2.0_arm64.deb", ABOUT, SUMS)
    assert found.about.image == IMAGE
    assert (found.has("chrony"), found.has("modemmanager")) == (True, False)
    assert found.size == sum(path.stat().st_size for path in (tmp_path / "packages").iterdir())


def test_where_there_is_none_it_is_said_how_to_make_one(tmp_path: Path) -> None:
    """E164."""
    with pytest.raises(Refused, match="E164"):
        read_set(tmp_path, "arm64")


@pytest.mark.parametrize("fault", ["changed", "missing", "elsewhere", "no words", "other", "large"])
def test_a_damaged_kit_or_another_architectures_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """E165, and which file."""
    folder = tmp_path / "packages"
    a_set(folder)
    package = folder / "gate_0.2.0_arm64.deb"
    if fault == "changed":
        package.write_bytes(package.read_bytes()[:-1] + b"?")
    elif fault == "missing":
        package.unlink()
    elif fault == "elsewhere":
        (folder / SUMS).write_text((folder / SUMS).read_text().replace("  gate_", "  ../gate_"))
    elif fault == "no words":
        (folder / ABOUT).write_text("{}")
    elif fault == "large":
        monkeypatch.setattr(module, "LIMIT_BYTES", 10)
    with pytest.raises(Refused, match="E165"):
        read_set(folder, "amd64" if fault == "other" else "arm64")
