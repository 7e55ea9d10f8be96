"""Technicians' SSH keys: made at first use, the public half in the registry, the private half on the laptop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning.common.errors import Refused
from provisioning.common.output_files import save
from provisioning.common.plan import Step
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Technician

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,60}")


def checked_technician(name: str) -> str:
    """A name that may stand in a file's name and in a key's remark. Raises Refused (E133)."""
    if not _NAME.fullmatch(name):
        raise Refused("E133", value=f"--technician {name}", why="A-Z a-z 0-9 . _ -, 1-60")
    return name


def technician_key(registry: Registry, keys: Path, name: str) -> tuple[str, Sequence[Step]]:
    """The technician's public key, as ``authorized_keys`` takes it; and, where he has none yet, the step that keeps a new one.

    ``keys`` is the laptop's folder of private halves. Raises Refused (E169) where the registry knows a key
    whose private half is not there: with it nobody here could log in.
    """
    path, row = keys / name, registry.technician(name)
    if row is not None:
        private_key(registry, keys, name)
        return row.ssh_key, ()
    if path.exists():  # kept before a step after it failed
        private = path.read_bytes()
    else:
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        private = Ed25519PrivateKey.generate().private_bytes(*form)
    public = _public_of_bytes(private, path, name)

    def keep() -> None:
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        save(private, path, 0o600)
        with registry.change() as session:
            session.add(Technician(name=name, ssh_key=public, created=datetime.now(UTC)))

    return public, (Step("step.technician", {"name": name, "path": path}, keep),)


def private_key(registry: Registry, keys: Path, name: str) -> Path:
    """The file with a technician's private key. Raises Refused (E169) where it is not on this laptop, or not the one that cards carry."""
    path, row = keys / name, registry.technician(name)
    if row is None or _public_of(path, name) != row.ssh_key:
        raise Refused("E169", name=name, path=path)
    return path


def _public_of(path: Path, name: str) -> str:
    try:
        return _public_of_bytes(path.read_bytes(), path, name)
    except OSError as error:
        raise Refused("E169", name=name, path=path) from error


def _public_of_bytes(private: bytes, path: Path, name: str) -> str:
    try:
        key = serialization.load_ssh_private_key(private, None)
    except (ValueError, TypeError) as error:
        raise Refused("E169", name=name, path=path) from error
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{key.public_key().public_bytes(*form).decode()} {name}"
