"""From the bytes of a code to a decision; the one place where a person's data is in the clear."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from device import judge as module
from device.core import memory as memory_module
from device.core.memory import Memory
from device.core.reasons import Reason
from device.core.rules import Rules
from device.core.types import Box, ClockReading, Direction, Kind, Passage, Sighting, Sign, Verdict
from device.judge import Judge
from device.workbench.people import citizen_card, people, seeded

KEY = bytes(range(32))
RULES = Rules(
    frozenset({Kind.CITIZEN_CARD}),
    Direction.IN,
    duplicate_window_ns=10_000_000_000,
    in_out_reset_ns=10**15,
    unknown_clock=Verdict.REFER,
    utc_offset_min=420,
)
PERSON = people(1, seeded(4))[0]
CARD = citizen_card(PERSON)
NOON = int(datetime(2026, 11, 23, 5, tzinfo=UTC).timestamp()) * 1_000_000_000


class PlainSealer:
    """Seals nothing, so that a test can see what would have been sealed."""

    def seal(self, plaintext: bytes, info: bytes) -> str:
        """The plaintext and the binding, readable."""
        return f"{info.decode()}:{plaintext.decode()}"


def sighting(payload: bytes, *, partial: bool = False) -> Sighting:
    """A code in view."""
    return Sighting(payload, 1, 0, 0, Box(0, 0, 9, 9), "test", partial=partial)


def moment(boot_s: int = 100) -> ClockReading:
    """All clocks, known."""
    return ClockReading(boot_s * 10**9, boot_s * 10**9, NOON + boot_s * 10**9, "boot-1", trusted=True)


def test_a_card_is_accepted_with_a_keyed_hash_and_a_sealed_identity() -> None:
    """The event may say who it was only by hash and under the seal."""
    judged = Judge(RULES, KEY, PlainSealer(), b"gate-1").judge(sighting(CARD), moment())
    assert judged.decision.verdict is Verdict.ACCEPT
    assert judged.decision.subject is not None
    assert judged.sealed is not None
    assert judged.sealed.startswith("gate-1:")
    assert PERSON.name in judged.sealed
    assert PERSON.address not in judged.sealed
    assert judged.digest is None


def test_another_site_sees_another_person() -> None:
    """The hash is keyed: two sites cannot compare their records."""
    first = Judge(RULES, KEY).judge(sighting(CARD), moment())
    second = Judge(RULES, bytes(32)).judge(sighting(CARD), moment())
    assert first.decision.subject != second.decision.subject


def test_without_a_sealing_key_no_identity_is_kept() -> None:
    """Only the hash."""
    assert Judge(RULES, KEY).judge(sighting(CARD), moment()).sealed is None


def test_of_a_refused_code_only_length_and_keyed_hash_are_kept() -> None:
    """It may be a bank account."""
    payload = b"WIFI:T:WPA;S:home;P:secret;;"
    judged = Judge(RULES, KEY, PlainSealer()).judge(sighting(payload), moment())
    assert judged.decision.reason is Reason.NOT_A_PERSON
    assert (judged.length, judged.sealed, judged.decision.subject) == (len(payload), None, None)
    assert judged.digest is not None
    assert len(judged.digest) == 64


def test_who_is_turned_away_by_a_rule_leaves_a_hash_and_no_identity() -> None:
    """The province does not learn who was refused, only that it was the same one."""
    rules = Rules(frozenset(), Direction.IN, 0, 0, Verdict.REFER, 420)
    judged = Judge(rules, KEY, PlainSealer()).judge(sighting(CARD), moment())
    assert judged.decision.verdict is Verdict.REJECT
    assert judged.decision.subject is not None
    assert judged.sealed is None


def test_a_part_of_a_set_is_never_taken_for_the_whole() -> None:
    """Even when its bytes look like a card."""
    judged = Judge(RULES, KEY).judge(sighting(CARD, partial=True), moment())
    assert (judged.decision.verdict, judged.decision.reason) == (Verdict.REJECT, Reason.PARTIAL_CODE)


def test_remembered_passages_make_duplicates_after_a_restart() -> None:
    """The judge begins with what the record remembers."""
    judge = Judge(RULES, KEY)
    subject = judge.judge(sighting(CARD), moment(100)).decision.subject
    assert subject is not None
    again = Judge(RULES, KEY, memory=Memory(10**15, [Passage(subject, Direction.IN, moment(100))])).judge(sighting(CARD), moment(105))
    assert again.decision.reason is Reason.JUST_SCANNED


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The person seen longest ago is forgotten first."""
    monkeypatch.setattr(memory_module, "REMEMBERED_LIMIT", 3)
    judge = Judge(RULES, KEY)
    subject = judge.judge(sighting(CARD), moment()).decision.subject
    assert subject is not None
    judge.memory.remember(Passage(subject, Direction.IN, moment()))
    for number in range(2):
        judge.memory.remember(Passage(f"{number:064x}", Direction.IN, moment()))
    assert judge.judge(sighting(CARD), moment()).decision.reason is Reason.JUST_SCANNED
    judge.memory.remember(Passage("f" * 64, Direction.IN, moment()))
    assert judge.judge(sighting(CARD), moment()).decision.reason is Reason.ACCEPTED


def test_a_mistake_in_a_rule_fails_closed_and_logs_no_content(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The gate goes on, the person is refused, and the log tells the place and nothing of the card."""

    def broken(payload: bytes, *_: object) -> None:
        raise KeyError(payload)

    monkeypatch.setattr(module, "parse", broken)
    with caplog.at_level(logging.DEBUG):
        judged = Judge(RULES, KEY).judge(sighting(CARD), moment())
    assert (judged.decision.verdict, judged.decision.reason, judged.decision.sign) == (Verdict.REJECT, Reason.RULE_FAILED, Sign.REJECT)
    assert "KeyError in broken" in caplog.text
    assert PERSON.number not in caplog.text


def test_no_repr_shows_a_person() -> None:
    """Whatever lands in a log line by accident."""
    seen = sighting(CARD)
    assert PERSON.number not in repr(seen)
    assert PERSON.name not in f"{seen}"
