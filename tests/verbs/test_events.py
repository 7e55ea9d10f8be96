"""`gate events`: what stands in the record, for programs and for people, and whether it is what was recorded."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from device.core import wire
from device.core.types import Channel, Entry
from device.edges.keys.signer import Signer
from device.edges.record.journal import SqliteJournal
from device.errors import JournalError, KeyUnusable
from device.verbs.events import lines, print_events, print_verdict, verdict
from tests.entries import Opener, audit, section, subject
from tests.fakes.clock import FakeClock
from tests.mosquitto import Authority, Papers

GATE: Final = "gate-07"
DECISION: Final = {
    "decision": "accept",
    "reason": "accepted",
    "direction": "in",
    "kind": "citizen_card",
    "variant": "11",
    "assurance": "declared",
    "sealed": "what only the province can open",
}


@pytest.fixture
def clock() -> FakeClock:
    """Synchronised, until a test says otherwise."""
    return FakeClock()


@pytest.fixture
def opener(tmp_path: Path, clock: FakeClock) -> Iterator[Opener]:
    """Opens the record's file."""
    opener = Opener(tmp_path / "journal.sqlite", clock)
    yield opener
    opener.close()


@pytest.fixture
def record(opener: Opener, clock: FakeClock) -> Path:
    """A gate started, let somebody pass, and noted a number."""
    journal = opener()
    journal.record(Entry(Channel.CHECKIN, {**DECISION, "subject": subject(7) + "beef"}, clock.reading()))
    clock.advance(1)
    journal.record(audit(clock, 42)).result(10)
    opener.close()
    return opener.path


def test_each_event_is_one_object_with_what_a_program_needs(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In order; a decision with its terms, an audit event with its facts; the time is that of the province's clock."""
    assert print_events(record, as_json=True, limit=0) == 0
    decision, fact = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {key: decision[key] for key in ("seq", "channel", "decision", "reason", "direction", "kind", "variant", "assurance")} == {
        "seq": 1,
        "channel": "checkin",
        **{key: DECISION[key] for key in ("decision", "reason", "direction", "kind", "variant", "assurance")},
    }
    assert (fact["seq"], fact["channel"], fact["what"], fact["detail"]["n"]) == (2, "audit", "stop", 42)
    assert decision["time"] < fact["time"]
    assert {decision["clock"], fact["clock"]} == {"synced"}


def test_nobody_is_named(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight digits of the keyed hash tell one person from another; neither the rest of it nor what was sealed is printed."""
    for as_json in (True, False):
        print_events(record, as_json=as_json, limit=0, explained="en")
        printed = capsys.readouterr().out
        assert subject(7)[:8] in printed
        assert subject(7)[:9] not in printed
        assert DECISION["sealed"] not in printed


def test_the_newest_are_shown_and_zero_means_all(record: Path) -> None:
    """Oldest of them first."""
    assert [line["seq"] for line in lines(record, 1)] == [2]
    assert [line["seq"] for line in lines(record, 0)] == [1, 2]


@pytest.mark.parametrize(("language", "words"), [(None, None), ("vi", "mời qua"), ("en", "please pass")])
def test_a_decision_is_explained_when_that_is_asked_for(record: Path, language: object, words: str | None) -> None:
    """In one sentence, in the language asked for; facts about the gate are not explained."""
    decision, fact = lines(record, 0, language)  # type: ignore[arg-type]  # what the command line lets through
    assert "explanation" not in fact
    assert (words is None) == ("explanation" not in decision)
    assert words is None or words in str(decision["explanation"])


def test_people_read_a_line_an_event_in_vietnamese_first(record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Number, time, whether the province has it, what was decided about whom, and why."""
    print_events(record, as_json=False, limit=0)
    decision, fact = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +1  \S+Z  \S+ +accept in  citizen_card +0{8}  Mã hợp lệ, mời qua\. · \S.*", decision)
    assert re.fullmatch(r" +2  \S+Z  \S+ +stop n=42( prev=\S+)?", fact)


def test_a_time_that_may_be_wrong_is_marked(opener: Opener, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """A question mark behind it, as long as nobody has told the gate the time."""
    clock.trusted = False
    opener().record(audit(clock)).result(10)
    opener.close()
    print_events(opener.path, as_json=False, limit=0)
    assert re.match(r" +1  \S+Z\? ", capsys.readouterr().out)


def test_without_a_record_that_is_said(tmp_path: Path) -> None:
    """And none is made."""
    path = tmp_path / "journal.sqlite"
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        print_events(path, as_json=True, limit=0)
    with pytest.raises(JournalError, match=r"journal\.sqlite"):
        verdict(path, None, tmp_path / "past.pem")
    assert not path.exists()


# ----------------------------------------------------------------- verify


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    """The gate's certificate and key."""
    return Authority(tmp_path / "authority").issue(GATE)


def signed(path: Path, clock: FakeClock, papers: Papers, count: int) -> None:
    """So many events more, signed with this key."""
    freeze = partial(wire.freeze_event, sign=Signer(papers.key).sign, gate=GATE)
    with closing(SqliteJournal(path, section(), clock, freeze)) as journal:
        for number in range(count):
            journal.record(audit(clock, number)).result(10)


def test_events_signed_before_a_renewal_are_still_the_gates_own(tmp_path: Path, clock: FakeClock, papers: Papers) -> None:
    """The certificates of before are kept for that; without them the older events are blamed."""
    path, past = tmp_path / "journal.sqlite", tmp_path / "past.pem"
    signed(path, clock, papers, 2)
    newer = Authority(tmp_path / "newer").issue(GATE)
    signed(path, clock, newer, 1)
    assert [finding.seq for finding in verdict(path, newer.cert, past)[0]] == [1, 2]
    past.write_bytes(papers.cert.read_bytes())
    assert verdict(path, newer.cert, past) == ([], 3)


def test_certificates_of_before_that_cannot_be_read_are_named(tmp_path: Path, clock: FakeClock, papers: Papers) -> None:
    """A damaged file must not look like a forged record."""
    path, past = tmp_path / "journal.sqlite", tmp_path / "past.pem"
    signed(path, clock, papers, 1)
    past.write_text("-----BEGIN CERTIFICATE-----")
    with pytest.raises(KeyUnusable, match=r"past\.pem"):
        verdict(path, papers.cert, past)


def test_a_gate_without_a_certificate_still_has_its_chain(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who changes a body is found by the link of the next one; exit code 1 and one line a fault, or none and 0."""
    assert print_verdict(record, None, tmp_path / "none", as_json=False) == 0
    assert capsys.readouterr().out == "2 sự kiện · events: toàn vẹn · whole\n"
    with closing(sqlite3.connect(record, isolation_level=None)) as db:
        db.execute("UPDATE event SET sheet = zeroblob(length(sheet)) WHERE seq = 1")
    assert print_verdict(record, None, tmp_path / "none", as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["seq"], one["fault"]) for one in told["findings"]] == [(1, "unreadable")]
    assert print_verdict(record, None, tmp_path / "none", as_json=False) == 1
    assert "1 lỗi · faults" in capsys.readouterr().out
