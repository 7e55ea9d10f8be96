"""Messages of the contract as they are read and put together: an ack, and figures that do not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from device.core import wire
from device.core.timeline import ClockState
from tests.core.wire.wire_kit import ACK, EPOCH


def test_sequences_sort_as_strings() -> None:
    """The CloudEvents extension wants the order of the strings to be the order of the events."""
    numbers = [1, 9, 10, 99, 100, 2**63 - 1]
    texts = [wire.sequence_text(number) for number in numbers]
    assert sorted(texts) == texts
    assert [int(text) for text in texts] == numbers


def test_an_ack_is_read_and_unknown_members_are_ignored() -> None:
    """The province may be newer than the gate."""
    ack = wire.read(wire.Ack, json.dumps({**ACK, "added": 1}).encode())
    assert isinstance(ack, wire.Ack)
    assert (ack.upto, ack.spans) == (5, [(7, 9)])


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"upto": "5"}, "upto"),
        ({"upto": -1}, "upto"),
        ({"upto": 2**63}, "upto"),
        ({"upto": 5.5}, "upto"),
        ({"upto": True}, "upto"),
        ({"epoch": "x"}, "epoch"),
        ({"epoch": None}, "epoch"),
        ({"ranges": [[9, 7]]}, "value_error"),
        ({"ranges": [[7]]}, "ranges.0"),
        ({"ranges": [[1, 2]] * 1001}, "ranges"),
        ({"server_time": "yesterday"}, "server_time"),
    ],
)
def test_an_ack_of_wrong_types_is_a_value_that_names_the_member(change: dict[str, object], where: str) -> None:
    """Nothing is coerced, and nothing of the content is quoted."""
    assert wire.read(wire.Ack, json.dumps({**ACK, **change}).encode()) == wire.Unreadable(where)


@given(st.binary(max_size=300))
def test_reading_any_bytes_never_raises(payload: bytes) -> None:
    """Hostile input is a value."""
    for model in (wire.Ack, wire.Command, wire.DesiredConfig, wire.ListManifest, wire.HeardEvent, wire.HeardHello):
        assert isinstance(wire.read(model, payload), model | wire.Unreadable)


@pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"null", b"[]", b'"x"', b"1e999", b""])
def test_json_made_to_hurt_is_only_unreadable(payload: bytes) -> None:
    """Depth, bad UTF-8, and values that are no objects."""
    assert isinstance(wire.read(wire.Ack, payload), wire.Unreadable)


def test_a_figure_that_does_not_fit_is_left_out_and_named() -> None:
    """One broken sensor does not silence health."""
    own: dict[str, Any] = {"session": EPOCH, "epoch": EPOCH, "oldest": 1, "newest": 2, "waiting": 2, "version": "1"}
    message, left_out = wire.gathered(wire.HelloMessage, own, {"clock": "synced", "lists": [{"name": 7}], "invented": 1, "config": None})
    assert message.clock is ClockState.SYNCED
    assert message.lists == ()
    assert left_out == ["invented", "lists"]


def test_nobody_else_can_change_what_the_sender_knows_itself() -> None:
    """Own members win."""
    own: dict[str, Any] = {"session": EPOCH, "epoch": EPOCH, "oldest": 1, "newest": 2, "waiting": 2, "version": "1"}
    message, left_out = wire.gathered(wire.HelloMessage, own, {"epoch": "another", "version": "2"})
    assert (message.epoch, message.version, left_out) == (EPOCH, "1", [])


def test_a_mistake_in_what_the_sender_knows_itself_is_raised() -> None:
    """That is a mistake of this program, not of a sensor."""
    with pytest.raises(ValidationError):
        wire.gathered(wire.HelloMessage, {"session": "x"}, {"clock": "synced"})
