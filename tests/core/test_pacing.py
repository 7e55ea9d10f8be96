"""How fast, how often, whose turn: waits with jitter, a rate, and two that share."""

from __future__ import annotations

import itertools
import random

from device.core.pacing import Backoff, Bucket, Turns, Uniform


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


def test_a_bucket_gives_as_much_as_it_holds_and_then_as_fast_as_it_fills() -> None:
    """To the moment: a token that is just there may be spent."""
    bucket = Bucket(2, burst=3)
    for _ in range(3):
        assert bucket.ready_in_s(10.0) == 0
        bucket.spend()
    assert bucket.ready_in_s(10.0) == 0.5
    assert bucket.ready_in_s(10.25) == 0.25
    assert bucket.ready_in_s(10.5) == 0
    bucket.spend()
    assert bucket.ready_in_s(10.5) == 0.5
    assert bucket.ready_in_s(1_000) == 0
    for _ in range(3):
        assert bucket.ready_in_s(1_000) == 0
        bucket.spend()
    assert bucket.ready_in_s(1_000) == 0.5


def test_a_bucket_holds_a_seconds_worth_and_at_least_one() -> None:
    """Where nothing else is said."""
    slow = Bucket(0.5)
    slow.spend()
    assert slow.ready_in_s(0) == 2
    quick = Bucket(4)
    for _ in range(4):
        quick.spend()
    assert quick.ready_in_s(0) == 0.25


def test_a_clock_that_went_back_fills_nothing() -> None:
    """And takes nothing away."""
    bucket = Bucket(1)
    bucket.spend()
    assert bucket.ready_in_s(10) == 1
    assert bucket.ready_in_s(5) == 1
    assert bucket.ready_in_s(6) == 0


def test_the_second_has_every_fourth_turn() -> None:
    """While both want one; whoever is alone has it at once."""
    turns = Turns()
    assert [turns.second(first=True, second=True) for _ in range(9)] == [False, False, False, True] * 2 + [False]
    assert turns.second(first=False, second=True)
    assert not turns.second(first=True, second=False)
    assert [turns.second(first=True, second=True) for _ in range(4)] == [False, False, False, True]
    assert not turns.second(first=False, second=False)
