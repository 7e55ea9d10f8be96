"""What the tests of the record are given: a clock, a disk that fails when told, and journals on one file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.edges.record.kit import EVENTS
from tests.entries import Opener, checkin, settle
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


@pytest.fixture
def clock() -> FakeClock:
    """A synchronised clock."""
    return FakeClock()


@pytest.fixture
def disk() -> FaultyDisk:
    """A disk that fails when told."""
    return FaultyDisk()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal.sqlite"


@pytest.fixture
def opener(path: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens journals on one file and closes what is left open."""
    with closing(Opener(path, clock)) as opener:
        yield opener


@pytest.fixture
def old(opener: Opener, clock: FakeClock) -> str:
    """A closed journal of three hundred events, some of them confirmed, one a dead letter. Returns its epoch."""
    journal = opener()
    settle([journal.record(checkin(clock, number, passage=True)) for number in range(1, EVENTS + 1)])
    epoch = journal.bounds().epoch
    journal.confirm(epoch, 50)
    journal.bury(60, "quota_exceeded")
    journal.close()
    return epoch
