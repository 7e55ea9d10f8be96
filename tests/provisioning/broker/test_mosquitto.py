"""The brokers' templates, on real Mosquittos: who may say, hear and be what."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Connected, Ended
from provisioning.authority.keys import Purpose
from provisioning.broker.access import apply
from tests.provisioning.broker.clients import NOBODY, Client, claim, gate, service
from tests.provisioning.enrolment_kit import Province, province

NOT_ALLOWED = 0x87


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Province]:
    """Both brokers, running."""
    one = province(tmp_path_factory.mktemp("town"))
    with one.brokers():
        yield one
    one.registry.close()


KEEP_ALIVE_S = 45
REFUSED = 0x80


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("gates/v1/g1111/up/checkin", True),
        ("gates/v1/g1111/up/cmd/1", True),
        ("gates/v1/g2222/up/checkin", False),
        ("gates/v1/g2222/down/cmd/1", False),
        ("gates/v1/g1111/down/cmd/1", False),
        ("gates/v1/g1111/down/ack", False),
        ("gates/v1/all/down/list/staff", False),
        ("gates/v1/g1111", False),
        ("enrol/claim-g1111-00/up", False),
        ("$SYS/broker/x", False),
    ],
)
def test_a_gate_speaks_only_for_itself(town: Province, topic: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """What it may not say reaches nobody, and it is told."""
    with service(town, "desk", "gates/v1/+/up/#") as desk, gate(town, "g1111") as one:
        code = one.say(topic)
        assert (code < 0x80) is allowed, hex(code)
        assert desk.heard() == ([topic] if allowed else [])


def test_a_gate_hears_only_itself_and_what_is_for_all(town: Province) -> None:
    """Whatever it subscribes to."""
    topics = ("gates/v1/g1111/down/cmd/1", "gates/v1/g2222/down/cmd/1", "gates/v1/all/down/list/staff", "gates/v1/g2222/up/checkin")
    with gate(town, "g1111", "#", "gates/v1/+/down/#") as one, gate(town, "g2222") as other, service(town, "desk") as desk:
        for topic in topics[:3]:
            desk.say(topic)
        other.say(topics[3])
        assert set(one.heard()) == {topics[0], topics[2]}


def test_a_gate_cannot_throw_another_out(town: Province) -> None:
    """Its client's id is its certificate's name, whatever it says."""
    liar = Client(town.gates_port, town.papers("g2222", Purpose.GATES), "g1111")
    with gate(town, "g1111") as one, liar:
        assert not one.ended()
        assert one.say("gates/v1/g1111/up/checkin") in {0, NOBODY}


def test_the_collector_acknowledges_and_commands_nothing(town: Province) -> None:
    """Orders come from the desk."""
    with service(town, "collector") as collector:
        assert collector.say("gates/v1/g1111/down/ack") < 0x80
        assert collector.say("gates/v1/g1111/down/cmd/1") == NOT_ALLOWED
        assert collector.say("gates/v1/g1111/down/config") == NOT_ALLOWED


def test_a_claim_does_nothing_but_enrol(town: Province) -> None:
    """At its own broker it asks for itself alone; at the gates' broker it is nobody, whatever name it has."""
    with (
        Client(town.enrol_port, town.papers("enrolment"), "enrolment", ("enrol/+/up",)) as worker,
        claim(town, "claim-g1111-00", "#") as one,
    ):
        for topic in ("enrol/claim-g2222-00/up", "enrol/claim-g1111-00/down", "gates/v1/g1111/up/checkin"):
            assert one.say(topic) == NOT_ALLOWED
        assert one.say("enrol/claim-g1111-00/up") == 0
        assert worker.heard() == ["enrol/claim-g1111-00/up"]
        worker.say("enrol/claim-g2222-00/down")
        worker.say("enrol/claim-g1111-00/down")
        assert one.heard() == ["enrol/claim-g1111-00/down"]
    for name in ("claim-g1111-00", "g1111", "desk", "collector"):
        with Client(town.gates_port, town.papers(name, Purpose.CLAIMS), name) as stranger:
            assert isinstance(stranger.first, Ended)


def test_a_gate_asks_for_its_renewal_and_nothing_else_at_the_enrolment_broker(town: Province) -> None:
    """For itself alone; what it says there is believed only with a proof (`test_renewal`)."""
    with (
        Client(town.enrol_port, town.papers("enrolment"), "enrolment", ("enrol/+/up",)) as worker,
        Client(town.enrol_port, town.papers("g1111", Purpose.GATES), "g1111", ("#",)) as one,
    ):
        for topic in ("enrol/g2222/up", "enrol/g1111/down", "enrol/claim-g1111-00/up", "gates/v1/g1111/up/checkin"):
            assert one.say(topic) == NOT_ALLOWED
        assert one.say("enrol/g1111/up") == 0
        assert worker.heard() == ["enrol/g1111/up"]
        worker.say("enrol/g2222/down")
        worker.say("enrol/g1111/down")
        assert one.heard() == ["enrol/g1111/down"]


def test_a_revoked_gate_is_silenced_while_it_is_connected_and_when_it_comes_back(town: Province) -> None:
    """Within a moment of the broker's reading its list again, which is well within one keep-alive; the others go on."""
    topic = "gates/v1/g5555/up/checkin"
    with (
        gate(town, "g5555", "gates/v1/g5555/down/#") as one,
        gate(town, "g6666") as other,
        service(town, "desk", "gates/v1/+/up/#") as desk,
    ):
        assert one.say(topic) < REFUSED
        pid = town.folder / "gates" / "pid"
        pid.write_text(str(town.gates_broker.pid))
        started_s = time.monotonic()
        apply(town.folder / "mosquitto" / "gates.acl", ["g5555"], pid)
        while one.say(topic) < REFUSED:
            assert time.monotonic() - started_s < KEEP_ALIVE_S
        desk.heard()
        assert one.say("gates/v1/g5555/up/state") == NOT_ALLOWED
        assert other.say("gates/v1/g6666/up/checkin") < REFUSED
        assert desk.heard() == ["gates/v1/g6666/up/checkin"]
        desk.say("gates/v1/g5555/down/cmd/1")
        assert one.heard() == []
    with gate(town, "g5555") as again:
        assert again.say(topic) == NOT_ALLOWED


@pytest.mark.parametrize("days", [(-10, -1), (1, 10)])
def test_expired_and_future_certificates_fail(town: Province, days: tuple[float, float]) -> None:
    """At the handshake."""
    with Client(town.gates_port, town.papers("g3333", Purpose.GATES, days=days), "g3333") as one:
        assert isinstance(one.first, Ended)


def test_nobody_connects_without_a_certificate_or_without_tls(town: Province) -> None:
    """Neither anonymously nor in the clear."""
    root = town.authority.folder / "public" / "root.pem"
    with Client(town.gates_port, TlsFiles(root), "g1111") as one:
        assert isinstance(one.first, Ended)
    with Client(town.gates_port, None, "g1111") as one:
        assert isinstance(one.first, Ended)


def test_a_message_that_is_too_large_is_not_taken(town: Province) -> None:
    """Of a claim: sixteen kilobytes are enough for a request."""
    with claim(town, "claim-g1111-01") as one:
        assert isinstance(one.first, Connected)
        assert one.first.maximum_packet_bytes == 16_384
