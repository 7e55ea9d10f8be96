"""Technicians' keys: made once, the private half on one laptop, found again there and nowhere else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.technicians import checked_technician, technician_key


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty one."""
    one = Registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield one
    one.close()


def public_half(private: Path) -> list[str]:
    """Kind and key, from the private half."""
    key = serialization.load_ssh_private_key(private.read_bytes(), None)
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode().split()


def keep(registry: Registry, keys: Path, name: str) -> str:
    """As `card write` does."""
    public, steps = technician_key(registry, keys, name)
    for step in steps:
        step.do()
    return public


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="OpenSSH is not installed (Debian: openssh-client)")
def test_openssh_reads_the_key(registry: Registry, tmp_path: Path) -> None:
    """And finds the same public half."""
    public = keep(registry, tmp_path, "lan")
    said = subprocess.run(["ssh-keygen", "-y", "-f", str(tmp_path / "lan")], check=True, capture_output=True, text=True).stdout
    assert said.split()[:2] == public.split()[:2]


def test_a_key_is_made_once_and_found_again(registry: Registry, tmp_path: Path) -> None:
    """Nothing is kept before the plan is taken."""
    keys = tmp_path / "technicians"
    technician_key(registry, keys, "lan")
    assert not keys.exists()
    assert registry.technician("lan") is None
    public = keep(registry, keys, "lan")
    assert public.startswith("ssh-ed25519 ")
    assert public.endswith(" lan")
    assert public_half(keys / "lan") == public.split()[:2]
    assert (keys / "lan").stat().st_mode & 0o777 == 0o600
    assert technician_key(registry, keys, "lan") == (public, ())
    assert keep(registry, keys, "minh") != public


@pytest.mark.parametrize("fault", ["gone", "another", "damaged"])
def test_a_key_that_is_on_another_laptop_is_refused(registry: Registry, tmp_path: Path, fault: str) -> None:
    """E169: a card with it would let nobody here in."""
    keep(registry, tmp_path / "one", "lan")
    other = tmp_path / "other"
    other.mkdir()
    if fault == "another":
        keep(registry, other, "minh")
        (other / "minh").rename(other / "lan")
    elif fault == "damaged":
        (other / "lan").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    with pytest.raises(Refused, match="E169"):
        technician_key(registry, other, "lan")


def test_a_key_that_was_kept_before_the_registry_failed_is_taken_up(registry: Registry, tmp_path: Path) -> None:
    """The same one, not another."""
    keys = tmp_path / "technicians"
    public = keep(registry, keys, "lan")
    other = Registry(f"sqlite:///{tmp_path / 'other.sqlite'}")
    assert keep(other, keys, "lan") == public
    other.close()


@pytest.mark.parametrize("name", ["", "../lan", "lan minh", "x" * 61])
def test_a_name_is_one_that_a_file_may_have(name: str) -> None:
    """E133."""
    with pytest.raises(Refused, match="E133"):
        checked_technician(name)
