"""The little of MQTT 5's bytes that the client library does not read for us.

Pure. Source: MQTT Version 5.0, OASIS Standard, sections 1.5.5, 2.1 and 3.14.
"""

from __future__ import annotations

from typing import Final

_DISCONNECT: Final = 0xE0
_LENGTH_BYTES: Final = 4
"""A packet's length is told in so many bytes at most, seven bits in each."""


def last_word(received: bytes) -> int | None:
    """The reason code of the DISCONNECT with which these packets end; None if they do not end so. Never raises.

    A broker says nothing after it, so a DISCONNECT anywhere else means that
    the bytes do not begin with a packet, and nothing can be told from them.
    """
    at = 0
    while at < len(received):
        length, body = _length(received, at + 1)
        after = body + length
        if received[at] == _DISCONNECT and after == len(received) and length >= 0:
            return received[body] if length else 0
        if received[at] == _DISCONNECT or length < 0:
            return None
        at = after
    return None


def _length(received: bytes, at: int) -> tuple[int, int]:
    """How long a packet is after its length, and where that begins; -1 for a length that is cut off or endless."""
    length = 0
    for place, byte in enumerate(received[at : at + _LENGTH_BYTES]):
        length |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return length, at + place + 1
    return -1, at
