"""What was done to a chain of events is found, and where."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.chain import ChainLink, Fault, Finding, examine, examine_bodies, link, sentence
from device.core.wire import with_signature

EPOCH = "6f2b1c5e-8a43-4f0d-9b8e-2f6f3f1f7a01"


def chain(count: int = 10) -> dict[int, bytes]:
    """Bodies by number, each naming the one before it."""
    bodies: dict[int, bytes] = {}
    prev = None
    for seq in range(1, count + 1):
        bodies[seq] = json.dumps({"epoch": EPOCH, "sequence": f"{seq:020d}", "data": {"n": seq, "prev": prev}}).encode()
        prev = hashlib.sha256(bodies[seq]).hexdigest()
    return bodies


def links(bodies: dict[int, bytes]) -> list[ChainLink]:
    """As the chain sees them."""
    found = [link(EPOCH, seq, body) for seq, body in sorted(bodies.items())]
    return [one for one in found if one is not None]


def edit(bodies: dict[int, bytes], seq: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change one event."""
    event = json.loads(bodies[seq])
    change(event)
    bodies[seq] = json.dumps(event).encode()


def test_a_whole_chain_has_no_findings() -> None:
    """Also when its beginning is gone, as on a gate."""
    assert examine(links(chain()), holes=True) == []
    bodies = chain()
    del bodies[1], bodies[2]
    assert examine(links(bodies), holes=False) == []


@pytest.mark.parametrize("seq", [1, 2, 5, 9])
def test_a_changed_event_is_named(seq: int) -> None:
    """By the event behind it; the newest has none, and its signature must tell."""
    bodies = chain()
    edit(bodies, seq, lambda event: event["data"].update(n=99))
    assert examine(links(bodies), holes=True) == [Finding(seq, Fault.CHANGED, seq)]


@pytest.mark.parametrize("seq", [2, 5, 9])
def test_an_event_that_was_replaced_with_another_link_is_named(seq: int) -> None:
    """Both links of it break: that to the one before it, and that of the one behind it."""
    bodies = chain()
    edit(bodies, seq, lambda event: event["data"].update(prev="0" * 64))
    assert [finding.seq for finding in examine(links(bodies), holes=True)] == [seq, seq + 1]


@pytest.mark.parametrize("seq", [1, 5])
def test_a_deleted_event_is_a_hole_in_the_province(seq: int) -> None:
    """At a gate it may have been delivered; the newest leaves no trace in any chain."""
    bodies = chain()
    del bodies[seq]
    assert examine(links(bodies), holes=True) == [Finding(seq, Fault.HOLE, seq)]
    assert examine(links(bodies), holes=False) == []


def test_a_deleted_event_whose_place_was_closed_is_found() -> None:
    """Everything behind it moved up by one: numbers and one link tell."""
    bodies = chain()
    moved = {seq if seq < 5 else seq - 1: body for seq, body in bodies.items() if seq != 5}
    found = examine(links(moved), holes=True)
    assert Finding(5, Fault.BROKEN, 5) in found
    assert [finding.seq for finding in found if finding.fault is Fault.MISPLACED] == [5, 6, 7, 8, 9]


def test_two_events_that_changed_places_are_found() -> None:
    """Numbers and links."""
    bodies = chain()
    bodies[4], bodies[5] = bodies[5], bodies[4]
    found = examine(links(bodies), holes=True)
    assert [finding.seq for finding in found if finding.fault is Fault.MISPLACED] == [4, 5]
    assert [finding.seq for finding in found if finding.fault is Fault.BROKEN] == [4, 5, 6]


def test_an_inserted_event_is_found() -> None:
    """Behind the newest but one, with numbers made to fit: the old newest does not name it."""
    bodies = chain()
    forged = {"epoch": EPOCH, "sequence": "10", "data": {"n": 0, "prev": hashlib.sha256(bodies[9]).hexdigest()}}
    bodies[11] = bodies[10].replace(b'"00000000000000000010"', b'"00000000000000000011"')
    bodies[10] = json.dumps(forged).encode()
    assert [finding.seq for finding in examine(links(bodies), holes=True)] == [10]


@pytest.mark.parametrize("frozen", [True, False])
def test_a_declared_gap_explains_what_is_missing_and_the_chain_is_followed_over_it(*, frozen: bool) -> None:
    """Dropped with or without having had a body; what was changed around it shows all the same."""
    bodies = chain(4)
    before = bodies[4] if frozen else bodies[2]
    digest = hashlib.sha256(before).hexdigest()
    told = {"what": "gap", "first": 3, "last": 4, "digest": digest if frozen else None, "prev": digest}
    bodies[5] = json.dumps({"epoch": EPOCH, "sequence": "5", "data": told}).encode()
    del bodies[3], bodies[4]
    assert examine(links(bodies), holes=True) == []
    edit(bodies, 5, lambda event: event["data"].update(prev="0" * 64))
    assert [finding.seq for finding in examine(links(bodies), holes=True)] == [5]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"data":[]}', b'{"epoch":"e","sequence":"x","data":{}}', b"[" * 100_000])
