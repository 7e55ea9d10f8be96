"""The uplink against a server that does what it is told: every refusal, every silence, every limit."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from device.core import wire
from device.core.types import ClockReading
from device.edges.broker.downlink import ConfigVerdict
from device.edges.broker.uplink import UNANSWERED_LIMIT_S
from tests.edges.broker.test_connection import CONNACK_CODES
from tests.edges.broker.uplink_kit import GATE, Rig, lines, rig
from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_packets import Publish
from tests.fakes.mqtt_server import MqttServer


def content(message: Publish) -> dict[str, Any]:
    """A payload as its reader sees it."""
    parsed: dict[str, Any] = json.loads(message.payload)
    return parsed


def ack(server: MqttServer, epoch: str, upto: int, *ranges: tuple[int, int], gate: str = GATE) -> None:
    """The collector's ack."""
    payload = wire.Ack(epoch=epoch, upto=upto, ranges=[list(span) for span in ranges], server_time="2026-11-23T10:00:00Z")
    server.publish(wire.down(gate, "ack"), wire.encode(payload))


class LastWords:
    """Orders that end with the program: what became of them is known only when it stops."""

    def __init__(self, *names: str) -> None:
        self.carried_out = 0
        self._left = list(names)
        self.stopping = False

    def wake(self, now: ClockReading) -> None:
        """Nothing was left open."""

    def submit(self, name: str, payload: bytes, now: ClockReading, *, retained: bool) -> None:
        """None comes."""

    def answers(self, now: ClockReading) -> list[wire.CommandState]:
        """All at once, at the end."""
        if not self.stopping:
            return []
        said = [wire.CommandState(id=name, state="succeeded", time=wire.time_text(now.wall_ns)) for name in self._left]
        self._left.clear()
        return said


# ----------------------------------------------------------------- hello, state, health


