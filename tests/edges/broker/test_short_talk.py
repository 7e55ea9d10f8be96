"""A short talk: what is said arrives or is refused with a reason, and nothing waits for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from device.edges.broker import short_talk
from device.edges.broker.short_talk import ShortTalk, TalkFailed
from device.edges.broker.values import Answered, Arrived, Peer, Publication, Subscription
from tests.fakes.mqtt_packets import Publish
from tests.fakes.mqtt_server import MqttServer

TOPIC: Final = "enrol/claim-1/up"
DOWN: Final = "enrol/claim-1/down"


@pytest.fixture
def server() -> Iterator[MqttServer]:
    """The scripted server."""
    with MqttServer() as scripted:
        yield scripted


@pytest.fixture
def peer(server: MqttServer) -> Peer:
    """Somebody who hears the answers."""
    return Peer(server.host, server.port, None, "claim-1", subscriptions=(Subscription(DOWN),), session_expiry_s=0)


def saying(server: MqttServer, answer: bytes) -> None:
    """Have the server answer each message with one of its own, before it says that it has the message."""

    def answered(message: Publish) -> int | None:
        server.publish(DOWN, answer)
        return server.accept_all(message)

    server.answer = answered


def test_what_is_delivered_is_with_the_broker_and_what_came_meanwhile_is_told_afterwards(server: MqttServer, peer: Peer) -> None:
    """An answer that overtakes the broker's own word is not lost."""
    saying(server, b"hello")
    with ShortTalk(peer) as talk:
        assert talk.deliver(Publication(TOPIC, TOPIC, b"{}")) == 0
        assert [message.payload for message in server.published] == [b"{}"]
        assert talk.hear(5.0) == b"hello"
    server.wait(lambda: server.goodbyes == [0])


def test_nobody_listening_is_an_answer_and_no_failure(server: MqttServer, peer: Peer) -> None:
    """What it means is for whoever said something."""
    with ShortTalk(replace(peer, subscriptions=())) as talk:
        assert talk.deliver(Publication(TOPIC, TOPIC, b"{}")) == 0x10
    assert server.published


def test_what_happens_next_comes_one_by_one(server: MqttServer, peer: Peer) -> None:
    """Messages and answers alike, until the time is over."""
    saying(server, b"hello")
    with ShortTalk(peer) as talk:
        talk.say(Publication("mine", TOPIC, b"{}"))
        end_s = time.monotonic() + 5.0
        found = {type(talk.next(end_s)), type(talk.next(end_s))}
        assert found == {Answered, Arrived}
        assert talk.next(time.monotonic()) is None


def test_a_refused_message_a_refused_connection_and_no_broker_say_why(server: MqttServer, peer: Peer) -> None:
    """In words for the log, and in a short form for a sentence in another language."""
    server.answer = lambda _: 0x87
    with ShortTalk(peer) as talk, pytest.raises(TalkFailed, match="the broker refuses the request: not_authorized") as refused:
        talk.deliver(Publication(TOPIC, TOPIC, b"{}"))
    assert refused.value.reason == "not_authorized"
    server.refuse(0x87)
    with pytest.raises(TalkFailed, match="the connection ended: refused") as closed, ShortTalk(peer):
        pass
    assert closed.value.reason == "refused"
    with pytest.raises(TalkFailed, match="connection_refused"), ShortTalk(replace(peer, port=1)):
        pass


def test_a_talk_does_not_outlast_a_broker_that_keeps_silent(server: MqttServer, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its greeting nor its answer nor another's message is waited for without end."""
    monkeypatch.setattr(short_talk, "ANSWER_S", 0.05)
    with ShortTalk(peer) as talk:
        server.answer = server.withhold
        with pytest.raises(TalkFailed, match="no answer in time"):
            talk.deliver(Publication(TOPIC, TOPIC, b"{}"))
        with pytest.raises(TalkFailed, match="no answer in time"):
            talk.hear(0.0)
    server.silent = True
    with pytest.raises(TalkFailed, match="no answer in time") as silent, ShortTalk(peer):
        pass
    assert silent.value.reason == "no_answer"


def test_the_broker_that_hangs_up_ends_the_talk(server: MqttServer, peer: Peer) -> None:
    """What was said may not have arrived."""
    with ShortTalk(peer) as talk:
        server.hang_up()
        with pytest.raises(TalkFailed, match="the connection ended: lost"):
            talk.hear(5.0)
