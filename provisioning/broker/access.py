"""The access list of a running broker: written anew, and read by it at once."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Sequence
from pathlib import Path

from device.edges.machine.files import replace_durably
from provisioning.broker import mosquitto
from provisioning.common.errors import Refused
from provisioning.registry.registry import Registry
from provisioning.registry.tables import GONE


def gone(registry: Registry) -> Sequence[str]:
    """The gates that may do nothing any more."""
    return [gate.id for gate in registry.gates() if gate.state in GONE]


def apply(path: Path, gone: Sequence[str], pid: Path | None) -> None:
    """Write the list in the place of the one that is there, with its owner, and have the broker read it.

    A revocation list of certificates (CRL) would lock every gate out on the day on
    which it ends; this list has no end. Raises Refused (E182, E183).
    """
    try:
        before = path.stat()
        replace_durably(path, mosquitto.gates_access(gone).encode(), mode=stat.S_IMODE(before.st_mode))
        os.chown(path, before.st_uid, before.st_gid)
    except OSError as error:
        raise Refused("E182", path=path, why=error.strerror) from error
    if pid is None:
        return
    try:
        os.kill(int(pid.read_text(encoding="ascii")), signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise Refused("E183", path=pid, why=error) from error
