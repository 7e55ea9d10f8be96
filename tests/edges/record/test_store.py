"""The steps that the record's writer is made of, each of them one transaction."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from device.core.timeline import Stamp
from device.core.types import Stored
from device.edges.record.journal import SqliteJournal
from device.errors import JournalError
from tests.entries import FREEZE, chained, checkin, numbers, parsed, section, settle
from tests.fakes.clock import FakeClock


def test_a_broken_freezer_loses_nothing(path: Path, clock: FakeClock) -> None:
    """With the signing key gone nothing can be sent, everything is recorded, and nothing is called a dead letter."""
    broken = True

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        if broken:
            raise OSError("the secure element does not answer")
        return FREEZE(stored, stamp, prev)

    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        with pytest.raises(JournalError, match="cannot be made ready"):
            journal.waiting(0, 10)
        broken = False
        assert numbers(journal.waiting(0, 10)) == [1, 2, 3]
        assert journal.stats()["dead"] == 0


def test_an_event_that_cannot_be_published_does_not_hold_up_the_rest(path: Path, clock: FakeClock) -> None:
    """One bad event is put aside as a dead letter, told of, and the chain goes on without it."""

    def freeze(stored: Stored, stamp: Stamp, prev: bytes | None) -> bytes:
        if stored.data.get("n") == 2:
            raise ValueError("no")
        return FREEZE(stored, stamp, prev)

    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(1, 4)])
        out = journal.waiting(0, 10)
        assert numbers(out) == [1, 3]
        assert chained(journal.waiting(0, 10))
        assert parsed(journal.waiting(3, 1)[0])["data"]["reason"] == "unfreezable"
