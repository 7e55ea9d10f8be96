"""The arithmetic of contacts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from provisioning.unsealing.contacts import Contact, Passing, Stay, contacts, presences

passings = st.lists(
    st.builds(
        Passing,
        st.sampled_from("abcd"),
        st.sampled_from(["in", "out"]),
        st.integers(0, 400).map(float),
        st.integers(0, 30).map(float),
    ),
    max_size=40,
)


def by_hand(everybody: list[Stay], person: str, least_s: float) -> list[tuple[str, float, float]]:
    """Every pair, looked at."""
    found = []
    for own in everybody:
        for other in everybody:
            if own.subject != person or other.subject == person:
                continue
            first = max(own.start_s - own.early_s, other.start_s - other.early_s)
            last = min(own.end_s + own.late_s, other.end_s + other.late_s)
            if last > first and last - first >= least_s:
                found.append((other.subject, first, last))
    return sorted(found)


@given(passings, st.integers(0, 60).map(float))
def test_no_pair_is_forgotten_and_none_invented(passed: list[Passing], least_s: float) -> None:
    """The quick way finds what the slow way finds."""
    there = list(presences(passed, 100.0))
    quick = contacts(there, "a", least_s)
    assert sorted((one.subject, one.first_s, one.last_s) for one in quick) == by_hand(there, "a", least_s)
    assert all(one.seconds >= least_s for one in quick)


@given(passings)
def test_a_presence_is_no_longer_than_a_stay_and_never_overlaps_itself(passed: list[Passing]) -> None:
    """Whoever enters twice without leaving has left in between."""
    by_person: dict[str, list[Stay]] = {}
    for one in presences(passed, 100.0):
        assert 0 <= one.end_s - one.start_s <= 100.0
        by_person.setdefault(one.subject, []).append(one)
    for own in by_person.values():
        assert all(before.end_s <= after.start_s for before, after in itertools.pairwise(own))


def test_doubt_makes_a_contact_possible_and_not_certain() -> None:
    """Ten minutes together by the clocks' word; one of them was five minutes in doubt."""
    sure = [Passing("a", "in", 0), Passing("a", "out", 3600), Passing("b", "in", 3000), Passing("b", "out", 4000)]
    (contact,) = contacts(list(presences(sure, 9e9)), "a", 600)
    assert contact == Contact("b", 3000, 3600, certain=True)
    doubtful = [*sure[:2], Passing("b", "in", 3000, 300), sure[3]]
    (contact,) = contacts(list(presences(doubtful, 9e9)), "a", 600)
    assert contact == Contact("b", 2700, 3600, certain=False)
