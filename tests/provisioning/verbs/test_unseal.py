"""Unsealing: what a real gate sealed is opened with the authority's key, for a reason, never without a trace; and contacts by time."""

from __future__ import annotations

import csv
import io
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from device import config as configuration
from device.core import identity
from device.core.types import SubjectClass
from device.edges.keys.seal import SEAL_INFO, HpkeSealer
from device.gate import Gate
from device.workbench.broker import LOOPBACK, MosquittoProcess, free_port
from device.workbench.scenes import Pose, scene
from device.workbench.stage import GATE_ID, Stage, collector
from provisioning.authority.authority import Authority
from provisioning.authority.creation import make
from provisioning.cli import main
from tests.gate.test_gate import turning, until
from tests.provisioning.unsealing.desk_kit import HOUR, PHRASE, A, B, C, Desk

REASON: Final = "Công văn 12/SYT, bác sĩ Thử"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all."""
    return make(tmp_path_factory.mktemp("unsealing") / "authority", "Test", PHRASE)


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
