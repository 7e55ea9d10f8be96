"""The composed gate with real parts: eye process, sockets, journal, mock pins, Mosquitto and the collector."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from PIL import Image

from device import config as configuration
from device.cli import main
from device.core.player import Snapshot
from device.core.types import Sign
from device.edges.keys.seal import SEAL_INFO, open_sealed
from device.errors import ConfigError
from device.gate import Gate
from device.workbench.people import citizen_card, people, seeded
from device.workbench.scenes import Pose, scene
from device.workbench.stage import GATE_ID, Stage, collector, received_checkins
from tests.contract.validate import assert_valid
from tests.mosquitto import Broker, running
from tests.waiting import happens

PERSON = people(1, seeded(9))[0]


def draw(folder: Path, *codes: bytes) -> Path:
    """A frame for each code, in order."""
    folder.mkdir()
    noise = np.random.default_rng(1)
    for number, code in enumerate(codes):
        Image.fromarray(scene([code], Pose(px_per_module=4), noise, (640, 480))).save(folder / f"{number}.png")
    return folder


class Lamps:
    """What the pins did, as the signals' thread tells it."""

    def __init__(self) -> None:
        self.signs: list[tuple[float, Sign | None]] = []

    def __call__(self, snapshot: Snapshot) -> None:
        """The pins changed."""
        if not self.signs or self.signs[-1][1] is not snapshot.sign:
            self.signs.append((time.monotonic(), snapshot.sign))

    def when(self, sign: Sign, since: float = 0.0) -> float | None:
        """When a sign first came up after a moment."""
        return next((at for at, shown in self.signs if shown is sign and at >= since), None)


@contextmanager
def turning(gate: Gate) -> Iterator[Gate]:
    """The gate with its loop in a thread of its own."""
    stop = threading.Event()
    with gate:
        thread = threading.Thread(target=gate.run, args=(stop,), name="loop")
        thread.start()
        try:
            yield gate
        finally:
            stop.set()
            thread.join()


until = happens


def stage_of(folder: Path, source: Path, port: int | None = None, **overrides: dict[str, Any]) -> Stage:
    """A gate before these frames."""
    return Stage(folder / "gate", f"folder:{source}", port, overrides)


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_the_gate_says_out_of_service_within_three_seconds_of_losing_its_eye_and_recovers(tmp_path: Path, blow: signal.Signals) -> None:
    """Killed eyes are replaced at once, hung ones after they were silent; neither needs anybody."""
    lamps = Lamps()
    # An empty folder is seen at the camera's rate, so the eye lives and sees nothing.
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"), policy={"rearm_s": 10.0})
    with turning(Gate(configuration.load(stage.config_path), stage.config_path, on_change=lamps)) as gate:
        assert until(lambda: lamps.when(Sign.READY))
        pid = gate.eye.stats()["pid"]
        assert isinstance(pid, int)
        struck = time.monotonic()
        os.kill(pid, blow)
        assert until(lambda: gate.eye.stats()["pid"] not in (pid, None) and gate.eye.alive)
        lost = lamps.when(Sign.OUT_OF_SERVICE, struck)
        if blow is signal.SIGSTOP:
            assert lost is not None
        assert lost is None or lost - struck < 3.0
        assert until(lambda: lamps.signs[-1][1] is not Sign.OUT_OF_SERVICE)
        assert gate.eye.stats()["restarts"] == 1


def test_every_message_of_a_run_keeps_the_contract_and_the_province_can_open_the_identity(tmp_path: Path) -> None:
    """Check-ins, audits, state, hello and health, as a stranger would see them; the seal opens with the province's key alone."""
    heard: list[tuple[str, bytes]] = []
    (tmp_path / "broker").mkdir()
    with running(Broker.plain(tmp_path / "broker")) as broker, listening(broker.port, heard):
        database = tmp_path / "province.sqlite"
        with collector(broker.port, database):
            source = draw(tmp_path / "frames", citizen_card(PERSON), b"WIFI:T:WPA;S:x;P:y;;")
            stage = stage_of(tmp_path, source, broker.port, broker={"health_every_s": 1.0}, camera={"fps": 2.0, "loop": False})
            with turning(Gate(configuration.load(stage.config_path), stage.config_path)) as gate:
                assert until(lambda: gate.loop.source_ended and received_checkins(database) == 2)
                assert until(lambda: any(topic.endswith("/up/health") for topic, _ in heard))
        assert until(lambda: sum(topic.endswith("/up/state") for topic, _ in heard) >= 2)
    for topic, payload in heard:
        assert_valid(topic, payload)
    kinds = {topic.rpartition("/up/")[2] for topic, _ in heard if "/up/" in topic}
    assert {"checkin", "audit", "state", "hello", "health"} <= kinds
    accepted = next(json.loads(payload)["data"] for topic, payload in heard if topic.endswith("checkin") and b'"accept"' in payload)
    identity = json.loads(open_sealed(stage.opening_key, accepted["sealed"], (SEAL_INFO + GATE_ID).encode()))
    assert (identity["number"], identity["name"]) == (PERSON.number, PERSON.name)
    everything = b"".join(payload for _, payload in heard)
    assert PERSON.number.encode() not in everything
    assert PERSON.name.encode() not in everything


