"""The record on its way: through the window, to the broker, and what becomes of each event by the answers."""

from __future__ import annotations

from typing import Any

import pytest

from device.core import wire
from device.core.pacing import Backoff
from device.core.sending import LIVE_AGE_S
from device.edges.broker.sender import OVERHEAD_BYTES, REFRESH_S, SETTLE_ROWS, SETTLE_S, EventToken, Sender
from device.edges.broker.values import Connected, Publication
from tests.edges.broker.test_uplink import ack, content
from tests.edges.broker.uplink_kit import GATE, PushedClock, Record, Rig, lines, rig
from tests.fakes import mqtt_packets as mqtt
from tests.fakes.mqtt_packets import Publish
from tests.fakes.mqtt_server import MqttServer

NEVER = "0d7c41fb-55c2-4a39-9d0e-5b8d8f0c8e11"
"""An epoch that no record has."""


def refuse(code: int, *seqs: int) -> Any:  # noqa: ANN401 - an Answer
    """Answer these events with a code and take the rest."""

    def answer(message: Publish) -> int:
        event = wire.read(wire.HeardEvent, message.payload)
        return code if isinstance(event, wire.HeardEvent) and event.seq in seqs else 0x00

    return answer


def test_an_event_goes_out_with_attempt_and_time_and_the_same_bytes_each_time(server: MqttServer) -> None:
    """User properties change, the body never does."""
    with rig(server.port) as up:
        up.record.add()
        up.wait(lambda: up.stat("published") == 1)
        up.advance(31)
        server.wait(lambda: len(server.events()) == 2)
        first, second = server.events()
        assert first.payload == second.payload
        assert (first.user["attempt"], second.user["attempt"]) == ("1", "2")
        assert first.user["sent"] < second.user["sent"]
        assert first.properties[mqtt.CONTENT_TYPE] == ["application/cloudevents+json"]
        assert (first.qos, first.retain, first.dup, second.dup) == (1, False, False, False)
        assert up.stat("resent") == 1


def test_audit_events_have_their_own_topic(server: MqttServer) -> None:
    """Same journal, same order, other topic."""
    with rig(server.port) as up:
        up.record.record_audit(wire.Stop())
        up.record.add()
        server.wait(lambda: len(server.on("/audit")) == 1 and len(server.events()) == 1)


def test_nothing_is_forgotten_before_the_collector_has_it(server: MqttServer) -> None:
    """A PUBACK releases nothing; the ack releases what it names."""
    with rig(server.port) as up:
        up.record.add(5)
        up.wait(lambda: up.stat("published") == 5)
        assert up.record.left == 5
        ack(server, up.record.epoch, 2, (4, 4))
        up.wait(lambda: up.record.left == 2)
        assert up.stat("acked") == 3
        ack(server, up.record.epoch, 5)
        up.wait(lambda: up.record.left == 0)
        assert up.stat("ack_ms")["p50"] is not None


def test_what_the_province_already_has_is_not_sent_again(server: MqttServer) -> None:
    """The answer to a hello saves sending what was confirmed in vain before the restart."""
    made = Rig(server.port, backlog_per_s=1)
    made.record.add(30, age_s=3600)
    made.uplink.start()
    try:
        made.wait(lambda: made.stat("published") == 1)
        ack(server, made.record.epoch, 12)
        made.wait(lambda: made.record.left == 18)
        made.advance(1.1)
        server.wait(lambda: len(server.events()) == 2)
    finally:
        made.uplink.close()
    assert [int(content(message)["sequence"]) for message in server.events()] == [1, 13]


def test_without_a_collector_the_brokers_word_releases(server: MqttServer) -> None:
    """`confirm = "broker"`, several at once."""
    with rig(server.port, confirm="broker") as up:
        up.record.add(60)
        up.wait(lambda: up.record.left == 0)
        assert up.stat("acked") == 60
        assert up.stat("unacked") == 0


