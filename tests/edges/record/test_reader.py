"""Reading the record beside its writer, and after it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from device.edges.record.reader import JournalReader
from device.errors import JournalError
from tests.entries import Opener, checkin, settle
from tests.fakes.clock import FakeClock


def test_a_person_at_a_terminal_reads_beside_the_gate_and_after_it(opener: Opener, path: Path, clock: FakeClock) -> None:
    """`JournalReader` shows states, bodies and times while the gate runs, and the same when it does not."""
    journal = opener(keep_confirmed_s=3600)
    settle([journal.record(checkin(clock, number)) for number in range(1, 5)])
    journal.waiting(0, 10)
    journal.confirm(journal.bounds().epoch, 1)
    journal.bury(2, "quota_exceeded")
    journal.maintain()

    def look(newest: int | None = None) -> list[tuple[int, str, str, bool]]:
        with JournalReader(path) as reader:
            assert reader.epoch == journal.stats()["epoch"]
            return [(one.stored.seq, one.state, one.reason, one.body is not None) for one in reader.events(newest)]

    running = look()
    assert running == [
        (1, "confirmed", "", True),
        (2, "dead", "quota_exceeded", True),
        (3, "waiting", "", True),
        (4, "waiting", "", True),
        (5, "waiting", "", True),
    ]
    assert look(2) == running[3:]
    journal.close()
    files = sorted(path.parent.iterdir())
    assert look() == running
    assert sorted(path.parent.iterdir()) == files


def test_reading_what_is_not_there_says_so(tmp_path: Path) -> None:
    """A missing or foreign file is a JournalError that names it."""
    with pytest.raises(JournalError, match=re.escape(str(tmp_path / "none.sqlite"))):
        JournalReader(tmp_path / "none.sqlite")
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(JournalError, match="cannot be read"):
        JournalReader(tmp_path / "text")