@contextmanager
def listening(port: int, heard: list[tuple[str, bytes]]) -> Iterator[None]:
    """Hear all that passes the broker."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: heard.append((message.topic, bytes(message.payload)))
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("#", qos=1)
    client.loop_start()
    assert ready.wait(5)
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def test_without_a_broker_events_are_kept_and_delivered_when_it_comes(tmp_path: Path) -> None:
    """The gate starts and decides offline; the broker appears later; everything arrives."""
    (tmp_path / "broker").mkdir()
    broker = Broker.plain(tmp_path / "broker", persistent=True)
    source = draw(tmp_path / "frames", citizen_card(PERSON), b"064")
    stage = stage_of(tmp_path, source, broker.port, camera={"fps": 2.0, "loop": False}, broker={"retry_min_s": 2.0, "retry_max_s": 3.0})
    database = tmp_path / "province.sqlite"
    with running(broker), collector(broker.port, database):
        pass  # The province was there before: the broker keeps its session, and takes events for it also before it is back.
    with turning(Gate(configuration.load(stage.config_path), stage.config_path)) as gate:
        assert until(lambda: gate.loop.source_ended)
        assert gate.loop.tally.decisions == 2
        assert gate.journal.bounds().waiting >= 2
        assert "offline" in gate.condition.problems()
        with running(broker), collector(broker.port, database):
            assert until(lambda: gate.journal.bounds().waiting == 0, 20)
            assert received_checkins(database) == 2


def test_nothing_on_the_disk_names_the_person(tmp_path: Path) -> None:
    """Neither the journal with its WAL, nor the status file, nor any other file of the gate."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", citizen_card(PERSON)))
    with turning(Gate(configuration.load(stage.config_path), stage.config_path)) as gate:
        assert until(lambda: gate.loop.tally.recorded == 1)
        files = [path for path in stage.folder.rglob("*") if path.is_file()]
        assert any(path.name.endswith("-wal") for path in files)
        for path in files:
            content = path.read_bytes()
            assert PERSON.number.encode() not in content, path
            assert PERSON.name.encode() not in content, path


def test_a_missing_key_stops_the_start_and_is_named(tmp_path: Path) -> None:
    """Exit code 2 by the command line, with the key."""
    stage = stage_of(tmp_path, draw(tmp_path / "frames", b"064"))
    (stage.folder / "site.key").unlink()
    with pytest.raises(ConfigError, match=r"privacy\.site_key"):
        Gate(configuration.load(stage.config_path), stage.config_path)
    assert main(["run", "--config", str(stage.config_path)]) == 2


def test_the_record_is_one_chain_that_the_collector_verified(tmp_path: Path) -> None:
    """Each body names the digest of the one before, and the collector saw no break."""
    (tmp_path / "broker").mkdir()
    with running(Broker.plain(tmp_path / "broker")) as broker:
        database = tmp_path / "province.sqlite"
        with collector(broker.port, database):
            codes = [citizen_card(person) for person in people(5, seeded(2))]
            stage = stage_of(tmp_path, draw(tmp_path / "frames", *codes), broker.port, camera={"fps": 5.0, "loop": False})
            with turning(Gate(configuration.load(stage.config_path), stage.config_path)) as gate:
                assert until(lambda: gate.loop.source_ended and gate.journal.bounds().waiting == 0)
    with closing(sqlite3.connect(database)) as store:
        bodies = [row[0] for row in store.execute("SELECT body FROM events ORDER BY seq")]
    datas = [json.loads(body)["data"] for body in bodies]
    assert datas[0]["prev"] is None
    assert len({data["prev"] for data in datas}) == len(datas)


def test_a_gate_says_when_the_others_of_its_site_are_silent_and_shares_what_it_sees(tmp_path: Path) -> None:
    """Two whole gates on one broker of the site: what one lets in, the other knows."""
    (tmp_path / "broker").mkdir()
    with running(Broker.plain(tmp_path / "broker")) as broker:
        others = {"gates": [GATE_ID, "gate-b"], "host": "127.0.0.1", "port": broker.port, "silent_after_s": 6.0}
        first = stage_of(tmp_path / "one", draw(tmp_path / "frames", citizen_card(PERSON)), siblings=others)
        # Of one site: so of one key.
        second = stage_of(tmp_path / "two", draw(tmp_path / "nothing", b"064"), gate={"id": "gate-b"}, siblings=others)
        (second.folder / "site.key").write_bytes((first.folder / "site.key").read_bytes())
        with turning(Gate(configuration.load(second.config_path), second.config_path)) as quiet:
            assert until(lambda: "siblings" in quiet.condition.problems())
            with turning(Gate(configuration.load(first.config_path), first.config_path)) as busy:
                assert until(lambda: busy.loop.tally.accepted >= 1)
                assert until(lambda: quiet.judge.memory.inside(quiet.clock.reading()) == 1)
                assert until(lambda: "siblings" not in quiet.condition.problems())
