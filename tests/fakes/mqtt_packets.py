"""The bytes of MQTT 5, as far as the scripted server speaks it. Written from the standard, sections 2 and 3."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final, TypeAlias

CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBSCRIBE: Final = 8
SUBACK: Final = 9
PINGREQ: Final = 12
PINGRESP: Final = 13
DISCONNECT: Final = 14

Value: TypeAlias = int | str | bytes | tuple[str, str]
Properties: TypeAlias = dict[int, list[Value]]

MESSAGE_EXPIRY: Final = 0x02
CONTENT_TYPE: Final = 0x03
SESSION_EXPIRY: Final = 0x11
SERVER_KEEP_ALIVE: Final = 0x13
WILL_DELAY: Final = 0x18
RECEIVE_MAXIMUM: Final = 0x21
MAXIMUM_QOS: Final = 0x24
RETAIN_AVAILABLE: Final = 0x25
USER_PROPERTY: Final = 0x26
MAXIMUM_PACKET_SIZE: Final = 0x27

_BYTE: Final = {0x01, 0x17, 0x19, MAXIMUM_QOS, RETAIN_AVAILABLE, 0x28, 0x29, 0x2A}
_TWO: Final = {SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, 0x22, 0x23}
_FOUR: Final = {MESSAGE_EXPIRY, SESSION_EXPIRY, WILL_DELAY, MAXIMUM_PACKET_SIZE}
_TEXT: Final = {CONTENT_TYPE, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F}
_BINARY: Final = {0x09, 0x16}


@dataclass(frozen=True)
class Connect:
    """A client's first packet."""

    client_id: str
    clean_start: bool
    keepalive_s: int
    properties: Properties
    will_topic: str = ""
    will_payload: bytes = b""
    will_retain: bool = False
    will_qos: int = 0
    will_properties: Properties = field(default_factory=dict)


@dataclass(frozen=True)
class Publish:
    """A message, in either direction."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    properties: Properties

    @property
    def user(self) -> dict[str, str]:
        """The user properties."""
        return dict(value for value in self.properties.get(USER_PROPERTY, []) if isinstance(value, tuple))


class Reader:
    """Takes a packet apart. Raises ValueError on what the standard does not allow."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if self.at + count > len(self.data):
            raise ValueError("packet too short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, count: int) -> int:
        """A big-endian number of so many bytes."""
        return int.from_bytes(self.take(count), "big")

    def binary(self) -> bytes:
        """Bytes after their length."""
        return self.take(self.number(2))

    def text(self) -> str:
        """UTF-8 after its length."""
        return self.binary().decode("utf-8")

    def varint(self) -> int:
        """A variable byte integer."""
        value, shift = 0, 0
        while True:
            byte = self.number(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 21:
                raise ValueError("variable byte integer too long")

    def properties(self) -> Properties:
        """All properties of a packet."""
        end = self.varint() + self.at
        found: Properties = {}
        while self.at < end:
            identifier = self.number(1)
            found.setdefault(identifier, []).append(self._value(identifier))
        return found

    def rest(self) -> bytes:
        """What is left."""
        return self.take(len(self.data) - self.at)

    def _value(self, identifier: int) -> Value:
        for group, size in ((_BYTE, 1), (_TWO, 2), (_FOUR, 4)):
            if identifier in group:
                return self.number(size)
        if identifier in _TEXT:
            return self.text()
        if identifier in _BINARY:
            return self.binary()
        if identifier == USER_PROPERTY:
            return self.text(), self.text()
        raise ValueError(f"property {identifier:#x} is not modelled")


def read_connect(data: bytes) -> Connect:
    """A CONNECT of MQTT 5."""
    reader = Reader(data)
    if (reader.text(), reader.number(1)) != ("MQTT", 5):
        raise ValueError("not MQTT 5")
    flags, keepalive_s = reader.number(1), reader.number(2)
    properties, client_id = reader.properties(), reader.text()
    if not flags & 4:
        return Connect(client_id, bool(flags & 2), keepalive_s, properties)
    will_properties, will_topic, will_payload = reader.properties(), reader.text(), reader.binary()
    return Connect(
        client_id, bool(flags & 2), keepalive_s, properties, will_topic, will_payload, bool(flags & 32), flags >> 3 & 3, will_properties
    )


def read_publish(flags: int, data: bytes) -> Publish:
    """A PUBLISH; `flags` are the low bits of its first byte."""
    reader = Reader(data)
    topic = reader.text()
    qos = flags >> 1 & 3
    mid = reader.number(2) if qos else 0
    properties = reader.properties()
    return Publish(topic, reader.rest(), qos, bool(flags & 1), bool(flags & 8), mid, properties)


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """A whole packet."""
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def varint(value: int) -> bytes:
    """A variable byte integer."""
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 127
        out.append(byte | (128 if value else 0))
        if not value:
            return bytes(out)


def text(value: str) -> bytes:
    """UTF-8 after its length."""
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def number_properties(values: dict[int, int]) -> bytes:
    """Properties that are numbers."""
    out = bytearray()
    for identifier, value in values.items():
        size = 1 if identifier in _BYTE else 2 if identifier in _TWO else 4
        out += bytes([identifier]) + value.to_bytes(size, "big")
    return varint(len(out)) + bytes(out)


def write_publish(message: Publish) -> bytes:
    """A PUBLISH without properties."""
    flags = message.qos << 1 | message.retain | message.dup << 3
    mid = struct.pack(">H", message.mid) if message.qos else b""
    return packet(PUBLISH, text(message.topic) + mid + b"\0" + message.payload, flags)
