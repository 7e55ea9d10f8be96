"""Lists of persons as bytes, against Python's own sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.hash_lists import ENTRY_BYTES, applied, delta, holds, is_snapshot, snapshot

SUBJECTS = st.sets(st.integers(0, 40).map(lambda number: number.to_bytes(2, "big") * 16), max_size=30)


@given(SUBJECTS, SUBJECTS)
def test_a_list_holds_its_members_and_nobody_else(members: set[bytes], others: set[bytes]) -> None:
    """By binary search."""
    entries = snapshot(members)
    assert is_snapshot(entries)
    assert len(entries) == ENTRY_BYTES * len(members)
    assert all(holds(entries, member) for member in members)
    assert not any(holds(entries, other) for other in others - members)


@given(SUBJECTS, SUBJECTS)
def test_a_change_leads_from_any_list_to_any_other(old: set[bytes], new: set[bytes]) -> None:
    """Exactly."""
    before, after = snapshot(old), snapshot(new)
    assert b"".join(bytes(piece) for piece in applied(before, delta(before, after))) == after


@given(SUBJECTS, SUBJECTS, SUBJECTS)
def test_a_change_of_another_list_is_refused_or_gives_another_digest(old: set[bytes], new: set[bytes], other: set[bytes]) -> None:
    """Never silently the right-looking one."""
    change = delta(snapshot(old), snapshot(new))
    try:
        made = b"".join(bytes(piece) for piece in applied(snapshot(other), change))
    except ValueError:
        return
    assert is_snapshot(made)
    assert made == snapshot((other - (old - new)) | (new - old))


@given(st.binary(max_size=200))
def test_no_bytes_make_a_wrong_list_of_a_right_one(change: bytes) -> None:
    """Whatever comes as a change: an error, or a list that is sorted."""
    try:
        made = b"".join(bytes(piece) for piece in applied(snapshot([b"a" * 32, b"b" * 32]), change))
    except ValueError:
        return
    assert is_snapshot(made)


@pytest.mark.parametrize("entries", [b"x", b"b" * 16 + b"a" * 16, b"a" * 32])
def test_cut_unsorted_and_doubled_entries_are_no_list(entries: bytes) -> None:
    """A search in them would miss people."""
    assert not is_snapshot(entries)
