"""How fast, how often, whose turn: waits with jitter, a rate, and two that share."""

from __future__ import annotations

import itertools
import random

from device.core.pacing import Backoff, Uniform


def chance(seed: int) -> Uniform:
    """Chance that can be repeated."""
    return random.Random(seed).uniform  # noqa: S311 - spreads attempts, hides nothing


def test_waits_grow_with_jitter_between_their_limits_and_begin_again() -> None:
    """Decorrelated jitter: each between the shortest and three times the last, at most the longest."""
    backoff = Backoff(2, 300, chance(7))
    waits = [backoff.next_s() for _ in range(200)]
    assert all(2 <= wait <= 300 for wait in waits)
    assert all(after <= max(3 * before, 6) for before, after in itertools.pairwise(waits))
    assert max(waits) == 300
    backoff.reset()
    assert backoff.next_s() <= 6


def test_gates_that_lost_the_same_broker_drift_apart() -> None:
    """Their third attempts are spread over seconds, not in one instant."""
    thirds = []
    for gate in range(100):
        backoff = Backoff(2, 300, chance(gate))
        thirds.append(sum(backoff.next_s() for _ in range(3)))
    assert len({round(third) for third in thirds}) > 10


def test_where_somebody_must_mend_something_the_wait_is_long_at_once() -> None:
    """Between half of the longest wait and the longest."""
    backoff = Backoff(2, 300, chance(7))
    assert all(150 <= backoff.slow_s() <= 300 for _ in range(50))
