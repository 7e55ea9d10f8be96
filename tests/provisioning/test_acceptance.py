"""Acceptance: a real gate's signed report, the codes on paper through the real eye, and the desk that lets no failed gate pass."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from PIL import Image

from device.core import wire
from device.core.problems import Grade
from device.core.reasons import Reason
from device.diagnostics import Row, signed_report
from device.edges.certificate.enrol import Places
from device.edges.keys.signer import Signer, verify
from device.edges.keys.trust_files import Province as Keys
from device.edges.machine.clock import SystemClock
from device.gate import Gate as Program
from device.settings import commissioned
from provisioning.acceptance import QUESTIONS, judge, questions, read_answers
from provisioning.common.errors import Refused
from provisioning.places.wiring import WIRING, Door, Fitting, Kit, PowerLoss, fitted
from provisioning.province.event_store import SqliteStore
from provisioning.registry.tables import Gate, GateState
from tests.gate.test_gate import turning, until
from tests.provisioning.enrolment_kit import Province, on_this_machine, run
from tests.provisioning.paper.pages import decode, text_of
from tests.provisioning.registry.rows import a_gate, a_site

WELL: Final = [Row("clock", Grade.PASS, "synchronised"), Row("space", Grade.WARN, "900 MiB free")]


def answers(path: Path, gate: Gate, **changes: bool) -> Path:
    """The technician has seen everything that the gate has, but for ``changes``."""
    path.write_text(json.dumps({**dict.fromkeys(questions(gate), True), **changes}))
    return path


def a_report(town: Province, gate: Gate, places: Places, whose: str | None = None, **changes: Any) -> Path:  # noqa: ANN401 - members of the report
    """A signed report of a gate that passed everything, but for ``changes``."""
    reasons = ["accepted", "just_scanned", "accepted", "expired", "revoked", "unknown_issuer"]
    deeds = [
        wire.Deed(seq=seq, what="checkin", decision="accept" if seq < 4 else "reject", reason=reason)
        for seq, reason in enumerate(reasons, start=1)
    ]
    deeds += [wire.Deed(seq=seq, what="start", previous="unclean") for seq in (10, 11, 12)]
    now = wire.time_text(int(town.authority.folder.stat().st_mtime) * 1_000_000_000)
    told: dict[str, Any] = {"gate": whose or gate.id, "version": "0.1", "time": now, "epoch": "0190a0b0-0000-7000-8000-000000000000"}
    told |= {"rows": [wire.Tried(part=row.part, grade=row.grade.value, value=row.value) for row in WELL], "deeds": deeds}
    body = wire.encode(wire.SelftestReport(**{**told, **changes}))
    path = town.folder / "report.json"
    path.write_bytes(wire.with_signature(body, Signer(places.store / "gate.key").sign(body)))
    return path


def held(town: Province, gate: Gate, report: Path, capsys: pytest.CaptureFixture[str], *more: str, code: int = 0) -> dict[str, Any]:
    """The acceptance by command."""
    seen = answers(town.folder / "answers.json", town.registry.gate(gate.id)) if "--answers" not in more else None
    words = () if seen is None else ("--answers", str(seen))
    return run(
        capsys, "acceptance", gate.id, "--report", str(report), "--by", "Lê Văn Thử", "--out", str(town.folder), *words, *more, code=code
    )


@pytest.mark.parametrize(
    ("fitting", "asked"),
    [
        (Fitting(Kit.BASIC), "green red both buzzer reach papers"),
        (Fitting(), "green red amber blue white buzzer button reach papers"),
        (Fitting(Kit.BASIC, Door.RELAY, PowerLoss.OPEN), "green red both buzzer door power_open reach papers"),
        (Fitting(Kit.FULL, Door.RELAY, PowerLoss.LOCKED), "green red amber blue white buzzer door power_locked button reach papers"),
    ],
    ids=str,
)
def test_what_is_asked_is_what_the_gate_has(fitting: Fitting, asked: str) -> None:
    """Each part once; a door is tried where there is one, and seen without power as it was said to be."""
    assert questions(a_gate(a_site(), fitting=fitting)) == asked.split()


def test_every_part_of_the_table_is_asked_about() -> None:
    """One that is added to the table and not to the questions would never be looked at; the relay is the door."""
    assert {part.name for part in WIRING} - set(QUESTIONS) == {"relay"}
    for power_loss in PowerLoss:
        found = questions(Fitting(Kit.FULL, Door.RELAY, power_loss))
        assert len(found) == len(fitted(Fitting(Kit.FULL, Door.RELAY, power_loss))) + 3


def test_a_door_that_does_not_do_without_power_what_was_said_fails(tmp_path: Path) -> None:
    """Nor can the answer be left out, or be that to the other question."""
    gate = a_gate(a_site(), GateState.ENROLLED, Fitting(Kit.BASIC, Door.RELAY, PowerLoss.LOCKED))
    epoch = "0190a0b0-0000-7000-8000-000000000000"
    report = wire.SelftestReport(gate=gate.id, version="0.1", time="2026-11-27T06:00:00Z", epoch=epoch, rows=[], deeds=[])
    seen = dict.fromkeys(questions(gate), True)
    for wrong in ("door", "power_locked"):
        failed = [line.check for line in judge(gate, report, "", {**seen, wrong: False}).lines if line.grade == "fail"]
        assert wrong in failed
        assert wrong not in [line.check for line in judge(gate, report, "", seen).lines if line.grade == "fail"]
        path = tmp_path / "answers.json"
        path.write_text(json.dumps({("power_open" if name == wrong else name): True for name in seen}))
        with pytest.raises(Refused, match="E186"):
            read_answers(path, questions(gate))


def test_a_gate_that_passed_is_accepted_signed_and_goes_into_service(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str]
) -> None:
    """One page, one signed document, one row of the registry."""
    gate, places = enrolled
    told = held(town, gate, a_report(town, gate, places), capsys)
    assert (told["result"], told["state"], told["failed"]) == ("passed", "accepted", [])
    document, paper = (Path(path) for path in told["files"])
    key = load_pem_public_key((town.authority.folder / "records.pub.pem").read_bytes())
    content, signature = wire.split_signature(document.read_bytes())
    assert signature is not None
    assert Keys((key,)).vouches(document.read_bytes())  # type: ignore[arg-type] # an Ed25519 key, as the authority made it
    signed = json.loads(document.read_bytes())
    assert (signed["well"], signed["kit"], signed["door"], signed["power_loss"]) == (True, "full", "none", None)
    assert verify(key, content, signature)  # type: ignore[arg-type] # see above
    words = text_of(paper.read_bytes())
    assert f"Biên bản nghiệm thu cổng {gate.id}" in words
    assert "ĐẠT — được đưa vào hoạt động" in words
    assert "pi4, full, none" in words
    assert run(capsys, "gate", "in-service", gate.id)["state"] == "in-service"


@pytest.mark.parametrize("fault", ["row", "distances", "revoked", "restarts", "lamp"])
def test_a_gate_that_failed_cannot_be_marked_in_service(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """Whatever failed; and one that had passed before and fails now neither."""
    gate, places = enrolled
    whole = json.loads(a_report(town, gate, places).read_bytes())
    deeds = [wire.Deed(**deed) for deed in whole["deeds"]]
    faults: dict[str, dict[str, Any]] = {
        "row": {"rows": [wire.Tried(part="power", grade="fail", value="under-voltage")]},
        "distances": {"deeds": [deed for deed in deeds if deed.seq != 2]},
        "revoked": {"deeds": [deed for deed in deeds if deed.reason != "revoked"]},
        "restarts": {"deeds": [deed for deed in deeds if deed.seq != 12]},
        "lamp": {},
    }
    assert held(town, gate, a_report(town, gate, places), capsys)["result"] == "passed"
    seen = answers(town.folder / "seen.json", gate, **({"red": False} if fault == "lamp" else {}))
    told = held(town, gate, a_report(town, gate, places, **faults[fault]), capsys, "--answers", str(seen), code=1)
    assert told["result"] == "failed"
    assert told["failed"] == [{"row": "power", "lamp": "red", "revoked": "code_revoked"}.get(fault, fault)]
    assert run(capsys, "gate", "in-service", gate.id, code=2)["error"] == "E185"
    assert held(town, gate, a_report(town, gate, places), capsys)["result"] == "passed"
    assert run(capsys, "gate", "in-service", gate.id)["state"] == "in-service"


def test_only_this_gates_own_fresh_unaltered_report_counts(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str]
) -> None:
    """E184 says which of them it is not."""
    gate, places = enrolled
    good = a_report(town, gate, places).read_bytes()
    report = town.folder / "report.json"
    other = town.gate(GateState.ENROLLED)

    def message() -> str:
        told = held(town, gate, report, capsys, code=2)
        assert told["error"] == "E184"
        return str(told["message"])

    report.write_bytes(good.replace(b"900 MiB", b"990 MiB"))
    assert "signature" in message()
    report.write_bytes(b"{}")
    assert "form" in message()
    a_report(town, gate, places, other.id)
    assert f"gate: {other.id}" in message()
    a_report(town, gate, places, time="2026-01-01T00:00:00Z")
    assert "time: 2026-01-01" in message()
    assert town.registry.gate(gate.id).state == "enrolled"


def test_without_a_terminal_the_answers_come_from_a_file(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole, or not at all."""
    gate, places = enrolled
    report = a_report(town, gate, places)
    assert run(capsys, "acceptance", gate.id, "--report", str(report), "--by", "A", code=2)["error"] == "E101"
    for content in ("{}", "[", '{"green": "yes"}'):
        (town.folder / "bad.json").write_text(content)
        assert held(town, gate, report, capsys, "--answers", str(town.folder / "bad.json"), code=2)["error"] == "E186"


