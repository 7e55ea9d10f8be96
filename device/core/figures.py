"""Running figures: the newest values of a quantity and their percentiles."""

from __future__ import annotations

from collections import deque
from typing import Final

KEPT: Final = 1000
"""Values kept of one quantity: about half an hour of a busy gate."""


class Figure:
    """The newest ``KEPT`` values of one quantity. Not for several threads that write."""

    def __init__(self, kept: int = KEPT) -> None:
        self._values: deque[float] = deque(maxlen=kept)
        self.count = 0

    def add(self, value: float) -> None:
        """Take one more value."""
        self._values.append(value)
        self.count += 1

    def percentile(self, percent: float) -> float | None:
        """The nearest-rank percentile of what is kept; None of nothing."""
        values = sorted(self._values.copy())
        if not values:
            return None
        rank = max(1, -(-len(values) * percent // 100))
        return values[int(rank) - 1]

    def summary(self) -> dict[str, float | None]:
        """p50, p95 and p99, rounded to a thousandth."""
        named = {f"p{percent}": self.percentile(percent) for percent in (50, 95, 99)}
        return {name: None if value is None else round(value, 3) for name, value in named.items()}
