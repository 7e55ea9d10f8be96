"""A small change of the code is noticed by the test that has its module's name: a sample, for CI."""

from __future__ import annotations

import os

import pytest

from tests.bench.mutation import GOAL, short


@pytest.mark.mutation
@pytest.mark.timeout(300)
def test_nine_changes_of_ten_are_noticed_by_the_test_of_their_module() -> None:
    """A module of each room that must not be wrong, drawn by GATE_MUTATION_SEED."""
    score, shown = short(int(os.environ.get("GATE_MUTATION_SEED", "1")), os.cpu_count() or 1)
    print(f"{score.room}: {score.noticed} of {score.tried} noticed")  # noqa: T201 - the figure for the record
    assert score.share >= GOAL, shown