def test_an_ack_for_another_record_releases_nothing(server: MqttServer) -> None:
    """The number alone is not the key."""
    with rig(server.port) as up:
        up.record.add(2)
        up.wait(lambda: up.stat("published") == 2)
        ack(server, NEVER, 2)
        up.wait(lambda: up.stat("stray_acks") == 1)
        assert up.record.left == 2


@pytest.mark.parametrize(("receive_maximum", "width"), [(1, 1), (5, 5), (20, 16), (None, 16)])
def test_at_no_time_more_than_the_window_is_on_the_wire(server: MqttServer, receive_maximum: int | None, width: int) -> None:
    """Also at the beginning of a connection with a long backlog, where paho alone would send everything."""
    server.limits = {} if receive_maximum is None else {mqtt.RECEIVE_MAXIMUM: receive_maximum}
    server.answer = server.withhold
    made = Rig(server.port, backlog_per_s=100_000)
    made.record.add(100, age_s=3600)
    made.record.add(100)
    made.uplink.start()
    try:
        server.wait(lambda: server.most_unanswered == width)
        made.nudge()
        server.answer = server.accept_all
        server.puback()
        made.wait(lambda: made.stat("published") == 200, 20)
    finally:
        made.uplink.close()
    assert server.most_unanswered == width


def test_live_events_overtake_a_backlog_that_drains_at_its_cap(server: MqttServer) -> None:
    """The province sees now while last week drains."""
    made = Rig(server.port, backlog_per_s=20)
    made.record.add(500, age_s=7 * 86_400)
    made.uplink.start()
    try:
        server.wait(lambda: len(server.events()) >= 20)
        live = made.record.add()
        server.wait(lambda: any(int(content(message)["sequence"]) == live for message in server.events()), 2)
        assert len(server.events()) < 120
    finally:
        made.uplink.close()


def test_what_the_record_dropped_meanwhile_is_not_sent_again(server: MqttServer) -> None:
    """Its gap is an event of its own."""
    with rig(server.port) as up:
        up.record.add(2)
        up.wait(lambda: up.stat("published") == 2)
        up.record.drop(1)
        up.advance(31)
        server.wait(lambda: len(server.events()) == 3)
        assert [int(content(message)["sequence"]) for message in server.events()] == [1, 2, 2]
        up.wait(lambda: up.stat("unacked") == 1)


