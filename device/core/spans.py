"""Sets of numbers as closed ranges ``(first, last)``, ascending and apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]


def spans(numbers: Iterable[int]) -> list[Span]:
    """Single numbers as ranges."""
    return merged((number, number) for number in numbers)


def merged(ranges: Iterable[Span]) -> list[Span]:
    """Ranges in any order, overlapping or touching, as few as they can be."""
    found: list[Span] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def without(ranges: Iterable[Span], cut: Iterable[Span]) -> list[Span]:
    """What of ``ranges`` is not in ``cut``."""
    rest = merged(ranges)
    for cut_first, cut_last in merged(cut):
        kept: list[Span] = []
        for first, last in rest:
            if first < cut_first:
                kept.append((first, min(last, cut_first - 1)))
            if last > cut_last:
                kept.append((max(first, cut_last + 1), last))
        rest = kept
    return rest


def total(ranges: Iterable[Span]) -> int:
    """How many numbers there are in ranges that do not overlap."""
    return sum(last - first + 1 for first, last in ranges)
