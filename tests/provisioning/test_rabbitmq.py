"""RabbitMQ's templates: the rules as Python reads them, and a real cluster of three nodes with the written files."""

from __future__ import annotations

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

from device.edges.mqtt_client import Connection
from device.edges.mqtt_values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscription, Will
from device.edges.tls import TlsFiles
from device.workbench.broker import LOOPBACK
from provisioning.authority import Purpose
from provisioning.broker import rabbitmq
from provisioning.cli import main
from provisioning.errors import Refused
from provisioning.registry.tables import GateState
from tests.lab.folder import prepare
from tests.provisioning.enrolment_kit import PHRASE, Province, province
from tests.provisioning.rabbit_kit import ETC, NAMES, Cluster
from tests.provisioning.test_brokers import Client
from tests.provisioning.test_registry import a_gate, a_site

ONE, OTHER = "g1111", "g2222"
SAYS = [
    (ONE, "gates/v1/g1111/up/checkin", True),
    (ONE, "gates/v1/g1111/up/cmd/1", True),
    (ONE, "gates/v1/g2222/up/checkin", False),
    (ONE, "gates/v1/g11112/up/checkin", False),
    (ONE, "gates/v1/g1111/down/cmd/1", False),
    (ONE, "gates/v1/g1111/down/ack", False),
    (ONE, "gates/v1/all/down/list/staff", False),
    (ONE, "gates/v1/g1111", False),
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


def _may(rules: Any, user: str, action: str, topic: str, exchange: str) -> bool:  # noqa: ANN401 - JSON is anything
    """As RabbitMQ judges: both lists must agree. A user without a row for an exchange might say everything there."""
    key = topic.replace("/", ".").replace("+", "*")
    named = {"": "amq.default"}.get(exchange, exchange)
    (door,) = [row[action] for row in rules["permissions"] if row["user"] == user]
    (words,) = [row[action] for row in rules["topic_permissions"] if (row["user"], row["exchange"]) == (user, exchange)]
    return bool(re.search(door, named) and re.search(words, key))


@pytest.mark.parametrize(("user", "topic", "allowed"), SAYS)
def test_who_may_say_what(user: str, topic: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """At once, and as a will that waits."""
    rules = _rules({ONE: GateState.IN_SERVICE, OTHER: GateState.WRITTEN})
    assert [_may(rules, user, "write", topic, exchange) for exchange in ("amq.topic", "")] == [allowed, allowed]


@pytest.mark.parametrize(("user", "wanted", "allowed"), HEARS)
def test_who_may_hear_what(user: str, wanted: str, allowed: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """By the filter that is asked for."""
    rules = _rules({ONE: GateState.IN_SERVICE, OTHER: GateState.WRITTEN})
    assert _may(rules, user, "read", wanted, "amq.topic") is allowed
    assert not _may(rules, user, "read", wanted, "")


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
    """Who is gone is named apart: a cluster that runs keeps its users until they are deleted."""
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
    """Keys for their owner alone; a second run of the check on nodes has a code."""
    monkeypatch.setenv("GATE_PROVISION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GATE_PROVISION_PASSPHRASE", PHRASE)
    assert main(["authority", "init", "--yes"]) == 0
    words = ["broker", "rabbitmq", "--host", "broker.example.org", "--out", str(tmp_path / "made"), "--yes", "--json"]
    assert main([*words, "--node", "rabbit@one", "--node", "rabbit@two"]) == 2
    assert "E191" in capsys.readouterr().err
    assert main([*words, *(word for name in ("one", "two", "three") for word in ("--node", f"rabbit@{name}"))]) == 0
    made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "made").iterdir()}
    assert {name for name, mode in made.items() if mode == 0o600} == {"server.key.pem"}
    assert set(made) == {
        *("rabbitmq.conf", "advanced.config", "enabled_plugins", "definitions.json", "former-gates.txt"),
        *("gates-clients.pem", "server.cert.pem", "server.key.pem"),
    }
    assert "cluster_formation.classic_config.nodes.3 = rabbit@three\n" in (tmp_path / "made" / "rabbitmq.conf").read_text()


# ------------------------------------------------------------------ the real server

real = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Town:
    """A province, and its cluster."""

    province: Province
    cluster: Cluster

    def peer(self, name: str, issuer: Purpose = Purpose.SERVICES, node: int = 0) -> Peer:
        """Somebody at a node."""
        return Peer(LOOPBACK, self.cluster.ports[NAMES[node]], self.province.papers(name, issuer), name)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Three real nodes with the written files."""
    if os.geteuid() != 0:
        pytest.skip("the laboratory needs root")
    try:
        lower = prepare("rabbitmq")
    except subprocess.CalledProcessError:
        pytest.skip("there is no Debian 13 folder with RabbitMQ, and tests/lab/prepare rabbitmq could not make one")
    one = province(tmp_path_factory.mktemp("rabbit"))
    site, gates = a_site(), []
    for name, state in ((ONE, GateState.IN_SERVICE), (OTHER, GateState.WRITTEN), ("g3333", GateState.REVOKED)):
        gate = a_gate(site, state)
        gate.id = name
        gates.append(gate)
    files = rabbitmq.rabbitmq_files(one.authority, PHRASE, [LOOPBACK], NAMES, gates, ETC)
    cluster = Cluster(lower, one.folder, files)
    with cluster.running():
        yield Town(one, cluster)
    one.registry.close()