def test_tries_that_the_province_already_has_count_too(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str]
) -> None:
    """A gate forgets what was confirmed; of the last day, of its present epoch, once each."""
    gate, places = enrolled
    whole = json.loads(a_report(town, gate, places).read_bytes())
    report = a_report(town, gate, places, deeds=[wire.Deed(**whole["deeds"][0])])
    told_s = wire.seconds_of(whole["time"])

    def province_has(path: Path, epoch: str, hours: int) -> Path:
        SqliteStore(path).close()
        moment = wire.time_text((told_s - hours * 3600) * 1_000_000_000)
        with contextlib.closing(sqlite3.connect(path)) as store, store:
            for deed in whole["deeds"]:
                body = json.dumps({"data": deed}).encode()
                row = (gate.id, epoch, deed["seq"], str(deed["seq"]), "-", moment, moment, "", None, body)
                store.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return path

    for epoch, hours in (("another", 1), (whole["epoch"], 25)):
        events = province_has(town.folder / f"{hours}.sqlite", epoch, hours)
        assert "restarts" in held(town, gate, report, capsys, "--events", str(events), code=1)["failed"]
    events = province_has(town.folder / "good.sqlite", whole["epoch"], 1)
    assert held(town, gate, report, capsys, "--events", str(events))["failed"] == []
    assert held(town, gate, report, capsys, "--events", str(town.folder / "none.sqlite"), code=2)["error"] == "E130"


