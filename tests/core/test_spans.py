"""Ranges of numbers behave as the sets that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from device.core.spans import Span, merged, spans, total, without

RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=8)


def members(ranges: list[Span]) -> set[int]:
    """The numbers in ranges."""
    return {number for first, last in ranges for number in range(first, last + 1)}


def is_canonical(ranges: list[Span]) -> bool:
    """Whether ranges are ascending and apart."""
    return all(first <= last for first, last in ranges) and all(ranges[i][1] + 1 < ranges[i + 1][0] for i in range(len(ranges) - 1))


@given(st.lists(st.integers(0, 60), max_size=40))
def test_numbers_become_the_fewest_ranges(numbers: list[int]) -> None:
    """Nothing added, nothing lost, nothing touching."""
    found = spans(numbers)
    assert members(found) == set(numbers)
    assert is_canonical(found)
    assert total(found) == len(set(numbers))


@given(RANGES)
def test_merging_keeps_the_members(ranges: list[Span]) -> None:
    """In whatever order and however they overlap."""
    assert members(merged(ranges)) == members(ranges)
    assert is_canonical(merged(ranges))


@given(RANGES, RANGES)
def test_cutting_is_the_difference_of_sets(ranges: list[Span], cut: list[Span]) -> None:
    """What is left is in the one and not in the other."""
    assert members(without(ranges, cut)) == members(ranges) - members(cut)
    assert is_canonical(without(ranges, cut))
