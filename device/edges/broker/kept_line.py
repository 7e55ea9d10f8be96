"""A line to a broker that is kept: it connects, hears its own connection alone, backs off, drains and says goodbye.

One piece for everybody who stays connected: the uplink, the gates of a site
among each other, the collector, the enrolment worker. What goes over the line
is the business of its user; it runs in the user's thread. Each attempt has a
connection and a thread of its own (``connection``), which does everything
that can hang on a network, so a silent name server never stops the user.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from device.core import broker_codes
from device.core.broker_codes import Retry
from device.core.pacing import STABLE_S, Backoff
from device.edges.broker.connection import Connection
from device.edges.broker.values import Arrived, Connected, Ended, Event, Peer, Publication, Subscribed

log = logging.getLogger(__name__)

TURN_S: Final = 1.0
"""The line goes round at least this often, so that whoever watches its rounds sees that it moves."""
SHORTEST_WAIT_S: Final = 0.001
EVENTS_A_TURN: Final = 500
"""After so many events the user is asked again, however many more have come: a flood must not keep it from its own work."""
DRAIN_STEP_S: Final = 0.05

_Item: TypeAlias = "tuple[Connection, Event] | None"
"""What happened on which connection; None only wakes the line's thread."""


class Phase(StrEnum):
    """Where a line is."""

    STOPPED = "stopped"
    WAITING = "waiting"
    CONNECTING = "connecting"
    ONLINE = "online"


class LineUser(Protocol):
    """Whoever uses a line. Everything is called from the thread that turns the line."""

    def peer(self) -> Peer:
        """Where to connect and as whom, asked anew for each attempt."""
        ...

    def on_event(self, event: Event) -> None:
        """What happened on the connection in use: ``Connected`` first, ``Ended`` last.

        A message that ``Arrived`` is acknowledged to the broker when the user
        calls ``KeptLine.done`` with it.
        """
        ...

    def serve(self, now_s: float) -> float:
        """Do what there is to do on a standing connection. Returns how many seconds it may wait when nothing else happens."""
        ...


