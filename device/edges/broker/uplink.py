"""The road to the province: connects, says hello, sends the record, hears acks, and begins again when it breaks.

Two threads. The supervisor here decides, waits and touches the record; the
connection's thread (``connection``) does everything that can hang on a
network. They share nothing but queues, so a silent name server or a dead
link never stops the supervisor.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

from device.config import BrokerSection, GateSection
from device.core import broker_codes, wire
from device.core.pacing import STABLE_S, Backoff, Uniform
from device.core.types import Json, JsonObject
from device.edges.broker.announcements import About, Herald
from device.edges.broker.connection import Connection
from device.edges.broker.downlink import ConfigVerdict, Downlink
from device.edges.broker.notices import LineHistory, Notices, is_blamed, is_slow
from device.edges.broker.sender import EventToken, Sender
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Publication, Subscribed
from device.edges.lists.fetch import Ask, ListFetcher
from device.edges.machine.systemd import name_thread
from device.edges.orders.desk import OrderDesk
from device.errors import JournalError
from device.ports import Clock, Outbox

log = logging.getLogger(__name__)

TURN_S: Final = 1.0
"""The supervisor goes round at least this often."""
SHORTEST_WAIT_S: Final = 0.001
UNANSWERED_LIMIT_S: Final = 60.0
"""A broker that owes an answer for so long is given up: MQTT 5 allows sending again only on a new connection."""
CONTROL_LIMIT: Final = 64
"""Answers to the province waiting for a place in the window; more are not given."""
GOODBYE_S: Final = 2.0
"""An orderly stop waits so long for the broker to take the last message, and once more for the connection to end."""
RECORD_PAUSE_S: Final = 5.0
"""After the record could not be read or told something: the uplink waits so long before it turns to it again."""

News: TypeAlias = None
"""Stands in the queue where events were added."""


class Phase(StrEnum):
    """Where the uplink is."""

    STOPPED = "stopped"
    WAITING = "waiting"
    CONNECTING = "connecting"
    ONLINE = "online"


class MqttUplink:
    """`ports.Uplink` over MQTT 5.

    ``audit`` records the data of an audit event. ``uniform`` is chance, for
    tests.
    """

    def __init__(
        self,
        broker: BrokerSection,
        gate: GateSection,
        outbox: Outbox,
        clock: Clock,
        about: About,
        audit: Callable[[JsonObject], object],
        *,
        uniform: Uniform = random.uniform,
    ) -> None:
        self._broker = broker
        self._gate = gate.id
        self._outbox = outbox
        self._clock = clock
        self._uniform = uniform
        self._backoff = Backoff(broker.retry_min_s, broker.retry_max_s, uniform)
        self._sender = Sender(
            gate.id,
            outbox,
            clock,
            settled_by_broker=broker.confirm == "broker",
            backlog_per_s=broker.backlog_per_s,
            busy=Backoff(broker.retry_min_s, broker.retry_max_s, uniform),
        )
        self._herald = Herald(gate.id, about, clock, broker.health_every_s)
        self._notices = Notices(clock, audit)
        self._standing = LineHistory(f"{broker.host}:{broker.port}", self._notices)
        self._downlink = Downlink(gate.id, about.applied, self._notices)
        self._events: queue.SimpleQueue[tuple[Connection, Event] | News] = queue.SimpleQueue()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)
        self._rounds = 0
        self._phase = Phase.STOPPED
        self._connection: Connection | None = None
        self._limits: Connected | None = None
        self._session = ""
        self._greeted = False
        self._control: deque[Publication] = deque()
        self._retain = True
        self._report: Callable[[], ConfigVerdict | None] = lambda: None
        self._started_s = self._since_s = self._online_s = 0.0
        self._retry_at_s = self._record_at_s = self._health_at_s = self._look_at_s = 0.0
        self._tally = {"attempts": 0, "connects": 0, "bad_messages": 0, "record_errors": 0, "crashes": 0}

    def set_order_desk(self, desk: OrderDesk) -> None:
        """Who carries commands out. To be told before ``start``; used in the supervisor's thread alone."""
        self._downlink.desk = desk

    def set_list_fetcher(self, fetcher: ListFetcher) -> None:
        """Who fetches lists. To be told before ``start``."""
        self._downlink.fetcher = fetcher

    def set_config_judge(self, judge: Callable[[bytes], ConfigVerdict], report: Callable[[], ConfigVerdict | None]) -> None:
        """Who judges desired configurations, and what became of the last one. To be told before ``start``."""
        self._downlink.judge_config = judge
        self._report = report

    def hear(self, ask: Ask) -> None:
        """Hear one more topic, or one less, as long as this connection stands. From any thread."""
        connection = self._connection
        if connection is not None:
            (connection.subscribe if ask.wanted else connection.unsubscribe)(ask.topic)

    def set_drain_rate(self, per_s: float) -> None:
        """The cap on old events, until the next start. In the supervisor's thread."""
        self._sender.window.set_backlog_rate(per_s)

    def rewind(self) -> None:
        """Events that were confirmed wait again: read the record from its beginning. In the supervisor's thread."""
        self._sender.rewind()

    # ------------------------------------------------------------- the port

    def start(self) -> None:
        """Begin to connect, after a random part of the configured spread."""
        self._started_s = self._now_s()
        self._retry_at_s = self._started_s + self._uniform(0.0, self._broker.first_connect_spread_s)
        self._phase = Phase.WAITING
        self._outbox.on_news(self._on_news)
        self._thread.start()

    def stats(self) -> Mapping[str, Json]:
        """Phase, why, counters and ack percentiles. From any thread; the figures are read one after the other."""
        window, sender = self._sender.window, self._sender
        return {
            "phase": self._phase.value,
            "reason": self._standing.reason,
            "retry_in_s": round(max(0.0, self._retry_at_s - self._now_s()), 1) if self._phase is Phase.WAITING else None,
            "session": self._session,
            "window": window.width,
            "in_flight": window.in_flight,
            "unacked": window.unacked,
            "dead_letters": sender.dead_letters,
            "stray_acks": sender.stray_acks,
            "refused_orders": self._downlink.refused,
            "orders": 0 if self._downlink.desk is None else self._downlink.desk.carried_out,
            "unrecorded_notices": self._notices.unrecorded,
            "ends": dict(self._standing.ends),
            **self._tally,
            **self._figures(),
        }

    @property
    def progress(self) -> int:
        """Rises whenever the supervisor has gone round, connected or not."""
        return self._rounds

    def close(self) -> None:
        """Say goodbye and stop; what the network does not let go of is left behind after the limit."""
        self._stop.set()
        self._events.put(None)
        if self._thread.ident is not None:
            self._thread.join(4 * GOODBYE_S)
        if self._thread.is_alive():
            log.warning("the uplink did not stop in time and is left behind")

    # ------------------------------------------------------------- supervisor

    def _run(self) -> None:
        name_thread("uplink")
        if self._downlink.desk is not None:
            self._downlink.desk.wake(self._clock.reading())
        while not self._stop.is_set():
            try:
                self._turn()
            except JournalError as error:
                self._pause(error)
            except Exception:
                log.exception("the uplink's supervisor failed; it begins again")
                self._tally["crashes"] += 1
                self._hang_up("internal")
                self._stop.wait(TURN_S)
        try:
            self._goodbye()
        except JournalError as error:
            log.warning("the record could not be told what the broker has taken: %s", error)
        self._phase = Phase.STOPPED

    def _turn(self) -> None:
        self._rounds += 1
        now_s = self._now_s()
        wait_s = TURN_S
        if self._phase is Phase.WAITING:
            wait_s = self._retry_at_s - now_s
            if wait_s <= 0:
                self._connect()
                wait_s = TURN_S
        elif self._phase is Phase.ONLINE:
            wait_s = self._serve(now_s)
        self._listen(min(max(wait_s, SHORTEST_WAIT_S), TURN_S))

    def _listen(self, timeout_s: float) -> None:
        """Wait for something to happen, then take everything that has."""
        try:
            self._handle(self._events.get(timeout=timeout_s))
            while True:
                self._handle(self._events.get_nowait())
        except queue.Empty:
            return

    def _handle(self, item: tuple[Connection, Event] | News) -> None:
        if item is None:
            self._news.clear()
            self._sender.news()
            return
        connection, event = item
        if connection is not self._connection:
            return
        match event:
            case Connected():
                self._connected(event)
            case Answered(token, code):
                self._answered(token, code)
            case Arrived():
                try:
                    self._arrived(event)
                finally:
                    connection.done(event)
            case Subscribed(codes):
                self._standing.subscribed(codes)
            case Ended():
                self._ended(event)

    def _serve(self, now_s: float) -> float:
        """Everything there is to do on a standing connection. Returns how long it may wait."""
        if now_s >= self._look_at_s and not self._look_after(now_s):
            return 0.0
        self._speak()
        if now_s < self._record_at_s:
            return self._record_at_s - now_s
        if not self._greeted:
            self._greet()
            return 0.0
        wait_s = self._sender.pump(now_s, self._publish)
        self._standing.hold(self._sender.window.hold)
        if self._sender.outdated:
            log.warning("the record was begun anew, and so is the connection")
            self._hang_up("new_record")
        return min(wait_s, self._look_at_s - now_s)

    def _speak(self) -> None:
        """Send what is said beside the record, as far as the window has room."""
        self._control.extend(self._downlink.answers(self._clock.reading())[: CONTROL_LIMIT - len(self._control)])
        while self._control and self._sender.window.reserve(self._control[0].token, self._now_s()):
            self._publish(self._control.popleft())

    def _look_after(self, now_s: float) -> bool:
        """Once a second: is the broker still answering, and is health due? False when the connection was given up."""
        self._look_at_s = now_s + TURN_S
        if self._sender.window.oldest_unanswered_s(now_s) > UNANSWERED_LIMIT_S:
            self._hang_up("unanswered")
            return False
        if now_s - self._since_s > STABLE_S:
            self._backoff.reset()
        if now_s >= self._health_at_s:
            self._health_at_s = now_s + self._broker.health_every_s
            self._publish(self._herald.health(self._session, {**self._figures(), **self._lanes()}))
        return True

    def _publish(self, publication: Publication) -> None:
        if self._connection is not None:
            self._connection.publish(publication)

    # ------------------------------------------------------------- connecting

    def _connect(self) -> None:
        self._tally["attempts"] += 1
        self._phase = Phase.CONNECTING
        self._session = str(uuid.uuid4())
        lists = () if self._downlink.fetcher is None else self._downlink.fetcher.names
        peer = self._herald.peer(self._broker, self._session, retain=self._retain, lists=lists)
        connection = Connection(peer, lambda event: self._events.put((connection, event)))
        self._connection = connection
        connection.start()

    def _connected(self, limits: Connected) -> None:
        now_s = self._now_s()
        if limits.maximum_qos == 0:
            self._hang_up("no_qos_1")
            return
        self._limits = limits
        self._phase = Phase.ONLINE
        self._tally["connects"] += 1
        self._since_s = self._look_at_s = self._health_at_s = now_s
        self._greeted = False
        self._sender.begin(limits, now_s)
        self._control.clear()
        self._control.append(self._herald.state(self._session, online=True, retain=limits.retain_available))
        verdict = self._report()
        if verdict is not None:
            self._control.append(self._downlink.report(verdict))
        self._standing.online()
        if self._downlink.fetcher is not None:
            self._downlink.fetcher.online(connected=True)

    def _greet(self) -> None:
        """Say hello; only then events follow, so that the province knows their epoch."""
        bounds = self._outbox.bounds()
        self._control.append(self._herald.hello(self._session, bounds))
        self._sender.adopt(bounds.epoch)
        self._greeted = True

    def _ended(self, end: Ended) -> None:
        """The connection failed or is gone: note why, and when to try again."""
        now_s = self._now_s()
        if self._phase is Phase.ONLINE:
            self._online_s += now_s - self._since_s
        self._phase = Phase.WAITING
        self._connection = None
        if self._downlink.fetcher is not None:
            self._downlink.fetcher.online(connected=False)
        self._retry_at_s = now_s + (self._backoff.slow_s() if is_slow(end) else self._backoff.next_s())
        if end.reason == "refused" and end.code == broker_codes.RETAIN_NOT_SUPPORTED:
            self._retain = False
        self._sender.end(now_s, blamed=is_blamed(end))
        self._standing.ended(end)

    def _hang_up(self, reason: str) -> None:
        """End the connection from this side, at once, whatever the network does."""
        if self._connection is not None:
            self._connection.drop(reason)
            self._ended(Ended(reason))

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
        connection, window = self._connection, self._sender.window
        if connection is None:
            return
        if self._phase is Phase.ONLINE and self._limits is not None:
            self._speak()
            last = self._herald.state(self._session, online=False, retain=self._limits.retain_available)
            if self._until(lambda: window.reserve(last.token, self._now_s())):
                self._publish(last)
                self._until(lambda: not window.owes(last.token))
            self._sender.close()
        connection.disconnect()
        self._until(lambda: self._connection is None)
        if not connection.join(GOODBYE_S):
            log.warning("the connection did not end in time and is left behind")

    def _until(self, reached: Callable[[], bool]) -> bool:
        """Take what comes until then, within a limit. Whether it was reached."""
        limit_s = self._now_s() + GOODBYE_S
        while not (done := reached()) and self._connection is not None and self._now_s() < limit_s:
            self._listen(0.05)
        return done

    # ------------------------------------------------------------- small things

    def _on_news(self) -> None:
        if not self._news.is_set():
            self._news.set()
            self._events.put(None)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    def _figures(self) -> dict[str, Json]:
        """The uplink's own part of health."""
        online_s = self._online_s + (self._now_s() - self._since_s if self._phase is Phase.ONLINE else 0.0)
        offline_s = self._now_s() - self._started_s - online_s if self._started_s else 0.0
        return {**self._sender.figures(), "offline_s": round(max(0.0, offline_s), 1)}

    def _lanes(self) -> dict[str, Json]:
        try:
            return self._sender.lanes()
        except JournalError as error:
            self._pause(error)
            return {}
