"""A short talk with a broker: connect, say something, wait for the answer, leave. Nothing in it waits for ever.

For whoever needs a connection once: a gate that asks for its certificate, a
desk that gives an order. Whoever stays connected has a ``kept_line``.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from typing import Final, Self

from device.core import broker_codes
from device.edges.broker.connection import Connection
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed

log = logging.getLogger(__name__)

ANSWER_S: Final = 30.0
"""How long a broker may take to answer: longer than connecting and its greeting may take together."""
LEAVE_S: Final = 5.0
"""How long the end of a connection is waited for; what the network does not let go of is left behind."""


class TalkFailed(Exception):
    """The talk cannot go on: try again later. The text says why; ``reason`` is its short form, for a sentence in another language."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class ShortTalk:
    """One connection from its beginning to its end: leaving the context ends it. For one thread."""

    def __init__(self, peer: Peer) -> None:
        """With ``peer``'s subscriptions, if it has any."""
        self._subscribes = bool(peer.subscriptions)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._passed_over: deque[Event] = deque()
        self._connection = Connection(peer, self._events.put)

    def __enter__(self) -> Self:
        """Connected, and subscribed where something is subscribed. Raises TalkFailed."""
        self._connection.start()
        try:
            self._await(Connected)
            if self._subscribes:
                self._await(Subscribed)
        except BaseException:
            self.__exit__()
            raise
        self._passed_over.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.disconnect()
        if not self._connection.join(LEAVE_S):
            log.warning("the connection does not end and is left behind")

    def say(self, publication: Publication) -> None:
        """Publish. The broker's answer comes as an event with its token."""
        self._connection.publish(publication)

    def deliver(self, publication: Publication) -> int:
        """Publish, and wait until the broker has it. Returns the broker's reason code. Raises TalkFailed."""
        self.say(publication)
        return self._await(Answered, publication.token).code

    def next(self, end_s: float) -> Event | None:
        """What happens next, a message as taken; None when nothing did until ``end_s`` of the monotonic clock.

        Raises TalkFailed where the connection ends, or the broker refuses
        what was published or subscribed.
        """
        return self._passed_over.popleft() if self._passed_over else self._event(end_s)

    def hear(self, timeout_s: float) -> bytes:
        """The next message. Raises TalkFailed, also where none comes in time."""
        end_s = time.monotonic() + timeout_s
        while (event := self.next(end_s)) is not None:
            if isinstance(event, Arrived):
                return event.payload
        raise TalkFailed("no answer in time", "no_answer")

    def _await(self, kind: type[Connected | Subscribed | Answered], token: object = None) -> Answered:
        end_s = time.monotonic() + ANSWER_S
        while (event := self._event(end_s)) is not None:
            if isinstance(event, kind) and getattr(event, "token", None) == token:
                return event if isinstance(event, Answered) else Answered(token, 0)
            # What comes meanwhile is told afterwards.
            self._passed_over.append(event)
        raise TalkFailed("no answer in time", "no_answer")

    def _event(self, end_s: float) -> Event | None:
        try:
            event = self._events.get(timeout=max(0.0, end_s - time.monotonic()))
        except queue.Empty:
            return None
        if isinstance(event, Ended):
            raise TalkFailed(f"the connection ended: {event.reason} {event.detail}".rstrip(), event.reason)
        codes = (event.code,) if isinstance(event, Answered) else event.codes if isinstance(event, Subscribed) else ()
        refusal = next((code for code in codes if broker_codes.is_refusal(code)), None)
        if refusal is not None:
            what = "request" if isinstance(event, Answered) else "subscription"
            raise TalkFailed(f"the broker refuses the {what}: {broker_codes.name(refusal)}", broker_codes.name(refusal))
        if isinstance(event, Arrived):
            self._connection.done(event)
        return event
