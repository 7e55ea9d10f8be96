"""Rows, stamps and bodies of one event, for the tests of the contract's bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from device.core import wire
from device.core.reasons import Reason
from device.core.timeline import ClockState, Stamp
from device.core.types import Assurance, Channel, ClockReading, Decision, Direction, Kind, Sign, Stored, Verdict

EPOCH = "6f2b1c5e-8a43-4f0d-9b8e-2f6f3f1f7a01"
EVENT_ID = "019a1b2c-3d4e-7f60-8a9b-000000000007"
SUBJECT = "ab" * 32
TERMS = wire.Terms(site="site-1", lane="1", policy="p1", purpose="kiểm soát ra vào", legal_basis="not stated")
PASSED = Decision(Verdict.ACCEPT, Reason.ACCEPTED, Sign.ACCEPT_IN, Kind.CITIZEN_CARD, "11", Direction.IN, Assurance.DECLARED, SUBJECT)
REFUSED = Decision(Verdict.REJECT, Reason.WEB_ADDRESS, Sign.REJECT, Kind.WEB_ADDRESS)
SYNCED = Stamp(1_795_000_000_123_456_789, ClockState.SYNCED, 12)
SIGNATURE = "MEUCIQ" + "A" * 40 + "=="
SIGNATURES = st.text("ABCxyz019+/=_.:-", min_size=16, max_size=200)
ACK = {"epoch": EPOCH, "upto": 5, "ranges": [[7, 9]], "server_time": "2026-11-23T10:00:00.000Z"}


def stored(seq: int = 7, data: dict[str, Any] | None = None, channel: Channel = Channel.CHECKIN) -> Stored:
    """A row of the record."""
    content = wire.checkin_data(PASSED, TERMS, decide_ms=1.0) if data is None else data
    return Stored(EPOCH, seq, EVENT_ID, channel, content, ClockReading(1, 2, 3, "boot-1", trusted=True))


def freeze(seq: int = 7, stamp: Stamp = SYNCED, prev: bytes | None = None, signature: str | None = None) -> bytes:
    """A body."""
    return wire.freeze_event(stored(seq), stamp, prev, None if signature is None else lambda _: signature, "gate-7")
