"""The road to the province: says hello, sends the record, hears acks, judges what comes, and says how the gate is.

It shares nothing with the decision path but the record. The line itself, its
attempts and waits, is kept by ``kept_line``; everything here runs in one
thread of its own.
"""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from device.config import BrokerSection, GateSection
from device.core import broker_codes, wire
from device.core.pacing import Backoff, Uniform
from device.core.types import Json
from device.edges.broker.announcements import About, Herald
from device.edges.broker.downlink import ConfigVerdict, Downlink, ListTaker, OrderTaker
from device.edges.broker.kept_line import KeptLine, Phase
from device.edges.broker.notices import Notices, UplinkTroubles, is_blamed
from device.edges.broker.sender import EventToken, Sender
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication
from device.edges.machine.systemd import name_thread
from device.errors import JournalError
from device.ports import Clock, Outbox

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How often the uplink looks whether the broker still answers and whether health is due."""
UNANSWERED_LIMIT_S: Final = 60.0
"""A broker that owes an answer for so long is given up: MQTT 5 allows sending again only on a new connection."""
CONTROL_LIMIT: Final = 64
"""Answers to the province waiting for a place in the window; more are not given."""
GOODBYE_S: Final = 2.0
"""An orderly stop waits so long for the broker to take the last message, and once more for the connection to end."""
RECORD_PAUSE_S: Final = 5.0
"""After the record could not be read or told something: the uplink waits so long before it turns to it again."""


class MqttUplink:
    """The uplink over MQTT 5. ``record`` records a fact; ``uniform`` is chance, for tests."""

    def __init__(
        self,
        broker: BrokerSection,
        gate: GateSection,
        outbox: Outbox,
        clock: Clock,
        about: About,
        record: Callable[[wire.AuditFact], object],
        *,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._broker = broker
        self._gate = gate.id
        self._outbox = outbox
        self._clock = clock
        self._uniform = uniform
        self._line = KeptLine(self, Backoff(broker.retry_min_s, broker.retry_max_s, uniform), self._now_s)
        self._sender = Sender(
            gate.id,
            outbox,
            clock,
            settled_by_broker=broker.confirm == "broker",
            backlog_per_s=broker.backlog_per_s,
            busy=Backoff(broker.retry_min_s, broker.retry_max_s, uniform),
        )
        self._herald = Herald(gate.id, about, clock, broker.health_every_s)
        self._notices = Notices(clock, record)
        self._troubles = UplinkTroubles(self._notices)
        self._downlink = Downlink(gate.id, about.applied, self._notices)
        self._news = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._limits: Connected | None = None
        self._session = ""
        self._greeted = False
        self._control: deque[Publication] = deque()
        self._retain = True
        self._report: Callable[[], ConfigVerdict | None] = lambda: None
        self._record_at_s = self._health_at_s = self._look_at_s = 0.0
        self._tally = {"bad_messages": 0, "record_errors": 0}

    def set_order_desk(self, desk: OrderTaker) -> None:
        """Who carries commands out. To be told before ``start``; used in the supervisor's thread alone."""
        self._downlink.desk = desk

    def set_list_fetcher(self, fetcher: ListTaker) -> None:
        """Who fetches lists. To be told before ``start``."""
        self._downlink.fetcher = fetcher

    def set_config_judge(self, judge: Callable[[bytes], ConfigVerdict], report: Callable[[], ConfigVerdict | None]) -> None:
        """Who judges desired configurations, and what became of the last one. To be told before ``start``."""
        self._downlink.judge_config = judge
        self._report = report

    def hear(self, topic: str, *, wanted: bool) -> None:
        """Hear one more topic, or one less, as long as this connection stands. From any thread."""
        self._line.hear(topic, wanted=wanted)

    def set_drain_rate(self, per_s: float) -> None:
        """The cap on old events, until the next start. In the supervisor's thread."""
        self._sender.window.set_backlog_rate(per_s)

    def rewind(self) -> None:
        """Events that were confirmed wait again: read the record from its beginning. In the supervisor's thread."""
        self._sender.rewind()

    # ------------------------------------------------------------- for the gate

    def start(self) -> None:
        """Begin to connect, after a random part of the configured spread."""
        self._line.begin(self._uniform(0.0, self._broker.first_connect_spread_s))
        self._outbox.on_news(self._on_news)
        self._thread.start()

    def stats(self) -> Mapping[str, Json]:
        """Phase, why, counters and ack percentiles. From any thread; the figures are read one after the other."""
        line, window, sender = self._line, self._sender.window, self._sender
        retry_in_s = line.retry_in_s
        return {
            "phase": line.phase.value,
            "reason": line.reason,
            "retry_in_s": None if retry_in_s is None else round(retry_in_s, 1),
            "session": self._session,
            "window": window.width,
            "in_flight": window.in_flight,
            "unacked": window.unacked,
            "dead_letters": sender.dead_letters,
            "stray_acks": sender.stray_acks,
            "refused_orders": self._downlink.refused,
            "orders": 0 if self._downlink.desk is None else self._downlink.desk.carried_out,
            "unrecorded_notices": self._notices.unrecorded,
            "overflowed": line.overflowed,
            "ends": dict(line.ends),
            "attempts": line.attempts,
            "connects": line.connects,
            "crashes": line.crashes,
            **self._tally,
            **self._figures(),
        }

    @property
    def progress(self) -> int:
        """Rises whenever the uplink has gone round, connected or not: for the watchdog."""
        return self._line.rounds

    def close(self) -> None:
        """Say goodbye and stop; what the network does not let go of is left behind after the limit."""
        self._stop.set()
        self._line.wake()
        if self._thread.ident is not None:
            self._thread.join(4 * GOODBYE_S)
        if self._thread.is_alive():
            log.warning("the uplink did not stop in time and is left behind")

    def _run(self) -> None:
        name_thread("uplink")
        if self._downlink.desk is not None:
            self._downlink.desk.wake(self._clock.reading())
        self._line.run_unattended(self._stop)
        try:
            self._goodbye()
        except JournalError as error:
            log.warning("the record could not be told what the broker has taken: %s", error)

    # ------------------------------------------------------------- for the line

    def peer(self) -> Peer:
        """Where to connect; each connection is a session of its own to the province."""
        self._session = str(uuid.uuid4())
        lists = () if self._downlink.fetcher is None else self._downlink.fetcher.names
        return self._herald.peer(self._broker, self._session, retain=self._retain, lists=lists)

    def on_event(self, event: Event) -> None:
        """What happened on the line; a record that cannot be used for now never breaks it."""
        try:
            self._happened(event)
        except JournalError as error:
            self._pause(error)
        finally:
            if isinstance(event, Arrived):
                self._line.done(event)

    def serve(self, now_s: float) -> float:
        """Everything there is to do on a standing connection."""
        try:
            return self._serve(now_s)
        except JournalError as error:
            self._pause(error)
            return 0.0

    def _happened(self, event: Event) -> None:
        match event:
            case Connected():
                self._connected(event)
            case Answered(token, code):
                self._answered(token, code)
            case Arrived():
                self._arrived(event)
            case Ended():
                self._ended(event)

    def _serve(self, now_s: float) -> float:
        if self._news.is_set():
            self._news.clear()
            self._sender.news()
        if now_s >= self._look_at_s and not self._look_after(now_s):
            return 0.0
        self._speak()
        if now_s < self._record_at_s:
            return self._record_at_s - now_s
        if not self._greeted:
            self._greet()
            return 0.0
        wait_s = self._sender.pump(now_s, self._line.publish)
        self._troubles.hold(self._sender.window.hold)
        if self._sender.outdated:
            log.warning("the record was begun anew, and so is the connection")
            self._line.hang_up("new_record")
        return min(wait_s, self._look_at_s - now_s)

    def _speak(self) -> None:
        """Send what is said beside the record, as far as the window has room."""
        self._control.extend(self._downlink.answers(self._clock.reading())[: CONTROL_LIMIT - len(self._control)])
        while self._control and self._sender.window.reserve(self._control[0].token, self._now_s()):
            self._line.publish(self._control.popleft())

    def _all_said(self) -> bool:
        self._speak()
        return not self._control

    def _look_after(self, now_s: float) -> bool:
        """Once a second: is the broker still answering, and is health due? False when the connection was given up."""
        self._look_at_s = now_s + LOOK_EVERY_S
        if self._sender.window.oldest_unanswered_s(now_s) > UNANSWERED_LIMIT_S:
            self._line.hang_up("unanswered")
            return False
        if now_s >= self._health_at_s:
            self._health_at_s = now_s + self._broker.health_every_s
            self._line.publish(self._herald.health(self._session, {**self._figures(), **self._lanes()}))
        return True

    # ------------------------------------------------------------- connecting

    def _connected(self, limits: Connected) -> None:
        now_s = self._now_s()
        if limits.maximum_qos == 0:
            self._line.hang_up("no_qos_1")
            return
        self._limits = limits
        self._look_at_s = self._health_at_s = now_s
        self._greeted = False
        self._sender.begin(limits, now_s)
        self._control.clear()
        self._control.append(self._herald.state(self._session, online=True, retain=limits.retain_available))
        verdict = self._report()
        if verdict is not None:
            self._control.append(self._downlink.report(verdict))
        if self._downlink.fetcher is not None:
            self._downlink.fetcher.online(connected=True)

    def _greet(self) -> None:
        """Say hello; only then events follow, so that the province knows their epoch."""
        bounds = self._outbox.bounds()
        self._control.append(self._herald.hello(self._session, bounds))
        self._sender.adopt(bounds.epoch)
        self._greeted = True

    def _ended(self, end: Ended) -> None:
        if self._downlink.fetcher is not None:
            self._downlink.fetcher.online(connected=False)
        if end.reason == "refused" and end.code == broker_codes.RETAIN_NOT_SUPPORTED:
            self._retain = False
        self._sender.end(self._now_s(), blamed=is_blamed(end))
        if self._line.changed:
            self._troubles.ended(end)

    def _pause(self, error: JournalError) -> None:
        self._tally["record_errors"] += 1
        if self._now_s() > self._record_at_s + RECORD_PAUSE_S:
            log.warning("the uplink cannot use the record for now: %s", error)
        self._record_at_s = self._now_s() + RECORD_PAUSE_S

    # ------------------------------------------------------------- what comes

    def _answered(self, token: object, code: int) -> None:
        if isinstance(token, EventToken):
            self._sender.answered(token.seq, code, self._now_s())
            return
        self._sender.window.free_slot(token)
        if broker_codes.is_refusal(code):
            log.warning("the broker refused a message beside the record: %s", broker_codes.name(code))

    def _arrived(self, message: Arrived) -> None:
        topic = wire.parse_topic(message.topic)
        if topic is None or topic.way != "down" or topic.gate not in {self._gate, wire.ALL}:
            self._tally["bad_messages"] += 1
        elif topic.kind == "ack":
            self._acked(message.payload)
        else:
            reply = self._downlink.receive(topic, message.payload, self._clock.reading(), retained=message.retained)
            if reply is not None and len(self._control) < CONTROL_LIMIT:
                self._control.append(reply)

    def _acked(self, payload: bytes) -> None:
        ack = wire.read(wire.Ack, payload)
        if isinstance(ack, wire.Unreadable):
            self._tally["bad_messages"] += 1
            log.warning("an ack could not be read: %s", ack.where)
            return
        self._sender.confirmed(ack, self._now_s())

    # ------------------------------------------------------------- the end

    def _goodbye(self) -> None:
        """Confirm what was taken, say that the gate goes offline, and disconnect so that the will is forgotten."""
        window = self._sender.window
        if self._line.phase is Phase.ONLINE and self._limits is not None:
            # A gate that was wiped says so now or never: what its record holds of it is about to go.
            self._line.drain(self._all_said, GOODBYE_S)
            last = self._herald.state(self._session, online=False, retain=self._limits.retain_available)
            if self._line.drain(lambda: window.reserve(last.token, self._now_s()), GOODBYE_S):
                self._line.publish(last)
                self._line.drain(lambda: not window.owes(last.token), GOODBYE_S)
            self._sender.close()
        self._line.goodbye(GOODBYE_S)

    # ------------------------------------------------------------- small things

    def _on_news(self) -> None:
        if not self._news.is_set():
            self._news.set()
            self._line.wake()

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _figures(self) -> dict[str, Json]:
        """The uplink's own part of health."""
        return {**self._sender.figures(), "offline_s": round(self._line.offline_s, 1)}

    def _lanes(self) -> dict[str, Json]:
        try:
            return self._sender.lanes()
        except JournalError as error:
            self._pause(error)
            return {}
