"""The contract's bytes: topics, frozen bodies, signatures, and reading what others send."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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


# ----------------------------------------------------------------- topics


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (wire.up("gate-7", "checkin"), "gates/v1/gate-7/up/checkin"),
        (wire.up("gate-7", "cmd", "c-1"), "gates/v1/gate-7/up/cmd/c-1"),
        (wire.down("gate-7", "ack"), "gates/v1/gate-7/down/ack"),
        (wire.down(wire.ALL, "list", "deny"), "gates/v1/all/down/list/deny"),
        (wire.down_filter("gate-7", "cmd"), "gates/v1/gate-7/down/cmd/+"),
        (wire.down_filter(wire.ALL, "list"), "gates/v1/all/down/list/+"),
    ],
)
def test_topics_are_spelled_as_the_contract_says(built: str, text: str) -> None:
    """Each topic of the table."""
    assert built == text


@pytest.mark.parametrize("gate", ["", "ab", "a" * 33, "Gate-7", "gate_7", "gate/7", "gate+", "gate#", "../x", "gate 7", "gáte", "all"])
def test_a_gate_id_that_could_leave_its_own_tree_builds_no_topic(gate: str) -> None:
    """Wildcards, slashes, capitals and the word for every gate are refused when a topic is built."""
    with pytest.raises(ValueError, match="no topic"):
        wire.up(gate, "checkin")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gates/v1/gate-7",
        "gates/v1/gate-7/up",
        "gates/v1/gate-7/up/",
        "gates/v1/gate-7/up/invented",
        "gates/v1/gate-7/up/checkin/more",
        "gates/v1/gate-7/up/checkin\n",
        "gates/v2/gate-7/up/checkin",
        "gates/v1/all/up/checkin",
        "gates/v1/all/down/ack",
        "gates/v1/all/down/cmd/c-1",
        "gates/v1/gate-7/down/cmd/",
        "gates/v1/gate-7/down/cmd/" + "a" * 65,
        "/gates/v1/gate-7/up/checkin",
    ],
)
def test_what_the_contract_does_not_name_is_no_topic(text: str) -> None:
    """Parsing is exact."""
    assert wire.parse_topic(text) is None


@given(st.text(max_size=80))
def test_parsing_a_topic_never_raises_and_round_trips(text: str) -> None:
    """Whatever is taken apart is put together again as it was."""
    topic = wire.parse_topic(text)
    assert topic is None or str(topic) == text


@given(st.from_regex(r"[a-z0-9-]{3,32}", fullmatch=True), st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True))
def test_every_gate_and_command_has_topics_that_parse_back(gate: str, name: str) -> None:
    """Building and parsing are inverses."""
    if wire.is_gate(gate):
        assert wire.parse_topic(wire.up(gate, "cmd", name)) == wire.Topic(gate, "up", "cmd", name)
        assert wire.parse_topic(wire.down(gate, "list", name)) == wire.Topic(gate, "down", "list", name)


# ----------------------------------------------------------------- frozen bodies


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


def test_sequences_sort_as_strings() -> None:
    """The CloudEvents extension wants the order of the strings to be the order of the events."""
    numbers = [1, 9, 10, 99, 100, 2**63 - 1]
    texts = [wire.sequence_text(number) for number in numbers]
    assert sorted(texts) == texts
    assert [int(text) for text in texts] == numbers


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


# ----------------------------------------------------------------- signature and chain


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


# ----------------------------------------------------------------- data


def test_of_a_refused_code_only_length_and_digest_are_said() -> None:
    """Nothing else of it is in the event."""
    data = wire.checkin_data(REFUSED, TERMS, decide_ms=0.5, payload_length=42, payload_digest="cd" * 32)
    assert data["payload_length"] == 42
    assert data["payload_digest"] == "cd" * 32
    assert not {"subject", "sealed", "direction", "assurance", "variant"} & data.keys()


def test_of_a_person_neither_length_nor_digest_of_the_code_are_said() -> None:
    """A length beside the keyed hash would help to guess who it was."""
    data = wire.checkin_data(PASSED, TERMS, decide_ms=0.5, payload_length=42, payload_digest="cd" * 32)
    assert not {"payload_length", "payload_digest"} & data.keys()


def test_our_own_output_is_strict() -> None:
    """A member that the contract does not have, or of another type, is a mistake that is noticed where it is made."""
    with pytest.raises(ValidationError):
        wire.Gap(first=1, last=2, count=2, cause="rows", why="x")  # type: ignore[call-arg]  # the mistake under test
    with pytest.raises(ValidationError):
        wire.Gap(first="1", last=2, count=2, cause="rows")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(ValidationError):
        wire.checkin_data(PASSED, TERMS, decide_ms=0.5, sealed="not base64!")


# ----------------------------------------------------------------- what others send


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


# ----------------------------------------------------------------- gathered figures


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
