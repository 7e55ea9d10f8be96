"""Several gates of one site, over a real broker of that site: who passed where, and what is done when one is silent."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from device.config import SiblingsSection
from device.core.memory import Memory
from device.core.policy import WARN_PASSBACK_BLIND, decide
from device.core.reasons import Reason
from device.core.rules import Passback, PassbackMode, Rules
from device.core.types import ClockReading, Credential, Direction, Kind, Passage, SubjectClass, Verdict
from device.edges.broker.kept_line import Phase
from device.edges.broker.siblings import Siblings, apply_passages
from device.edges.broker.tls import TlsFiles
from device.workbench.broker import LOOPBACK
from tests.fakes.mqtt_packets import Publish
from tests.fakes.mqtt_server import MqttServer
from tests.mosquitto import Broker
from tests.waiting import until

HOUR_NS = 3_600_000_000_000
ANNA, BERTA = "aa" * 32, "bb" * 32


class Clock:
    """Clocks of a machine of its own, that can be pushed on; the wall clock is not known."""

    def __init__(self, boot: str) -> None:
        self.boot = boot
        self.ahead_ns = 0

    def monotonic_ns(self) -> int:
        """Monotonic time."""
        return time.monotonic_ns() + self.ahead_ns

    def reading(self) -> ClockReading:
        """All clocks."""
        return ClockReading(self.monotonic_ns(), self.monotonic_ns(), 0, self.boot, trusted=False)


@dataclass
class Gate:
    """One gate's part: its memory and its line to the others."""

    name: str
    broker: Broker
    others: tuple[str, ...]
    passages: list[Passage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock(self.name)
        self.memory = Memory(16 * HOUR_NS, self.passages)
        section = SiblingsSection(gates=self.others, host=LOOPBACK, port=self.broker.port, silent_after_s=6)
        self.line = Siblings(section, "site-1", self.name, self.clock, self.passages)
        self.line.start()

    def passes(self, subject: str, direction: Direction) -> None:
        """Somebody passes here."""
        passage = Passage(subject, direction, self.clock.reading())
        self.memory.remember(passage)
        self.line.passed(passage)

    def hear(self) -> None:
        """Between two codes."""
        self.memory.blind = self.line.blind
        apply_passages(self.line, self.memory.remember, self.memory.last)

    def knows(self, subject: str, direction: Direction) -> bool:
        """Whether it knows of a passage."""
        self.hear()
        last = self.memory.last(subject)
        return last is not None and last.direction is direction


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """The site's broker."""
    (tmp_path / "broker").mkdir()
    one = Broker.plain(tmp_path / "broker")
    one.start()
    yield one
    one.stop()


@pytest.fixture
def gates(broker: Broker) -> Iterator[tuple[Gate, Gate]]:
    """Two gates that have heard of each other."""
    pair = (Gate("gate-a", broker, ("gate-b",)), Gate("gate-b", broker, ("gate-a",)))
    until(lambda: not any(gate.line.blind for gate in pair))
    yield pair
    for gate in pair:
        gate.line.close()


def answer(gate: Gate, subject: str) -> tuple[Reason, tuple[str, ...]]:
    """What the rule about passing twice says at an entrance."""
    passback = Passback(PassbackMode.HARD, timed_ns=0, forget_ns=16 * HOUR_NS)
    rules = Rules(frozenset({Kind.CITIZEN_CARD}), Direction.IN, 0, 16 * HOUR_NS, Verdict.REFER, 420, passback=passback)
    card = Credential(Kind.CITIZEN_CARD, "7", SubjectClass.CITIZEN, "064090001234")
    gate.hear()
    now = gate.clock.reading()
    decision = decide(card, subject, now, gate.memory.recall(subject, None, now), rules=rules)
    return decision.reason, decision.warnings


def test_who_came_in_by_one_gate_does_not_come_in_by_another(gates: tuple[Gate, Gate]) -> None:
    """Until they have left, by whichever gate."""
    a, b = gates
    a.passes(ANNA, Direction.IN)
    until(lambda: b.knows(ANNA, Direction.IN))
    assert answer(b, ANNA)[0] is Reason.PASSBACK
    assert answer(b, BERTA)[0] is Reason.ACCEPTED
    assert b.memory.inside(b.clock.reading()) == 1
    b.passes(ANNA, Direction.OUT)
    until(lambda: a.knows(ANNA, Direction.OUT))
    assert answer(a, ANNA)[0] is Reason.ACCEPTED
    assert a.memory.inside(a.clock.reading()) == 0


def test_a_gate_that_starts_again_is_told_what_the_others_remember(gates: tuple[Gate, Gate], broker: Broker) -> None:
    """From before its start, with the right age though no wall clock is known."""
    a, b = gates
    a.passes(ANNA, Direction.IN)
    until(lambda: b.knows(ANNA, Direction.IN))
    b.line.close()
    a.clock.ahead_ns += HOUR_NS
    again = Gate("gate-b", broker, ("gate-a",))
    try:
        until(lambda: again.knows(ANNA, Direction.IN))
        last = again.memory.last(ANNA)
        assert last is not None
        age_ns = again.clock.reading().boot_ns - last.at.boot_ns
        assert HOUR_NS <= age_ns < HOUR_NS + 60 * 10**9
    finally:
        again.line.close()


def test_a_silent_gate_makes_nobody_refused_and_is_named(gates: tuple[Gate, Gate]) -> None:
    """The event says why."""
    a, b = gates
    a.passes(ANNA, Direction.IN)
    until(lambda: b.knows(ANNA, Direction.IN))
    a.line.close()
    b.clock.ahead_ns += 7 * 10**9
    assert b.line.silent == ["gate-a"]
    reason, warnings = answer(b, ANNA)
    assert (reason, WARN_PASSBACK_BLIND in warnings) == (Reason.ACCEPTED, True)


def test_passages_while_the_broker_is_away_come_when_it_is_back(gates: tuple[Gate, Gate], broker: Broker) -> None:
    """None is lost as long as the programs run."""
    a, b = gates
    broker.kill()
    until(lambda: a.line._line.phase is not Phase.ONLINE)  # noqa: SLF001 - the moment at which nothing can be said
    a.passes(ANNA, Direction.IN)
    a.passes(BERTA, Direction.IN)
    broker.start()
    until(lambda: b.knows(ANNA, Direction.IN) and b.knows(BERTA, Direction.IN))


def test_an_older_passage_does_not_undo_a_newer_one(gates: tuple[Gate, Gate]) -> None:
    """What is said late counts by when it was."""
    a, b = gates
    b.passes(ANNA, Direction.OUT)
    old = a.clock.reading()
    a.line.passed(Passage(ANNA, Direction.IN, ClockReading(old.monotonic_ns, old.boot_ns - HOUR_NS, 0, a.name, trusted=False)))
    a.passes(BERTA, Direction.IN)
    until(lambda: b.knows(BERTA, Direction.IN))
    assert b.knows(ANNA, Direction.OUT)


def test_rubbish_from_the_site_changes_nothing(gates: tuple[Gate, Gate]) -> None:
    """Whoever is on the site's broker may say anything."""
    a, b = gates
    for payload in (
        b"",
        b"{}",
        b'{"subject":"x","direction":"in","age_ms":1}',
        b'{"subject":"' + b"a" * 64 + b'","direction":"up","age_ms":1}',
    ):
        a.line._publish("passage", payload, qos=1)  # noqa: SLF001 - what no gate of ours says
    a.passes(BERTA, Direction.IN)
    until(lambda: b.knows(BERTA, Direction.IN))
    assert b.memory.inside(b.clock.reading()) == 1


# ----------------------------------------------------------------- one gate alone, against a server that does what it is told


@dataclass
class Readings:
    """Clocks as a test says, and a wall clock that may be known."""

    boot: str = "b2"
    trusted: bool = True
    ahead_ns: int = 0

    def monotonic_ns(self) -> int:
        """Monotonic time."""
        return time.monotonic_ns() + self.ahead_ns

    def reading(self) -> ClockReading:
        """All clocks; the wall shows hour 100 and goes with the others."""
        now_ns = self.monotonic_ns()
        return ClockReading(now_ns, now_ns, 100 * HOUR_NS + self.ahead_ns, self.boot, self.trusted)


TOPIC: Final = "sites/v1/site-1"


@contextmanager
def alone(server: MqttServer, clock: Readings, own: Iterable[Passage] = (), **settings: object) -> Iterator[Siblings]:
    """A gate `gate-a` whose site has a `gate-b`."""
    section = SiblingsSection.model_validate({"gates": ("gate-b",), "host": server.host, "port": server.port, **settings})
    line = Siblings(section, "site-1", "gate-a", clock, own)
    line.start()
    try:
        server.wait(lambda: bool(server.on("/alive")))
        yield line
    finally:
        line.close()


@pytest.fixture
def server() -> Iterator[MqttServer]:
    """The scripted server, which takes everything."""
    with MqttServer() as scripted:
        scripted.answer = scripted.accept_all
        yield scripted


def said(message: Publish) -> dict[str, object]:
    """What a gate said."""
    found: dict[str, object] = json.loads(message.payload)
    return found


def test_the_line_to_the_others_is_as_configured(tmp_path: Path) -> None:
    """Under the gate's own id and certificate; what the others say is heard, also what came while it was away."""
    files = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    for path in files.values():
        path.touch()
    section = SiblingsSection.model_validate({"gates": ("gate-b", "gate-c"), "host": "site.example", "port": 1234, **files})
    to = Siblings(section, "site-1", "gate-a", Readings()).peer()
    assert (to.host, to.port, to.client_id, to.will) == ("site.example", 1234, "gate-a", None)
    assert to.tls == TlsFiles(files["ca"], files["cert"], files["key"])
    assert [(one.topic, one.qos) for one in to.subscriptions] == [
        (f"{TOPIC}/{gate}/{kind}", 1) for gate in ("gate-b", "gate-c") for kind in ("passage", "alive")
    ]
    assert to.session_expiry_s == 86_400
    assert to.unread_limit > to.receive_maximum >= 1000
    plain = SiblingsSection(gates=("gate-b",), host=LOOPBACK, port=1)
    assert Siblings(plain, "site-1", "gate-a", Readings()).peer().tls is None


def test_a_gate_asks_once_and_then_says_that_it_is_there(server: MqttServer) -> None:
    """Every five seconds; the question is confirmed by the broker, a sign of life need not be. After a new connection it asks again."""
    clock = Readings()
    with alone(server, clock) as line:
        assert len(server.on("/alive")) == 1
        for count in (2, 3):
            clock.ahead_ns += 5 * 10**9
            line._line.wake()  # noqa: SLF001 - the clock moved without it
            server.wait(partial(lambda count: len(server.on("/alive")) == count, count))
        assert [(said(one)["fresh"], one.qos, one.topic) for one in server.on("/alive")] == [
            (True, 1, f"{TOPIC}/gate-a/alive"),
            (False, 0, f"{TOPIC}/gate-a/alive"),
            (False, 0, f"{TOPIC}/gate-a/alive"),
        ]
        server.hang_up()
        server.wait(lambda: len(server.on("/alive")) == 4)
        assert said(server.on("/alive")[-1])["fresh"] is True


@pytest.mark.parametrize(
    ("boot", "then", "now", "age_h"),
    [("b2", False, False, 3), ("b1", True, True, 5), ("b1", True, False, None), ("b1", False, True, None), ("b1", False, False, None)],
)
def test_whoever_asks_is_told_how_long_ago_it_was_or_nothing(
    server: MqttServer,
    boot: str,
    then: bool,  # noqa: FBT001 - a column of the table
    now: bool,  # noqa: FBT001 - a column of the table
    age_h: int | None,
) -> None:
    """By the clock since boot within one boot, by the wall where it was known both times; else no clock can tell, and nobody is told."""
    clock = Readings(trusted=now)
    at = clock.reading()
    old = Passage(ANNA, Direction.OUT, ClockReading(0, at.boot_ns - 3 * HOUR_NS, 95 * HOUR_NS, boot, then))
    new = Passage(BERTA, Direction.IN, ClockReading(0, at.boot_ns, 0, "b2", trusted=False))
    with alone(server, clock, [old, new]):
        assert server.on("/passage") == []
        server.publish(f"{TOPIC}/gate-b/alive", b'{"fresh":false}')
        server.publish(f"{TOPIC}/gate-b/alive", b'{"fresh":true}')
        server.wait(lambda: bool(server.on("/passage")) and said(server.on("/passage")[-1])["subject"] == BERTA)
        told = [said(one) for one in server.on("/passage")]
        assert all(one.qos == 1 and one.topic == f"{TOPIC}/gate-a/passage" for one in server.on("/passage"))
    assert len(told) == (1 if age_h is None else 2)
    if age_h is not None:
        assert (told[0]["subject"], told[0]["direction"]) == (ANNA, "out")
        assert int(str(told[0]["age_ms"])) // 60_000 == age_h * 60


def test_a_passage_from_the_future_was_just_now(server: MqttServer) -> None:
    """A wall clock that was put back makes no negative age, which nobody would take."""
    clock = Readings()
    ahead = Passage(ANNA, Direction.IN, ClockReading(0, 0, 101 * HOUR_NS, "b1", trusted=True))
    with alone(server, clock, [ahead]):
        server.publish(f"{TOPIC}/gate-b/alive", b'{"fresh":true}')
        server.wait(lambda: bool(server.on("/passage")))
        assert said(server.on("/passage")[0])["age_ms"] == 0


def test_no_more_is_unanswered_than_the_window_and_all_is_said_in_the_end(server: MqttServer) -> None:
    """Sixteen at a time, the question among them, so that a small broker is not flooded; in the order in which they passed."""
    server.answer = server.withhold
    clock = Readings()
    with alone(server, clock) as line:
        for number in range(40):
            line.passed(Passage(f"{number:064x}", Direction.IN, clock.reading()))
        server.wait(lambda: len(server.published) == 16)
        assert server.most_unanswered == 16
        server.answer = server.accept_all
        server.puback()
        server.wait(lambda: len(server.on("/passage")) == 40)
        assert [int(str(said(one)["subject"]), 16) for one in server.on("/passage")] == list(range(40))


@pytest.mark.parametrize(
    "topic", [f"{TOPIC}/gate-c/passage", f"{TOPIC}/gate-b/passage/more", f"{TOPIC}/gate-b", "sites/v1/site-2/gate-b/passage", "x"]
)
def test_only_the_gates_of_the_site_are_believed(server: MqttServer, topic: str) -> None:
    """Whatever a broker sends, subscribed to or not; and whoever is silent stays silent."""
    clock = Readings()
    good = json.dumps({"subject": ANNA, "direction": "in", "age_ms": 2_000}).encode()
    with alone(server, clock) as line:
        server.publish(topic, good)
        server.publish(topic, b'{"fresh":true}')
        server.wait(lambda: len(server.pubacks) >= 2)
        assert (line.receive(), line.silent, line.blind) == ([], ["gate-b"], True)
        server.publish(f"{TOPIC}/gate-b/passage", good)
        until(lambda: not line.silent)
        found = line.receive()
        assert (found[0].subject, found[0].direction) == (ANNA, Direction.IN)
        age_ns = clock.reading().boot_ns - found[0].at.boot_ns
        assert 2 * 10**9 <= age_ns < 12 * 10**9
        assert found[0].at.wall_ns == 100 * HOUR_NS - 2 * 10**9
        assert (line.silent, line.blind) == ([], False)
        clock.ahead_ns += 21 * 10**9
        assert line.blind