# ----------------------------------------------------------------- events


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff", b'{"epoch":"x","upto":1}', b"[" * 5000])
def test_a_message_that_is_no_ack_is_counted_and_told_and_releases_nothing(
    server: MqttServer, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Hostile bytes on a topic that only the province may write to."""
    with rig(server.port) as up:
        up.record.add(2)
        up.wait(lambda: up.stat("published") == 2)
        server.publish(wire.down(GATE, "ack"), payload)
        up.wait(lambda: up.stat("bad_messages") == 1)
        server.wait(lambda: len(server.pubacks) == 1)
        server.publish(wire.down(GATE, "ack"), payload)
        up.wait(lambda: up.stat("bad_messages") == 2)
        assert up.record.left == 2
    assert any("an ack could not be read" in line for line in lines(caplog))


def test_messages_that_nobody_subscribed_to_are_counted(server: MqttServer) -> None:
    """Another gate's ack, an unknown topic, our own topics."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for topic in (wire.down("gate-08", "ack"), "x", wire.up(GATE, "state")):
            server.publish(topic, b"{}")
        up.wait(lambda: up.stat("bad_messages") == 3)


# ----------------------------------------------------------------- the window


def test_a_broker_that_takes_events_and_never_answers_is_left(server: MqttServer) -> None:
    """MQTT 5 allows sending again only on a new connection."""
    server.answer = server.withhold
    with rig(server.port) as up:
        up.record.add()
        server.wait(lambda: bool(server.events()))
        server.answer = server.accept_all
        up.advance(UNANSWERED_LIMIT_S + 1)
        up.wait_end("unanswered")
        up.wait(lambda: up.stat("published") == 1)
        assert len(server.connects) == 2


# ----------------------------------------------------------------- refusals of events


# ----------------------------------------------------------------- connecting


@pytest.mark.parametrize("code", CONNACK_CODES, ids=hex)
def test_a_broker_that_refuses_the_connection_is_tried_again_and_events_are_kept(server: MqttServer, code: int) -> None:
    """Each CONNACK code: told by name, the record untouched, delivered after."""
    server.refuse(code)
    with rig(server.port) as up:
        up.record.add(2)
        up.wait_end(f"refused_{mqtt_name(code)}")
        assert up.record.left >= 2
        up.advance(1.1)
        up.wait(lambda: up.stat("published") >= 2)
        assert up.stat("ends") == {f"refused_{mqtt_name(code)}": 1}


def mqtt_name(code: int) -> str:
    """A code in words, by the standard's own name."""
    from device.core import broker_codes  # noqa: PLC0415 - beside its only use

    return broker_codes.name(code)


def test_a_broker_without_retained_messages_is_used_without_them(server: MqttServer) -> None:
    """Retain Available 0: the state is not retained; a refusal for the will's sake drops its flag, too."""
    server.limits = {mqtt.RETAIN_AVAILABLE: 0}
    server.refuse(0x9A)
    with rig(server.port) as up:
        up.wait_end("refused_retain_not_supported")
        up.advance(1.1)
        server.wait(lambda: bool(server.on("/state")))
        assert [connect.will_retain for connect in server.connects] == [True, False]
        assert not server.on("/state")[0].retain


def test_a_broker_that_offers_only_qos_0_is_no_broker_for_a_record(server: MqttServer) -> None:
    """Maximum QoS 0: nothing is sent that could be lost without a word."""
    server.limits = {mqtt.MAXIMUM_QOS: 0}
    with rig(server.port) as up:
        up.record.add()
        up.wait_end("no_qos_1")
        assert server.published == []


def test_one_line_is_logged_for_each_change_of_state_however_often_it_is_tried(
    server: MqttServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten refusals are one line; so is the recovery."""
    server.refuse(*[0x88] * 10)
    with rig(server.port, retry_max_s=1) as up:
        up.pass_time_until(lambda: up.stat("phase") == "online", step_s=1)
        assert up.stat("ends") == {"refused_server_unavailable": 10}
    assert [line.partition(":")[0] for line in lines(caplog) if "connected" in line or "no connection" in line] == [
        "no connection to the broker at 127.0.0.1",
        "connected to the broker at 127.0.0.1",
        "disconnected from the broker at 127.0.0.1",
    ]


def test_the_first_connection_waits_a_random_part_of_its_spread(server: MqttServer) -> None:
    """A town does not connect at once after a power cut."""
    made = Rig(server.port, first_connect_spread_s=30, uniform=lambda low, high: (low + high) / 2)
    made.uplink.start()
    try:
        assert made.stat("phase") == "waiting"
        made.advance(14)
        made.nudge()
        assert server.connects == []
        made.advance(2)
        made.wait_phase("online")
    finally:
        made.uplink.close()


def test_waits_grow_until_a_connection_has_held_for_a_minute(server: MqttServer) -> None:
    """A broker that takes every connection and drops it at once is not hammered."""
    made = Rig(server.port, retry_min_s=10, retry_max_s=300, uniform=lambda _, high: high)
    made.uplink._line._retry_at_s = 0  # noqa: SLF001 - the spread of the first connection is another test's
    made.uplink.start()
    waits = []
    try:
        for held_s in (0, 0, 40, 61, 0):
            made.pass_time_until(lambda: made.stat("phase") == "online")
            made.advance(held_s)
            made.wait_rounds(2)
            server.hang_up()
            made.wait_phase("waiting")
            waits.append(round(made.stat("retry_in_s"), -1))
    finally:
        made.uplink.close()
    assert waits == [30, 90, 270, 30, 90]


def test_offline_time_is_counted(server: MqttServer) -> None:
    """From the start until the first connection, and between connections."""
    server.refuse(0x88)
    with rig(server.port, retry_min_s=20, retry_max_s=20) as up:
        up.wait_phase("waiting")
        up.wait_end("refused_server_unavailable")
        up.advance(21)
        up.wait_phase("online")
        up.advance(100)
        assert 21 <= up.stat("offline_s") < 25


def test_progress_rises_whether_connected_or_not(server: MqttServer) -> None:
    """For the watchdog, which must not depend on the broker."""
    server.silent = True
    with rig(server.port) as up:
        before = up.uplink.progress
        up.wait(lambda: up.uplink.progress >= before + 2)
        assert up.stat("phase") == "connecting"


# ----------------------------------------------------------------- the record's own faults


def test_a_record_that_cannot_be_read_stops_the_sending_and_nothing_else(server: MqttServer, caplog: pytest.LogCaptureFixture) -> None:
    """The connection stands, health goes on, and events follow when the disk is back."""
    made = Rig(server.port, health_every_s=10)
    made.record.unreadable = True
    made.uplink.start()
    try:
        server.wait(lambda: bool(server.on("/health")))
        assert "live" not in content(server.on("/health")[0])
        made.wait(lambda: made.stat("record_errors") >= 1)
        for _ in range(50):
            made.nudge()
            made.wait_rounds(1)
        assert made.stat("record_errors") <= 3, "the disk is asked again and again"
        made.pass_time_until(lambda: made.stat("record_errors") >= 6)
        made.record.unreadable = False
        made.record.add(3)
        made.advance(6)
        made.wait(lambda: made.stat("published") == 3)
        assert made.stat("crashes") == 0
    finally:
        made.uplink.close()
    assert len([line for line in lines(caplog) if "cannot use the record" in line]) == 1


def test_an_ack_that_the_record_could_not_take_is_no_harm(server: MqttServer) -> None:
    """The broker gets its PUBACK, the event is sent again and acknowledged again."""
    with rig(server.port) as up:
        up.record.add()
        up.wait(lambda: up.stat("published") == 1)
        up.record.unreadable = True
        ack(server, up.record.epoch, 1)
        server.wait(lambda: len(server.pubacks) == 1)
        up.record.unreadable = False
        up.advance(31)
        server.wait(lambda: len(server.events()) == 2)
        ack(server, up.record.epoch, 1)
        up.wait(lambda: up.record.left == 0)


def test_a_mistake_in_the_supervisor_is_logged_and_it_goes_on(server: MqttServer, caplog: pytest.LogCaptureFixture) -> None:
    """The broad except at the top of the thread: a bug costs a connection, not the uplink."""
    made = Rig(server.port)
    made.uplink.start()
    made.wait_phase("online")
    original, made.record.waiting = made.record.waiting, None  # type: ignore[method-assign,assignment]  # the bug
    made.record.add()
    made.wait(lambda: made.stat("crashes") >= 1)
    made.record.waiting = original  # type: ignore[method-assign]  # mended
    made.wait(lambda: made.stat("published") == 1, 15)
    made.uplink.close()
    assert "what uses the line to the broker" in caplog.text


# ----------------------------------------------------------------- the end


def test_a_stop_says_offline_and_goodbye(server: MqttServer) -> None:
    """The retained state is true at once, and the will is forgotten."""
    with rig(server.port) as up:
        up.wait_phase("online")
    assert content(server.on("/state")[-1])["online"] is False
    server.wait(lambda: server.goodbyes == [0])
    assert up.stat("phase") == "stopped"


def test_a_stop_with_a_silent_broker_ends_within_its_limit(server: MqttServer) -> None:
    """Whatever the broker owes."""
    server.answer = server.withhold
    made = Rig(server.port)
    made.record.add(50)
    made.uplink.start()
    made.wait_phase("online")
    before_s = made.clock.monotonic_ns() / 1e9
    made.uplink.close()
    assert made.clock.monotonic_ns() / 1e9 - before_s < 8


def test_a_stop_while_waiting_or_never_started_is_immediate() -> None:
    """Nothing to say goodbye to."""
    Rig(1).uplink.close()
    with rig(1, retry_min_s=60, retry_max_s=60) as up:
        up.wait_end("connection_refused")
    assert up.stat("phase") == "stopped"


# ----------------------------------------------------------------- orders from the province


def order(name: str = "c-1", gate: str = GATE, expires: str = "2099-01-01T00:00:00Z", **changes: object) -> bytes:
    """A signed command."""
    told = {"id": name, "gate": gate, "name": "open", "args": {}, "issued": "2026-01-01T00:00:00Z", "expires": expires}
    command = {"type": "vn.gate.command.v1", **told}
    return json.dumps({**command, "signature": "A" * 40, **changes}).encode()


def answered(server: MqttServer, name: str) -> bool:
    """Whether the gate said something about a command."""
    return bool(server.on(f"/cmd/{name}"))


def test_without_anybody_to_carry_orders_out_each_is_refused_and_recorded(server: MqttServer) -> None:
    """As `not_enabled`, whatever it says."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for name, payload in (("c-1", order()), ("c-2", b"open the door")):
            server.publish(wire.down(GATE, "cmd", name), payload)
            server.wait(partial(answered, server, name))
            answer = content(server.on(f"/cmd/{name}")[0])
            assert (answer["state"], answer["reason"]) == ("rejected", "not_enabled")
        assert [audit["id"] for audit in up.record.audits("command")] == ["c-1", "c-2"]


def test_the_same_command_again_is_answered_again_and_recorded_once(server: MqttServer) -> None:
    """Idempotent, also in the record."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for _ in range(3):
            server.publish(wire.down(GATE, "cmd", "c-1"), order())
        server.wait(lambda: len(server.on("/cmd/c-1")) == 3)
        assert len(up.record.audits("command")) == 1


def unread_below(server: MqttServer, number: int) -> bool:
    """Whether our Receive Maximum allows another message."""
    return len(server.pubacks) > number


def test_a_flood_of_commands_fills_neither_memory_nor_record_and_events_pass(server: MqttServer) -> None:
    """At most ten are recorded at once; every event still arrives."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for number in range(300):
            server.wait(partial(unread_below, server, number - 8))
            server.publish(wire.down(GATE, "cmd", f"c-{number}"), order(f"c-{number}"))
        up.record.add(5)
        up.wait(lambda: up.stat("refused_orders") == 300)
        up.wait(lambda: up.stat("published") >= 5)
        assert len(up.record.audits("command")) <= 11
        assert up.stat("unrecorded_notices") >= 289


def test_answers_to_a_flood_of_commands_are_bounded_while_the_broker_takes_none(server: MqttServer) -> None:
    """What waits for a place in the window does not grow without limit."""
    server.answer = server.withhold
    with rig(server.port) as up:
        up.wait_phase("online")
        for number in range(200):
            server.wait(partial(unread_below, server, number - 8))
            server.publish(wire.down(GATE, "cmd", f"c-{number}"), order(f"c-{number}"))
        up.wait(lambda: up.stat("refused_orders") == 200)
        server.answer = server.accept_all
        server.puback()
        up.record.add()
        up.wait(lambda: bool(server.events()))
        answers = [message for message in server.published if "/up/cmd/" in message.topic]
        assert 64 <= len(answers) <= 64 + 16


def test_a_desired_configuration_is_reported_as_not_enabled(server: MqttServer) -> None:
    """Retained like the desire itself; what is unreadable is said to be so."""
    with rig(server.port) as up:
        up.wait_phase("online")
        desire = {
            "type": "vn.gate.config.v1",
            "gate": GATE,
            "version": 4,
            "issued": "2026-01-01T00:00:00Z",
            "config": {},
            "signature": "A" * 40,
        }
        server.publish(wire.down(GATE, "config"), json.dumps(desire).encode(), retain=True)
        server.publish(wire.down(GATE, "config"), b"{}")
        server.wait(lambda: len(server.on("/up/config")) == 2)
        first, second = (content(message) for message in server.on("/up/config"))
        assert (first["desired"], first["status"], first["errors"]) == (4, "rejected", ["not_enabled"])
        assert ("desired" in second, second["errors"]) == (False, ["malformed"])
        assert server.on("/up/config")[0].retain
        assert [audit["reason"] for audit in up.record.audits("config")] == ["not_enabled", "malformed"]


def test_a_list_is_recorded_as_not_enabled(server: MqttServer) -> None:
    """For this gate or for all."""
    manifest = {
        "type": "vn.gate.list.v1",
        "gate": wire.ALL,
        "name": "deny",
        "version": 3,
        "snapshot": {"sha256": "ab" * 32, "bytes": 16},
        "issued": "2026-01-01T00:00:00Z",
        "expires": "2099-01-01T00:00:00Z",
        "signature": "A" * 40,
    }
    with rig(server.port) as up:
        up.wait_phase("online")
        server.publish(wire.down(wire.ALL, "list", "deny"), json.dumps(manifest).encode(), retain=True)
        server.publish(wire.down(GATE, "list", "allow"), json.dumps(manifest).encode())
        up.wait(lambda: len(up.record.audits("list")) == 2)
        assert [(audit["name"], audit["reason"]) for audit in up.record.audits("list")] == [("deny", "not_enabled"), ("allow", "malformed")]


def test_an_orderly_stop_says_all_that_became_of_orders_however_narrow_the_window(server: MqttServer) -> None:
    """A gate that was wiped cannot say it at its next start."""
    server.answer = server.accept_all
    server.limits = {mqtt.RECEIVE_MAXIMUM: 1}
    made = Rig(server.port)
    desk = LastWords("w-1", "w-2", "w-3")
    made.uplink.set_order_desk(desk)
    made.uplink.start()
    made.wait(lambda: made.stat("connects") == 1 and bool(server.on("/hello")))
    desk.stopping = True
    made.uplink.close()
    assert [message.topic.rpartition("/")[2] for message in server.published if "/up/cmd/" in message.topic] == ["w-1", "w-2", "w-3"]
    assert content(server.on("/state")[-1])["online"] is False


# ----------------------------------------------------------------- lists, configuration, and what else the gate hands in


class Fetching:
    """Whoever fetches lists, and what was handed over."""

    names = ("staff", "guests")

    def __init__(self) -> None:
        self.lines: list[bool] = []
        self.given: list[tuple[str, ...]] = []

    def announced(self, gate: str, name: str, payload: bytes) -> None:
        """A list."""
        self.given.append((gate, name, payload.decode()))

    def arrived(self, digest: str, payload: bytes) -> None:
        """A part of one."""
        self.given.append((digest, payload.decode()))

    def online(self, *, connected: bool) -> None:
        """The line."""
        self.lines.append(connected)


def test_whoever_fetches_lists_hears_what_is_offered_and_whether_there_is_a_line(server: MqttServer) -> None:
    """By the names of the rules, for this gate and for all; parts on topics that it asks for while this connection stands."""
    made = Rig(server.port)
    fetching = Fetching()
    made.uplink.set_list_fetcher(fetching)
    made.uplink.start()
    try:
        made.wait_phase("online")
        made.wait(lambda: fetching.lines == [True])
        # What was sent, and what the server has read of it, are two things.
        server.wait(lambda: any("SUBSCRIBE" in line for line in server.talk))
        wanted = next(line for line in server.talk if "SUBSCRIBE" in line)
        for name in fetching.names:
            assert all(wire.down(gate, "list", name) in wanted for gate in (GATE, wire.ALL))
        server.publish(wire.down(wire.ALL, "list", "staff"), b"offer", retain=True)
        made.uplink.hear(wire.down(GATE, "part", "ab" * 32), wanted=True)
        server.wait(lambda: any("SUBSCRIBE" in line and "ab" * 32 in line for line in server.talk))
        server.publish(wire.down(GATE, "part", "ab" * 32), b"part")
        made.wait(lambda: len(fetching.given) == 2)
        assert fetching.given == [(wire.ALL, "staff", "offer"), ("ab" * 32, "part")]
        server.hang_up()
        made.wait(lambda: fetching.lines[:3] == [True, False, True])
    finally:
        made.uplink.close()
    assert (made.stat("bad_messages"), made.stat("refused_orders")) == (0, 0)


def test_a_configuration_is_judged_and_the_last_verdict_is_said_on_each_connection(server: MqttServer) -> None:
    """Who comes late hears it too: it is said again, and stays with the broker."""
    made = Rig(server.port)
    heard: list[bytes] = []
    last: list[ConfigVerdict] = []

    def judge(payload: bytes) -> ConfigVerdict:
        heard.append(payload)
        last[:] = [ConfigVerdict(7, "applied")]
        return last[0]

    made.uplink.set_config_judge(judge, lambda: last[0] if last else None)
    made.uplink.start()
    try:
        made.wait_phase("online")
        server.wait(lambda: bool(server.on("/hello")))
        assert server.on("/up/config") == []
        server.publish(wire.down(GATE, "config"), b"seven")
        server.wait(lambda: len(server.on("/up/config")) == 1)
        server.hang_up()
        server.wait(lambda: len(server.on("/up/config")) == 2)
    finally:
        made.uplink.close()
    assert heard == [b"seven"]
    assert [(content(one)["desired"], content(one)["status"], one.retain) for one in server.on("/up/config")] == [(7, "applied", True)] * 2


def test_the_rate_of_old_events_can_be_changed_while_it_runs(server: MqttServer) -> None:
    """As the order of that name does; live events go on."""
    made = Rig(server.port, backlog_per_s=1_000)
    made.uplink.set_drain_rate(0.01)
    made.record.add(50, age_s=7 * 86_400)
    made.uplink.start()
    try:
        server.wait(lambda: len(server.events()) >= 1)
        live = made.record.add()
        server.wait(lambda: any(int(content(message)["sequence"]) == live for message in server.events()))
        assert len(server.events()) <= 3
    finally:
        made.uplink.close()


def test_what_waits_again_is_sent_again(server: MqttServer) -> None:
    """The province asked for events that it had confirmed: the record is read from its beginning."""
    with rig(server.port) as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") == 3)
        kept = dict(up.record._rows)  # noqa: SLF001 - the record in memory has no way back
        ack(server, up.record.epoch, 3)
        up.wait(lambda: up.record.left == 0)
        up.record._rows.update(kept)  # noqa: SLF001 - as above
        up.wait_rounds(2)
        assert len(server.events()) == 3
        up.uplink.rewind()
        up.nudge()
        server.wait(lambda: len(server.events()) == 6)
        assert [int(content(message)["sequence"]) for message in server.events()] == [1, 2, 3, 1, 2, 3]


def test_a_message_of_another_gate_or_of_no_known_kind_is_counted_and_moves_nothing(server: MqttServer) -> None:
    """Whatever a broker hands over."""
    with rig(server.port) as up:
        up.wait_phase("online")
        for topic in ("gates/v1/gate-08/down/ack", f"gates/v1/{GATE}/up/state", "x", wire.down(GATE, "ack") + "/more"):
            server.publish(topic, b"{}")
        up.wait(lambda: up.stat("bad_messages") == 4)
        assert up.stat("refused_orders") == 0
        assert up.record.audits("command") == []
