"""Unsealing: what a real gate sealed is opened with the authority's key, for a reason, never without a trace; and contacts by time."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import text

from device import config as configuration
from device.core import identity
from device.core.types import SubjectClass
from device.edges.keys.seal import HpkeSealer
from device.gate import SEAL_INFO, Gate
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from device.workbench.scenes import Pose, scene
from device.workbench.stage import GATE_ID, Stage, collector
from provisioning.authority.authority import Authority
from provisioning.authority.creation import make
from provisioning.cli import main
from provisioning.province.event_store import SqliteStore
from provisioning.registry.registry import Registry
from provisioning.unsealing.contacts import Contact, Passing, Stay, contacts, presences
from tests.gate.test_gate import turning, until
from tests.provisioning.registry.test_registry import a_site

PHRASE: Final = "ba bon nam sau"
REASON: Final = "Công văn 12/SYT, bác sĩ Thử"
DAY: Final = datetime(2026, 11, 20, tzinfo=UTC)
A, B, C = "064090000001", "064090000002", "064090000003"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all."""
    return make(tmp_path_factory.mktemp("unsealing") / "authority", "Test", PHRASE)


class Desk:
    """The province's desk with two sites, and a collector's file that tests fill."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder, self.events = folder, folder / "events.sqlite"
        (folder / "authority").symlink_to(authority.folder)
        self.registry = Registry(f"sqlite:///{folder / 'registry.sqlite'}")
        self.school, self.bus = a_site(), a_site()
        for site in (self.school, self.bus):
            self.registry.add(site)
        self.site_key = authority.site_keys(PHRASE)
        self.sealer = HpkeSealer(authority.folder / "public" / "seal.pem")
        SqliteStore(self.events).close()
        self.count = 0

    def pass_by(self, number: str, way: str, at: timedelta, *, site: str = "", **changes: Any) -> None:  # noqa: ANN401 - members of an event
        """Somebody passes; sealed as a gate seals."""
        site = site or self.school.id
        document = json.dumps(
            {"number": number, "name": f"Nguyễn Thử {number[-1]}", "birth": "1990", "sex": "male", "kind": "citizen_card"}
        )
        sealed = self.sealer.seal(document.encode(), (SEAL_INFO + "g1").encode())
        subject = identity.subject(self.site_key(site), SubjectClass.CITIZEN, number)
        data = {"site": site, "lane": "1", "subject": subject, "sealed": sealed, "direction": way, **changes.pop("data", {})}
        moment = (DAY + at).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.put({"time": moment, "uncertaintyms": 500, "data": data, **changes}, moment)

    def put(self, told: object, moment: str = "2026-11-20T02:00:00Z") -> None:
        """Any body at all."""
        self.count += 1
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        row = ("g1", "e", self.count, str(self.count), "vn.gate.checkin.v1", moment, moment, "", None, body)
        with closing(sqlite3.connect(self.events)) as store, store:
            store.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def log(self) -> list[tuple[str, str]]:
        """Verbs and reasons of the record."""
        with self.registry.change() as session:
            return [(row.verb, row.reason) for row in session.execute(text("SELECT verb, reason FROM unsealings ORDER BY number"))]


@pytest.fixture
def desk(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """At work."""
    for name, value in {"HOME": str(tmp_path), "PASSPHRASE": PHRASE, "LANG": "en"}.items():
        monkeypatch.setenv(f"GATE_PROVISION_{name}", value)
    made = Desk(tmp_path, authority)
    yield made
    made.registry.close()


def run(desk: Desk, capsys: pytest.CaptureFixture[str], verb: str, *more: str, code: int = 0, **changes: str) -> dict[str, Any]:
    """A verb over the day of the tests; what it says."""
    options = {"--from": "2026-11-20T06:00", "--until": "2026-11-20T23:00", "--reason": REASON, "--events": str(desk.events)}
    options |= {"--out": str(desk.folder / "out.csv"), **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
    words = [word for pair in options.items() for word in pair]
    capsys.readouterr()
    assert main([verb, *words, *more, "--yes", "--json"]) == code, capsys.readouterr().err
    shown = capsys.readouterr()
    told: dict[str, Any] = json.loads(shown.err if code == 2 else shown.out)
    assert "Nguyễn" not in shown.out + shown.err
    return told


def rows(desk: Desk) -> list[dict[str, str]]:
    """What was written."""
    return list(csv.DictReader(io.StringIO((desk.folder / "out.csv").read_text("utf-8-sig"), newline="")))


HOUR: Final = timedelta(hours=1)


def test_one_place_and_one_span_are_opened_and_nothing_else(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Another site's, and what lies before and behind the span, stay sealed."""
    desk.pass_by(A, "in", HOUR)
    desk.pass_by(B, "in", 20 * HOUR)
    desk.pass_by(C, "in", 2 * HOUR, site=desk.bus.id)
    desk.pass_by(C, "in", -5 * HOUR)
    told = run(desk, capsys, "unseal", site=desk.school.id)
    assert (told["count"], told["opened"], told["damaged"]) == (1, 1, 0)
    (row,) = rows(desk)
    assert (row["time"], row["number"], row["name"], row["direction"]) == ("2026-11-20 08:00:00", A, "Nguyễn Thử 1", "in")
    assert stat.S_IMODE((desk.folder / "out.csv").stat().st_mode) == 0o600
    assert desk.log() == [("unseal begins", REASON), ("unseal ends", REASON)]


