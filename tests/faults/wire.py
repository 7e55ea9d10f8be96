"""A line between a gate in a network of its own and its broker, on which anything can happen to each packet.

Three network namespaces: the gate's, the province's (this machine's own) and
the wire's, which joins two pairs of virtual Ethernet. In the wire a thread
carries every frame from one side to the other, and on the way delays, drops,
reorders or holds it. Needs root, and nothing of the kernel but `veth`.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = "10.77.{number}.1"
GATE: Final = "10.77.{number}.2"
_CLONE_NEWNET: Final = 0x40000000
_ETHTOOL: Final = 0x8946
_OFFLOADS: Final = {"tx checksums": 0x17, "segmentation": 0x1F, "generic segmentation": 0x24}
"""Requests of ethtool(8) that turn a help of the hardware off: a frame must be whole when it is carried by hand."""
_FRAME_BYTES: Final = 65_536
_QUEUE_BYTES: Final = 64_000
"""What a slow line holds back before it drops, as a modem does."""


@dataclass
class Weather:
    """What happens to packets. ``rate_bytes_s`` is that of a slow line; 0 is none."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    rate_bytes_s: float = 0.0
    to_gate: bool = True
    """Packets to the gate pass; without them the line is half open."""
    to_broker: bool = True


@dataclass
class Wire:
    """A standing line. Set ``weather`` at any time."""

    number: int
    weather: Weather = field(default_factory=Weather)
    carried: int = 0
    dropped: int = 0

    @property
    def here(self) -> str:
        """The address at which the province is reached."""
        return HERE.format(number=self.number)

    @property
    def namespace(self) -> str:
        """The gate's network."""
        return f"gate-{self.number}"

    @property
    def wrap(self) -> tuple[str, ...]:
        """Put before a command that is to run in the gate's network."""
        return ("ip", "netns", "exec", self.namespace)

    def cut(self) -> None:
        """A black hole: nothing passes, and nobody says so."""
        self.weather = Weather(to_gate=False, to_broker=False)

    def mend(self) -> None:
        """A good line again."""
        self.weather = Weather()


@contextmanager
def wire(number: int = 1) -> Iterator[Wire]:
    """A line with its three networks. Lines of different numbers do not meet."""
    made = Wire(number)
    between = f"wire-{number}"
    names = {"gate": f"gl{number}g", "gate_end": f"gl{number}a", "here": f"gl{number}h", "here_end": f"gl{number}b"}
    _remove(made.namespace, between, names["here"])
    script = f"""
        ip netns add {made.namespace}
        ip netns add {between}
        ip link add {names["gate"]} netns {made.namespace} type veth peer name {names["gate_end"]} netns {between}
        ip link add {names["here"]} type veth peer name {names["here_end"]} netns {between}
        ip addr add {made.here}/24 dev {names["here"]}
        ip link set {names["here"]} up
        ip -n {made.namespace} addr add {GATE.format(number=number)}/24 dev {names["gate"]}
        ip -n {made.namespace} link set {names["gate"]} up
        ip -n {made.namespace} link set lo up
        ip -n {between} link set {names["gate_end"]} up
        ip -n {between} link set {names["here_end"]} up
    """
    stop = threading.Event()
    try:
        subprocess.run(["sh", "-ec", script], check=True)
        _whole_frames(None, names["here"])
        _whole_frames(made.namespace, names["gate"])
        ends = _sockets(between, names["gate_end"], names["here_end"])
        carrier = threading.Thread(target=_carry, args=(made, *ends, stop), name="wire")
        carrier.start()
        try:
            yield made
        finally:
            stop.set()
            carrier.join()
            for end in ends:
                end.close()
    finally:
        _remove(made.namespace, between, names["here"])


def _remove(gate: str, between: str, here: str) -> None:
    for command in (["netns", "del", gate], ["netns", "del", between], ["link", "del", here]):
        subprocess.run(["ip", *command], check=False, stderr=subprocess.DEVNULL)


@contextmanager
def _within(namespace: str | None) -> Iterator[None]:
    """Inside the block the calling thread is in another network."""
    if namespace is None:
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if library.setns(other, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        library.setns(own, _CLONE_NEWNET)
        os.close(own)
        os.close(other)


def _whole_frames(namespace: str | None, name: str) -> None:
    """Turn off what leaves frames unfinished for hardware that is not there."""
    with _within(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request in _OFFLOADS.values():
            value = ctypes.create_string_buffer(struct.pack("II", request, 0))
            ifreq = struct.pack("16sP", name.encode(), ctypes.addressof(value))
            with contextlib.suppress(OSError):  # some of them do not exist for this kind of device
                fcntl.ioctl(control, _ETHTOOL, ifreq)


def _sockets(namespace: str, *names: str) -> tuple[socket.socket, socket.socket]:
    with _within(namespace):
        made = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in names]
        for end, name in zip(made, names, strict=True):
            end.bind((name, 3))
            end.setblocking(False)  # noqa: FBT003 - the library's own signature
    return made[0], made[1]


def _carry(line: Wire, gate: socket.socket, here: socket.socket, stop: threading.Event) -> None:
    """Take frames from each side and give them to the other when their time has come."""
    chance = random.Random(line.number)  # noqa: S311 - repeatable chance
    order = itertools.count()
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    free_at = {gate: 0.0, here: 0.0}
    while not stop.is_set():
        now = time.monotonic()
        timeout = min(0.05, max(0.0, waiting[0][0] - now)) if waiting else 0.05
        ready, _, _ = select.select([gate, here], [], [], timeout)
        now = time.monotonic()
        for source in ready:
            frame, address = source.recvfrom(_FRAME_BYTES)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            target, weather = (here if source is gate else gate), line.weather
            if not (weather.to_gate if target is gate else weather.to_broker) or chance.random() < weather.loss:
                line.dropped += 1
                continue
            at = now
            if weather.rate_bytes_s:
                if (free_at[target] - now) * weather.rate_bytes_s > _QUEUE_BYTES:
                    line.dropped += 1
                    continue
                free_at[target] = at = max(now, free_at[target]) + len(frame) / weather.rate_bytes_s
            # What is to be overtaken waits for half as long again as the rest.
            late = weather.delay_s * 0.5 + 0.01 if chance.random() < weather.reorder else 0.0
            at += weather.delay_s + chance.uniform(0, weather.jitter_s) + late
            heapq.heappush(waiting, (at, next(order), target, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, target, frame = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                target.send(frame)
                line.carried += 1


def processor_s(pid: int) -> float:
    """The processor time that a process has taken, with its children that ended, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(part) for part in fields[11:15]) / os.sysconf("SC_CLK_TCK")
