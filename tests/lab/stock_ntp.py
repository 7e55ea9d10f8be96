"""A time server for the stock card's network: the host's time, to whoever asks (RFC 4330)."""

import socket
import struct
import time

SINCE_1900 = 2_208_988_800


def stamp() -> int:
    """Now, in NTP's 64 bits."""
    return int((time.time() + SINCE_1900) * 2**32)


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
    port.bind(("0.0.0.0", 123))  # noqa: S104 - in a namespace of its own
    while True:
        asked, whom = port.recvfrom(512)
        came = stamp()
        (sent,) = struct.unpack_from(">Q", asked, 40)
        # Server, version 4, stratum 1; the client's own time comes back, so that it knows its answer.
        head = struct.pack(">BBbbII4s", 0x24, 1, 6, -20, 0, 0, b"LAB\0")
        port.sendto(head + struct.pack(">QQQQ", came, sent, came, stamp()), whom)
