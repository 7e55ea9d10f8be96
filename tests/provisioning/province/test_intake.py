"""What arrives is judged without trust in who sent it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.province.intake import BODY_LIMIT_BYTES, Notice, Received, RefusedMessage, judge
from tests.provisioning.province.events import EPOCH, Chain

CHECKIN = "gates/v1/gate-07/up/checkin"
BODY = Chain().grow(1).bodies[1]
HELLO = json.dumps({"epoch": EPOCH, "oldest": 3, "newest": 9, "added": True}).encode()


def changed(**changes: object) -> bytes:
    """The event with attributes changed; None leaves one out."""
    event = {**json.loads(BODY), **changes}
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def test_an_event_on_its_own_topic_is_received() -> None:
    """With its key."""
    item = judge(CHECKIN, BODY)
    assert isinstance(item, Received)
    assert (item.key, item.event.seq) == (("gate-07", EPOCH), 1)


@pytest.mark.parametrize(
    ("topic", "body", "reason"),
    [
        ("gates/v1/gate-08/up/checkin", BODY, "source"),
        (CHECKIN, changed(source="/gates/gate-08"), "source"),
        ("gates/v1/gate-07/up/audit", BODY, "type"),
        ("gates/v1/gate-07/down/ack", BODY, "topic"),
        ("gates/v1/all/up/checkin", BODY, "topic"),
        ("", BODY, "topic"),
        (CHECKIN, b"", "unreadable: json_invalid"),
        (CHECKIN, b"\xff", "unreadable: json_invalid"),
        (CHECKIN, changed(epoch=None), "unreadable: epoch"),
        (CHECKIN, changed(sequence=1), "unreadable: sequence"),
        (CHECKIN, changed(sequence="1"), "unreadable: sequence"),
        (CHECKIN, changed(specversion="0.3"), "unreadable: specversion"),
        (CHECKIN, changed(type="vn.gate.other.v1"), "unreadable: type"),
        (CHECKIN, changed(data=[]), "unreadable: data"),
        (CHECKIN, changed(data={"decision": "accept"}), "unreadable: data.prev"),
        (CHECKIN, BODY + b" " * BODY_LIMIT_BYTES, "too_long"),
        ("gates/v1/gate-07/up/state", b"[]", "unreadable: model_type"),
        ("gates/v1/gate-07/up/hello", b"{}", "unreadable: epoch"),
    ],
)
def test_what_is_no_message_of_the_contract_is_refused_with_its_reason(topic: str, body: bytes, reason: str) -> None:
    """Another gate's name, wrong forms, too long: each by name, and never quoted."""
    item = judge(topic, body)
    assert isinstance(item, RefusedMessage)
    assert item.reason == reason
    assert len(item.body) <= BODY_LIMIT_BYTES


def test_only_an_event_of_its_own_gate_can_be_known_by_its_key_when_refused() -> None:
    """A gate cannot make another one forget."""
    own, foreign = judge("gates/v1/gate-07/up/audit", BODY), judge("gates/v1/gate-08/up/checkin", BODY)
    assert isinstance(own, RefusedMessage)
    assert isinstance(foreign, RefusedMessage)
    assert (own.key, foreign.key) == ((EPOCH, 1), None)


def test_a_hello_asks_for_an_answer() -> None:
    """Tolerant of what newer gates add."""
    item = judge("gates/v1/gate-07/up/hello", HELLO)
    assert isinstance(item, Notice)
    assert item.hello is not None
    assert (item.hello.epoch, item.hello.oldest) == (EPOCH, 3)


@given(st.text(max_size=60), st.binary(max_size=200))
def test_judging_never_raises(topic: str, body: bytes) -> None:
    """Any topic, any bytes."""
    judge(topic, body)
    judge(CHECKIN, body)
