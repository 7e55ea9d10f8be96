"""A whole gate behind a bad line: nothing lost or doubled, back within 90 s of repair, and quiet while it is away."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from device.config import BrokerSection
from device.workbench.broker import LOOPBACK, free_port
from device.workbench.stage import GATE_ID
from tests.faults.oracle import Findings
from tests.faults.site import Site, say, site
from tests.faults.wire import Weather, Wire, processor_s, wire
from tests.mosquitto import Authority, Broker
from tests.mosquitto import Papers as TlsPapers

NAME: Final = "broker.example.test"
BACK_S: Final = 90.0
SCALE: Final = float(os.environ.get("GATE_FAULT_SCALE", "0.02"))
"""Outages are so much shorter than real ones, and so are the waits between attempts. 1 is the long form: real minutes, real waits."""
pytestmark = [pytest.mark.lab, pytest.mark.timeout(300 if SCALE < 1 else 3 * 3600)]

LONG: Final = pytest.mark.soak
"""Left to the long form: CI has so many minutes."""
NOTICED_S: Final = 40.0
"""After so long without a sign from the other side a gate gives a connection up."""
LEAST_WAITS: Final = {"retry_min_s": 0.05, "retry_max_s": 1.0}
"""What a configuration allows."""
OUTAGES: Final = {"5/5": (5, 5), "15/15": (15, 15), "30/30": (30, 30), "5/20": (5, 20)}
"""Minutes without a line, and minutes with one."""
GPRS: Final = 40_000 / 8
"""Bytes a second of a line of the second generation."""


@pytest.fixture
def line(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A line of its own for each test, so that several may run at once."""
    number = sum(request.node.name.encode()) % 200 + 2
    with wire(number) as made:
        yield made


@dataclass
class Papers:
    """Who the broker and the gate show themselves to be, and how the broker is told so."""

    folder: Path
    line: Wire
    inner: int = field(default_factory=free_port)
    outer: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "authority")
        self.gate = self.authority.issue(GATE_ID)
        self.server = self.authority.issue("broker", hosts=(self.line.here, NAME))

    def settings(self, server: TlsPapers | None = None, more: str = "") -> str:
        """The broker's configuration: for the collector on loopback, and with TLS for the gate."""
        shown = server or self.server
        return (
            f"per_listener_settings true\npersistence false\nlistener {self.inner} {LOOPBACK}\nallow_anonymous true\n"
            f"listener {self.outer} 0.0.0.0\ncafile {self.authority.ca}\ncertfile {shown.cert}\nkeyfile {shown.key}\n"
            f"require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n{more}"
        )

    def overrides(self) -> dict[str, Any]:
        """The gate's side."""
        return {"host": self.line.here, "ca": str(self.gate.ca), "cert": str(self.gate.cert), "key": str(self.gate.key)}


@contextmanager
def behind(line: Wire, folder: Path, broker: dict[str, Any] | None = None, fps: float = 5.0) -> Iterator[tuple[Site, Papers]]:
    """A gate whose broker, with mutual TLS, is at the other end of the line."""
    (folder / "broker").mkdir()
    papers = Papers(folder, line)
    overrides: dict[str, Any] = {"camera": {"fps": fps}, "broker": {**papers.overrides(), **(broker or {})}}
    running = Broker(folder / "broker", papers.inner, papers.settings())
    with site(folder, overrides=overrides, broker=running, port=papers.outer, wrap=line.wrap) as one:
        one.wait(lambda: one.told("uplink", "phase") == "online", 20, "a first connection")
        one.wait_answers(2)
        yield one, papers


def online(one: Site) -> bool:
    """Whether the gate says that it is connected, and nothing waits."""
    return bool(one.told("uplink", "phase") == "online" and (one.told("journal", "waiting") or 0) < 5)


def finish(one: Site, what: str, more: str = "") -> Findings:
    """Settle, compare and print."""
    one.settle()
    found = one.compare()
    say(f"{what}: {more}{found}")
    assert found.faults == (0, 0, 0, 0), found
    assert (found.unseen, found.epochs) == (0, 1), found
    return found


