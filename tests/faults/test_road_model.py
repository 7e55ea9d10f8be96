"""The record and its sender against a plain list: whatever breaks between any two steps, everything arrives, and nothing becomes another.

The broker and the province are lists, so that a crash may come between
sending and arriving, arriving and keeping, keeping and telling, and telling
and forgetting; the record is a real file, and the sender the real one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device.core import wire
from device.core.pacing import Backoff
from device.core.spans import spans
from device.edges.broker.sender import EventToken, Sender
from device.edges.broker.values import Connected, Publication
from device.edges.record.journal import SqliteJournal
from tests.entries import FREEZE, checkin, section, settle
from tests.fakes.clock import FakeClock

REFUSALS = [0x10, 0x80, 0x83, 0x87, 0x97]
"""What a broker may answer instead of taking an event, none of which gives it up."""
ALL_S = 100_000
"""Long enough for every wait of the sender."""


class Road(RuleBasedStateMachine):
    """A gate's record, its sender, a broker's queue and a province's file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="road-"))
        self.clock = FakeClock()
        self.produced: dict[int, int] = {}
        self.flying: list[Publication] = []
        self.queued: list[bytes] = []
        self.kept: dict[int, bytes] = {}
        self.acks: list[wire.Ack] = []
        self.sent: dict[int, bytes] = {}
        self.count = 0
        self.width = 16
        self.online = False

    @initialize()
    def open(self) -> None:
        """An empty record, not connected."""
        self.journal = SqliteJournal(self.folder / "journal.sqlite", section(), self.clock, FREEZE)
        self.epoch = self.journal.bounds().epoch
        self.sender = self._sender()

    def _sender(self) -> Sender:
        busy = Backoff(1.0, 10.0, lambda low, _: low)
        return Sender("gate-01", self.journal, self.clock, settled_by_broker=False, backlog_per_s=1e6, busy=busy)

    @property
    def now_s(self) -> float:
        """The sender's clock."""
        return self.clock.monotonic_ns() / 1e9

    # ------------------------------------------------------------- what happens

    @rule(count=st.integers(1, 40))
    def record(self, count: int) -> None:
        """People pass."""
        futures = []
        for _ in range(count):
            self.count += 1
            futures.append(self.journal.record(checkin(self.clock, self.count)))
        for offset, seq in enumerate(settle(futures)):
            assert seq not in self.produced
            self.produced[seq] = self.count - count + 1 + offset
        self.sender.news()

    @precondition(lambda self: not self.online)
    @rule(receive_maximum=st.sampled_from([1, 5, 20, 65_535]))
    def connect(self, receive_maximum: int) -> None:
        """A connection stands, and hello has been said."""
        self.online, self.width = True, min(16, receive_maximum)
        self.sender.begin(Connected(receive_maximum, 268_435_460, 1, retain_available=True, session_present=False), self.now_s)
        self.sender.adopt(self.epoch)

    @precondition(lambda self: self.online)
    @rule()
    def pump(self) -> None:
        """The sender sends what it may."""
        self.sender.pump(self.now_s, self.flying.append)
        for publication in self.flying:
            assert isinstance(publication.token, EventToken)
            assert self.sent.setdefault(publication.token.seq, publication.payload) == publication.payload

    @precondition(lambda self: self.flying)
    @rule(place=st.integers(0, 15), code=st.sampled_from([0, 0, 0, *REFUSALS]))
    def answer(self, place: int, code: int) -> None:
        """The broker answers one of them, in any order; what it takes is in its memory only."""
        publication = self.flying.pop(place % len(self.flying))
        if code == 0:
            self.queued.append(publication.payload)
        assert isinstance(publication.token, EventToken)
        self.sender.answered(publication.token.seq, code, self.now_s)

    @precondition(lambda self: self.queued)
    @rule(place=st.integers(0, 100), copies=st.integers(1, 2))
    def deliver(self, place: int, copies: int) -> None:
        """The province keeps one, which may come twice."""
        body = self.queued.pop(place % len(self.queued))
        for _ in range(copies):
            event = json.loads(body)
            assert event["epoch"] == self.epoch
            assert self.kept.setdefault(int(event["sequence"]), body) == body

    @precondition(lambda self: self.kept)
    @rule()
    def tell(self) -> None:
        """The province tells what it has; the word is on its way."""
        self.acks.append(
            wire.Ack(
                epoch=self.epoch, upto=0, ranges=[list(span) for span in spans(sorted(self.kept))], server_time="2026-11-26T00:00:00.000Z"
            )
        )

    @precondition(lambda self: self.acks and self.online)
    @rule(place=st.integers(0, 10))
    def hear(self, place: int) -> None:
        """One of these words arrives, perhaps an old one."""
        self.sender.confirmed(self.acks.pop(place % len(self.acks)), self.now_s)

    @rule(seconds=st.sampled_from([0, 1, 31, 120, 1000]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    # ------------------------------------------------------------- what breaks

    @precondition(lambda self: self.online)
    @rule(arrived=st.integers(0, 16), blamed=st.booleans())
    def lose(self, arrived: int, blamed: bool) -> None:  # noqa: FBT001  hypothesis calls with names
        """The connection breaks; of what was on its way some had arrived all the same."""
        self.queued += [publication.payload for publication in self.flying[:arrived]]
        self.flying.clear()
        self.acks.clear()
        self.online = False
        self.sender.end(self.now_s, blamed=blamed)

    @rule()
    def forget(self) -> None:
        """The broker dies, and with it everything that it had taken."""
        self.queued.clear()
        if self.online:
            self.lose(0, blamed=False)

    @rule()
    def crash(self) -> None:
        """The gate dies: what is on its disk at this moment is what it finds."""
        other = Path(tempfile.mkdtemp(prefix="road-"))
        for file in self.folder.glob("journal.sqlite*"):
            shutil.copy(file, other / file.name)
        self.flying.clear()
        self.acks.clear()
        self.online = False
        self.journal.close()
        shutil.rmtree(self.folder)
        self.folder = other
        self.journal = SqliteJournal(self.folder / "journal.sqlite", section(), self.clock, FREEZE)
        assert self.journal.bounds().epoch == self.epoch
        self.sender = self._sender()

    @rule()
    def tend(self) -> None:
        """The minute's upkeep."""
        self.journal.maintain()

    # ------------------------------------------------------------- what always holds

    @invariant()
    def never_more_than_the_window_on_the_wire(self) -> None:
        """As many as the broker allows, and no more than sixteen."""
        assert len(self.flying) <= self.width

    @invariant()
    def everything_is_kept_somewhere(self) -> None:
        """On the gate's disk or in the province, whatever was lost on the way."""
        if not hasattr(self, "journal"):
            return
        waiting = {one.seq for one in self.journal.waiting(0, 100_000)}
        assert set(self.produced) <= waiting | set(self.kept)

    def teardown(self) -> None:
        """At last everything works: everything arrives, as it was recorded, and the record is empty."""
        if not hasattr(self, "journal"):
            return
        try:
            self._deliver_all()
            told = {seq: json.loads(body)["data"].get("n") for seq, body in self.kept.items()}
            assert {seq: told[seq] for seq in self.produced} == self.produced
            assert self.journal.bounds().waiting == 0
        finally:
            self.journal.close()
            shutil.rmtree(self.folder)

    def _deliver_all(self) -> None:
        for _ in range(3 * len(self.produced) + 10):
            if not self.journal.bounds().waiting:
                return
            if not self.online:
                self.connect(65_535)
            self.clock.advance(ALL_S)
            self.pump()
            while self.flying:
                self.answer(0, 0)
            while self.queued:
                self.deliver(0, 1)
            self.tell()
            self.hear(len(self.acks) - 1)


TestRoad = Road.TestCase
TestRoad.settings = settings(stateful_step_count=40, deadline=None)
