"""RabbitMQ's templates: the rules as Python reads them, and a real cluster of three nodes with the written files."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from device.edges.broker.connection import Connection
from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscription, Will
from device.workbench.broker import LOOPBACK
from provisioning.authority.keys import Purpose
from provisioning.broker import rabbitmq
from provisioning.cli import main
from provisioning.common.errors import Refused
from provisioning.registry.tables import GateState
from tests.lab.folder import prepare
from tests.provisioning.broker.clients import NOBODY, Client
from tests.provisioning.broker.rabbit_kit import ETC, NAMES, Cluster
from tests.provisioning.enrolment_kit import PHRASE, Province, province
from tests.provisioning.registry.rows import a_gate, a_site

ONE, OTHER = "g1111", "g2222"
LEAVING = "g5555"
BAD_PASSWORD = 0x86
SAYS = [
    (ONE, "gates/v1/g1111/up/checkin", True),
    (ONE, "gates/v1/g1111/up/cmd/1", True),
    (ONE, "gates/v1/g2222/up/checkin", False),
    (ONE, "gates/v1/g11112/up/checkin", False),
    (ONE, "gates/v1/g1111/down/cmd/1", False),
    (ONE, "gates/v1/g1111/down/ack", False),
    (ONE, "gates/v1/all/down/list/staff", False),
    (ONE, "gates/v1/g1111", False),
    (ONE, "gates/v1/g1111/upper/checkin", False),
    (ONE, "x/gates/v1/g1111/up/checkin", False),
    (ONE, "enrol/claim-g1111-00/up", False),
    ("collector", "gates/v1/g1111/down/ack", True),
    ("collector", "gates/v1/g1111/down/cmd/1", False),
    ("collector", "gates/v1/g1111/down/config", False),
    ("collector", "gates/v1/g1111/up/checkin", False),
    ("desk", "gates/v1/g1111/down/cmd/1", True),
    ("desk", "gates/v1/all/down/list/staff", True),
    ("desk", "gates/v1/g1111/up/checkin", False),
]
HEARS = [
    (ONE, "gates/v1/g1111/down/ack", True),
    (ONE, "gates/v1/g1111/down/cmd/+", True),
    (ONE, "gates/v1/g1111/down/#", True),
    (ONE, "gates/v1/all/down/list/#", True),
    (ONE, "gates/v1/g2222/down/#", False),
    (ONE, "gates/v1/g11112/down/#", False),
    (ONE, "gates/v1/+/down/#", False),
    (ONE, "gates/v1/g1111/#", False),
    (ONE, "gates/v1/g2222/up/#", False),
    (ONE, "#", False),
    ("collector", "gates/v1/+/up/#", True),
    ("collector", "gates/v1/+/up/state", True),
    ("collector", "gates/v1/#", False),
    ("collector", "gates/v1/+/down/#", False),
    ("desk", "gates/v1/+/up/#", True),
    ("desk", "#", False),
]


def _rules(states: Mapping[str, GateState]) -> Any:  # noqa: ANN401 - JSON is anything
    site, gates = a_site(), []
    for name, state in states.items():
        gate = a_gate(site, state)
        gate.id = name
        gates.append(gate)
    return json.loads(rabbitmq.definitions(gates))


def test_who_is_gone_is_named_apart(tmp_path: Path) -> None:
    """A cluster that runs keeps its users until they are deleted by name."""
    one = province(tmp_path)
    site = a_site()
    gates = [a_gate(site, state) for state in GateState]
    files = rabbitmq.rabbitmq_files(one.authority, PHRASE, ["broker.example.org"], NAMES, gates, ETC)
    gone = [gate.id for gate in gates if gate.state in {GateState.REVOKED, GateState.DECOMMISSIONED}]
    assert files["former-gates.txt"].decode().split() == gone
    one.registry.close()


def _may(rules: Any, user: str, action: str, topic: str) -> bool:  # noqa: ANN401 - JSON is anything
    """As RabbitMQ judges: both lists must agree. A user without a row in the second might say everything."""
    key = topic.replace("/", ".").replace("+", "*")
    (door,) = [row[action] for row in rules["permissions"] if row["user"] == user]
    (words,) = [row[action] for row in rules["topic_permissions"] if (row["user"], row["exchange"]) == (user, "amq.topic")]
    return bool(re.search(door, "amq.topic") and re.search(words, key))


@pytest.mark.parametrize(("user", "topic", "allowed"), SAYS)
def test_who_may_say_what(user: str, topic: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """By the topic."""
    rules = _rules({ONE: GateState.IN_SERVICE, OTHER: GateState.WRITTEN})
    assert _may(rules, user, "write", topic) is allowed


@pytest.mark.parametrize(("user", "wanted", "allowed"), HEARS)
def test_who_may_hear_what(user: str, wanted: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """By the filter that is asked for."""
    rules = _rules({ONE: GateState.IN_SERVICE, OTHER: GateState.WRITTEN})
    assert _may(rules, user, "read", wanted) is allowed


@pytest.mark.parametrize("action", ["configure", "write", "read"])
def test_a_session_is_its_owners(action: str) -> None:
    """Queues are named by the client, and no name is the beginning of another's."""
    rules = _rules({ONE: GateState.IN_SERVICE, "g11112": GateState.WRITTEN})
    (door,) = [row[action] for row in rules["permissions"] if row["user"] == ONE]
    assert re.search(door, "mqtt-subscription-g1111qos1")
    assert re.search(door, "mqtt-will-g1111")
    for queue_name in ("mqtt-subscription-g11112qos1", "mqtt-subscription-collectorqos1", "mqtt-will-g11112", "x"):
        assert not re.search(door, queue_name)


