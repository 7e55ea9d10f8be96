"""The desk's own connection to a broker: what it says arrives or is refused with a reason, and nothing waits for ever."""

from __future__ import annotations

import queue
import time
from collections import deque
from typing import Self

from device.core import broker_codes
from device.edges.broker.connection import Connection
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed
from provisioning.desk.errors import Refused

ANSWER_S = 20.0
"""How long a broker may take to answer."""


class Talk:
    """A connection from its beginning to its end. Leaving the context ends it. For one thread."""

    def __init__(self, peer: Peer) -> None:
        """With ``peer``'s subscriptions, if it has any."""
        self._peer = peer
        self._got: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._connection = Connection(peer, self._got.put)
        self._missed: deque[Event] = deque()

    def __enter__(self) -> Self:
        """Connected, and subscribed where something is subscribed. Raises Refused (E174)."""
        self._connection.start()
        try:
            self._wait_for(Subscribed if self._peer.subscriptions else Connected)
        except Refused:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.disconnect()
        self._connection.join(5.0)

    def next(self, end_s: float) -> Event | None:
        """What happens next, a message as taken; None at ``end_s`` of the monotonic clock.

        Raises Refused (E174) where the connection ends, or the broker refuses what was published or subscribed.
        """
        return self._missed.popleft() if self._missed else self._event(end_s)

    def _event(self, end_s: float) -> Event | None:
        try:
            event = self._got.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            return None
        if isinstance(event, Ended):
            raise self._refused(event.reason)
        codes = (event.code,) if isinstance(event, Answered) else event.codes if isinstance(event, Subscribed) else ()
        refusal = next((code for code in codes if broker_codes.is_refusal(code)), None)
        if refusal is not None:
            raise self._refused(broker_codes.name(refusal))
        if isinstance(event, Arrived):
            self._connection.done(event)
        return event

    def say(self, publication: Publication) -> None:
        """Publish; the answer comes as an event with its token."""
        self._connection.publish(publication)

    def leave(self, topic: str, payload: bytes) -> None:
        """Publish a retained message and wait until the broker has it. Raises Refused (E174)."""
        self.say(Publication(topic, topic, payload, retain=True))
        end_s = time.monotonic() + ANSWER_S
        while event := self._event(end_s):
            if isinstance(event, Answered) and event.token == topic:
                return
            # What comes meanwhile is told afterwards.
            self._missed.append(event)
        raise self._refused("no answer")

    def _wait_for(self, kind: type[Event]) -> None:
        end_s = time.monotonic() + ANSWER_S
        while event := self._event(end_s):
            if isinstance(event, kind):
                return
        raise self._refused("no answer")

    def _refused(self, why: str) -> Refused:
        return Refused("E174", host=self._peer.host, port=self._peer.port, why=why)
