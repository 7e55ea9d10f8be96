"""The record against a plain list: any mix of recording, sending, acks, restarts and crashes, in any order."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device.core.types import Channel
from device.core.wire import body_digest
from device.edges.record.journal import SqliteJournal
from tests.entries import FREEZE, audit, chained, checkin, parsed, section, settle, subject
from tests.fakes.clock import FakeClock


class Model(RuleBasedStateMachine):
    """A journal, and beside it what must be in it.

    `rows` is number and `n` of what waits; `hidden` what was confirmed and may
    come back after a crash; `bodies` every body that was ever given out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.clock = FakeClock()
        self.rows: dict[int, int] = {}
        self.hidden: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.passed: dict[int, None] = {}
        self.newest = 0
        self.count = 0
        self.boots = 1

    @initialize()
    def open(self) -> None:
        """A first journal."""
        self.journal = self._open()
        self.epoch = self.journal.bounds().epoch

    def _open(self) -> SqliteJournal:
        return SqliteJournal(self.folder / "journal.sqlite", section(), self.clock, FREEZE)

    @rule(count=st.integers(1, 60), passage=st.booleans())
    def record(self, count: int, passage: bool) -> None:  # noqa: FBT001  hypothesis calls with names
        """Some events, one after the other."""
        futures = []
        for _ in range(count):
            self.count += 1
            futures.append(self.journal.record(checkin(self.clock, self.count, passage=passage)))
        seqs = settle(futures)
        assert seqs == list(range(self.newest + 1, self.newest + count + 1))
        self.newest += count
        for offset, seq in enumerate(seqs):
            number = self.count - count + 1 + offset
            self.rows[seq] = number
            if passage:
                self.passed[number] = None

    @rule(limit=st.integers(1, 100), place=st.integers(0, 100))
    def send(self, limit: int, place: int) -> None:
        """Ask for a window: it is what waits there, in order, and no body is ever another."""
        after = self.newest * place // 100
        out = self.journal.waiting(after, limit)
        assert [one.seq for one in out] == [seq for seq in sorted(self.rows) if seq > after][:limit]
        for one in out:
            assert self.bodies.setdefault(one.seq, one.body) == one.body

    @rule(part=st.integers(0, 100), spans=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 30)), max_size=4))
    def confirm(self, part: int, spans: list[tuple[int, int]]) -> None:
        """Any ack of existing numbers: it releases those that were frozen, once."""
        upto = self.newest * part // 100
        ranges = [(first, min(first + length, self.newest)) for first, length in spans if first <= self.newest]
        covered = [seq for seq in self.rows if seq <= upto or any(first <= seq <= last for first, last in ranges)]
        released = self.journal.confirm(self.epoch, upto, ranges)
        gone = [seq for seq in covered if seq in self._frozen()]
        assert released == len(gone)
        for seq in gone:
            self.hidden[seq] = self.rows.pop(seq)

    @precondition(lambda self: self.rows)
    @rule(place=st.integers(0, 1000))
    def bury(self, place: int) -> None:
        """One of those that wait becomes a dead letter, and an event tells of it."""
        seq = sorted(self.rows)[place % len(self.rows)]
        self.journal.bury(seq, "quota_exceeded")
        del self.rows[seq]
        self.newest += 1
        self.rows[self.newest] = -seq

    @rule(seconds=st.integers(0, 100_000))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @rule()
    def maintain(self) -> None:
        """The minute's upkeep changes nothing that can be seen."""
        self.journal.maintain()
        self.hidden.clear()

    @rule()
    def restart(self) -> None:
        """An orderly end and a new start."""
        self.journal.close()
        self.hidden.clear()
        self.journal = self._open()

    @rule(trusted=st.booleans())
    def reboot(self, trusted: bool) -> None:  # noqa: FBT001  as above
        """A new boot, with or without a right clock."""
        self.journal.close()
        self.hidden.clear()
        self.boots += 1
        self.clock.restart(f"boot-{self.boots}", trusted=trusted, off_s=10)
        self.journal = self._open()

    @rule(count=st.integers(1, 20))
    def unsynced(self, count: int) -> None:
        """A boot whose clock is wrong, and events in it, none of which has a body yet."""
        self.reboot(trusted=False)
        self.record(count, passage=False)

    @rule()
    def crash(self) -> None:
        """The process dies: what is on the disk at this moment is what the next one finds."""
        other = Path(tempfile.mkdtemp(prefix="journal-"))
        for file in self.folder.glob("journal.sqlite*"):
            shutil.copy(file, other / file.name)
        self.journal.close()
        shutil.rmtree(self.folder)
        self.folder = other
        self.journal = self._open()
        waiting = {one.seq for one in self.journal.waiting(0, 10_000)}
        assert set(self.rows) <= waiting <= set(self.rows) | set(self.hidden)
        self.rows.update({seq: number for seq, number in self.hidden.items() if seq in waiting})
        self.hidden.clear()

    @invariant()
    def bounds_agree(self) -> None:
        """The bounds and the figures are those of the list."""
        if not hasattr(self, "journal"):
            return
        bounds = self.journal.bounds()
        assert (bounds.epoch, bounds.waiting) == (self.epoch, len(self.rows))
        assert (bounds.oldest, bounds.newest) == (min(self.rows, default=0), max(self.rows, default=0))
        view = self.journal._writer.view  # noqa: SLF001  the counts that decide when bodies are made at once
        assert view is not None
        assert view.tally.unfrozen == len(set(self.rows) - self._frozen())

    def _frozen(self) -> set[int]:
        """What has a body, by the file."""
        view = self.journal._writer.view  # noqa: SLF001  whether an event was ever ready to be sent is not asked for elsewhere
        assert view is not None
        return {seq for seq in self.rows if seq <= view.tally.frozen}

    def teardown(self) -> None:
        """At the end everything comes out, once, whole, chained as far as it was not confirmed."""
        if not hasattr(self, "journal"):
            return
        with closing(self.journal) as journal:
            out = journal.waiting(0, 100_000)
            assert [one.seq for one in out] == sorted(self.rows)
            for one in out:
                data, number = parsed(one)["data"], self.rows[one.seq]
                assert data.get("seq") == -number if number < 0 else data["subject"] == subject(number)
                assert self.bodies.setdefault(one.seq, one.body) == one.body
            following = [(one, other) for one, other in pairwise(out) if other.seq == one.seq + 1]
            assert all(chained([other], start=body_digest(one.body)) for one, other in following)
            assert {passage.subject for passage in journal.passages()} == {subject(number) for number in self.passed}
            settle([journal.record(audit(self.clock))])
            assert journal.waiting(self.newest, 1)[0].channel is Channel.AUDIT
        shutil.rmtree(self.folder)


TestModel = Model.TestCase
TestModel.settings = settings(stateful_step_count=30)
