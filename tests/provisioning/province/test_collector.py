"""The collector as a process, with real Mosquitto and real gates: acknowledged only what is on disk, whoever is killed."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from device.core import wire
from device.edges.broker.tls import TlsFiles
from provisioning.province.collector import main
from tests.contract.validate import assert_valid
from tests.edges.broker.uplink_kit import GATE, Listener, peer, rig
from tests.mosquitto import Authority, Broker, Papers, running
from tests.provisioning.province.events import EPOCH, Chain
from tests.waiting import until


class Process:
    """A collector of its own."""

    def __init__(self, folder: Path, port: int, papers: Papers | None = None, host: str = "127.0.0.1") -> None:
        self.db = folder / "events.sqlite"
        self.ready = folder / "ready"
        self._log = folder / "collector.log"
        self._command = [sys.executable, "-m", "provisioning.province.collector", "--host", host, "--port", str(port), "--db", str(self.db)]
        self._command += ["--ready-file", str(self.ready)]
        if papers is not None:
            self._command += ["--ca", str(papers.ca), "--cert", str(papers.cert), "--key", str(papers.key)]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start it, and return when its subscription stands."""
        self.launch()
        until(self.ready.exists, why=self.log)
        return self

    def launch(self) -> None:
        """Start it and look away."""
        self.ready.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True)

    def kill(self) -> None:
        """As a crash."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> dict[str, Any]:
        """An orderly stop; its counters."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=10)
        code = self.process.returncode
        self.process = None
        assert code == 0, self.log()
        counts: dict[str, Any] = json.loads(out)
        return counts

    def close(self) -> None:
        """Whatever happened."""
        if self.process is not None:
            self.process.kill()
            self._reap()

    def log(self) -> str:
        """What it said."""
        return self._log.read_text(encoding="utf-8")

    def seqs(self) -> list[int]:
        """What it holds."""
        with contextlib.closing(sqlite3.connect(self.db)) as reader:
            return [seq for (seq,) in reader.execute("SELECT seq FROM events ORDER BY seq")]

    def _reap(self) -> None:
        if self.process is not None:
            self.process.communicate()
            self.process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A plain broker that keeps its sessions over a restart."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(Broker.plain(folder, persistent=True)) as started:
        yield started


@pytest.fixture
def collector(tmp_path: Path, broker: Broker) -> Iterator[Process]:
    """A running collector."""
    process = Process(tmp_path, broker.port)
    try:
        yield process.start()
    finally:
        process.close()


def acks(province: Listener) -> list[dict[str, Any]]:
    """The acks that a gate gets, each held against the contract."""
    found = []
    for message in list(province.messages):
        assert_valid(message.topic, message.payload)
        found.append(json.loads(message.payload))
    return found


def ear(broker: Broker, gate: str = GATE) -> Listener:
    """Listens to what a gate is told."""
    return Listener(peer(broker.port, "ear"), topics=(f"gates/v1/{gate}/down/#",))


def test_a_gates_events_are_held_once_and_released_at_the_gate(broker: Broker, collector: Process) -> None:
    """Gate, Mosquitto, collector, and back; the counters say so at the end."""
    with rig(broker.port, backlog_per_s=1000) as up:
        up.record.add(200, age_s=3600)
        up.record.add(20)
        up.wait(lambda: up.record.left == 0, 20)
        epoch = up.record.epoch
    assert collector.seqs() == list(range(1, 221))
    counts = collector.stop()
    assert (counts["stored"], counts["held_events"], counts["breaks"], counts["refused"]) == (220, 220, 0, 0)
    assert counts["hellos"] == 1
    with contextlib.closing(sqlite3.connect(collector.db)) as reader:
        assert reader.execute("SELECT DISTINCT gate, epoch FROM events").fetchall() == [(GATE, epoch)]
        topics = {topic for (topic,) in reader.execute("SELECT topic FROM latest")}
    assert {wire.up(GATE, "state"), wire.up(GATE, "hello"), wire.up(GATE, "health")} <= topics


