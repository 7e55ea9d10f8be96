"""The desk's short talk with a broker: what it leaves is there, and what is not taken is refused with the broker and why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from device.edges.broker.values import Peer
from device.workbench.broker import LOOPBACK, free_port
from provisioning.broker.nodes import DESK
from provisioning.broker.talk import leave, talk_to
from provisioning.common.errors import Refused
from tests.provisioning.broker.clients import gate
from tests.provisioning.enrolment_kit import Province, province


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    """Both brokers, running."""
    one = province(tmp_path_factory.mktemp("town"))
    with one.brokers():
        yield one
    one.registry.close()


def peer(town: Province) -> Peer:
    """The gates' broker, for the desk."""
    return Peer(LOOPBACK, town.gates_port, town.papers(DESK), DESK, session_expiry_s=0)


def test_a_gate_that_comes_later_finds_what_was_left(town: Province) -> None:
    """Each message on its topic, the newest alone."""
    topics = [f"gates/v1/gate-07/down/list/{name}" for name in ("a", "b")]
    leave(peer(town), [(topics[0], b"old"), (topics[1], b"1"), (topics[0], b"new")])
    with gate(town, "gate-07", "gates/v1/gate-07/down/#") as one:
        assert {message.topic: message.payload for message in one.messages()} == {topics[0]: b"new", topics[1]: b"1"}


def test_what_a_broker_does_not_allow_is_refused_with_its_reason(town: Province) -> None:
    """E174; nothing after it is said."""
    with pytest.raises(Refused) as refused:
        leave(peer(town), [("gates/v1/gate-08/up/checkin", b"x"), ("gates/v1/gate-08/down/list/a", b"x")])
    assert (refused.value.code, refused.value.facts["port"]) == ("E174", town.gates_port)
    assert "not_authorized" in str(refused.value.facts["why"])
    with gate(town, "gate-08", "gates/v1/gate-08/down/#") as one:
        assert one.messages() == []


def test_a_broker_that_is_not_there_is_named(town: Province) -> None:
    """E174, with the host and the port that were asked."""
    port = free_port()
    away = Peer(LOOPBACK, port, town.papers(DESK), DESK, session_expiry_s=0)
    with pytest.raises(Refused) as refused, talk_to(away):
        pytest.fail("nobody is there")
    assert refused.value.facts == {"host": LOOPBACK, "port": port, "why": "connection_refused"}
