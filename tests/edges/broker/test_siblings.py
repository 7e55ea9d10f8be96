"""Several gates of one site, over a real broker of that site: who passed where, and what is done when one is silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from device.config import SiblingsSection
from device.core.memory import Memory
from device.core.policy import WARN_PASSBACK_BLIND, decide
from device.core.reasons import Reason
from device.core.rules import Passback, PassbackMode, Rules
from device.core.types import ClockReading, Credential, Direction, Kind, Passage, SubjectClass, Verdict
from device.edges.broker.kept_line import Phase
from device.edges.broker.siblings import Siblings, apply_passages
from device.workbench.broker import LOOPBACK
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
