"""A real OpenSSH server on loopback, which lets in one key, as whoever runs the tests: in the place of a gate's ``tech``."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from device.workbench.broker import LOOPBACK, free_port
from provisioning.remote import ssh
from tests.waiting import until

SSHD: Final = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PRIVILEGE_SEPARATION: Final = Path("/run/sshd")
"""Debian's service makes it at its start; a server that root starts asks for it."""


@dataclass(frozen=True, slots=True)
class SshServer:
    """Where it listens, and the folder whose programs its sessions find first."""

    port: int
    programs: Path

    def program(self, name: str, body: str) -> None:
        """A program of a gate, as a shell script."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)


@contextmanager
def server(folder: Path, public: str, monkeypatch: pytest.MonkeyPatch, port: int | None = None) -> Iterator[SshServer]:
    """One with a new host key, as a gate has after its card was written; ``public`` alone is let in. Skips where there is no sshd."""
    if SSHD is None:
        pytest.skip("OpenSSH's server is not installed (Debian: openssh-server)")
    folder.mkdir()
    programs = folder / "bin"
    programs.mkdir()
    if os.geteuid() == 0:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True)
    (folder / "authorized_keys").write_text(f"{public}\n")
    made = SshServer(free_port() if port is None else port, programs)
    lines = (
        f"ListenAddress {LOOPBACK}:{made.port}",
        f'HostKey "{folder / "host"}"',
        f'AuthorizedKeysFile "{folder / "authorized_keys"}"',
        *("PidFile none", "UsePAM no", "StrictModes no"),
        *("PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password"),
        f"SetEnv PATH={programs}:{os.environ['PATH']}",
    )
    (folder / "sshd_config").write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.setattr(ssh, "USER", getpass.getuser())
    log = folder / "log"
    with subprocess.Popen([SSHD, "-D", "-f", str(folder / "sshd_config"), "-E", str(log)]) as running:
        try:
            until(lambda: _listens(made.port), why=lambda: log.read_text() if log.exists() else "no log")
            yield made
        finally:
            running.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
