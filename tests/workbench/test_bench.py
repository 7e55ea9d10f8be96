"""`gate bench`: each part measures what it says, in its shortest form."""

from __future__ import annotations

import json

import pytest

from device.cli import main
from device.workbench import bench


def test_the_drain_is_measured_by_what_was_delivered(capsys: pytest.CaptureFixture[str]) -> None:
    """Both ways of confirming give a rate above nothing."""
    assert main(["bench", "drain", "--events", "60", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["drain"]["events"] == 60
    assert result["drain"]["collector_per_s"] > 0
    assert result["drain"]["broker_per_s"] > 0
    assert result["on"]["cores"] >= 1


def test_memory_is_that_of_both_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gate and eye, each more than an empty interpreter and less than a small Pi."""
    monkeypatch.setattr(bench, "MEMORY_CODES", 24)  # at 200 frames a second each is away for longer than rearm_s
    sizes = bench.bench_memory(10)["after_last"]
    assert sizes["decisions"] >= 10
    assert 10 < sizes["gate_mib"] < 200
    assert 10 < sizes["eye_mib"] < 200


def test_the_stages_of_a_decision_are_measured_from_frame_to_lamp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every code that is held up is decided once, and no stage takes longer than the whole way."""
    monkeypatch.setattr(bench, "STAGE_CODES", 4)
    stages = bench.bench_stages()
    assert stages["decisions"] == 4
    parts = ("decode_ms", "link_ms", "decide_ms", "record_ms", "signal_ms")
    assert all(0 <= stages[part]["p50"] <= stages["frame_to_lamp_ms"]["p50"] for part in parts)


@pytest.mark.parametrize("part", ["start", "idle"])
def test_one_part_alone_is_measured_and_what_it_was_measured_on(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """The others would take minutes."""
    monkeypatch.setattr(bench, f"bench_{part}", lambda: {"measured": part})
    found = bench.run_bench(part)
    assert found.keys() == {"on", part}
    assert found[part] == {"measured": part}
    assert found["on"]["libraries"].keys() == {"pyzbar", "numpy", "paho-mqtt", "cryptography"}
