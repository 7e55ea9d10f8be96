"""The uplink with real Mosquitto: plain and with mutual TLS, denied, killed, restarted, and with every wrong certificate."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from device.config import JournalSection
from device.core import wire
from device.core.types import Channel, Entry
from device.edges.broker.tls import TlsFiles, failure_of, tls_failure_of
from device.edges.record.journal import SqliteJournal
from tests.edges.broker.uplink_kit import FREEZE, GATE, NOBODY, Listener, PushedClock, Rig, lines, peer, rig
from tests.mosquitto import Authority, Broker, Papers, running


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    """What operators see."""
    caplog.set_level(logging.INFO)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A plain broker that keeps its state over a restart."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(Broker.plain(folder, persistent=True)) as started:
        yield started


@dataclass(frozen=True)
class Town:
    """A broker with mutual TLS, and papers for those who talk to it."""

    broker: Broker
    authority: Authority
    gate: Papers
    collector: Papers

    def settings(self, papers: Papers | None = None) -> dict[str, object]:
        """The gate's `[broker]`."""
        mine = papers or self.gate
        return {"host": "localhost", "ca": mine.ca, "cert": mine.cert, "key": mine.key}

    def listener(self) -> Listener:
        """The collector's place."""
        mine = self.collector
        return Listener(peer(self.broker.port, "collector", tls=TlsFiles(mine.ca, mine.cert, mine.key)), ack=True)


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


