"""The record on the disk and the record in memory keep the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from device.edges.record.journal import SqliteJournal
from tests.contract.journal_contract import Both, JournalContract
from tests.entries import FREEZE, section
from tests.fakes.clock import FakeClock
from tests.fakes.journal import MemoryJournal


class TestSqliteJournal(JournalContract):
    """The real one."""

    @pytest.fixture
    def journal(self, tmp_path: Path, clock: FakeClock) -> Iterator[Both]:
        """A new file."""
        with closing(SqliteJournal(tmp_path / "journal.sqlite", section(), clock, FREEZE)) as journal:
            yield journal


class TestSqliteJournalThatKeeps(JournalContract):
    """The real one where confirmed events are kept for a while: nobody outside can tell."""

    @pytest.fixture
    def journal(self, tmp_path: Path, clock: FakeClock) -> Iterator[Both]:
        """A new file with `confirm = "broker"`."""
        with closing(SqliteJournal(tmp_path / "journal.sqlite", section(), clock, FREEZE, keep_confirmed_s=3600)) as journal:
            yield journal


class TestMemoryJournal(JournalContract):
    """The fake that other tests use."""

    @pytest.fixture
    def journal(self, clock: FakeClock) -> Both:
        """In memory."""
        return MemoryJournal(clock, FREEZE)
