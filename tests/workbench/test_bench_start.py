"""`gate bench start` and `gate bench idle`: what a start and an unused gate cost."""

from __future__ import annotations

import pytest

from device.workbench import bench_start


def test_a_start_costs_more_than_an_empty_interpreter_and_idle_less_than_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parts in their shortest form: the daemon becomes ready, and both processes are seen."""
    monkeypatch.setattr(bench_start, "STARTS", 1)
    monkeypatch.setattr(bench_start, "SETTLE_S", 0.2)
    monkeypatch.setattr(bench_start, "IDLE_S", 1.0)
    start, idle = bench_start.bench_start(), bench_start.bench_idle()
    assert 0 < start["python_s"] < min(start["imports_s"], start["ready_s"])
    assert 0 < idle["eye_share"] < 2
    assert idle["resident_bytes"]["gate"] > 1 << 20