def test_what_is_no_event_is_none(body: bytes) -> None:
    """Nothing raises."""
    assert link(EPOCH, 1, body) is None


@given(st.integers(1, 12), st.integers(1, 12))
def test_any_one_byte_changed_is_found_unless_in_the_newest(count: int, place: int) -> None:
    """Wherever it is, at or right behind its place."""
    bodies = chain(count)
    seq = min(place, count)
    bodies[seq] = bodies[seq].replace(b'"n": ', b'"n":  ')
    found = examine(links(bodies), holes=True)
    assert [finding.seq for finding in found] == ([seq] if seq < count else [])


def test_findings_are_told_in_both_languages() -> None:
    """Each fault has its sentence."""
    for fault in Fault:
        assert " · " in sentence(Finding(3, fault, 3))
    assert sentence(Finding(3, Fault.HOLE, 7)).startswith("3-7: ")


def signed_chain(count: int = 5) -> dict[int, bytes]:
    """Bodies with a signature each, by number."""
    bodies: dict[int, bytes] = {}
    prev = None
    for seq in range(1, count + 1):
        body = json.dumps({"epoch": EPOCH, "sequence": str(seq), "data": {"n": seq, "prev": prev}}, separators=(",", ":")).encode()
        bodies[seq] = with_signature(body, f"{seq:064d}")
        prev = hashlib.sha256(bodies[seq]).hexdigest()
    return bodies


def ours(signed: bytes, signature: str) -> bool:
    """The signatures of ``signed_chain``."""
    return signature == f"{json.loads(signed)['data']['n']:064d}"


def test_bodies_are_read_examined_and_counted() -> None:
    """A whole record: nothing is wrong, and all were looked at."""
    assert examine_bodies(EPOCH, signed_chain().items(), holes=True, is_ours=ours) == ([], 5)
    assert examine_bodies(EPOCH, [], holes=True) == ([], 0)


def test_a_row_that_is_not_what_was_written_is_named_and_the_rest_is_examined() -> None:
    """Its own place, and the hole that it leaves; those behind it are still looked at."""
    rows: list[tuple[int, bytes | None]] = [*signed_chain().items()]
    rows[1] = (2, None)
    rows[3] = (4, b"no event")
    found, count = examine_bodies(EPOCH, rows, holes=False, is_ours=ours)
    assert found == [Finding(2, Fault.UNREADABLE, 2), Finding(4, Fault.UNREADABLE, 4)]
    assert count == 3


def test_a_signature_that_is_missing_or_not_the_gates_is_named() -> None:
    """Where anybody knows its key; where nobody does, none is asked for."""
    bodies = signed_chain(3)
    bodies[3] = with_signature(bodies[3][: bodies[3].index(b',"signature"')] + b"}", "x" * 64)
    assert examine_bodies(EPOCH, bodies.items(), holes=True, is_ours=ours) == ([Finding(3, Fault.SIGNATURE, 3)], 3)
    assert examine_bodies(EPOCH, bodies.items(), holes=True) == ([], 3)
    bare = {3: bodies[3][: bodies[3].index(b',"signature"')] + b"}"}
    assert examine_bodies(EPOCH, {**bodies, **bare}.items(), holes=True, is_ours=ours) == ([Finding(3, Fault.SIGNATURE, 3)], 3)


def test_findings_come_in_the_order_of_their_numbers_whatever_they_are() -> None:
    """A hole before a signature, and another epoch's event is out of its place."""
    bodies = signed_chain(6)
    other = signed_chain(6)[6].replace(EPOCH.encode(), b"another")
    rows = [(seq, body) for seq, body in bodies.items() if seq not in {2, 3, 6}]
    found, _ = examine_bodies(EPOCH, [*rows, (6, other)], holes=True, is_ours=lambda *_: False)
    assert [(one.seq, one.fault, one.last) for one in found] == [
        (1, Fault.SIGNATURE, 1),
        (2, Fault.HOLE, 3),
        (4, Fault.SIGNATURE, 4),
        (5, Fault.SIGNATURE, 5),
        (6, Fault.MISPLACED, 6),
        (6, Fault.SIGNATURE, 6),
    ]


def test_holes_are_told_as_ranges_and_those_that_were_declared_are_none() -> None:
    """From the first number of the epoch on; two that touch are one."""
    bodies = chain(12)
    told = {"what": "gap", "first": 8, "last": 9, "digest": None, "prev": None}
    bodies[10] = json.dumps({"epoch": EPOCH, "sequence": "10", "data": told}).encode()
    held = {seq: body for seq, body in bodies.items() if seq in {4, 7, 10, 12}}
    holes = [(one.seq, one.last) for one in examine(links(held), holes=True) if one.fault is Fault.HOLE]
    assert holes == [(1, 3), (5, 6), (11, 11)]


def test_a_sentence_names_one_event_or_a_range() -> None:
    """By number."""
    assert sentence(Finding(3, Fault.CHANGED, 3)) == "3: đã bị sửa · was changed"
    assert sentence(Finding(3, Fault.HOLE, 7)) == "3-7: thiếu, không có lời giải thích · missing, and nothing says why"
