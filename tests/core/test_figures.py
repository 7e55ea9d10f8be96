"""The newest values of a quantity, and their percentiles by nearest rank."""

from __future__ import annotations

import pytest

from device.core.figures import KEPT, Figure


def figure(*values: float, kept: int = KEPT) -> Figure:
    """With these values."""
    made = Figure(kept)
    for value in values:
        made.add(value)
    return made


def test_nothing_has_no_percentile() -> None:
    """It is None, and not 0: nobody waited."""
    assert Figure().percentile(50) is None
    assert Figure().summary() == {"p50": None, "p95": None, "p99": None}
    assert Figure().count == 0


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (1, 1), (50, 50), (50.1, 51), (95, 95), (99, 99), (100, 100)])
def test_a_percentile_is_a_value_that_was_there(percent: float, value: float) -> None:
    """The smallest that is not below so many of all."""
    assert figure(*reversed(range(1, 101))).percentile(percent) == value


def test_one_value_is_every_percentile() -> None:
    """Rounded to a thousandth in the summary, and there alone."""
    assert figure(1.23456).summary() == {"p50": 1.235, "p95": 1.235, "p99": 1.235}
    assert figure(1.23456).percentile(50) == 1.23456
    assert figure(*range(1, 1001)).summary() == {"p50": 500, "p95": 950, "p99": 990}


def test_only_the_newest_count_and_all_are_counted() -> None:
    """A busy morning does not colour the afternoon."""
    made = figure(*range(10), kept=3)
    assert (made.percentile(0), made.percentile(100), made.count) == (7, 9, 10)
    assert KEPT == 1000
