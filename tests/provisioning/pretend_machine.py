"""A machine on which ``provisioning/bootstrap`` can be run without changing the real one.

Its search path holds the ordinary tools and, in place of everything that
installs, small shell scripts. They write down how they were called, and fail
with the words of the real tools when a test says so. ``test_bootstrap_real``
runs the same script with the real tools.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

ORDINARY: Final = (
    *("cat", "chmod", "cp", "cut", "dirname", "env", "flock", "grep", "ls", "mkdir", "mv", "pwd"),
    *("readlink", "rm", "sed", "sh", "tail", "true", "printenv"),
)

_LOG: Final = """#!/bin/sh
set -f; words=$(printf ' %s' $*); set +f  # unquoted, so that one call is one line, whatever it holds
printf '%s\\n' "${0##*/}$words" >>"$PRETEND/calls"
"""

_PRETENDED: Final = {
    # The real interpreter answers the survey, so that its program and its hashes are real; what it found is replaced.
    "python3": """
fail() { if [ -f "$PRETEND/$1" ]; then cat "$PRETEND/$1"; exit 1; fi; }
case "$*" in
    *"-m venv "*) fail venv_fails; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    *"-m pip "*"--editable"*) fail link_fails ;;
    *"-m pip "*) if [ -p "$PRETEND/hold" ]; then cat "$PRETEND/hold"; fi; fail pip_fails ;;
    *)  facts=$("$REAL_PYTHON" "$@") || exit
        cat "$PRETEND/version"; echo "${0%/*}/python3"; cat "$PRETEND/missing"
        printf '%s\\n' "$facts" | sed 1,3d ;;
esac
""",
    "apt-get": """
case "$*" in
    *" update") if [ -f "$PRETEND/update_fails" ]; then cat "$PRETEND/update_fails"; else cp "$PRETEND/archive" "$PRETEND/lists"; fi ;;
    *" install "*) if [ -f "$PRETEND/apt_fails" ]; then cat "$PRETEND/apt_fails"; exit 100; fi
        if [ -e "$PRETEND/stale" ]; then rm "$PRETEND/stale"; echo "E: Failed to fetch"; exit 100; fi
        if [ -f "$PRETEND/python3" ]; then mv "$PRETEND/python3" "${0%/*}/python3"; exit; fi
        if [ ! -f "$PRETEND/apt_lies" ]; then echo >"$PRETEND/missing"; fi ;;
esac
""",
    "apt-cache": """grep -qx -- "$2" "$PRETEND/lists" """,
    "sudo": """
if [ -f "$PRETEND/sudo_refuses" ]; then echo "sudo: a password is required" >&2; exit 1; fi
exec "$@"
""",
    "id": """if [ "$1" = -u ]; then cat "$PRETEND/uid"; else echo somebody; fi""",
    "systemctl": "",
    "service": "",
    "df": """printf 'Avail\\n'; cat "$PRETEND/free_mib" """,
    "gate": """printf '%s\\n' "$PWD" "$@" """,
}


@dataclass(frozen=True)
class Outcome:
    """What one run did."""

    status: int
    out: str
    err: str
    calls: tuple[str, ...]

    def called(self, *words: str) -> list[str]:
        """The calls of the pretended tools that hold all ``words``, in order."""
        return [call for call in self.calls if all(word in call for word in words)]

    @property
    def installed(self) -> list[str]:
        """What this run made or installed: calls of apt, venv and pip."""
        return [call for call in self.calls if call.startswith("apt-get") or "-m venv" in call or "-m pip" in call]


@dataclass
class PretendMachine:
    """A copy of the project below ``home`` on a pretended machine, on which nothing is missing at first."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lay out folders, tools and the facts that the tools answer with."""
        self.project = self.home / "a project"
        self.bin = self.home / "bin"
        self.pretend = self.home / "pretend"
        for folder in (self.project / "provisioning", self.bin, self.pretend):
            folder.mkdir(parents=True)
        shutil.copy2(ROOT / "provisioning" / "bootstrap", self.script)
        (self.project / "provisioning" / "requirements.lock").write_text("one==1\ntwo==2\n", encoding="utf-8")
        (self.project / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
        for name in ORDINARY:
            (self.bin / name).symlink_to(shutil.which(name) or f"/missing/{name}")
        for name, text in _PRETENDED.items():
            self.put_tool(name, _LOG + text)
        self.say(missing="", version="3.11", uid="0", free_mib="9000", calls=None)
        self.say(archive="libzbar0\nmosquitto\npython3\npython3-venv\npython3.11-venv", lists=None)
        self.environment = {"PATH": str(self.bin), "PRETEND": str(self.pretend), "REAL_PYTHON": sys.executable, "HOME": str(self.home)}

    @property
    def script(self) -> Path:
        """The script under test."""
        return self.project / "provisioning" / "bootstrap"

    def put_tool(self, name: str, text: str) -> None:
        """An executable on the search path."""
        (self.bin / name).write_text(text, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def take_tool(self, name: str) -> None:
        """No such program any more."""
        (self.bin / name).unlink()

    def say(self, **facts: str | None) -> None:
        """Set what the pretended tools answer or fail with; None empties it."""
        for name, text in facts.items():
            (self.pretend / name).write_text(f"{text}\n" if text is not None else "", encoding="utf-8")

    def forget(self, name: str) -> None:
        """Take back a failure set with ``say``."""
        (self.pretend / name).unlink()

    def start(self, *command: str, script: Path | None = None, user: int | None = None) -> subprocess.Popen[str]:
        """Start the script with ``command`` from a folder that is not the project's."""
        return subprocess.Popen(
            [script or self.script, *command],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=user,
        )

    def finish(self, process: subprocess.Popen[str], *, earlier: str = "") -> Outcome:
        """Wait for it, and collect what it said and which tools were called since the last time."""
        out, err = process.communicate(timeout=30)
        calls = tuple((self.pretend / "calls").read_text(encoding="utf-8").splitlines())
        self.say(calls=None)
        return Outcome(process.returncode, out, earlier + err, calls)

    def run(self, *command: str, script: Path | None = None) -> Outcome:
        """Run the script with ``command``, by default a harmless one."""
        return self.finish(self.start(*(command or ("gate",)), script=script))

    def run_as_stranger(self) -> Outcome:
        """Run as a user who may read the project but not write to it.

        The real interpreter may lie where that user cannot look, so the survey gets a made-up answer.
        """
        self.put_tool("made-up", "#!/bin/sh\nprintf '\\n\\n\\nhash\\nhash\\n'\n")
        self.environment["REAL_PYTHON"] = str(self.bin / "made-up")
        self.project.chmod(0o555)
        (self.pretend / "calls").chmod(0o666)
        outcome = self.finish(self.start("gate", user=65534 if os.geteuid() == 0 else None))
        self.project.chmod(0o755)
        return outcome
