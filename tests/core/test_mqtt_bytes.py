"""What a broker said last, by the bytes that were left unread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.mqtt_bytes import last_word

PUBACK = bytes.fromhex("4003000110")
LONG = b"\x30" + bytes([0xC8, 0x01]) + bytes(200)


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (b"\xe0\x02\x95\x00", 0x95),
        (b"\xe0\x01\x8e", 0x8E),
        (b"\xe0\x00", 0x00),
        (PUBACK + b"\xe0\x02\x8b\x00", 0x8B),
        (LONG + PUBACK + b"\xe0\x01\x93", 0x93),
        (b"", None),
        (PUBACK, None),
        (b"\xe0", None),
        (b"\xe0\x02\x95", None),
        (b"\xe0\x02\x95\x00" + PUBACK, None),
        (LONG[:100], None),
        (b"\x30\xff\xff\xff\xff\xff", None),
    ],
    ids=lambda value: value[:8].hex() if isinstance(value, bytes) else None,
)
def test_the_reason_is_found_only_where_the_packets_end_with_it(received: bytes, code: int | None) -> None:
    """Alone, after others, without a reason; and not in what is cut off or goes on."""
    assert last_word(received) == code


@given(st.binary(max_size=300))
def test_any_bytes_are_borne(received: bytes) -> None:
    """A code or nothing, for whatever was left in the socket."""
    assert last_word(received) is None or last_word(received) in range(256)


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_151])
def test_packets_of_every_length_are_stepped_over(length: int) -> None:
    """Lengths of one to four bytes, seven bits in each, the lowest first."""
    left, told = length, bytearray()
    while True:
        told.append(left & 0x7F | (0x80 if left > 0x7F else 0))
        left >>= 7
        if not left:
            break
    packet = b"\x30" + bytes(told) + b"\xe0" * length
    assert last_word(packet + b"\xe0\x01\x8e") == 0x8E
    assert last_word(packet + packet + b"\xe0\x00") == 0
