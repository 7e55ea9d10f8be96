"""The uplink with real Mosquitto: plain and with mutual TLS, denied, killed, restarted, and with every wrong certificate."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from device.config import JournalSection
from device.core import wire
from device.core.types import Channel, Entry
from device.edges.record.journal import SqliteJournal
from tests.edges.broker.town_kit import Town
from tests.edges.broker.uplink_kit import FREEZE, NOBODY, Listener, PushedClock, Rig, lines, peer, rig
from tests.mosquitto import Broker, running

# ----------------------------------------------------------------- plain


def test_everything_a_gate_says_arrives_as_the_contract_has_it(broker: Broker) -> None:
    """State, hello, health, check-ins and audit events, each held against the committed schemas on arrival."""
    with Listener(peer(broker.port), ack=True) as province, rig(broker.port) as up:
        up.record.add(20)
        up.record.record_audit(wire.Stop())
        up.wait(lambda: up.record.left == 0)
        up.wait(lambda: len(province.on("checkin")) == 20 and len(province.on("audit")) == 1)
        assert province.on("state")
        assert province.on("hello")
        assert province.on("health")
        assert {entry.channel for entry in up.record.entries} == {Channel.CHECKIN, Channel.AUDIT}


def test_a_killed_and_restarted_broker_costs_no_event(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Three kills under traffic: every event is confirmed in the end, and each change of state is one line."""
    with rig(broker.port) as up:
        for outage in range(1, 4):
            with Listener(peer(broker.port), ack=True):
                up.wait_phase("online")
                up.record.add(30)
                up.wait(lambda: up.stat("published") >= 5)
                broker.kill()
                up.wait(lambda: up.stat("phase") != "online")
            up.record.add(10)
            # Refused more than once while it is away: that is one line, too.
            up.pass_time_until(lambda: up.stat("ends").get("connection_refused", 0) >= 2 * outage, step_s=10)  # noqa: B023 - asked at once
            broker.start()
        with Listener(peer(broker.port), ack=True):
            up.pass_time_until(lambda: up.record.left == 0, step_s=10)
    # The state and its reason: a connection that was lost is another one than a connection that is refused.
    told = [(line.split(" the broker")[0], line.partition(": ")[2].split(" ")[0]) for line in lines(caplog) if "the broker at" in line]
    assert all(before != after for before, after in itertools.pairwise(told))


def test_nobody_subscribed_is_noticed_and_healed(broker: Broker) -> None:
    """Mosquitto's own 0x10: the record keeps everything until somebody listens."""
    with rig(broker.port, confirm="broker") as up:
        up.record.add(20)
        up.wait(lambda: up.stat("hold") == "nobody")
        assert up.record.audits("uplink")[0]["state"] == "held"
        with Listener(peer(broker.port)) as province:
            up.pass_time_until(lambda: up.record.left == 0)
            up.wait(lambda: len(province.on("checkin")) == 20)


def test_an_orderly_stop_leaves_a_retained_offline_state(broker: Broker) -> None:
    """Whoever asks later learns the truth at once, without waiting for a will."""
    with rig(broker.port) as up:
        up.wait_phase("online")
        session = up.stat("session")
    with Listener(peer(broker.port)) as province:
        up.wait(lambda: bool(province.on("state")))
        state = json.loads(province.on("state")[0].payload)
        assert (state["online"], state["session"], province.on("state")[0].retained) == (False, session, True)


def test_a_mosquitto_that_limits_packets_gets_no_larger_ones(tmp_path: Path) -> None:
    """`max_packet_size` is announced in the CONNACK and kept; the event becomes a dead letter."""
    with running(Broker.plain(tmp_path, settings="max_packet_size 3000\n")) as small, rig(small.port) as up, Listener(peer(small.port)):
        up.record.add()
        up.wait(lambda: up.stat("published") == 1)
        up.record.add(purpose="x" * 3000)
        up.pass_time_until(lambda: up.record.buried == {2: "packet_too_large"})
        assert up.stat("ends") == {}


def test_a_mosquitto_that_refuses_large_messages_late_costs_one_event(tmp_path: Path) -> None:
    """`message_size_limit` is not announced, and paho cannot read the answer: the connection breaks until the event is given up."""
    settings = "message_size_limit 3000\n"
    with running(Broker.plain(tmp_path, settings=settings)) as small, rig(small.port) as up, Listener(peer(small.port), ack=True):
        up.record.add(3)
        up.record.add(purpose="x" * 3000)
        up.record.add(3)
        up.pass_time_until(lambda: 4 in up.record.buried)
        up.pass_time_until(lambda: up.record.left == 0)
        assert list(up.record.buried) == [4]


def test_a_real_record_goes_through_a_real_broker_in_order_and_in_one_chain(broker: Broker, tmp_path: Path) -> None:
    """SQLite, Mosquitto, and a collector's eyes: each body names the digest of the one before."""
    clock = PushedClock()
    journal = SqliteJournal(tmp_path / "journal.sqlite", JournalSection(), clock, FREEZE)
    made = Rig(broker.port, record=journal, clock=clock)
    made.uplink.start()
    try:
        with Listener(peer(broker.port), ack=True) as province:
            for _ in range(40):
                journal.record(Entry(Channel.CHECKIN, NOBODY, clock.reading())).result(5)
            made.wait(lambda: journal.bounds().waiting == 0)
            bodies = [message.payload for message in province.on("checkin")]
        events = sorted((json.loads(body) for body in set(bodies)), key=lambda event: str(event["sequence"]))
        by_seq = {int(json.loads(body)["sequence"]): body for body in bodies}
        assert [int(event["sequence"]) for event in events] == list(range(1, 41))
        assert all(json.loads(by_seq[seq])["data"]["prev"] == wire.body_digest(by_seq[seq - 1]) for seq in range(2, 41))
    finally:
        made.uplink.close()
        journal.close()


# ----------------------------------------------------------------- mutual TLS


def test_with_mutual_tls_a_gate_delivers_and_is_acknowledged(town: Town) -> None:
    """The certificate's common name is the user and the client id; the access list lets it write to its own tree."""
    with town.listener() as province, rig(town.broker.port, **town.settings()) as up:
        up.record.add(10)
        up.wait(lambda: up.record.left == 0)
        assert len(province.on("checkin")) == 10


def test_the_access_list_keeps_a_gate_out_of_another_gates_tree(town: Town) -> None:
    """The certificate of another gate: its events are refused as not authorised, held back, and nothing is lost."""
    other = town.authority.issue("gate-08")
    with town.listener() as province, rig(town.broker.port, **town.settings(other)) as up:
        up.record.add(5)
        up.wait(lambda: up.stat("hold") == "forbidden")
        assert up.record.left >= 5
        assert province.on("checkin") == []
