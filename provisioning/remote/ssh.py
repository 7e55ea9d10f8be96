"""A technician's line to a gate: the system's own ``ssh``, with one key and a list of known gates of the tool's own.

Nothing of the laptop's own SSH settings counts, so that the same line works on each laptop: no agent, no other key,
no password, and a gate is known by its id wherever its address is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from provisioning.common.errors import Refused
from provisioning.common.output_files import save
from provisioning.common.plan import Step

USER: Final = "tech"
"""Whom the first boot makes for technicians."""
KNOWN: Final = "known_hosts"
"""In the tool's folder: the host key of each gate, under its id."""
PORT: Final = 22
CONNECT_S: Final = 10
ANSWER_S: Final = 300
"""What is asked ends within so many seconds, or the line is given up."""
FAILED: Final = 255
"""What ``ssh`` ends with where it could not do its own part; a command may end so, too."""

_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:%_-]{0,252}")


@dataclass(frozen=True, slots=True)
class SshLine:
    """To whom, where, and with what: ``key`` is the technician's private key, ``known`` the file of known gates."""

    gate: str
    host: str
    key: Path
    known: Path
    port: int = PORT

    def command(self, log: Path, words: Sequence[str]) -> list[str]:
        """The program's arguments; what ``ssh`` itself has to say goes to ``log``. Raises Refused (E210) where there is no ``ssh``."""
        program = shutil.which("ssh")
        if program is None:
            raise Refused("E210")
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": CONNECT_S,
            "HashKnownHosts": "no",
            "HostKeyAlias": self.gate,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "IdentityFile": _plain(self.key),
            "LogLevel": "ERROR",
            "PreferredAuthentications": "publickey",
            "ServerAliveInterval": 15,
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": _plain(self.known),
        }
        said = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        # Without the second mark ssh would take a command's own options for itself.
        asked = ("--", *words) if words else ()
        return [program, "-F", "none", "-E", str(log), *said, "-p", str(self.port), f"{USER}@{self.host}", *asked]


def checked_host(text: str) -> str:
    """The name or address of a gate that somebody typed. Raises Refused (E133)."""
    if not _HOST.fullmatch(text):
        raise Refused("E133", value=f"--host {text}", why="A-Z a-z 0-9 . : -")
    return text


def shell(line: SshLine, words: Sequence[str]) -> int:
    """A login at this terminal, or one command. Returns what ``ssh`` ends with. Raises Refused (E210-E213)."""
    return _run(line, words).returncode


def ask(line: SshLine, words: Sequence[str], limit_s: float = ANSWER_S) -> tuple[int, bytes, str]:
    """One command without a terminal: its exit code, what it printed, and what it complained of.

    Raises Refused (E210-E213), also where there is no end after ``limit_s`` seconds.
    """
    try:
        done = _run(line, words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        raise Refused("E211", id=line.gate, host=line.host, why=f"> {limit_s:g} s") from error
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace").strip()


def forgetting(known: Path, gate: str) -> Sequence[Step]:
    """The step that forgets a gate's host key, where one is known: a new card makes a new one."""
    lines = _lines(known)
    if not any(_is_of(line, gate) for line in lines):
        return ()
    return (Step("step.forget_host", {"id": gate}, partial(_forget, known, gate)),)


def _forget(known: Path, gate: str) -> None:
    save("".join(line for line in _lines(known) if not _is_of(line, gate)).encode(), known, 0o600)


def _lines(known: Path) -> Sequence[str]:
    try:
        return known.read_text(encoding="utf-8").splitlines(keepends=True)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise Refused("E130", path=known, why=error) from error


def _is_of(line: str, gate: str) -> bool:
    return line.split(" ", 1)[0] == gate


def _plain(path: Path) -> str:
    """As an option of ``ssh`` takes a path that means just itself."""
    return '"{}"'.format(str(path).replace("%", "%%"))


def _run(line: SshLine, words: Sequence[str], **how: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: ANN401 - as subprocess.run takes it
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "ssh.log"
        done = subprocess.run(line.command(log, words), check=False, **how)
        complaint = log.read_text(encoding="utf-8", errors="replace").strip() if log.exists() else ""
    if done.returncode == FAILED and complaint:
        raise _refusal(line, complaint)
    return done


def _refusal(line: SshLine, complaint: str) -> Refused:
    """In the tool's words, by those of OpenSSH, which it says in no other language."""
    facts = {"id": line.gate, "host": line.host, "why": complaint.splitlines()[-1].strip()[:200]}
    if "HOST IDENTIFICATION HAS CHANGED" in complaint:
        return Refused("E212", **facts, path=line.known)
    return Refused("E213" if "Permission denied" in complaint else "E211", **facts)
