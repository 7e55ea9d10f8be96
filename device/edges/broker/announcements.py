"""What a gate says of itself beside the record: who it is to the broker, state, hello, health."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from device.config import BrokerSection
from device.core import wire
from device.core.types import Json
from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Peer, Publication, Subscription, Will
from device.ports import Bounds, Clock

log = logging.getLogger(__name__)

HELLO_EXPIRY_S = 300
WILL_DELAY_S = 30
"""A connection that is back within so long was never away."""
HEALTH_PERIODS_KEPT = 3


@dataclass(frozen=True, slots=True)
class About:
    """What the gate knows of itself: the versions of its program and its configuration, and where the rest is asked.

    ``health`` gives figures of the other parts, ``hello`` the versions of
    lists and the state of the clock, both by the names of the contract. They
    are called from the uplink's thread.
    """

    version: str
    applied: str
    health: Callable[[], Mapping[str, Json]]
    hello: Callable[[], Mapping[str, Json]]


class Herald:
    """Makes those messages. A figure that does not fit the contract is left out and named once in the log."""

    def __init__(self, gate: str, about: About, clock: Clock, health_every_s: float) -> None:
        self._gate = gate
        self._about = about
        self._clock = clock
        self._health_expiry_s = round(HEALTH_PERIODS_KEPT * health_every_s)
        self._left_out: set[str] = set()

    def state(self, session: str, *, online: bool, retain: bool = True) -> Publication:
        """Whether the gate is connected; offline it is the will, too."""
        now = self._clock.reading()
        state = wire.StateMessage(
            online=online, session=session, boot=now.boot_id, version=self._about.version, since=wire.time_text(now.wall_ns)
        )
        return Publication(object(), wire.up(self._gate, "state"), wire.encode(state), retain=retain)

    def peer(self, broker: BrokerSection, session: str, *, retain: bool, lists: Sequence[str] = ()) -> Peer:
        """Where to connect, as whom, with which will, and what to listen to.

        ``retain`` False for a broker that keeps nothing; ``lists`` are those that the rules name.
        """
        tls = None if broker.ca is None else TlsFiles(broker.ca, broker.cert, broker.key)
        wanted = [Subscription(wire.down(self._gate, kind)) for kind in ("ack", "config")]
        wanted.append(Subscription(wire.down_filter(self._gate, "cmd"), as_published=True))
        everybody = (self._gate, wire.ALL)
        wanted += [Subscription(wire.down_filter(gate, "list")) for gate in everybody]
        # By name, too: RabbitMQ finds what is retained by an exact topic only.
        wanted += [Subscription(wire.down(gate, "list", name)) for gate in everybody for name in lists]
        last = self.state(session, online=False)
        will = Will(last.topic, last.payload, retain, WILL_DELAY_S)
        return Peer(broker.host, broker.port, tls, self._gate, will, tuple(wanted))

    def hello(self, session: str, bounds: Bounds) -> Publication:
        """The first message of a connection."""
        own: dict[str, Json] = {
            "session": session,
            "epoch": bounds.epoch,
            "oldest": bounds.oldest,
            "newest": bounds.newest,
            "waiting": bounds.waiting,
            "version": self._about.version,
            "config": self._about.applied,
        }
        payload = self._gathered(wire.HelloMessage, own, self._about.hello())
        return Publication(object(), wire.up(self._gate, "hello"), payload, expiry_s=HELLO_EXPIRY_S)

    def health(self, session: str, figures: Mapping[str, Json]) -> Publication:
        """How the gate is; ``figures`` are the uplink's own. QoS 0: the next one will do, and it takes no place in the window."""
        now = self._clock.reading()
        own: dict[str, Json] = {
            "time": wire.time_text(now.wall_ns),
            "version": self._about.version,
            "boot": now.boot_id,
            "session": session,
            **figures,
        }
        payload = self._gathered(wire.HealthMessage, own, {"config": self._about.applied, **self._about.health()})
        return Publication(object(), wire.up(self._gate, "health"), payload, qos=0, expiry_s=self._health_expiry_s)

    def _gathered(self, model: type[wire.Said], own: Mapping[str, Json], given: Mapping[str, Json]) -> bytes:
        message, left_out = wire.gathered(model, own, given)
        new = set(left_out) - self._left_out
        if new:
            self._left_out |= new
            log.warning("left out of what is said, because the contract does not know it so: %s", ", ".join(sorted(new)))
        return wire.encode(message)
