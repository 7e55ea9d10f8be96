"""A broker with mutual TLS, and papers for those who talk to it."""

from __future__ import annotations

from dataclasses import dataclass

from device.edges.broker.tls import TlsFiles
from tests.edges.broker.uplink_kit import Listener, peer
from tests.mosquitto import Authority, Broker, Papers


@dataclass(frozen=True)
class Town:
    """A broker with mutual TLS, and papers for those who talk to it."""

    broker: Broker
    authority: Authority
    gate: Papers
    collector: Papers

    def settings(self, papers: Papers | None = None) -> dict[str, object]:
        """The gate's `[broker]`."""
        mine = papers or self.gate
        return {"host": "localhost", "ca": mine.ca, "cert": mine.cert, "key": mine.key}

    def listener(self) -> Listener:
        """The collector's place."""
        mine = self.collector
        return Listener(peer(self.broker.port, "collector", tls=TlsFiles(mine.ca, mine.cert, mine.key)), ack=True)
