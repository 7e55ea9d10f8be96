"""A short talk of the desk with a gate's broker; what fails is refused in the tool's own words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from device.edges.broker.short_talk import ShortTalk, TalkFailed
from device.edges.broker.values import Peer, Publication
from provisioning.common.errors import Refused


@contextmanager
def talk_to(peer: Peer) -> Iterator[ShortTalk]:
    """Connected, and subscribed to ``peer``'s subscriptions. Whatever fails raises Refused (E174) with the broker and the reason."""
    try:
        with ShortTalk(peer) as talk:
            yield talk
    except TalkFailed as failed:
        raise Refused("E174", host=peer.host, port=peer.port, why=failed.reason) from failed


def leave(peer: Peer, messages: Iterable[tuple[str, bytes]]) -> None:
    """Leave retained messages with the broker, one after another. Raises Refused (E174) unless it has taken all of them."""
    with talk_to(peer) as talk:
        for topic, payload in messages:
            talk.deliver(Publication(topic, topic, payload, retain=True))