def test_a_killed_collector_loses_nothing_and_doubles_nothing(broker: Broker, collector: Process) -> None:
    """Three kills at random moments under traffic: what was released at the gate is on its disk."""
    with rig(broker.port) as up:
        up.wait_phase("online")
        total = 0
        for _ in range(3):
            total = up.record.add(60)
            until(partial(lambda low: len(collector.seqs()) > low, total - 50))
            collector.kill()
            released = total - up.record.left
            assert len(collector.seqs()) >= released, "released although it was not on disk"
            total = up.record.add(10)
            collector.start()
        up.pass_time_until(lambda: up.record.left == 0)
    assert collector.seqs() == list(range(1, total + 1))
    counts = collector.stop()
    assert (counts["held_events"], counts["held_breaks"], counts["held_unexplained"]) == (total, 0, 0)


def test_a_killed_broker_loses_nothing_and_doubles_nothing(broker: Broker, collector: Process) -> None:
    """Mosquitto acknowledges from RAM: the gate keeps its events until the collector has them."""
    with rig(broker.port) as up:
        total = 0
        for _ in range(3):
            total = up.record.add(60)
            up.wait(lambda: up.stat("phase") == "online" and up.stat("published") >= 5, 15)
            broker.kill()
            total = up.record.add(10)
            broker.start()
            up.pass_time_until(lambda: up.stat("phase") == "online", step_s=1)
        up.pass_time_until(lambda: up.record.left == 0)
    assert collector.seqs() == list(range(1, total + 1))


def test_a_hello_is_answered_with_everything_that_is_held(broker: Broker, collector: Process) -> None:
    """A gate that restarts with unconfirmed events learns at once what the province has."""
    chain = Chain(GATE).grow(9)
    with ear(broker) as gate:
        for seq in (1, 2, 3, 5, 8):
            gate.publish(chain.topic(seq), chain.bodies[seq])
        until(lambda: collector.seqs() == [1, 2, 3, 5, 8])
        until(lambda: bool(acks(gate)))
        before = len(acks(gate))
        gate.publish(wire.up(GATE, "hello"), json.dumps({"epoch": EPOCH, "oldest": 1, "newest": 9}).encode())
        until(lambda: len(acks(gate)) > before)
        last = acks(gate)[-1]
    assert (last["epoch"], last["upto"], last["ranges"]) == (EPOCH, 3, [[5, 5], [8, 8]])


def test_a_hello_tells_where_a_gate_begins(broker: Broker, collector: Process) -> None:
    """What it no longer holds will not come; the ack goes on from there, and what was never sent is counted."""
    with ear(broker) as gate:
        gate.publish(wire.up(GATE, "hello"), json.dumps({"epoch": EPOCH, "oldest": 5, "newest": 9}).encode())
        until(lambda: bool(acks(gate)))
        assert acks(gate)[0]["upto"] == 4
    assert collector.stop()["held_unexplained"] == 4


def test_what_was_kept_does_not_come_again_after_a_restart(broker: Broker, collector: Process) -> None:
    """The broker was told of each message that it may forget it, and only after the commit."""
    chain = Chain(GATE).grow(30)
    with ear(broker) as gate:
        for seq in range(1, 30):
            gate.publish(chain.topic(seq), chain.bodies[seq])
        until(lambda: len(collector.seqs()) == 29)
        collector.stop()
        collector.start()
        gate.publish(chain.topic(30), chain.bodies[30])
        until(lambda: len(collector.seqs()) == 30)
    counts = collector.stop()
    assert (counts["received"], counts["stored"], counts["duplicates"]) == (1, 1, 0)


