"""What a broker's MQTT 5 reason codes mean for a gate.

Section 2.4 of the MQTT 5.0 standard names the codes; which of them are worth
another try soon, later or never is decided here, as data.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Retry(StrEnum):
    """When to connect again."""

    BACK_OFF = "back_off"
    """The broker may be well again soon: waits grow from the shortest."""
    SLOW = "slow"
    """Somebody must mend something first: the longest wait each time."""


class Fate(StrEnum):
    """What a PUBACK's code means for the event that it answers."""

    TAKEN = "taken"
    NOBODY = "nobody"
    """The broker took it and nobody was subscribed: as good as lost."""
    BUSY = "busy"
    FORBIDDEN = "forbidden"
    UNACCEPTABLE = "unacceptable"
    """This event will never be taken."""


NAMES: Final = {
    0x00: "success",
    0x04: "disconnect_with_will",
    0x10: "no_matching_subscribers",
    0x80: "unspecified_error",
    0x81: "malformed_packet",
    0x82: "protocol_error",
    0x83: "implementation_specific_error",
    0x84: "unsupported_protocol_version",
    0x85: "client_identifier_not_valid",
    0x86: "bad_user_name_or_password",
    0x87: "not_authorized",
    0x88: "server_unavailable",
    0x89: "server_busy",
    0x8A: "banned",
    0x8B: "server_shutting_down",
    0x8C: "bad_authentication_method",
    0x8D: "keep_alive_timeout",
    0x8E: "session_taken_over",
    0x8F: "topic_filter_invalid",
    0x90: "topic_name_invalid",
    0x91: "packet_identifier_in_use",
    0x93: "receive_maximum_exceeded",
    0x94: "topic_alias_invalid",
    0x95: "packet_too_large",
    0x96: "message_rate_too_high",
    0x97: "quota_exceeded",
    0x98: "administrative_action",
    0x99: "payload_format_invalid",
    0x9A: "retain_not_supported",
    0x9B: "qos_not_supported",
    0x9C: "use_another_server",
    0x9D: "server_moved",
    0x9E: "shared_subscriptions_not_supported",
    0x9F: "connection_rate_exceeded",
    0xA0: "maximum_connect_time",
    0xA1: "subscription_identifiers_not_supported",
    0xA2: "wildcard_subscriptions_not_supported",
}

SLOW: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8E, 0x98, 0x9A, 0x9B, 0x9C, 0x9D})
"""In a CONNACK or DISCONNECT. ``use_another_server`` is not followed: where a gate connects is told only by its signed configuration."""

CONTENT: Final = frozenset({0x81, 0x82, 0x90, 0x93, 0x94, 0x95, 0x99})
"""In a DISCONNECT: something that we sent made the broker hang up."""

TAKEN_OVER: Final = 0x8E
PACKET_TOO_LARGE: Final = 0x95
RETAIN_NOT_SUPPORTED: Final = 0x9A
_FIRST_REFUSAL: Final = 0x80

_FATES: Final = {
    0x00: Fate.TAKEN,
    0x10: Fate.NOBODY,
    0x80: Fate.BUSY,
    0x83: Fate.BUSY,
    0x87: Fate.FORBIDDEN,
    0x90: Fate.UNACCEPTABLE,
    0x95: Fate.UNACCEPTABLE,
    0x97: Fate.BUSY,
    0x99: Fate.UNACCEPTABLE,
}


def name(code: int) -> str:
    """The code in words: a stable name, or its number where the standard has none."""
    return NAMES.get(code, f"code_{code:#04x}")


def is_refusal(code: int) -> bool:
    """Whether the code, in any packet, means no."""
    return code >= _FIRST_REFUSAL


def retry(code: int) -> Retry:
    """When to connect again after a CONNACK or DISCONNECT with this code."""
    return Retry.SLOW if code in SLOW else Retry.BACK_OFF


def fate(code: int) -> Fate:
    """What became of an event whose PUBACK holds this code. A code that nobody knows is taken for a broker in trouble."""
    return _FATES.get(code, Fate.BUSY)
