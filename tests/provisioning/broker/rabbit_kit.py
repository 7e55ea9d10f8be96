"""A real cluster of RabbitMQ nodes on this machine's loopback, each in a throw-away copy of a Debian 13 folder."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from device.workbench.broker import LOOPBACK, free_port
from provisioning.broker import rabbitmq
from tests.lab.folder import ENVIRONMENT, Folder
from tests.waiting import until

ETC: Final = Path("/etc/rabbitmq")
READY_S: Final = 120.0
NAMES: Final = ("one@localhost", "two@localhost", "three@localhost")
_COOKIE: Final = "var/lib/rabbitmq/.erlang.cookie"
# The first process of a node's own process namespace: when it is killed, all of the node is.
_INSIDE: Final = 'mount -t proc proc proc; mount --bind /dev dev; chroot . "$@"'


def _quiet(folder: Folder, *command: str) -> list[str]:
    inside = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--", "sh", "-c", _INSIDE, "inside", *command]
    return folder.mounted_command(inside)


@dataclass
class Cluster:
    """Nodes with the generated ``files``; ports are free ones of loopback."""

    lower: Path
    scratch: Path
    files: Mapping[str, bytes]
    names: Sequence[str] = NAMES
    ports: dict[str, int] = field(default_factory=dict)
    epmd_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in self.names}
        self._dist = {name: free_port() for name in self.names}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All nodes, together."""
        try:
            self._spawn("epmd", self._folder("epmd"), "epmd", "-address", LOOPBACK, "-port", str(self.epmd_port))
            for name in self.names:
                self.launch(name)
            for name in self.names:
                self.wait(name)
            self.ctl("await_online_nodes", str(len(self.names)))
            yield
        finally:
            for name in list(self._running):
                self.kill(name)

    def launch(self, name: str) -> None:
        """Begin to start one node."""
        etc = self.scratch / f"etc-{name}"
        etc.mkdir(exist_ok=True)
        for one, content in self.files.items():
            (etc / one).write_bytes(content)
        # The generated words, but for the port.
        (etc / "rabbitmq.conf").write_text(rabbitmq.conf(ETC, self.names, f"{LOOPBACK}:{self.ports[name]}"), encoding="ascii")
        self._spawn(name, self._folder(name, {etc: str(ETC)}), "/usr/lib/rabbitmq/bin/rabbitmq-server", node=name)

    def wait(self, name: str) -> None:
        """Until its port answers. Fails with the node's last words."""

        def answers() -> bool:
            assert self._running[name].poll() is None, self.words(name)
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.ports[name]), timeout=0.2):
                return True
            return False

        until(answers, READY_S, lambda: self.words(name))

    def kill(self, name: str) -> None:
        """As a power cut would, but for what the disk holds."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def words(self, name: str) -> str:
        """The last that a node said."""
        return (self.scratch / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def ctl(self, *words: str, node: str = "") -> str:
        """What ``rabbitmqctl`` says."""
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", "-n", node or self.names[0], *words]
        return self._folder("ctl").run(command, environment=self._environment(), online=True).stdout

    def _folder(self, name: str, binds: Mapping[Path, str] | None = None) -> Folder:
        folder = Folder(self.lower, self.scratch / name, binds=binds or {})
        cookie = folder.scratch / "upper" / _COOKIE
        if not cookie.exists():
            cookie.parent.mkdir(parents=True)
            cookie.write_text("for-this-test-alone", encoding="ascii")
            cookie.chmod(0o400)
        return folder

    def _environment(self) -> Mapping[str, str]:
        return ENVIRONMENT | {"HOME": "/var/lib/rabbitmq", "ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": LOOPBACK}

    def _spawn(self, name: str, folder: Folder, *command: str, node: str = "") -> None:
        more = {"RABBITMQ_NODENAME": node, "RABBITMQ_DIST_PORT": str(self._dist[node]), "RABBITMQ_LOGS": "-"} if node else {}
        near = {"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}"}
        with (self.scratch / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                _quiet(folder, *command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**self._environment(), **more, **near}
            )
