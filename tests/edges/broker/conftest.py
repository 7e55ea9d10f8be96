"""Brokers for this room: the scripted one, a plain Mosquitto, and one with mutual TLS and the contract's access list."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.validate import assert_valid
from tests.edges.broker.town_kit import Town
from tests.edges.broker.uplink_kit import GATE
from tests.fakes.mqtt_server import MqttServer
from tests.mosquitto import Authority, Broker, running


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    """What operators see."""
    caplog.set_level(logging.INFO)


@pytest.fixture
def server() -> Iterator[MqttServer]:
    """The scripted server; it takes everything, and every message that it got must be one of the contract."""
    with MqttServer() as scripted:
        scripted.answer = scripted.accept_all
        yield scripted
    for message in scripted.published:
        assert_valid(message.topic, message.payload)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A plain broker that keeps its state over a restart."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(Broker.plain(folder, persistent=True)) as started:
        yield started


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The province's authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def town(tmp_path: Path, authority: Authority) -> Iterator[Town]:
    """A broker with the contract's access list."""
    server = authority.issue("broker", hosts=("localhost", "127.0.0.1"))
    with running(Broker.mutual(tmp_path, server, authority.ca)) as started:
        yield Town(started, authority, authority.issue(GATE), authority.issue("collector"))
