"""Somebody changes the record on the gate's card, or the province's file: both say that it was done, and where."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from device.cli import main as gate
from device.core import wire
from device.edges.keys.signer import Signer
from device.edges.record.journal import SqliteJournal
from device.edges.record.rows import Leaf
from provisioning.province.event_store import SqliteStore
from provisioning.province.intake import judge
from provisioning.province.verify import main as verify
from tests.entries import checkin, section
from tests.fakes.clock import FakeClock
from tests.faults.site import say
from tests.mosquitto import Authority, Papers

GATE: Final = "gate-07"
EVENTS: Final = 40
CONFIG: Final = """
[gate]
id = "gate-07"
site = "site-1"
direction = "in"
[privacy]
site_key = "site.key"
[journal]
path = "journal.sqlite"
[broker]
host = "broker.example.test"
ca = "authority/ca.pem"
cert = "authority/gate-07.cert.pem"
key = "authority/gate-07.key.pem"
"""


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    """The gate's certificate and key."""
    return Authority(tmp_path / "authority").issue(GATE)


@pytest.fixture
def bodies(tmp_path: Path, papers: Papers) -> list[bytes]:
    """A closed record of forty signed events, and its bodies as they were sent."""
    clock = FakeClock()
    (tmp_path / "gate.toml").write_text(CONFIG)
    (tmp_path / "site.key").write_text("5e" * 32)
    freeze = partial(wire.freeze_event, sign=Signer(papers.key).sign, gate=GATE)
    with closing(SqliteJournal(tmp_path / "journal.sqlite", section(), clock, freeze)) as journal:
        for number in range(EVENTS):
            journal.record(checkin(clock, number)).result(10)
        return [one.body for one in journal.waiting(0, 1000)]


def gate_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[tuple[int, str]]]:
    """The exit code of `gate events --verify`, and what it finds where."""
    code = gate(["events", "--verify", "--json", "--config", str(folder / "gate.toml")])
    told = json.loads(capsys.readouterr().out)
    return code, [(one["seq"], one["fault"]) for one in told["findings"]]


def change(path: Path, seq: int, edit: Callable[[bytes], bytes]) -> None:
    """Change the body of an event on the card, with a good checksum, as somebody would who knows the file's form."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (sheet,) = db.execute("SELECT sheet FROM event WHERE seq = ?", (seq,)).fetchone()
        body = Leaf.unpack(sheet).body
        assert body is not None
        db.execute("UPDATE event SET sheet = ? WHERE seq = ?", (Leaf.unpack(sheet).frozen(edit(body)).pack(), seq))


def other_person(body: bytes) -> bytes:
    """Another decision."""
    assert b'"n":' in body
    return body.replace(b'"n":', b'"m":')


def test_a_whole_record_is_whole(bodies: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Forty events with good links and signatures; in words for people too."""
    assert len(bodies) == EVENTS
    assert gate_says(tmp_path, capsys) == (0, [])
    assert gate(["events", "--verify", "--config", str(tmp_path / "gate.toml")]) == 0
    assert capsys.readouterr().out == "40 sự kiện · events: toàn vẹn · whole\n"


@pytest.mark.usefixtures("bodies")
def test_a_gate_names_the_event_that_was_changed_on_its_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the chain and by the signature, which nobody can make anew without the key."""
    change(tmp_path / "journal.sqlite", 17, other_person)
    assert gate_says(tmp_path, capsys) == (1, [(17, "changed"), (17, "signature")])
    assert gate(["events", "--verify", "--config", str(tmp_path / "gate.toml")]) == 1
    assert "17: đã bị sửa · was changed" in capsys.readouterr().out


@pytest.mark.usefixtures("bodies")
def test_a_gate_names_its_newest_event_when_that_was_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No event names it yet: the signature does."""
    change(tmp_path / "journal.sqlite", EVENTS, other_person)
    assert gate_says(tmp_path, capsys) == (1, [(EVENTS, "signature")])


@pytest.mark.usefixtures("bodies")
def test_a_gate_names_a_row_that_is_not_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Changed without its checksum."""
    with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE event SET sheet = zeroblob(length(sheet)) WHERE seq = 9")
    assert gate_says(tmp_path, capsys) == (1, [(9, "unreadable")])


def test_a_gate_names_events_that_changed_places(bodies: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their own numbers tell."""
    change(tmp_path / "journal.sqlite", 20, lambda _: bodies[20])
    change(tmp_path / "journal.sqlite", 21, lambda _: bodies[19])
    code, found = gate_says(tmp_path, capsys)
    assert code == 1
    assert {(20, "misplaced"), (21, "misplaced")} <= set(found)


