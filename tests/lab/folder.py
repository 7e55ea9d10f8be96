"""The laboratory's Debian 13 folder, and throw-away copies of it in which commands run and systems boot.

A copy is an overlay: what changes lies in a scratch folder of its own, and
the folder underneath stays as it was made. Every mount lives in the mount
namespace of one command and vanishes with it, also when it is killed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PREPARE: Final = Path(__file__).with_name("prepare")
PREPARE_LIMIT_S: Final = 1500.0
RUN_LIMIT_S: Final = 300.0

ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}

# Arguments: lower, scratch, "--network" or "--offline", binds as SOURCE:TARGET pairs, "--", then what runs on the mounted root.
_MOUNTED: Final = """
set -eu
lower=$1 scratch=$2 root=$2/root; shift 2
mkdir -p "$scratch/upper" "$scratch/work" "$root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
while [ "$1" != -- ]; do
    mkdir -p "$root${1#*:}"
    mount --bind "${1%%:*}" "$root${1#*:}"
    shift
done
shift
cd "$root"
exec "$@"
"""

_DEVICES: Final = """
set -eu
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do : >"dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
ln -s /proc/self/fd dev/fd
mkdir -p dev/shm dev/dma_heap
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
: >dev/dma_heap/system
: >dev/dma_heap/vidbuf_cached
ip link set lo up
if [ "$1" = online ] && [ -e /etc/resolv.conf ]; then cp -L /etc/resolv.conf etc/resolv.conf; fi
shift
# Process 1 stays this shell, which takes leave of orphans: a command that were process 1 would be everybody's parent.
chroot . "$@" || exit $?
"""


def prepare(part: str) -> Path:
    """Where a part of the laboratory lies; made first where it is missing, which takes minutes."""
    done = subprocess.run([str(PREPARE), part], check=True, stdout=subprocess.PIPE, text=True, timeout=PREPARE_LIMIT_S)
    return Path(done.stdout.strip())


@dataclass(frozen=True)
class Folder:
    """A throw-away copy of the Debian folder ``lower``. What changes lies in ``scratch``; copies of copies stack up in ``under``."""

    lower: Path
    scratch: Path
    under: Sequence[Path] = ()
    binds: Mapping[Path, str] = field(default_factory=dict)

    def copy(self, scratch: Path, binds: Mapping[Path, str] | None = None) -> Folder:
        """Another copy, which begins as this one is now."""
        upper = self.scratch / "upper"
        upper.mkdir(parents=True, exist_ok=True)
        return Folder(self.lower, scratch, [upper, *self.under], self.binds if binds is None else binds)

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        online: bool = False,
        check: bool = True,
        timeout_s: float = RUN_LIMIT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; its two outputs come back as one text. Offline it has a loopback and nothing else.

        Raises CalledProcessError, with what was said in its notes.
        """
        inside = ["sh", "-c", _DEVICES, "inside", "online" if online else "offline", *command]
        done = subprocess.run(
            [*_namespace(network=online), *self._mounted(inside)],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=ENVIRONMENT | dict(environment or {}),
            timeout=timeout_s,
        )
        if check and done.returncode:
            error = subprocess.CalledProcessError(done.returncode, list(command), done.stdout)
            error.add_note(done.stdout[-6000:])
            raise error
        return done

    def mounted_command(self, command: Sequence[str]) -> list[str]:
        """The command that mounts this folder in a mount namespace of its own and, there, runs ``command`` in its root."""
        return ["unshare", "--mount", "--propagation", "private", "--", *self._mounted(command)]

    def _mounted(self, command: Sequence[str]) -> list[str]:
        lower = ":".join(str(path) for path in [*self.under, self.lower])
        pairs = [f"{source}:{target}" for source, target in self.binds.items()]
        return ["sh", "-c", _MOUNTED, "mounted", lower, str(self.scratch), *pairs, "--", *command]


def _namespace(*, network: bool) -> list[str]:
    ways = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--propagation", "private"]
    return [*ways, "--"] if network else [*ways, "--net", "--"]