@pytest.mark.parametrize(
    ("code", "hold", "wait_s"), [(0x10, "nobody", 30), (0x87, "forbidden", 300), (0x80, "busy", 1), (0x83, "busy", 1), (0x97, "busy", 1)]
)
def test_a_refusal_holds_events_back_and_a_probe_finds_out(
    server: MqttServer, code: int, hold: str, wait_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost, nothing hammers, one line says so when it begins and one when it ends."""
    server.answer = lambda message: code if message.topic.endswith(("/checkin", "/audit")) else 0x00
    with rig(server.port) as up:
        up.record.add(3)
        # All that were on their way are answered: a later refusal would begin the pause anew.
        up.wait(lambda: up.stat("hold") == hold and up.stat("in_flight") == 0)
        refused = len(server.events())
        up.record.add(30)
        up.wait_phase("online")
        assert len(server.events()) <= refused + (1 if hold == "busy" else 0)
        server.answer = server.accept_all
        up.advance(wait_s + 1)
        up.wait(lambda: up.stat("hold") is None)
        up.pass_time_until(lambda: up.stat("published") >= 33)
        assert up.record.buried == {}
        assert up.record.left == up.record.bounds().newest
        alarms = [audit["state"] for audit in up.record.audits("uplink")]
    assert alarms == ([] if hold == "busy" else ["held", "resumed"])
    told = [line for line in lines(caplog) if "takes" in line]
    assert [line.startswith("the broker takes no events") for line in told] == [True, False]


@pytest.mark.parametrize(("code", "reason"), [(0x90, "topic_name_invalid"), (0x99, "payload_format_invalid")])
def test_an_event_that_no_broker_will_take_becomes_a_dead_letter(server: MqttServer, code: int, reason: str) -> None:
    """Kept aside, recorded, never sent again; the others pass."""
    server.answer = refuse(code, 2)
    with rig(server.port) as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") >= 2)
        up.pass_time_until(lambda: up.record.buried == {2: reason})
        up.wait(lambda: bool(server.on("/audit")))
        assert content(server.on("/audit")[0])["data"]["what"] == "dead_letter"
        assert up.stat("dead_letters") == 1


def test_a_broker_that_finds_everything_invalid_empties_no_record(server: MqttServer) -> None:
    """Each burial is an event, which would be buried in turn."""
    server.answer = lambda message: 0x90 if message.topic.endswith(("/checkin", "/audit")) else 0x00
    with rig(server.port) as up:
        up.record.add(5)
        up.pass_time_until(lambda: len(server.events()) >= 20)
        assert up.stat("hold") == "unacceptable"
        assert up.record.buried == {}
        assert up.record.left == 5


def test_an_event_larger_than_the_brokers_limit_becomes_a_dead_letter_and_is_never_sent(server: MqttServer) -> None:
    """Maximum Packet Size is kept without trying."""
    server.limits = {mqtt.MAXIMUM_PACKET_SIZE: 2000}
    with rig(server.port) as up:
        up.record.add()
        up.wait(lambda: up.stat("published") == 1)
        up.record.add(purpose="x" * 2000)
        up.wait(lambda: up.record.buried == {2: "packet_too_large"})
        assert len(server.events()) == 1


@pytest.mark.parametrize("code", [0x81, 0x82, 0x95], ids=hex)
def test_an_event_over_which_the_broker_hangs_up_again_and_again_is_given_up(server: MqttServer, code: int) -> None:
    """Found by sending one at a time; the innocent ones pass."""

    def answer(message: Publish) -> int | None:
        event = wire.read(wire.HeardEvent, message.payload)
        if isinstance(event, wire.HeardEvent) and event.seq == 3:
            server.disconnect(code)
            return None
        return 0x00

    server.answer = answer
    with rig(server.port) as up:
        up.record.add(6)
        up.pass_time_until(lambda: up.record.buried == {3: "breaks_connections"})
        up.wait(lambda: up.stat("published") >= 5)


def test_a_record_that_begins_anew_is_announced_by_a_new_hello(server: MqttServer) -> None:
    """Numbers of the new epoch are not taken for the old ones, and acks for the old one release nothing."""
    with rig(server.port) as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") == 3)
        old = up.record.epoch
        new = up.record.begin_anew()
        up.record.add(2)
        up.advance(1.1)
        up.wait(lambda: up.stat("connects") == 2)
        up.wait(lambda: up.stat("published") == 5)
        assert up.stat("ends") == {"new_record": 1}
        assert [content(message)["epoch"] for message in server.on("/hello")] == [old, new]
        ack(server, old, 3)
        up.wait(lambda: up.stat("stray_acks") == 1)
        assert up.record.left == 2


def test_what_the_broker_took_is_confirmed_before_the_stop(server: MqttServer) -> None:
    """`confirm = "broker"`: the batch that waits is not forgotten."""
    with rig(server.port, confirm="broker") as up:
        up.record.add(3)
        up.wait(lambda: up.stat("published") == 3)
    assert up.record.left == 0


# ----------------------------------------------------------------- the sender alone, without a network


class Broker:
    """Takes what the sender publishes, and answers when it is told to."""

    def __init__(self, *, settled_by_broker: bool = False, backlog_per_s: float = 1_000.0, largest: int = 100_000, width: int = 16) -> None:
        self.record = Record(PushedClock())
        busy = Backoff(2, 300, lambda low, _: low)
        self.sender = Sender(
            GATE, self.record, self.record.clock, settled_by_broker=settled_by_broker, backlog_per_s=backlog_per_s, busy=busy
        )
        self.got: list[Publication] = []
        self.now_s = 100.0
        self.sender.begin(Connected(width, largest, 2, retain_available=True, session_present=False), self.now_s)
        self.sender.adopt(self.record.epoch)

    def pump(self, after_s: float = 0.0) -> float:
        """So much later: send what may be sent. How long the sender would wait."""
        self.now_s += after_s
        return self.sender.pump(self.now_s, self.got.append)

    def seqs(self) -> list[int]:
        """What was published, in order."""
        return [message.token.seq for message in self.got if isinstance(message.token, EventToken)]

    def take(self, *seqs: int) -> None:
        """Say that these were taken."""
        for seq in seqs:
            self.sender.answered(seq, 0, self.now_s)


def test_what_the_broker_took_of_an_old_record_confirms_nothing_in_the_new_one() -> None:
    """With the broker's word alone: the numbers begin anew, and events of the new record were never sent."""
    one = Broker(settled_by_broker=True)
    one.record.add(3)
    one.pump()
    one.take(1, 2, 3)
    one.record.begin_anew()
    one.record.add(3)
    one.sender.adopt(one.record.epoch)
    one.got.clear()
    one.pump(SETTLE_S + 1)
    assert one.record.left == 3
    assert one.seqs() == [1, 2, 3]
    one.take(1, 2, 3)
    one.pump(SETTLE_S + 1)
    assert one.record.left == 0


def test_events_that_grew_old_while_they_waited_leave_the_quick_lane() -> None:
    """The backlog has its own cap and its own share of the window: an event of a minute ago is no live one any more."""
    one = Broker(backlog_per_s=1)
    one.record.add(5, age_s=LIVE_AGE_S + 1)
    one.record.add(2)
    one.pump()
    assert one.seqs() == [6, 1, 7] or one.seqs() == [6, 7, 1]
    one.record.clock.advance(LIVE_AGE_S + 1)
    one.record.add(1)
    one.sender.news()
    one.pump(REFRESH_S)
    assert one.sender.window.live_floor == 7
    assert one.seqs()[3:] == [8, 2]


@pytest.mark.parametrize("room", [0, 1])
def test_an_event_is_sent_when_it_fits_with_all_that_a_packet_holds_beside_it(room: int) -> None:
    """Topic and properties count as well; one byte too many and it is a dead letter that was never on the wire."""
    measured = Broker()
    measured.record.add(1)
    measured.pump()
    message = measured.got[0]
    size = len(message.payload) + len(message.topic) + OVERHEAD_BYTES
    one = Broker(largest=size - 1 + room)
    one.record.add(1)
    one.sender.answered(99, 0, one.now_s)
    one.pump()
    assert one.seqs() == ([1] if room else [])


def test_confirmations_of_the_broker_are_written_together() -> None:
    """Many at once, or after a moment: each write costs the card."""
    one = Broker(settled_by_broker=True)
    one.record.add(3)
    one.pump()
    one.take(1)
    one.pump()
    assert one.record.left == 3
    one.pump(SETTLE_S)
    assert one.record.left == 2
    one.take(2, 3)
    one.sender.close()
    assert (one.record.left, one.sender.acked, one.sender.published) == (0, 3, 3)


def test_so_many_confirmations_are_not_kept_waiting() -> None:
    """Fifty rows are worth a write of their own."""
    one = Broker(settled_by_broker=True, width=16)
    one.record.add(SETTLE_ROWS + 5)
    while len(one.seqs()) < SETTLE_ROWS:
        before = len(one.seqs())
        one.pump()
        one.take(*one.seqs()[before:])
    one.pump()
    assert one.record.left <= 5 + 16


def test_a_record_that_was_begun_anew_is_noticed_and_nothing_of_it_is_sent_under_the_old_name() -> None:
    """The province has to hear its epoch first."""
    one = Broker()
    one.record.add(1)
    one.pump()
    one.record.begin_anew()
    one.record.add(2)
    one.sender.news()
    one.got.clear()
    assert one.pump(REFRESH_S) == 0
    assert one.sender.outdated
    assert one.got == []


def test_an_ack_for_another_epoch_is_counted_and_releases_nothing() -> None:
    """One for this epoch does, and what was read ahead of it is not sent."""
    one = Broker(width=2)
    one.record.add(5)
    one.pump()
    stray = wire.Ack(epoch="6f2b1c5e-8a43-4f0d-9b8e-2f6f3f1f7a01", upto=5, ranges=[], server_time="2026-11-23T10:00:00Z")
    one.sender.confirmed(stray, one.now_s)
    assert (one.record.left, one.sender.stray_acks, one.sender.acked) == (5, 1, 0)
    one.take(*one.seqs())
    good = stray.model_copy(update={"epoch": one.record.epoch, "upto": 4})
    one.sender.confirmed(good, one.now_s)
    one.pump()
    assert (one.record.left, one.sender.acked, one.seqs()[-1]) == (1, 4, 5)


def test_figures_and_lanes_say_how_far_the_record_is() -> None:
    """Counters, times in milliseconds, why events are held; depth and age of both lanes."""
    one = Broker(width=16)
    one.record.add(2, age_s=LIVE_AGE_S + 100)
    one.record.add(3)
    assert one.sender.lanes()["live"]["depth"] == 3  # type: ignore[call-overload,index]  # any JSON
    assert one.sender.lanes()["backlog"]["depth"] == 2  # type: ignore[call-overload,index]  # any JSON
    one.pump()
    one.take(3, 4)
    one.now_s += 0.25
    one.sender.confirmed(wire.Ack(epoch=one.record.epoch, upto=0, ranges=[[3, 4]], server_time="2026-11-23T10:00:00Z"), one.now_s)
    figures = one.sender.figures()
    assert (figures["published"], figures["acked"], figures["resent"], figures["hold"]) == (2, 2, 0, None)
    assert figures["ack_ms"] == {"p50": 250.0, "p95": 250.0, "p99": 250.0}
    one.sender.answered(5, 0x97, one.now_s)
    assert one.sender.figures()["hold"] == "busy"


def test_a_new_connection_probes_at_once_whatever_was_held() -> None:
    """The broker that refused may have been mended; what it says to one event decides about the rest."""
    one = Broker()
    one.record.add(3)
    one.pump()
    for seq in (1, 2, 3):
        one.sender.answered(seq, 0x87, one.now_s)
    assert one.pump(1.0) == REFRESH_S
    one.sender.end(one.now_s, blamed=False)
    one.got.clear()
    one.sender.begin(Connected(16, 100_000, 2, retain_available=True, session_present=False), one.now_s)
    one.record.add(1)
    one.sender.adopt(one.record.epoch)
    one.pump()
    assert len(one.seqs()) == 1


def test_what_was_taken_is_come_back_for_before_long() -> None:
    """Neither a second later nor at once: the confirmations of a moment are written together."""
    one = Broker(settled_by_broker=True)
    one.record.add(1)
    assert one.pump() == REFRESH_S
    one.take(1)
    assert one.pump(SETTLE_S / 4) == pytest.approx(SETTLE_S * 3 / 4)
    one.pump(SETTLE_S)
    assert one.record.left == 0
    assert one.pump() == REFRESH_S


def test_ages_are_told_to_a_tenth_of_a_second() -> None:
    """Of the oldest event in each lane; a lane that is empty has none."""
    one = Broker()
    one.record.add(1, age_s=LIVE_AGE_S + 1_000.26)
    one.record.add(1, age_s=1.26)
    lanes = one.sender.lanes()
    for lane, age_s in (("backlog", LIVE_AGE_S + 1_000.26), ("live", 1.26)):
        oldest_s = lanes[lane]["oldest_s"]  # type: ignore[index,call-overload]  # any JSON
        assert isinstance(oldest_s, float)
        assert age_s - 0.1 <= oldest_s < age_s + 10
        assert oldest_s == round(oldest_s, 1)
    assert Broker().sender.lanes() == {"live": {"depth": 0}, "backlog": {"depth": 0}}