class KeptLine:
    """One line. ``wake``, ``hear`` and the counters are for any thread, all else for the one that turns it.

    ``backoff`` says how long to wait after each failure; it begins again from
    its shortest wait only after a connection that stood for a stable minute
    (``STABLE_S``): a broker that accepts and hangs up at once is left alone
    more and more like one that is not there. ``now_s`` is the monotonic
    clock; the first attempt is made ``first_wait_s`` after ``begin``.
    """

    def __init__(self, user: LineUser, backoff: Backoff, now_s: Callable[[], float]) -> None:
        self._user = user
        self._backoff = backoff
        self._now_s = now_s
        self._events: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._connection: Connection | None = None
        self._place = ""
        self._retry_at_s = self._began_s = self._online_s = 0.0
        self._overflowed = 0
        self._failed = False
        self.since_s = 0.0
        """When the connection in use was accepted."""
        self.phase = Phase.STOPPED
        self.reason = ""
        """How things stand: ``online``, or why not, with the broker's code where it gave one."""
        self.changed = False
        """Whether the last ``Connected`` or ``Ended`` made ``reason`` another than before: what only repeats is not told again."""
        self.ends: dict[str, int] = {}
        """How often connections ended, by the reason."""
        self.rounds = self.attempts = self.connects = self.crashes = 0

    # ------------------------------------------------------------- for any thread

    def wake(self) -> None:
        """Have the line's thread go round now."""
        self._events.put(None)

    def hear(self, topic: str, *, wanted: bool) -> None:
        """Hear one more topic, or one less, as long as the connection in use stands."""
        connection = self._connection
        if connection is not None:
            (connection.subscribe if wanted else connection.unsubscribe)(topic)

    @property
    def retry_in_s(self) -> float | None:
        """How long until the next attempt; None where none is waited for."""
        return max(0.0, self._retry_at_s - self._now_s()) if self.phase is Phase.WAITING else None

    @property
    def offline_s(self) -> float:
        """Seconds since ``begin`` in which no connection stood."""
        if self.phase is Phase.STOPPED and not self.rounds:
            return 0.0
        now_s = self._now_s()
        online_s = self._online_s + (now_s - self.since_s if self.phase is Phase.ONLINE else 0.0)
        return max(0.0, now_s - self._began_s - online_s)

    @property
    def overflowed(self) -> int:
        """Messages that were dropped, because more came than the user could deal with."""
        connection = self._connection
        return self._overflowed + (0 if connection is None else connection.overflowed)

    # ------------------------------------------------------------- turning

    def begin(self, first_wait_s: float = 0.0) -> None:
        """Have the first attempt made so much later. Nothing is connected before the line is turned."""
        self._began_s = self._now_s()
        self._retry_at_s = self._began_s + first_wait_s
        self.phase = Phase.WAITING

    def run(self, stop: threading.Event) -> None:
        """Turn until ``stop`` is set; ``wake`` makes it look. Whatever the user raises ends it."""
        while not stop.is_set():
            self.turn()

    def run_unattended(self, stop: threading.Event) -> None:
        """The same on a gate, where nobody would start it again: what the user raises is logged, and the connection begun anew."""
        while not stop.is_set():
            try:
                self.turn()
            except Exception:
                log.exception("what uses the line to the broker at %s failed; it begins again", self._place)
                self.crashes += 1
                self._failed = True
                stop.wait(TURN_S)

    def turn(self) -> None:
        """Connect if it is time, let the user do its work, then wait for what happens and hand all of it on."""
        self.rounds += 1
        if self._failed:
            # Here and not where it failed: the user hears of the end, and may fail at that, too.
            self._failed = False
            self.hang_up("internal")
        now_s = self._now_s()
        wait_s = TURN_S
        if self._connection is None:
            wait_s = self._retry_at_s - now_s
            if wait_s <= 0:
                self._connect()
                wait_s = TURN_S
        elif self.phase is Phase.ONLINE:
            wait_s = self._user.serve(now_s)
        self._listen(min(max(wait_s, SHORTEST_WAIT_S), TURN_S))

    def _listen(self, timeout_s: float) -> None:
        try:
            self._handle(self._events.get(timeout=timeout_s))
            for _ in range(EVENTS_A_TURN):
                self._handle(self._events.get_nowait())
        except queue.Empty:
            return

    def _handle(self, item: _Item) -> None:
        # A connection that was given up may still have something to say: it is nobody's.
        if item is None or item[0] is not self._connection:
            return
        event = item[1]
        match event:
            case Connected():
                self._connected(event)
            case Ended():
                self._ended(event)
            case Subscribed(codes):
                self._subscribed(codes)
                self._user.on_event(event)
            case _:
                self._user.on_event(event)

    # ------------------------------------------------------------- connecting

    def _connect(self) -> None:
        self.attempts += 1
        self.phase = Phase.CONNECTING
        try:
            peer = self._user.peer()
        except Exception:
            self._ended(Ended("internal"))
            raise
        self._place = f"{peer.host}:{peer.port}"
        connection = Connection(peer, lambda event: self._events.put((connection, event)))
        self._connection = connection
        connection.start()

    def _connected(self, limits: Connected) -> None:
        connection, self.since_s = self._connection, self._now_s()
        self._user.on_event(limits)
        # The user may have found the limits too narrow, and hung up.
        if self._connection is connection:
            self.phase = Phase.ONLINE
            self.connects += 1
            self._note("online")
            if self.changed:
                log.info("connected to the broker at %s", self._place)

    def _subscribed(self, codes: tuple[int, ...]) -> None:
        refused = [code for code in codes if broker_codes.is_refusal(code)]
        if refused:
            name = broker_codes.name(refused[0])
            log.warning("the broker at %s refused %d of %d subscriptions: %s", self._place, len(refused), len(codes), name)

    def _ended(self, end: Ended) -> None:
        now_s = self._now_s()
        if self.phase is Phase.ONLINE:
            self._online_s += now_s - self.since_s
            if now_s - self.since_s > STABLE_S:
                self._backoff.reset()
        if self._connection is not None:
            self._overflowed += self._connection.overflowed
        self.phase = Phase.WAITING
        self._connection = None
        self._retry_at_s = now_s + (self._backoff.slow_s() if is_slow(end) else self._backoff.next_s())
        reason = end.reason if end.code is None else f"{end.reason}_{broker_codes.name(end.code)}"
        self.ends[reason] = self.ends.get(reason, 0) + 1
        self._note(reason)
        if self.changed and end.reason == "goodbye":
            log.info("disconnected from the broker at %s", self._place)
        elif self.changed:
            log.warning("no connection to the broker at %s: %s %s", self._place, reason, end.detail)
        self._user.on_event(end)

    def _note(self, reason: str) -> None:
        self.changed, self.reason = reason != self.reason, reason

    # ------------------------------------------------------------- speaking

    def publish(self, publication: Publication) -> None:
        """Send a message on the connection in use; without one it is lost, as it is when the connection ends now."""
        if self._connection is not None:
            self._connection.publish(publication)

    def done(self, arrived: Arrived) -> None:
        """A message of the connection in use has been dealt with: the broker may forget it."""
        if self._connection is not None:
            self._connection.done(arrived)

    def hang_up(self, reason: str) -> None:
        """End the connection from this side at once, whatever the network does; another attempt follows."""
        if self._connection is not None:
            self._connection.drop(reason)
            self._ended(Ended(reason))

    # ------------------------------------------------------------- the end

    def drain(self, reached: Callable[[], bool], limit_s: float) -> bool:
        """Hand on what comes until then, for at most ``limit_s`` and as long as the connection lasts. Whether it was reached."""
        end_s = self._now_s() + limit_s
        while not (done := reached()) and self._connection is not None and self._now_s() < end_s:
            self._listen(DRAIN_STEP_S)
        return done

    def goodbye(self, limit_s: float) -> None:
        """Disconnect in order, so that the broker forgets the will; what the network does not let go of within the limit is left behind."""
        connection = self._connection
        if connection is not None:
            connection.disconnect()
            self.drain(lambda: self._connection is None, limit_s)
            if not connection.join(limit_s):
                log.warning("the connection to the broker at %s did not end in time and is left behind", self._place)
        self.phase = Phase.STOPPED


def is_slow(end: Ended) -> bool:
    """Whether somebody must mend something before it is worth trying again soon."""
    return end.reason == "no_qos_1" or (end.code is not None and broker_codes.retry(end.code) is Retry.SLOW)
