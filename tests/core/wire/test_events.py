"""The envelope as a consumer reads it: the key and the chain of a newer gate's event, and gaps that make sense."""

from __future__ import annotations

import json

import pytest

from device.core import wire
from device.core.types import Channel
from tests.core.wire.wire_kit import SYNCED, freeze, stored


def test_an_event_of_a_newer_gate_is_read_for_its_key_and_chain() -> None:
    """A collector keeps what it does not understand in full."""
    event = json.loads(freeze())
    event["added"] = 1
    event["data"]["decision"] = "a word of the future"
    event["data"]["first"] = "not a number"
    heard = wire.read(wire.HeardEvent, json.dumps(event).encode())
    assert isinstance(heard, wire.HeardEvent)
    assert (heard.seq, heard.data.gap) == (7, None)


@pytest.mark.parametrize("span", [(0, 5), (5, 4), (True, 5), ("1", 5), (1, 2**63), (None, 5)])
def test_a_gap_that_makes_no_sense_declares_nothing_lost(span: tuple[object, object]) -> None:
    """It would move acks ahead of what is held."""
    data = {"what": "gap", "first": span[0], "last": span[1], "count": 1, "cause": "rows"}
    body = wire.freeze_event(stored(data=data, channel=Channel.AUDIT), SYNCED, None, None, "gate-7")
    heard = wire.read(wire.HeardEvent, body)
    assert isinstance(heard, wire.HeardEvent)
    assert heard.data.gap is None