def test_only_gates_with_a_card_have_a_user_and_nobody_a_password() -> None:
    """Whatever its state, it is one or the other."""
    rules = _rules({f"g{state.replace('-', '')}": state for state in GateState})
    names = {"collector", "desk", "gwritten", "genrolled", "gaccepted", "ginservice"}
    assert {user["name"] for user in rules["users"]} == names
    assert {(user["password_hash"], tuple(user["tags"])) for user in rules["users"]} == {("", ())}
    assert {row["user"] for kind in ("permissions", "topic_permissions") for row in rules[kind]} == names


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        (["rabbit@one", "rabbit@two", "three"], "E190"),
        (["rabbit@one", "rabbit@two", "rabbit@three\nlisteners.tcp.1 = 1"], "E190"),
        (["rabbit@one"], "E191"),
        (["rabbit@one", "rabbit@two", "rabbit@two"], "E191"),
        (["rabbit@1", "rabbit@2", "rabbit@3", "rabbit@4"], "E191"),
    ],
)
def test_a_cluster_has_an_odd_number_of_named_nodes(nodes: list[str], code: str) -> None:
    """Three at least."""
    with pytest.raises(Refused, match=code):
        rabbitmq.conf(ETC, nodes)


def test_the_verb_writes_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Keys for their owner alone; too few nodes are refused."""
    monkeypatch.setenv("GATE_PROVISION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GATE_PROVISION_PASSPHRASE", PHRASE)
    assert main(["authority", "init", "--yes"]) == 0
    words = ["broker", "rabbitmq", "--host", "broker.example.org", "--out", str(tmp_path / "made"), "--yes", "--json"]
    assert main([*words, "--node", "rabbit@one", "--node", "rabbit@two"]) == 2
    assert "E191" in capsys.readouterr().err
    assert main([*words, *(word for name in ("one", "two", "three") for word in ("--node", f"rabbit@{name}"))]) == 0
    assert (tmp_path / "made" / "former-gates.txt").read_text() == ""
    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made").iterdir()}
    assert {name for name, mode in made.items() if mode == 0o600} == {"server.key.pem"}
    assert set(made) == {
        *("rabbitmq.conf", "advanced.config", "enabled_plugins", "definitions.json", "former-gates.txt"),
        *("gates-clients.pem", "server.cert.pem", "server.key.pem"),
    }
    assert "cluster_formation.classic_config.nodes.3 = rabbit@three\n" in (tmp_path / "made" / "rabbitmq.conf").read_text()


# ------------------------------------------------------------------ the real server


@dataclass
class Town:
    """A province, and its cluster."""

    province: Province
    cluster: Cluster

    def peer(self, name: str, issuer: Purpose = Purpose.SERVICES, node: int = 0) -> Peer:
        """Somebody at a node."""
        return Peer(LOOPBACK, self.cluster.ports[NAMES[node]], self.province.papers(name, issuer), name)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Town]:
    """Three real nodes with the written files."""
    if os.geteuid() != 0:
        pytest.skip("the laboratory needs root")
    try:
        lower = prepare("rabbitmq")
    except subprocess.CalledProcessError:
        pytest.skip("there is no Debian 13 folder with RabbitMQ, and tests/lab/prepare rabbitmq could not make one")
    one = province(folder)
    site, gates = a_site(), []
    for name, state in (
        (ONE, GateState.IN_SERVICE),
        (OTHER, GateState.WRITTEN),
        ("g3333", GateState.REVOKED),
        (LEAVING, GateState.WRITTEN),
    ):
        gate = a_gate(site, state)
        gate.id = name
        gates.append(gate)
    files = rabbitmq.rabbitmq_files(one.authority, PHRASE, [LOOPBACK], NAMES, gates, ETC)
    cluster = Cluster(lower, folder, files)
    try:
        with cluster.running():
            yield Town(one, cluster)
    finally:
        one.registry.close()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """For the tests that leave all nodes alive."""
    with running(tmp_path_factory.mktemp("rabbit")) as one:
        yield one


class Line:
    """A connection, and what came of it: unlike test_brokers' client it also keeps what comes before the answer to a subscription."""

    def __init__(self, peer: Peer, kind: type[Connection] = Connection) -> None:
        self.got: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.connection = kind(peer, self.got.put)
        self.connection.start()
        self.first = self.got.get(timeout=20)

    def next(self, wait_s: float = 10) -> Event | None:
        """What comes next, None for nothing."""
        try:
            return self.got.get(timeout=wait_s)
        except queue.Empty:
            return None

    def arrived(self, wait_s: float = 1) -> list[Arrived]:
        """Messages, unanswered, until nothing has come for so long."""
        found: list[Arrived] = []
        while (event := self.next(wait_s)) is not None:
            if isinstance(event, Arrived):
                found.append(event)
        return found

    def say(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> int | None:
        """The broker's answer, None when it hung up instead."""
        self.connection.publish(Publication(topic, topic, payload, retain=retain))
        while not isinstance(event := self.next(), Answered):
            assert event is not None, "no answer"
            if isinstance(event, Ended):
                return None
        return event.code

    def bye(self) -> None:
        """In order."""
        self.connection.disconnect()
        assert self.connection.join(5)

    def drop(self) -> None:
        """Without a word."""
        self.connection.drop("test")
        assert self.connection.join(5)


def said(peer: Peer, topic: str) -> int | None:
    """What a broker answers to one message of somebody."""
    line = Line(peer)
    try:
        return line.say(topic)
    finally:
        line.bye()


def hearing(peer: Peer, *topics: str, session_s: int = 0, will: Will | None = None) -> Peer:
    """The same, with ears."""
    return Peer(peer.host, peer.port, peer.tls, peer.client_id, will, tuple(map(Subscription, topics)), session_s)


def _purpose(user: str) -> Purpose:
    return Purpose.GATES if user.startswith("g") else Purpose.SERVICES


@pytest.mark.lab
@pytest.mark.fleet
@pytest.mark.timeout(600)
class TestRealServer:
    """RabbitMQ 4 with the written files."""

    def test_it_is_a_cluster_with_our_users_and_tls_alone(self, town: Town) -> None:
        """No default user, no port but MQTT's and the nodes' own; nothing of the configuration was unknown to it."""
        users = {line.split("\t")[0] for line in town.cluster.ctl("list_users", "--no-table-headers").splitlines()}
        assert users | {LEAVING} == {ONE, OTHER, LEAVING, "collector", "desk"}
        status = json.loads(town.cluster.ctl("cluster_status", "--formatter", "json"))
        assert {one["protocol"] for node in status["listeners"].values() for one in node} == {"mqtt/ssl", "clustering"}
        assert sorted(status["running_nodes"]) == sorted(NAMES)

    @pytest.mark.parametrize(("user", "topic", "allowed"), SAYS)
    def test_who_may_say_what(self, town: Town, user: str, topic: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the case
        """RabbitMQ hangs up on who says what it may not."""
        code = said(town.peer(user, _purpose(user), node=1), topic)
        assert (code is not None and code < 0x80) is allowed, code

    @pytest.mark.parametrize(("user", "wanted", "allowed"), HEARS)
    def test_who_may_hear_what(self, town: Town, user: str, wanted: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the case
        """And answers a filter that reaches too far with a refusal."""
        peer = town.peer(user, _purpose(user), node=2)
        with Client(peer.port, peer.tls, user, (wanted,)) as client:
            assert isinstance(client.first, Connected)
            assert (client.granted == (1,)) is allowed, client.granted

    def test_what_a_gate_says_reaches_the_collector_across_nodes(self, town: Town) -> None:
        """And the collector's acknowledgement the gate."""
        gate, collector = town.peer(ONE, Purpose.GATES, 0), town.peer("collector", node=2)
        with (
            Client(collector.port, collector.tls, "collector", ("gates/v1/+/up/#",)) as ears,
            Client(gate.port, gate.tls, ONE, ("gates/v1/g1111/down/ack",)) as one,
        ):
            assert one.say("gates/v1/g1111/up/checkin") == 0
            assert ears.heard() == ["gates/v1/g1111/up/checkin"]
            assert ears.say("gates/v1/g1111/down/ack") == 0
            assert one.heard() == ["gates/v1/g1111/down/ack"]

    def test_nobody_comes_in_but_by_a_certificate_of_ours(self, town: Town) -> None:
        """Neither anonymously, in the clear, with a claim, nor as a gate that is revoked."""
        port, root = town.cluster.ports[NAMES[0]], town.province.authority.folder / "public" / "root.pem"
        strangers = [
            Peer(LOOPBACK, port, TlsFiles(root), ONE),
            Peer(LOOPBACK, port, None, ONE),
            town.peer(ONE, Purpose.CLAIMS),
            town.peer("g3333", Purpose.GATES),
            town.peer("g4444", Purpose.GATES),
        ]
        assert [type(Line(peer).first) for peer in strangers] == [Ended] * len(strangers)

    @pytest.mark.parametrize("password", ["", "x", None])
    def test_no_password_opens_anything(self, town: Town, password: str | None) -> None:
        """Also not an empty one, with a good certificate."""

        class WithPassword(Connection):
            def _client(self) -> paho.Client | None:
                client = super()._client()
                assert client is not None
                client.username_pw_set("desk", password)
                return client

        line = Line(town.peer(ONE, Purpose.GATES), WithPassword)
        assert isinstance(line.first, Ended)
        assert (line.first.reason, line.first.code) == ("refused", BAD_PASSWORD)

    def test_a_gate_cannot_take_anothers_name(self, town: Town) -> None:
        """A client's id is its certificate's name, so it neither throws another out nor gets its messages."""
        other = town.peer(OTHER, Purpose.GATES)
        with Client(other.port, town.peer(ONE, Purpose.GATES).tls, ONE) as one:
            liar = Line(Peer(LOOPBACK, other.port, other.tls, ONE))
            assert isinstance(liar.first, Ended)
            assert not one.ended()

    def test_a_gate_whose_user_is_deleted_is_out(self, town: Town) -> None:
        """At once, and it does not come back. Definitions in which it is not change nothing for it."""
        line = Line(town.peer(LEAVING, Purpose.GATES, 1))
        assert isinstance(line.first, Connected)
        rules = json.loads(rabbitmq.definitions([]))
        (town.cluster.scratch / "ctl" / "upper" / "new.json").write_text(json.dumps(rules), encoding="utf-8")
        town.cluster.ctl("import_definitions", "/new.json")
        assert line.say(f"gates/v1/{LEAVING}/up/checkin") in {0, NOBODY}
        town.cluster.ctl("delete_user", LEAVING)
        assert isinstance(line.next(), Ended)
        assert isinstance(Line(town.peer(LEAVING, Purpose.GATES, 1)).first, Ended)

    def test_a_session_outlives_a_node(self, tmp_path: Path) -> None:
        """Messages wait for a gate that was gone, eight unanswered at a time, and are there again when a node is lost."""
        with running(tmp_path) as town:
            line = Line(hearing(town.peer(ONE, Purpose.GATES, 1), "gates/v1/g1111/down/cmd/+", session_s=120))
            line.arrived()
            line.drop()
            desk = Line(town.peer("desk", node=0))
            topics = [f"gates/v1/g1111/down/cmd/{number}" for number in range(20)]
            assert {desk.say(topic) for topic in topics} == {0}
            desk.bye()
            again = Line(hearing(town.peer(ONE, Purpose.GATES, 2), "gates/v1/g1111/down/cmd/+", session_s=120))
            assert isinstance(again.first, Connected)
            assert again.first.session_present
            assert [one.topic for one in again.arrived()] == topics[:8]
            again.drop()
            town.cluster.kill(NAMES[2])
            last = town.peer(ONE, Purpose.GATES, 0)
            with Client(last.port, last.tls, ONE) as client:
                # All of them; what was under way comes in an order of its own.
                assert sorted(one.topic for one in client.messages(3)) == sorted(topics)

    def test_a_will_waits_and_is_judged(self, town: Town) -> None:
        """It comes after its delay, not when the gate is back; one in another's name never comes."""
        ears = Line(hearing(town.peer("collector", node=2), "gates/v1/+/up/#"))
        for topic in ("gates/v1/g2222/up/state", "gates/v1/g1111/up/state"):
            line = Line(hearing(town.peer(ONE, Purpose.GATES), session_s=120, will=Will(topic, b"gone", retain=True, delay_s=3)))
            began = time.monotonic()
            line.drop()
            own = topic.startswith("gates/v1/g1111/")
            event = next((one for one in iter(partial(ears.next, 6), None) if isinstance(one, Arrived)), None)
            assert (None if event is None else event.topic) == (topic if own else None)
            assert not own or time.monotonic() - began > 2.5
        ears.bye()

    def test_what_is_retained_is_found_by_its_own_name_on_its_own_node_alone(self, town: Town) -> None:
        """A limit of RabbitMQ 4.0: this test fails when it is lifted."""
        topic = "gates/v1/g1111/up/state"
        gate = Line(town.peer(ONE, Purpose.GATES, 0))
        assert gate.say(topic, retain=True) is not None
        gate.bye()
        found = {}
        for node, wanted in ((0, topic), (0, "gates/v1/+/up/#"), (1, topic)):
            line = Line(hearing(town.peer("collector", node=node), wanted))
            found[node, wanted] = len(line.arrived())
            line.bye()
        assert list(found.values()) == [1, 0, 0]
