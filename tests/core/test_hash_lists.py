"""Lists of persons as bytes, against Python's own sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.hash_lists import COUNT_BYTES, ENTRY_BYTES, applied, delta, holds, is_snapshot, position, snapshot

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


def entries(*numbers: int) -> bytes:
    """Entries in this order."""
    return b"".join(number.to_bytes(ENTRY_BYTES, "big") for number in numbers)


def changed(gone: bytes, come: bytes, count: int | None = None) -> bytes:
    """A change by hand."""
    number = len(gone) // ENTRY_BYTES if count is None else count
    return number.to_bytes(COUNT_BYTES, "big") + gone + come


def test_a_change_takes_away_puts_in_and_leaves_the_rest() -> None:
    """At the beginning, in the middle and at the end; in pieces that together are the new list."""
    old, new = entries(1, 3, 5, 700), entries(2, 3, 6, 700, 900)
    change = delta(old, new)
    assert change == changed(entries(1, 5), entries(2, 6, 900))
    assert b"".join(map(bytes, applied(old, change))) == new
    assert b"".join(map(bytes, applied(memoryview(old), change))) == new
    assert b"".join(map(bytes, applied(b"", delta(b"", new)))) == new
    assert b"".join(map(bytes, applied(old, delta(old, b"")))) == b""


@pytest.mark.parametrize(
    "change",
    [
        b"",
        b"\0\0",
        changed(entries(1), b"", count=2),
        changed(entries(3, 1), b""),
        changed(b"", entries(2, 2)),
        changed(b"", entries(2)[:-1]),
        changed(entries(1), b"x"),
    ],
)
def test_what_is_no_change_is_refused(change: bytes) -> None:
    """Cut off, out of order, twice the same."""
    if change in (b"", b"\0\0"):
        assert list(applied(entries(1), b"\0" * 4)) == [entries(1)]
        return
    with pytest.raises(ValueError, match=r"^not a change of a list$"):
        list(applied(entries(1, 3), change))


@pytest.mark.parametrize("change", [changed(entries(2), b""), changed(b"", entries(3)), changed(entries(9), b"")])
def test_a_change_of_another_list_is_refused(change: bytes) -> None:
    """Something goes that is not there, or comes that is."""
    with pytest.raises(ValueError, match=r"^the change is of another list$"):
        list(applied(entries(1, 3), change))


def test_the_place_of_an_entry_is_found_among_many() -> None:
    """Each at its own, and each gap at the place behind it."""
    several = entries(*range(0, 200, 2))
    assert [position(several, entries(number)) for number in range(0, 200, 2)] == list(range(100))
    assert [position(several, entries(number)) for number in range(1, 200, 2)] == list(range(1, 101))
    assert position(b"", entries(1)) == 0