@pytest.mark.parametrize(
    ("gate", "server", "reason"),
    [
        ({}, {"ends_days": -0.5, "hosts": ("localhost",)}, "tls_expired"),
        ({}, {"starts_days": 1, "hosts": ("localhost",)}, "tls_not_yet_valid"),
        ({}, {"hosts": ("broker.elsewhere.test",)}, "tls_wrong_host"),
        ({"ends_days": -0.5}, {"hosts": ("localhost",)}, "tls_own_certificate_refused"),
        ({"starts_days": 1}, {"hosts": ("localhost",)}, "tls_own_certificate_refused"),
    ],
)
def test_each_certificate_that_is_wrong_is_told_apart(
    tmp_path: Path, authority: Authority, gate: dict[str, float], server: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Expired, not yet valid, another host's; ours or the broker's: in the figures and in one line of the log."""
    serving = authority.issue("broker", **server)  # type: ignore[arg-type]  # a column of the table
    mine = authority.issue(GATE, **gate)  # type: ignore[arg-type]  # a column of the table
    settings = {"ca": mine.ca, "cert": mine.cert, "key": mine.key}
    with running(Broker.mutual(tmp_path, serving, authority.ca)) as started, rig(started.port, host="localhost", **settings) as up:
        up.record.add()
        up.wait_end(reason)
        assert up.record.left == 1
        assert up.stat("connects") == 0
    assert len([line for line in lines(caplog) if f": {reason} " in line]) == 1


def test_a_broker_of_another_authority_is_not_believed(tmp_path: Path, authority: Authority) -> None:
    """Wrong CA, on either side."""
    stranger = Authority(tmp_path / "stranger", "another authority")
    mine = authority.issue(GATE)
    settings = {"ca": mine.ca, "cert": mine.cert, "key": mine.key}
    serving = stranger.issue("broker", hosts=("localhost",))
    with running(Broker.mutual(tmp_path, serving, authority.ca)) as started, rig(started.port, host="localhost", **settings) as up:
        up.wait_end("tls_unknown_authority")


def test_a_gate_of_another_authority_is_refused(town: Town, tmp_path: Path) -> None:
    """The broker does not know who signed the gate's certificate."""
    stranger = Authority(tmp_path / "stranger", "another authority").issue(GATE)
    with rig(town.broker.port, host="localhost", ca=town.authority.ca, cert=stranger.cert, key=stranger.key) as up:
        up.wait_end("tls_own_certificate_refused")


def test_a_key_that_does_not_fit_is_told_before_anything_is_sent(town: Town) -> None:
    """Certificate and key of different pairs; and a file that is gone."""
    other = town.authority.issue("gate-08")
    with rig(town.broker.port, host="localhost", ca=town.gate.ca, cert=town.gate.cert, key=other.key) as up:
        up.wait_end("own_certificate")
    with rig(town.broker.port, host="localhost", ca=town.gate.ca, cert=town.gate.cert, key=Path("/nowhere/key.pem")) as up:
        up.wait_end("own_certificate")


def test_a_renewed_certificate_is_taken_up_without_a_restart(town: Town, tmp_path: Path) -> None:
    """Files are read again for each connection."""
    stale = town.authority.issue(GATE, ends_days=-0.5)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(stale.cert.read_bytes())
    key.write_bytes(stale.key.read_bytes())
    with rig(town.broker.port, host="localhost", ca=stale.ca, cert=cert, key=key) as up:
        up.wait_end("tls_own_certificate_refused")
        fresh = town.authority.issue(GATE)
        cert.write_bytes(fresh.cert.read_bytes())
        key.write_bytes(fresh.key.read_bytes())
        up.pass_time_until(lambda: up.stat("phase") == "online", step_s=1)


def test_a_port_that_does_not_speak_tls_is_told_as_such(broker: Broker, authority: Authority) -> None:
    """A plain broker, or a captive portal, on the port of a TLS one."""
    mine = authority.issue(GATE)
    with rig(broker.port, host="localhost", ca=mine.ca, cert=mine.cert, key=mine.key) as up:
        up.wait(lambda: bool(up.stat("ends")))
        assert set(up.stat("ends")) <= {"tls_not_spoken", "tls_failed", "lost"}


def test_a_web_server_on_the_brokers_port_is_told_as_such(authority: Authority) -> None:
    """A captive portal answers TLS with HTTP."""
    mine = authority.issue(GATE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_answer_as_portal, args=(listener,))
        answering.start()
        with rig(listener.getsockname()[1], ca=mine.ca, cert=mine.cert, key=mine.key) as up:
            up.wait_end("tls_not_spoken")
        answering.join(5)


def test_a_tls_handshake_that_never_ends_is_given_up(authority: Authority) -> None:
    """The other side takes the connection and says nothing."""
    mine = authority.issue(GATE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        talk = peer(listener.getsockname()[1], tls=TlsFiles(mine.ca, mine.cert, mine.key), connect_timeout_s=0.3)
        silent = Listener(talk)
        silent._connection.start()  # noqa: SLF001 - it will never be ready
        assert silent._ended.wait(5)  # noqa: SLF001 - nor is that said otherwise
        assert silent.end is not None
        assert silent.end.reason == "timeout"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", "tls_own_certificate_refused"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED]", "tls_own_certificate_refused"),
        ("[SSL: WRONG_VERSION_NUMBER]", "tls_not_spoken"),
        ("[SSL: RECORD_LAYER_FAILURE]", "tls_not_spoken"),
        ("EOF occurred in violation of protocol", "tls_failed"),
    ],
)
def test_tls_errors_are_sorted_by_who_is_to_blame(text: str, reason: str) -> None:
    """An alert comes from the broker and is about our certificate."""
    assert tls_failure_of(text) == reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, "unknown"), "dns"),
        (TimeoutError(), "timeout"),
        (ConnectionRefusedError(), "connection_refused"),
        (ConnectionResetError(), "lost"),
        (OSError(101, "no network"), "unreachable"),
        (OSError(113, "no route"), "unreachable"),
        (OSError(99, "no address"), "connect_failed"),
    ],
)
def test_network_errors_are_sorted_for_the_operator(error: OSError, reason: str) -> None:
    """No network, no route, nobody there, no name."""
    assert failure_of(error) == reason


def test_tls_1_1_and_unchecked_names_are_not_to_be_had(authority: Authority) -> None:
    """There is no switch."""
    mine = authority.issue(GATE)
    context = TlsFiles(mine.ca, mine.cert, mine.key).context()
    assert context.minimum_version >= 0x0303
    assert context.check_hostname
    assert context.verify_mode == 2


def _answer_as_portal(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n")
