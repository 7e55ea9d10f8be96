"""An eye that always sees a code which it cannot read: an emulated processor is too slow to look hard at one twice a second.

``python -m tests.lab.guest.glimpses SOCKET``, as a user of the group that the socket's folder belongs to.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from device.core.eye_messages import Beat, Glimpse, Hello, encode


def main(path: str) -> None:
    """Say hello, and then four times a second that something is there; until killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.connect(path)
        link.send(encode(Hello(pid=os.getpid(), source="glimpses", decoders=["none"])))
        frame = 0
        while True:
            frame += 1
            now_ns = time.monotonic_ns()
            link.send(encode(Beat(frames=frame, skipped=0, empty=0, read=0, taken_ns=now_ns, cpu_ms=0)))
            link.send(encode(Glimpse(frame=frame, taken_ns=now_ns)))
            time.sleep(0.25)


main(sys.argv[1])
