"""Every part of a gate, tried without disturbing it, and the signed report of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509

from device import config as configuration
from device import diagnostics as module
from device.config import GateConfig
from device.core import wire
from device.core.problems import Grade
from device.diagnostics import Row, running_rows, signed_report
from device.edges.keys.signer import verify
from device.edges.machine import health
from device.edges.machine.clock import SystemClock
from device.errors import KeyUnusable
from device.gate import open_record
from device.workbench.stage import GATE_ID, Stage
from tests.entries import checkin, settle
from tests.mosquitto import Authority

WELL: Final[Mapping[str, Any]] = {"problems": [], "state": "ready", "signals": {"sign": None}, "eye": {"view": "ok"}}


def a_config(folder: Path) -> GateConfig:
    """Of a gate whose camera has no picture and whose broker is not there, so that neither could be tried."""
    (folder / "frames").mkdir()
    (folder / "gate" / "state").mkdir(parents=True)
    return configuration.load(Stage(folder / "gate", f"folder:{folder / 'frames'}", 9).config_path)


def row_of(config: GateConfig, status: Mapping[str, Any], part: str) -> Row:
    """One of a running gate's rows."""
    (found,) = [row for row in running_rows(config, SystemClock(), status) if row.part == part]
    return found


@pytest.mark.parametrize(
    ("times_ms", "grade"),
    [
        ([1.0] * 19 + [49.9], Grade.PASS),
        ([1.0] * 19 + [50.0], Grade.WARN),
        ([1.0] * 9 + [150.0] * 11, Grade.FAIL),
        ([1.0] * 9 + [149.0] * 11, Grade.WARN),
    ],
)
def test_a_card_is_judged_by_its_usual_and_its_worst_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times_ms: list[float], grade: Grade
) -> None:
    """One slow write is worth a word; a card that is slow as a rule keeps people waiting, and is not taken."""
    left = list(times_ms)
    monkeypatch.setattr(module, "_synced_write_ms", lambda *_: left.pop())
    assert row_of(a_config(tmp_path), WELL, "storage").grade is grade


@pytest.mark.parametrize(
    ("limits", "grade", "words"),
    [
        (None, Grade.WARN, "systemd"),
        ({}, Grade.FAIL, "no service"),
        ({"gate.service": "max", "gate-eye.service": "293601280"}, Grade.FAIL, "gate.service; cmdline.txt"),
        ({"gate.service": "234881024", "gate-eye.service": "293601280"}, Grade.PASS, "gate.service 224 MiB at most"),
    ],
)
def test_limits_of_memory_hold_or_the_row_says_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, str] | None, grade: Grade, words: str
) -> None:
    """Raspberry Pi's kernels hold nobody to one by themselves."""
    slice_ = tmp_path / "system.slice"
    if limits is not None:
        slice_.mkdir()
    for unit, told in (limits or {}).items():
        (slice_ / unit).mkdir()
        (slice_ / unit / "memory.max").write_text(f"{told}\n")
    real = health.memory_limit_bytes
    monkeypatch.setattr(module, "SYSTEM_SLICE", slice_)
    monkeypatch.setattr(health, "memory_limit_bytes", lambda unit: real(unit, tmp_path))
    row = row_of(a_config(tmp_path), WELL, "memory")
    assert (row.grade, words in row.value) == (grade, True), row.value


def test_a_gate_at_work_tells_every_part_and_touches_none(tmp_path: Path) -> None:
    """There is neither a camera nor a broker here: what a running gate knows of them is told."""
    rows = {row.part: row for row in running_rows(a_config(tmp_path), SystemClock(), WELL)}
    parts = ["files", "decoders", "camera", "signals", "storage", "space", "clock", "temperature", "power", "memory", "broker"]
    assert list(rows) == parts
    assert all(rows[part].grade is Grade.PASS for part in ("files", "decoders", "camera", "signals", "storage", "broker")), rows
    assert all(row.value for row in rows.values())


@pytest.mark.parametrize(
    ("problem", "failed", "warned"),
    [
        ("eye_silent", {"decoders", "camera"}, set()),
        ("view", set(), {"camera"}),
        ("signals", {"signals"}, set()),
        ("offline", {"broker"}, set()),
    ],
)
def test_what_a_gate_at_work_says_is_not_well_is_a_row_that_says_so(
    tmp_path: Path, problem: str, failed: set[str], warned: set[str]
) -> None:
    """By the codes of its status."""
    told = ("decoders", "camera", "signals", "broker")
    rows = [row for row in running_rows(a_config(tmp_path), SystemClock(), {**WELL, "problems": [problem]}) if row.part in told]
    assert {row.part for row in rows if row.grade is Grade.FAIL} == failed
    assert {row.part for row in rows if row.grade is Grade.WARN} == warned


def test_a_part_that_raises_is_a_failed_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are told."""

    def broken(*_: object) -> float:
        raise OSError("Input/output error")

    monkeypatch.setattr(module, "_synced_write_ms", broken)
    rows = running_rows(a_config(tmp_path), SystemClock(), WELL)
    assert [(row.part, row.grade, row.value) for row in rows if row.part in {"storage", "space"}] == [
        ("storage", Grade.FAIL, "Input/output error"),
        ("space", Grade.PASS, next(row.value for row in rows if row.part == "space")),
    ]


def test_of_too_long_a_report_the_newest_deeds_are_kept_and_the_signature_fits(tmp_path: Path) -> None:
    """What a broker carries has an end, and a busy gate has hundreds of decisions a day; the tries are the last of them."""
    papers = Authority(tmp_path / "authority").issue(GATE_ID)
    broker = {"ca": str(papers.ca), "cert": str(papers.cert), "key": str(papers.key)}
    config = configuration.load(Stage(tmp_path / "gate", f"folder:{tmp_path}", 9, {"broker": broker}).config_path)
    clock = SystemClock()
    with closing(open_record(config).journal) as journal:
        settle([journal.record(checkin(clock, number)) for number in range(300)])
    rows = [Row("space", Grade.PASS, '"quoted", Việt')]
    whole, short, shortest = (wire.read(wire.SelftestReport, signed_report(config, rows, clock, limit)) for limit in (None, 9_000, 10))
    assert isinstance(whole, wire.SelftestReport)
    assert isinstance(short, wire.SelftestReport)
    assert isinstance(shortest, wire.SelftestReport)
    assert len(whole.deeds) == 300
    assert 60 < len(short.deeds) < 200
    assert list(short.deeds) == list(whole.deeds)[-len(short.deeds) :]
    assert list(shortest.deeds) == []
    body = signed_report(config, rows, clock, 9_000)
    assert len(body) <= 9_000
    content, signature = wire.split_signature(body)
    assert signature is not None
    assert verify(x509.load_pem_x509_certificate(papers.cert.read_bytes()), content, signature)


def test_a_gate_without_a_key_signs_nothing(tmp_path: Path) -> None:
    """It says which setting is missing."""
    with pytest.raises(KeyUnusable, match=r"broker\.key"):
        signed_report(a_config(tmp_path), [], SystemClock())
