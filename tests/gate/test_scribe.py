"""What happened, as entries of the record: terms with every check-in, a passage only where somebody passed, facts by one way."""

from __future__ import annotations

from pathlib import Path

import pytest

from device import config as configuration
from device.config import GateConfig
from device.core.reasons import Reason
from device.core.types import Assurance, Channel, ClockReading, Decision, Direction, Kind, Passage, Sign, Verdict
from device.core.wire import ListInUse, Stop, Terms
from device.judge import Judged
from device.scribe import FactRecorder, Scribe, terms_of
from device.workbench.stage import Stage
from tests.fakes.clock import FakeClock
from tests.fakes.journal import MemoryJournal

NOW = ClockReading(1, 2, 3, "boot", trusted=True)
SUBJECT = "ab" * 32
PASSED = Decision(Verdict.ACCEPT, Reason.ACCEPTED, Sign.ACCEPT_IN, Kind.CITIZEN_CARD, "11", Direction.IN, Assurance.DECLARED, SUBJECT)
STRANGER = Decision(Verdict.REJECT, Reason.PAYMENT_CODE, Sign.REJECT, Kind.PAYMENT)
TERMS = Terms("site-1", "2", "v1", "tests", "none")


def test_a_check_in_stands_under_the_terms_and_lists_of_its_moment() -> None:
    """Site, lane, purpose and the versions that decided; not those of another moment."""
    scribe = Scribe(TERMS, lambda now: (ListInUse(name="workers", version=str(now.wall_ns)),))
    entry = scribe.checkin(Judged(PASSED, 40), NOW, 1.5)
    assert (entry.channel, entry.at, entry.kept) == (Channel.CHECKIN, NOW, True)
    assert entry.data["site"] == "site-1"
    assert entry.data["lane"] == "2"
    assert entry.data["lists"] == [{"name": "workers", "version": "3"}]


def test_only_who_passed_has_a_passage() -> None:
    """It is what passing twice is judged by."""
    scribe = Scribe(TERMS)
    assert scribe.checkin(Judged(PASSED, 40), NOW, 1.5).passage == Passage(SUBJECT, Direction.IN, NOW)
    assert scribe.checkin(Judged(STRANGER, 40), NOW, 1.5, kept=False).passage is None


def test_a_fact_is_recorded_with_the_time_at_which_it_was_told() -> None:
    """On the audit channel; whoever needs it durable waits for what comes back."""
    clock = FakeClock()
    journal = MemoryJournal(clock, lambda *_: b"{}")
    done = FactRecorder(journal, clock).record(Stop())
    assert done.done()
    (entry,) = journal.entries
    assert (entry.channel, entry.data["what"], entry.at) == (Channel.AUDIT, "stop", clock.reading())


@pytest.fixture
def config(tmp_path: Path) -> GateConfig:
    """A gate's configuration."""
    return configuration.load(Stage(tmp_path / "gate", "folder:nowhere").config_path)


def test_the_version_of_the_rules_changes_with_whatever_decides(config: GateConfig) -> None:
    """The policy and the direction; not the address of a broker."""
    version = terms_of(config).policy
    other = config.model_copy(update={"gate": config.gate.model_copy(update={"direction": "in"})})
    stricter = config.model_copy(update={"policy": config.policy.model_copy(update={"duplicate_window_s": 99.0})})
    elsewhere = config.model_copy(update={"gate": config.gate.model_copy(update={"lane": "9"})})
    assert len({version, terms_of(other).policy, terms_of(stricter).policy}) == 3
    assert terms_of(elsewhere).policy == version