def test_an_event_put_in_on_the_card_has_no_signature_of_the_gate(
    bodies: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody else's key, and a chain made anew from there on."""
    forged = bodies[EVENTS - 1].replace(b'"n":', b'"m":')
    content, _ = wire.split_signature(forged)
    stranger = Authority(tmp_path / "stranger").issue("stranger")
    signed = content[:-1] + b',"signature":"' + Signer(stranger.key).sign(content).encode() + b'"}'
    change(tmp_path / "journal.sqlite", EVENTS, lambda _: signed)
    assert gate_says(tmp_path, capsys) == (1, [(EVENTS, "signature")])


# ----------------------------------------------------------------- in the province


def delete(db: sqlite3.Connection, _bodies: list[bytes]) -> None:
    """One event is taken out."""
    db.execute("DELETE FROM events WHERE seq = 12")


def rewrite(db: sqlite3.Connection, bodies: list[bytes]) -> None:
    """One is another, and the collector's own digest of it is made to fit."""
    body = other_person(bodies[11])
    db.execute("UPDATE events SET body = ?, digest = ? WHERE seq = 12", (body, wire.body_digest(body)))


def swap(db: sqlite3.Connection, bodies: list[bytes]) -> None:
    """Two change places."""
    db.execute("UPDATE events SET body = ? WHERE seq = 12", (bodies[12],))
    db.execute("UPDATE events SET body = ? WHERE seq = 13", (bodies[11],))


def insert(db: sqlite3.Connection, bodies: list[bytes]) -> None:
    """One more, at the end."""
    epoch = json.loads(bodies[0])["epoch"]
    row = (GATE, epoch, EVENTS + 1, "0" * 36, "t", "t", "t", "d", None, bodies[5])
    db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (delete, {(12, "hole")}),
        (rewrite, {(12, "changed"), (12, "signature")}),
        (swap, {(12, "misplaced"), (13, "misplaced")}),
        (insert, {(EVENTS + 1, "misplaced"), (EVENTS + 1, "broken")}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_province_says_what_was_done_to_its_file_and_where(
    bodies: list[bytes],
    papers: Papers,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tamper: Callable[[sqlite3.Connection, list[bytes]], None],
    found: set[tuple[int, str]],
) -> None:
    """Deleted, changed, reordered, inserted."""
    with closing(SqliteStore(tmp_path / "province.sqlite")) as store:
        store.keep([judge(f"gates/v1/{GATE}/up/checkin", body) for body in bodies], "2026-11-26T00:00:00Z")
    arguments = ["--db", str(tmp_path / "province.sqlite"), "--cert", f"{GATE}={papers.cert}", "--json"]
    assert verify(arguments) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    with closing(sqlite3.connect(tmp_path / "province.sqlite", isolation_level=None)) as db:
        tamper(db, bodies)
    assert verify(arguments) == 1
    told = json.loads(capsys.readouterr().out)["findings"]
    assert found <= {(one["seq"], one["fault"]) for one in told}, told
    say(f"province, {tamper.__name__}: {told}")


def test_a_collector_that_receives_a_changed_event_notes_where_the_chain_breaks(bodies: list[bytes], tmp_path: Path) -> None:
    """A gate whose card was changed before it could send."""
    with closing(SqliteStore(tmp_path / "province.sqlite")) as store:
        sent = [*bodies[:11], other_person(bodies[11]), *bodies[12:]]
        kept = store.keep([judge(f"gates/v1/{GATE}/up/checkin", body) for body in sent], "2026-11-26T00:00:00Z")
        assert kept.breaks == 1
        assert store.counts()["breaks"] == 1
    with closing(sqlite3.connect(tmp_path / "province.sqlite")) as db:
        assert db.execute("SELECT seq FROM breaks").fetchall() == [(13,)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--db", "none.sqlite"], "none.sqlite: the events cannot be read"), (["--db", "x", "--cert", "a=none.pem"], "none.pem")],
)
def test_what_cannot_be_read_is_said(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file's name, and exit code 2."""
    assert verify(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("bodies")
def test_a_record_is_verified_beside_the_running_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its file is open and its log is not empty."""
    other = tmp_path / "other"
    other.mkdir()
    clock = FakeClock()
    shutil.copytree(tmp_path / "authority", other / "authority")
    for name in ("gate.toml", "site.key"):
        shutil.copy(tmp_path / name, other)
    freeze = partial(wire.freeze_event, sign=Signer(other / "authority/gate-07.key.pem").sign, gate=GATE)
    with closing(SqliteJournal(other / "journal.sqlite", section(), clock, freeze)) as journal:
        journal.record(checkin(clock, 1)).result(10)
        journal.waiting(0, 10)
        assert gate_says(other, capsys) == (0, [])