@pytest.mark.parametrize(
    ("name", "weather"),
    [
        pytest.param("delay 400 ms", Weather(delay_s=0.2, jitter_s=0.02), marks=LONG),
        ("loss 15 %", Weather(loss=0.15, delay_s=0.02)),
        pytest.param("reordering 30 %", Weather(delay_s=0.05, reorder=0.3), marks=LONG),
        ("2G", Weather(delay_s=0.3, jitter_s=0.15, loss=0.02, rate_bytes_s=GPRS)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_line_costs_time_and_no_event(line: Wire, tmp_path: Path, name: str, weather: Weather) -> None:
    """People pass while each packet meets the weather."""
    with behind(line, tmp_path, fps=2.0) as (one, _):
        line.weather = weather
        one.wait_answers(25, limit_s=40)
        line.mend()
        finish(one, name, f"{line.dropped} of {line.carried + line.dropped} packets lost; ")


def fall_silent(line: Wire, _one: Site) -> None:
    """Packets vanish, as behind a modem that lost its cell."""
    line.cut()


def open_half(line: Wire, _one: Site) -> None:
    """What the gate says arrives; nothing comes back."""
    line.weather = Weather(to_gate=False)


def stop_broker(_line: Wire, one: Site) -> None:
    """Nobody listens: each attempt is refused at once."""
    one.down({"broker"})


IN_SHORT: Final = [("15/15", fall_silent)]


@pytest.mark.parametrize(
    ("name", "trouble"),
    [
        pytest.param(name, trouble, id=f"{name}-{trouble.__name__}", marks=() if (name, trouble) in IN_SHORT else LONG)
        for trouble in (fall_silent, open_half, stop_broker)
        for name in OUTAGES
    ],
)
def test_an_outage_costs_no_event_and_ends_within_90_seconds(
    line: Wire, tmp_path: Path, name: str, trouble: Callable[[Wire, Site], None]
) -> None:
    """Away and back again, with the waits of a real gate in proportion; quiet while it is away."""
    away_s, back_s = (60 * minutes * SCALE for minutes in OUTAGES[name])
    waits = {key: max(least, BrokerSection.model_fields[key].default * SCALE) for key, least in LEAST_WAITS.items()}
    fps = 5.0 if SCALE < 1 else 1.0
    with behind(line, tmp_path, waits, fps) as (one, _):
        assert one.gate is not None
        quiet = rate(one, 3.0)
        trouble(line, one)
        before = processor_s(one.gate.pid)
        if trouble is fall_silent and name == "15/15":
            away_s = max(away_s, NOTICED_S)
        time.sleep(away_s)
        busy = (processor_s(one.gate.pid) - before) / away_s
        attempts = one.told("uplink", "attempts")
        line.mend()
        if trouble is stop_broker:
            one.up({"broker"})
        repaired = time.monotonic()
        one.wait(lambda: one.told("uplink", "phase") == "online", BACK_S, "online again")
        again_s = time.monotonic() - repaired
        one.wait(lambda: online(one), 10 * BACK_S, "an empty record")
        time.sleep(min(back_s, 5.0) if SCALE < 1 else back_s)
        told = f"away {away_s:.0f} s, online {again_s:.1f} s after repair, {attempts} attempts, "
        told += f"processor {busy:.3f} away, {quiet:.3f} online; "
        finish(one, f"outage {name} {trouble.__name__}", told)
    # Twice as much, and a little for the measuring itself.
    assert busy < 2 * quiet + 0.02


def rate(one: Site, seconds: float) -> float:
    """The gate's own processor time for each second."""
    assert one.gate is not None
    before = processor_s(one.gate.pid)
    time.sleep(seconds)
    return (processor_s(one.gate.pid) - before) / seconds


@pytest.mark.soak
def test_connections_that_are_reset_again_and_again_cost_no_event(line: Wire, tmp_path: Path) -> None:
    """A middle box that cuts each connection after a while, as some do."""
    with behind(line, tmp_path) as (one, _):
        for _ in range(12):
            one.broker.kill()
            one.broker.start()
            one.wait_answers(2)
        finish(one, "connections reset 12 times")


def test_a_dead_name_server_delays_and_costs_no_event(line: Wire, tmp_path: Path) -> None:
    """Nobody answers for the broker's name, and then somebody does."""
    folder = Path("/etc/netns") / line.namespace
    folder.mkdir(parents=True)
    hosts = folder / "hosts"
    try:
        (folder / "resolv.conf").write_text(f"nameserver {line.here}\n")
        hosts.write_text(f"127.0.0.1 localhost\n{line.here} {NAME}\n")
        with behind(line, tmp_path, {"host": NAME}) as (one, _):
            hosts.write_text("127.0.0.1 localhost\n")
            one.broker.kill()
            one.broker.start()
            one.wait(lambda: one.told("uplink", "reason") == "dns", 60, "the dead name server named")
            one.wait_answers(10)
            hosts.write_text(f"127.0.0.1 localhost\n{line.here} {NAME}\n")
            again_s = one.wait(lambda: one.told("uplink", "phase") == "online", BACK_S, "online again")
            finish(one, "dead name server", f"online {again_s:.1f} s after repair; ")
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


@contextmanager
def impostor(port: int, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Something else on the broker's port."""
    stop = threading.Event()
    with socket.create_server(("0.0.0.0", port)) as listener:  # noqa: S104 - the gate is in another network
        listener.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                with client:
                    client.settimeout(1.0)
                    try:
                        answer(client)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, name="impostor")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def portal(client: socket.socket) -> None:
    """A captive portal: whatever is said, it wants people to log in."""
    client.recv(4096)
    client.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://login.example.test/\r\nContent-Length: 0\r\n\r\n")


def mute(client: socket.socket) -> None:
    """Takes the connection and never says a word."""
    client.recv(4096)
    time.sleep(1.0)


def rude(client: socket.socket) -> None:
    """Resets it."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("answer", [portal, *(pytest.param(one, marks=LONG) for one in (mute, rude))], ids=lambda answer: answer.__name__)
def test_somebody_else_on_the_brokers_port_costs_no_event(line: Wire, tmp_path: Path, answer: Callable[[socket.socket], None]) -> None:
    """The broker is away, and its port answers as something else; then it is back."""
    with behind(line, tmp_path) as (one, papers):
        one.down({"broker"})
        with impostor(papers.outer, answer):
            one.wait(lambda: one.told("uplink", "phase") != "online", 20, "noticed")
            one.wait_answers(15)
            reasons = sorted(one.told("uplink", "ends"))
        one.up({"broker"})
        again_s = one.wait(lambda: one.told("uplink", "phase") == "online", BACK_S, "online again")
        finish(one, f"{answer.__name__} on the port", f"told as {reasons}; online {again_s:.1f} s after repair; ")


@dataclass(frozen=True)
class Wrong:
    """What is wrong with the papers: the broker's own, or what else its configuration needs."""

    server: Callable[[Papers], TlsPapers | None]
    more: Callable[[Papers], str] = lambda _: ""


WRONG: Final = {
    "expired": Wrong(lambda papers: papers.authority.issue("broker-old", starts_days=-60, ends_days=-1, hosts=(papers.line.here,))),
    "not yet valid": Wrong(lambda papers: papers.authority.issue("broker-new", starts_days=2, ends_days=60, hosts=(papers.line.here,))),
    "wrong host": Wrong(lambda papers: papers.authority.issue("broker-other", hosts=("elsewhere.example.test",))),
    "wrong authority": Wrong(lambda papers: Authority(papers.folder / "other", "another").issue("broker", hosts=(papers.line.here,))),
    "gate revoked": Wrong(lambda _: None, lambda papers: f"crlfile {papers.authority.revoke(papers.gate)}\n"),
}


@pytest.mark.parametrize("name", [name if name == "gate revoked" else pytest.param(name, marks=LONG) for name in WRONG])
def test_a_wrong_certificate_costs_no_event_and_is_named(line: Wire, tmp_path: Path, name: str) -> None:
    """The broker comes back with papers that must not be taken, or takes the gate's no more; then all is well again."""
    with behind(line, tmp_path) as (one, papers):
        one.down({"broker"})
        one.broker.configure(papers.settings(WRONG[name].server(papers), WRONG[name].more(papers)))
        one.up({"broker"})
        one.wait(
            lambda: one.told("uplink", "phase") != "online" and "connection_refused" not in one.told("uplink", "reason"), 30, "noticed"
        )
        one.wait_answers(15)
        reasons = sorted(one.told("uplink", "ends"))
        assert one.told("uplink", "connects") == 1
        one.down({"broker"})
        one.broker.configure(papers.settings())
        one.up({"broker"})
        again_s = one.wait(lambda: one.told("uplink", "phase") == "online", BACK_S, "online again")
        finish(one, f"certificate {name}", f"told as {reasons}; online {again_s:.1f} s after repair; ")
