"""The link's datagrams: what goes in comes out, and nothing that comes in raises anything but BadDatagram."""

from __future__ import annotations

import contextlib
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.eye_messages import (
    DATAGRAM_LIMIT_BYTES,
    LINK_VERSION,
    OVERSIZE_KEPT_BYTES,
    BadDatagram,
    Beat,
    Glimpse,
    Hello,
    Message,
    Trouble,
    decode,
    encode,
)
from device.core.types import PAYLOAD_LIMIT_BYTES, Box, Sighting

counts = st.integers(0, 2**63 - 1)
pixels = st.integers(-100_000, 100_000)
names = st.text(max_size=64)
TROUBLES: list[Literal["unreadable_frame", "camera_missing", "camera_stopped", "source_ended"]] = [
    "unreadable_frame",
    "camera_missing",
    "camera_stopped",
    "source_ended",
]

sightings = st.builds(
    Sighting,
    payload=st.binary(max_size=PAYLOAD_LIMIT_BYTES),
    frame=counts,
    taken_ns=counts,
    read_ns=counts,
    box=st.builds(Box, pixels, pixels, pixels, pixels),
    step=names,
    partial=st.booleans(),
)
notices = st.one_of(
    st.builds(Hello, pid=counts, source=names, decoders=st.lists(names, max_size=8)),
    st.builds(Beat, frames=counts, skipped=counts, empty=counts, read=counts, taken_ns=counts, cpu_ms=counts),
    st.builds(Glimpse, frame=counts, taken_ns=counts),
    st.builds(Trouble, code=st.sampled_from(TROUBLES), what=st.text(max_size=512)),
)
SIGHTING = Sighting(b"\x00\xffcard", 1, 2, 3, Box(4, 5, 6, 7), "zxing")


def seen(**changes: object) -> bytes:
    """The datagram of a sighting with some members changed; None leaves one out."""
    members = json.loads(encode(SIGHTING)) | changes
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


@given(message=st.one_of(sightings, notices))
def test_every_message_comes_through_and_fits_one_datagram(message: Message) -> None:
    """Also with the longest payload, and with text that JSON has to escape."""
    datagram = encode(message)
    assert len(datagram) <= DATAGRAM_LIMIT_BYTES
    assert decode(datagram) == message


@given(size=st.integers(PAYLOAD_LIMIT_BYTES + 1, 4000))
def test_a_payload_over_the_limit_is_cut_but_stays_over_it(size: int) -> None:
    """The gate sees that it was too long, and that is all that it needs."""
    cut = decode(encode(Sighting(bytes(size), 1, 2, 3, Box(0, 0, 1, 1), "zbar")))
    assert isinstance(cut, Sighting)
    assert len(cut.payload) == OVERSIZE_KEPT_BYTES > PAYLOAD_LIMIT_BYTES


@given(datagram=st.binary(max_size=300))
def test_any_bytes_are_a_message_or_bad(datagram: bytes) -> None:
    """The eye may be anybody by now."""
    with pytest.raises(BadDatagram):
        decode(datagram)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(
    message=st.one_of(sightings, notices),
    member=st.sampled_from(["v", "type", "payload", "frame", "left", "step", "partial", "what", "code", "pid", "decoders", "new"]),
    value=_json,
)
def test_any_json_in_any_member_is_a_message_or_bad(message: Message, member: str, value: object) -> None:
    """Numbers out of range, text for numbers, objects for text."""
    members = json.loads(encode(message)) | {member: value}
    try:
        again = decode(json.dumps(members).encode())
    except BadDatagram:
        return
    assert decode(encode(again)) == again


@given(message=st.one_of(sightings, notices), at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_one_damaged_byte_is_a_message_or_bad(message: Message, at: int, byte: int) -> None:
    """Wherever it falls."""
    datagram = bytearray(encode(message))
    datagram[at % len(datagram)] = byte
    with contextlib.suppress(BadDatagram):
        decode(bytes(datagram))


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"v": 1}',
        b'{"v": 1, "type": "shout"}',
        b'{"v": 1, "type": "glimpse", "frame": 1}',
        b'{"v": 1, "type": "glimpse", "frame": 1, "taken_ns": 1, "more": 1}',
        b'{"v": 1, "type": "glimpse", "frame": "1", "taken_ns": 1}',
        b'{"v": 1, "type": "glimpse", "frame": 1.0, "taken_ns": 1}',
        b'{"v": 1, "type": "glimpse", "frame": true, "taken_ns": 1}',
        b'{"v": 1, "type": "glimpse", "frame": -1, "taken_ns": 1}',
        b'{"v": 1, "type": "glimpse", "frame": 1, "taken_ns": 9223372036854775808}',
        b'{"v": 2, "type": "glimpse", "frame": 1, "taken_ns": 1}',
        b'{"v": 1, "type": "trouble", "code": "fire", "what": "x"}',
        b"[" * 8000,
        b"\xff" * 100,
    ],
)
def test_what_is_no_message_of_this_version_is_bad(datagram: bytes) -> None:
    """Unknown types, members and codes, wrong types, bounds, and nesting made to exhaust the parser."""
    with pytest.raises(BadDatagram):
        decode(datagram)


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": "AAA"},
        {"payload": "A A="},
        {"payload": "!!!!"},
        {"payload": "é==="},
        {"payload": "AAAA" * 684},
        {"left": 100_001},
        {"top": -100_001},
        {"step": "x" * 65},
        {"partial": 1},
        {"width": None},
        {"read_ns": None},
    ],
    ids=["length", "space", "letters", "not-ascii", "too-long", "left", "top", "step", "partial", "no-width", "no-time"],
)
def test_a_sighting_out_of_bounds_is_bad(changes: dict[str, object]) -> None:
    """Base64 that is none, boxes outside any camera, names without end."""
    with pytest.raises(BadDatagram):
        decode(seen(**changes))


def test_a_datagram_over_the_limit_is_not_even_parsed() -> None:
    """Its length alone is named."""
    with pytest.raises(BadDatagram, match=f"datagram of {DATAGRAM_LIMIT_BYTES + 1} bytes; the limit is"):
        decode(b" " * (DATAGRAM_LIMIT_BYTES + 1))


@pytest.mark.parametrize("changes", [{"payload": "c2VjcmV0!"}, {"step": "secret" * 20}, {"secret": "secret"}, {"frame": "secret"}])
def test_the_error_says_where_and_never_what(changes: dict[str, object]) -> None:
    """It goes into the log, and the payload of a card does not."""
    with pytest.raises(BadDatagram) as caught:
        decode(seen(**changes))
    assert "c2VjcmV0" not in str(caught.value)
    assert "secretsecret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_no_message_says_how_large_it_was_and_which_member_is_wrong() -> None:
    """Never what stands in it."""
    with pytest.raises(BadDatagram) as refused:
        decode(b'{"v": 1, "what": "secret"}')
    assert str(refused.value).startswith(f"datagram of 26 bytes is no message of version {LINK_VERSION}: ")
    assert "secret" not in str(refused.value)