def test_a_reason_a_place_and_a_span_are_demanded(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them nothing is opened, and nothing is written."""
    site = {"site": desk.school.id}
    for reason in ("", "ngắn", "x" * 201, "một\nlý do hai dòng"):
        assert run(desk, capsys, "unseal", code=2, reason=reason, **site)["error"] == "E208"
    for since, until_ in (("2026-11-20", "2026-11-20"), ("2026-11-21", "2026-11-20"), ("2026-01-01", "2026-02-02")):
        assert run(desk, capsys, "unseal", code=2, **{"from": since, "until": until_}, **site)["error"] == "E207"
    assert run(desk, capsys, "unseal", code=2, **{"from": "hôm qua"}, **site)["error"] == "E133"
    assert run(desk, capsys, "unseal", code=2, site="s00000000")["error"].startswith("E11")
    with pytest.raises(AssertionError):
        run(desk, capsys, "unseal")
    assert not (desk.folder / "out.csv").exists()
    assert desk.log() == []


def test_without_a_record_nothing_is_opened(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can switch it off by spoiling it."""
    desk.pass_by(A, "in", HOUR)
    with desk.registry.change() as session:
        session.execute(text("CREATE TRIGGER no_record BEFORE INSERT ON unsealings BEGIN SELECT RAISE(ABORT, 'no'); END"))
    assert run(desk, capsys, "unseal", code=2, site=desk.school.id)["error"] == "E205"
    assert not (desk.folder / "out.csv").exists()


def test_a_file_that_cannot_be_written_is_recorded_too(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """That somebody tried stands there."""
    desk.pass_by(A, "in", HOUR)
    (desk.folder / "file").write_text("")
    assert run(desk, capsys, "unseal", code=2, site=desk.school.id, out=str(desk.folder / "file" / "out.csv"))["error"] == "E145"
    assert [verb for verb, _ in desk.log()] == ["unseal begins", "unseal fails"]


@pytest.mark.parametrize("change", ["UPDATE unsealings SET reason = 'gì khác' WHERE number = 2", "DELETE FROM unsealings WHERE number = 1"])
def test_a_record_that_was_changed_is_seen(desk: Desk, capsys: pytest.CaptureFixture[str], change: str) -> None:
    """By anybody who looks, with the row from which on it is not what was written."""
    run(desk, capsys, "unseal", site=desk.school.id)
    assert main(["unseal-log", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    with desk.registry.change() as session:
        session.execute(text(change))
    assert main(["unseal-log", "--json"]) == 2
    told = json.loads(capsys.readouterr().err)
    assert told["error"] == "E209"
    assert "row 2" in told["message"]


def test_what_gates_did_wrong_is_counted_and_breaks_nothing(desk: Desk, capsys: pytest.CaptureFixture[str], authority: Authority) -> None:
    """Everything in the file is as hostile as who made it."""
    desk.pass_by(A, "in", HOUR)
    foreign = HpkeSealer(authority.folder / "public" / "seal.pem").seal(b'{"name": "X"}', b"another gate")
    lists = HpkeSealer(authority.folder / "public" / "seal.pem").seal(b"[1]", (SEAL_INFO + "g1").encode())
    evil = desk.sealer.seal(json.dumps({"name": "=cmd()", "number": {}}).encode(), (SEAL_INFO + "g1").encode())
    for sealed in (foreign, "AAAA", "?", "A" * 40_000, lists, evil, None):
        desk.pass_by(B, "in", 2 * HOUR, data={"sealed": sealed})
    for bad in (
        b"\xff",
        b"[" * 5_000,
        b"{}",
        {"data": 1},
        {"data": {"site": desk.school.id, "direction": "in", "subject": 5}},
        b"x" * 300_000,
    ):
        desk.put(bad)
    desk.pass_by(C, "in", 3 * HOUR, time="never")
    told = run(desk, capsys, "unseal", site=desk.school.id)
    assert (told["count"], told["opened"], told["damaged"]) == (8, 2, 7)
    found = rows(desk)
    assert [row["identity"] for row in found].count("cannot be opened") == 5
    assert [row["identity"] for row in found].count("not sealed") == 1
    assert "'=cmd()" in {row["name"] for row in found}


def test_the_contacts_of_one_person_over_all_sites(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """By the number, though each site knows it by another hash; with how sure it is."""
    for number, way, at in ((A, "in", 1.0), (B, "in", 1.5), (B, "out", 2.0), (A, "out", 3.0), (C, "in", 2.9), (C, "out", 5.0)):
        desk.pass_by(number, way, at * HOUR)
    desk.pass_by(A, "in", 8 * HOUR, site=desk.bus.id)
    desk.pass_by(C, "in", 8 * HOUR, site=desk.bus.id)
    desk.pass_by(C, "out", 9 * HOUR, site=desk.bus.id)
    told = run(desk, capsys, "contacts", person=A)
    assert (told["count"], told["opened"]) == (2, 2)
    assert [(row["site"], row["number"], row["minutes"], row["sure"]) for row in sorted(rows(desk), key=lambda row: row["first"])] == [
        (desk.school.id, B, "30", "certain"),
        (desk.bus.id, C, "60", "possible"),
    ]
    told = run(desk, capsys, "contacts", person=A, site=desk.school.id, minutes="5")
    assert {row["number"] for row in rows(desk)} == {B, C}
    subject = identity.subject(desk.site_key(desk.school.id), SubjectClass.CITIZEN, A)
    assert run(desk, capsys, "contacts", person_subject=subject)["count"] == 1
    assert run(desk, capsys, "contacts", code=2)["error"] == "E133"
    with desk.registry.change() as session:
        kept = "".join(str(row) for row in session.execute(text("SELECT facts FROM unsealings")))
    assert A not in kept
    assert subject in kept


def test_what_a_real_gate_sealed_and_the_collector_kept_is_opened(
    desk: Desk, capsys: pytest.CaptureFixture[str], authority: Authority, tmp_path: Path
) -> None:
    """Eye, judge, seal, record, broker, collector, desk: none of it is a stand-in."""
    frames = tmp_path / "frames"
    frames.mkdir()
    card = f"{A}||Đặng Thị Quỳnh Mẫu|01021990|Nữ|Pleiku, Gia Lai|15042021".encode()
    Image.fromarray(scene([card], Pose(), np.random.default_rng(1), (700, 700))).save(frames / "1.png")
    port = free_port()
    broker = MosquittoProcess(tmp_path, port, f"listener {port} {LOOPBACK}\nallow_anonymous true\n")
    sections: dict[str, dict[str, Any]] = {
        "gate": {"site": desk.school.id},
        "privacy": {"seal_to": str(authority.folder / "public" / "seal.pem")},
        "eye": {"cpu_share": 1.0},
    }
    stage = Stage(tmp_path / "gate", f"folder:{frames}", port, sections)
    (stage.folder / "site.key").write_text(desk.site_key(desk.school.id).hex())
    broker.start()
    try:
        with (
            collector(port, tmp_path / "real.sqlite"),
            turning(Gate(configuration.load(stage.config_path), stage.config_path)) as gate,
        ):
            assert until(lambda: gate.loop.tally.recorded and not gate.journal.stats()["waiting"], 30)
    finally:
        broker.stop()
    now = datetime.now(UTC)
    since, end = ((now + timedelta(days=days)).isoformat() for days in (-1, 1))
    told = run(desk, capsys, "unseal", "--from", since, site=desk.school.id, until=end, events=str(tmp_path / "real.sqlite"))
    assert told["opened"] == told["count"] >= 1
    assert {(row["number"], row["name"], row["gate"]) for row in rows(desk)} == {(A, "Đặng Thị Quỳnh Mẫu", GATE_ID)}


# ---------------------------------------------------------------- the arithmetic

passings = st.lists(
    st.builds(
        Passing,
        st.sampled_from("abcd"),
        st.sampled_from(["in", "out"]),
        st.integers(0, 400).map(float),
        st.integers(0, 30).map(float),
    ),
    max_size=40,
)


def by_hand(everybody: list[Stay], person: str, least_s: float) -> list[tuple[str, float, float]]:
    """Every pair, looked at."""
    found = []
    for own in everybody:
        for other in everybody:
            if own.subject != person or other.subject == person:
                continue
            first = max(own.start_s - own.early_s, other.start_s - other.early_s)
            last = min(own.end_s + own.late_s, other.end_s + other.late_s)
            if last > first and last - first >= least_s:
                found.append((other.subject, first, last))
    return sorted(found)


@given(passings, st.integers(0, 60).map(float))
def test_no_pair_is_forgotten_and_none_invented(passed: list[Passing], least_s: float) -> None:
    """The quick way finds what the slow way finds."""
    there = list(presences(passed, 100.0))
    quick = contacts(there, "a", least_s)
    assert sorted((one.subject, one.first_s, one.last_s) for one in quick) == by_hand(there, "a", least_s)
    assert all(one.seconds >= least_s for one in quick)


@given(passings)
def test_a_presence_is_no_longer_than_a_stay_and_never_overlaps_itself(passed: list[Passing]) -> None:
    """Whoever enters twice without leaving has left in between."""
    by_person: dict[str, list[Stay]] = {}
    for one in presences(passed, 100.0):
        assert 0 <= one.end_s - one.start_s <= 100.0
        by_person.setdefault(one.subject, []).append(one)
    for own in by_person.values():
        assert all(before.end_s <= after.start_s for before, after in itertools.pairwise(own))


def test_doubt_makes_a_contact_possible_and_not_certain() -> None:
    """Ten minutes together by the clocks' word; one of them was five minutes in doubt."""
    sure = [Passing("a", "in", 0), Passing("a", "out", 3600), Passing("b", "in", 3000), Passing("b", "out", 4000)]
    (contact,) = contacts(list(presences(sure, 9e9)), "a", 600)
    assert contact == Contact("b", 3000, 3600, certain=True)
    doubtful = [*sure[:2], Passing("b", "in", 3000, 300), sure[3]]
    (contact,) = contacts(list(presences(doubtful, 9e9)), "a", 600)
    assert contact == Contact("b", 2700, 3600, certain=False)