def test_the_test_codes_on_paper_make_the_gate_answer_as_they_say(
    town: Province, enrolled: tuple[Gate, Places], capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed, read by our eye, decided by the gate that enrolled, and told in its own signed report."""
    gate, places = enrolled
    told = run(capsys, "targets", gate.site, "--out", str(town.folder))
    page = np.asarray(Image.open(told["files"][1]).convert("L"))
    codes = [found.payload for found in decode(page)]
    assert len(codes) == 4
    # The page's parts, held up one after another before the whole gate.
    frames = town.folder / "frames"
    frames.mkdir()
    high, wide = page.shape
    quarters = [page[top : top + high // 3, left : left + wide // 2] for top in (high // 6, high // 2) for left in (0, wide // 2)]
    for number, quarter in enumerate(quarters):
        for again in range(4):
            Image.fromarray(quarter if again < 3 else np.full_like(quarter, 200)).save(frames / f"{number}{again}.png")
    path = on_this_machine(town, places, frames)
    desk = town.papers("desk")
    run(capsys, "list", "publish", "--site", gate.site, "--cert", str(desk.cert), "--key", str(desk.key))
    path.write_text(path.read_text().replace("[policy]", '[policy]\nunknown_clock = "accept"'))
    config = commissioned.load(path)
    with turning(Program(config, path)) as program:
        assert until(lambda: program.loop.tally.accepted and program.loop.tally.rejected >= 2, 30)
    clock = SystemClock()
    body = signed_report(config, WELL, clock)
    report = wire.read(wire.SelftestReport, body)
    assert isinstance(report, wire.SelftestReport)
    reasons = {deed.reason for deed in report.deeds if deed.what == "checkin"}
    assert Reason.UNKNOWN_ISSUER.value in reasons
    assert [deed.previous for deed in report.deeds if deed.what == "start"] == ["first"]
    reading = clock.reading()
    clock.reading = lambda: replace(reading, wall_ns=reading.wall_ns + 25 * 3_600_000_000_000)  # type: ignore[method-assign] # a day later
    later = wire.read(wire.SelftestReport, signed_report(config, WELL, clock))
    assert isinstance(later, wire.SelftestReport)
    assert later.deeds == []
    (town.folder / "real.json").write_bytes(body)
    told = held(town, gate, town.folder / "real.json", capsys, code=1)
    assert "code_unknown_issuer" not in told["failed"]
    assert "restarts" in told["failed"]