def test_a_hello_of_a_gate_that_nobody_knows_is_answered_with_nothing_held(broker: Broker, collector: Process) -> None:
    """It then sends everything."""
    assert collector.process is not None
    with ear(broker) as gate:
        gate.publish(wire.up(GATE, "hello"), json.dumps({"epoch": EPOCH, "oldest": 0, "newest": 0}).encode())
        until(lambda: bool(acks(gate)))
        assert (acks(gate)[0]["upto"], acks(gate)[0]["ranges"]) == (0, [])


def test_what_is_refused_is_not_acknowledged_unless_its_key_is_known(broker: Broker, collector: Process) -> None:
    """A stranger's event in a gate's tree releases nothing there; a duplicate does."""
    mine, strangers = Chain(GATE).grow(2), Chain("gate-99").grow(1)
    with ear(broker) as gate:
        gate.publish(wire.up(GATE, "checkin"), strangers.bodies[1])
        gate.publish(wire.up(GATE, "checkin"), b"rubbish")
        gate.publish(mine.topic(2), mine.bodies[2])
        gate.publish(mine.topic(2), mine.bodies[2])
        until(lambda: bool(acks(gate)))
        assert {tuple(map(tuple, ack["ranges"])) for ack in acks(gate)} == {((2, 2),)}
    counts = collector.stop()
    assert (counts["refused"], counts["held_refused"], counts["duplicates"], counts["stored"]) == (2, 2, 1, 1)


def test_acks_of_many_events_come_together(broker: Broker, collector: Process) -> None:
    """Not one message back for each message."""
    chain = Chain(GATE).grow(300)
    with ear(broker) as gate:
        for seq in chain.bodies:
            gate.publish(chain.topic(seq), chain.bodies[seq])
        until(lambda: any(ack["upto"] == 300 for ack in acks(gate)))
        assert len(acks(gate)) <= 20
    assert collector.stop()["acks"] <= 20


def test_with_tls_the_collector_reads_all_gates(tmp_path: Path) -> None:
    """Its own certificate, its own rights."""
    authority = Authority(tmp_path / "authority")
    server, mine, gate = authority.issue("broker", hosts=("localhost",)), authority.issue("collector"), authority.issue(GATE)
    with running(Broker.mutual(tmp_path, server, authority.ca)) as broker:
        process = Process(tmp_path, broker.port, mine, "localhost")
        try:
            process.start()
            with rig(broker.port, host="localhost", ca=gate.ca, cert=gate.cert, key=gate.key) as up:
                up.record.add(5)
                up.wait(lambda: up.record.left == 0)
        finally:
            process.close()
        # The gate's own rights do not let it read what other gates say.
        with Listener(peer(broker.port, GATE, host="localhost", tls=TlsFiles(gate.ca, gate.cert, gate.key))) as spy:
            spy.publish(wire.up(GATE, "checkin"), b"{}")
            until(lambda: bool(spy.answers))
            # Its own acks may come again: the session outlives the connection.
            assert all(message.topic.startswith(f"gates/v1/{GATE}/down/") for message in spy.messages)


def test_a_collector_without_a_broker_waits_for_it(tmp_path: Path) -> None:
    """It is started before the broker, and says once why it waits."""
    broker = Broker.plain(tmp_path)
    process = Process(tmp_path, broker.port)
    try:
        process.launch()
        until(lambda: "connection_refused" in process.log())
        with running(broker):
            until(process.ready.exists, why=process.log)
            assert process.stop()["connects"] == 1
        assert process.log().count("connection_refused") == 1
    finally:
        process.close()


def test_a_file_that_cannot_hold_events_ends_it_with_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1: the broker and the gates keep everything meanwhile."""
    (tmp_path / "events.sqlite").write_bytes(b"this is no database" * 100)
    assert main(["--host", "127.0.0.1", "--port", "1", "--db", str(tmp_path / "events.sqlite")]) == 1
    assert "the events cannot be kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["--host", "h", "--port", "1", "--db", "x", "--cert", "c"], ["--host", "h", "--port", "p", "--db", "x"]]
)
def test_wrong_words_on_the_command_line_end_it_with_2(words: list[str]) -> None:
    """Usage."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
