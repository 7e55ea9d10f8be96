"""Each reason code of MQTT 5 is treated as the contract says."""

from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from device.core import broker_codes
from device.core.broker_codes import Fate, Retry


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (0x00, Fate.TAKEN),
        (0x10, Fate.NOBODY),
        (0x80, Fate.BUSY),
        (0x83, Fate.BUSY),
        (0x97, Fate.BUSY),
        (0x87, Fate.FORBIDDEN),
        (0x90, Fate.UNACCEPTABLE),
        (0x99, Fate.UNACCEPTABLE),
        (0x95, Fate.UNACCEPTABLE),
        (0x91, Fate.BUSY),
        (0xFE, Fate.BUSY),
    ],
)
def test_a_puback_code_decides_the_fate_of_its_event(code: int, fate: Fate) -> None:
    """Sent, nobody there, back off, forbidden, dead letter; what is unknown is a broker in trouble, never a dead letter."""
    assert broker_codes.fate(code) is fate


@pytest.mark.parametrize("code", [0x80, 0x81, 0x82, 0x83, 0x88, 0x89, 0x95, 0x97, 0x99, 0x9F, 0xFE])
def test_a_broker_in_trouble_is_tried_again_soon(code: int) -> None:
    """Busy, unavailable, quota, rate, and codes that nobody knows."""
    assert broker_codes.retry(code) is Retry.BACK_OFF


@pytest.mark.parametrize("code", [0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8E, 0x9A, 0x9B, 0x9C, 0x9D])
def test_what_somebody_must_mend_is_tried_slowly(code: int) -> None:
    """Identity, bans, versions, and servers that send us elsewhere, which is never followed."""
    assert broker_codes.retry(code) is Retry.SLOW


@pytest.mark.parametrize("packet", [PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.DISCONNECT, PacketTypes.SUBACK])
def test_every_code_that_a_broker_may_send_has_a_name(packet: int) -> None:
    """Held against the client library's own table of the standard."""
    for code, names in ReasonCode.names.items():
        if any(packet in packets for packets in names.values()) and code > 2:
            assert broker_codes.name(code) == broker_codes.NAMES[code]


def test_a_code_without_a_name_is_told_by_its_number() -> None:
    """So that logs and audit events always hold a stable word."""
    assert broker_codes.name(0xFE) == "code_0xfe"
    assert broker_codes.is_refusal(0x80)
    assert not broker_codes.is_refusal(0x10)
