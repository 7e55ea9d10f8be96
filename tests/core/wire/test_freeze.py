"""From an entry to the bytes that are published: final, chained, and signed over exactly what is left when the signature is cut off."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core import wire
from device.core.timeline import ClockState, Stamp
from device.core.types import Channel
from tests.core.wire.wire_kit import EPOCH, SIGNATURE, SIGNATURES, SUBJECT, SYNCED, freeze, stored


def test_a_frozen_body_is_exactly_these_bytes() -> None:
    """The form is part of the contract: compact, UTF-8 unescaped, members in this order, the chain last in data."""
    body = freeze(prev=bytes(range(32)), signature=SIGNATURE)
    assert body.decode() == (
        '{"specversion":"1.0","id":"019a1b2c-3d4e-7f60-8a9b-000000000007","source":"/gates/gate-7","type":"vn.gate.checkin.v1",'
        '"time":"2026-11-18T11:06:40.123Z","datacontenttype":"application/json","dataschema":"urn:gate:schema:checkin:v1",'
        f'"epoch":"{EPOCH}","sequence":"0000000000000000007","bootid":"boot-1","clock":"synced","uncertaintyms":12,'
        '"data":{"decision":"accept","reason":"accepted","kind":"citizen_card","variant":"11","assurance":"declared",'
        f'"subject":"{SUBJECT}","direction":"in","lane":"1","site":"site-1","policy":"p1","lists":[],"warnings":[],"decide_ms":1.0,'
        '"purpose":"kiểm soát ra vào","legal_basis":"not stated",'
        '"prev":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"},'
        f'"signature":"{SIGNATURE}"}}'
    )


def test_the_same_row_freezes_to_the_same_bytes() -> None:
    """Nothing in a body depends on when it was made."""
    assert freeze() == freeze()


def test_cloudevents_attributes_are_of_the_types_that_cloudevents_knows() -> None:
    """Names are lower-case letters and digits, at most 20; values are strings, 32-bit integers and the data."""
    event = json.loads(freeze(stamp=Stamp(1, ClockState.BOUNDED, 10**15, 1, 2), signature=SIGNATURE))
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", name) for name in event)
    for name, value in event.items():
        assert isinstance(value, str) or name in {"data", "uncertaintyms"}, name
    assert event["uncertaintyms"] == 2**31 - 1


@pytest.mark.parametrize(
    ("stamp", "attributes"),
    [
        (SYNCED, {"clock": "synced", "uncertaintyms": 12}),
        (Stamp(5_000_000, ClockState.UNSYNCED, None, 4_000_000), {"clock": "unsynced", "earliest": "1970-01-01T00:00:00.004Z"}),
        (
            Stamp(5_000_000, ClockState.BOUNDED, 1, 4_000_000, 6_000_000),
            {"clock": "bounded", "uncertaintyms": 1, "earliest": "1970-01-01T00:00:00.004Z", "latest": "1970-01-01T00:00:00.006Z"},
        ),
    ],
)
def test_an_event_says_how_its_time_is_known(stamp: Stamp, attributes: dict[str, object]) -> None:
    """Bounds and uncertainty are there exactly where they are known."""
    event = json.loads(freeze(stamp=stamp))
    assert {name: event[name] for name in ("clock", "uncertaintyms", "earliest", "latest") if name in event} == attributes


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
        (2**80, "9999-12-31T23:59:59.999Z"),
        (999_999, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_no_clock_however_wrong_breaks_the_time(wall_ns: int, text: str) -> None:
    """Times outside what RFC 3339 can say are kept at its ends."""
    assert wire.time_text(wall_ns) == text


def test_a_lone_surrogate_in_a_text_does_not_stop_an_event() -> None:
    """What no UTF-8 can hold becomes a question mark: an event in the record can always be published."""
    body = wire.freeze_event(stored(data={"what": "start", "version": "\ud800"}, channel=Channel.AUDIT), SYNCED, None, None, "gate-7")
    assert json.loads(body)["data"]["version"] == "?"


def test_a_body_of_the_contract_is_an_event_of_the_contract() -> None:
    """What is frozen passes the strict model."""
    assert wire.CheckinEvent.model_validate_json(freeze(signature=SIGNATURE)).data.subject == SUBJECT


def test_the_signature_is_made_over_the_body_without_it() -> None:
    """The signer gets the complete JSON that a verifier gets back from `split_signature`."""
    signed: list[bytes] = []

    def sign(content: bytes) -> str:
        signed.append(content)
        return SIGNATURE

    body = wire.freeze_event(stored(), SYNCED, None, sign, "gate-7")
    assert signed == [freeze()]
    assert wire.split_signature(body) == (freeze(), SIGNATURE)
    assert list(json.loads(body))[-1] == "signature"


def test_an_unsigned_body_has_no_signature_to_split() -> None:
    """A gate without a key publishes unsigned."""
    assert wire.split_signature(freeze()) == (freeze(), None)


@given(st.text(max_size=60), SIGNATURES)
def test_no_content_can_pass_for_a_signature(text: str, signature: str) -> None:
    """Even a site whose purpose is spelled like the last member."""
    hostile = f'{text}","signature":"{SIGNATURE}"'
    data: dict[str, Any] = {"decision": "accept", "purpose": hostile}
    unsigned = wire.freeze_event(stored(data=data), SYNCED, None, None, "gate-7")
    assert wire.split_signature(unsigned) == (unsigned, None)
    body = wire.freeze_event(stored(data=data), SYNCED, None, lambda _: signature, "gate-7")
    assert wire.split_signature(body) == (unsigned, signature)


def test_only_the_last_member_is_the_signature() -> None:
    """A member of that name deeper inside is content."""
    data: dict[str, Any] = {"inner": {"a": 1, "signature": SIGNATURE}}
    unsigned = wire.freeze_event(stored(data=data), SYNCED, None, None, "gate-7")
    assert wire.split_signature(unsigned) == (unsigned, None)


@pytest.mark.parametrize("signature", ["", "short", 'a"b' * 10, "a\\b" * 10, "ä" * 20, "a" * 1025])
def test_a_signature_that_could_not_be_cut_off_again_is_refused(signature: str) -> None:
    """A signer that gives something else is a mistake of this program."""
    with pytest.raises(ValueError, match=r"signature|codec"):
        freeze(signature=signature)


@given(st.binary(max_size=200))
def test_splitting_any_bytes_never_raises(body: bytes) -> None:
    """A verifier may be given anything."""
    wire.split_signature(body)


def test_the_chain_names_the_whole_body_before_with_its_signature() -> None:
    """So a changed signature shows as well as a changed body."""
    first = freeze(1, signature=SIGNATURE)
    second = freeze(2, prev=hashlib.sha256(first).digest())
    assert json.loads(second)["data"]["prev"] == wire.body_digest(first) == hashlib.sha256(first).hexdigest()
    assert json.loads(first)["data"]["prev"] is None
