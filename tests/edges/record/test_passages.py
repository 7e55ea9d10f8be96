"""Who passed last, in slots that are overwritten."""

from __future__ import annotations

from tests.edges.record.kit import DAY_S
from tests.entries import Opener, checkin, settle, subject
from tests.fakes.clock import FakeClock


def test_passages_are_forgotten_after_the_retention(opener: Opener, clock: FakeClock) -> None:
    """Who passed longer ago than is allowed is unknown again; who passed since is remembered."""
    journal = opener(retention_days=1)
    settle([journal.record(checkin(clock, number, passage=True)) for number in range(1, 121)])
    clock.advance(DAY_S - 1)
    settle([journal.record(checkin(clock, 5, passage=True))])
    clock.advance(2)
    journal.maintain()
    assert [passage.subject for passage in journal.passages()] == [subject(5)]


def test_only_so_many_passages_are_remembered(opener: Opener, clock: FakeClock) -> None:
    """Beyond the bound, who passed longest ago is forgotten, over a restart too."""
    journal = opener()
    journal._file.store.passages._limit = 50  # noqa: SLF001  the bound is 100,000 and filling it takes minutes
    settle([journal.record(checkin(clock, number, passage=True)) for number in range(1, 101)])
    settle([journal.record(checkin(clock, 60, passage=True))])
    expected = [subject(number) for number in [*range(51, 60), *range(61, 101), 60]]
    assert [passage.subject for passage in journal.passages()] == expected
    journal.close()
    assert [passage.subject for passage in opener().passages()] == expected
