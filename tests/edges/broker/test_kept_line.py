"""A line that is kept: when it tries again, whom it hears, and how it ends, for each of the four that have one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Final, cast

import pytest

from device.config import SiblingsSection
from device.core.pacing import STABLE_S, Backoff
from device.core.types import ClockReading
from device.edges.broker.kept_line import EVENTS_A_TURN, KeptLine, Phase
from device.edges.broker.siblings import Siblings
from device.edges.broker.values import Answered, Arrived, Connected, Ended, Event, Peer, Publication, Subscribed, Subscription
from provisioning.enrolment.worker import EnrolmentDesk, Worker
from provisioning.province.collector import Collector
from provisioning.province.event_store import SqliteStore
from tests.edges.broker.uplink_kit import Rig
from tests.fakes.mqtt_server import MqttServer

TOPIC: Final = "gates/v1/gate-07/up/state"


def longest(_low: float, high: float) -> float:
    """Chance that always gives the longest wait: each is three times the one before."""
    return high


class MovedClock:
    """A monotonic clock, and all others with it, that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic_s(self) -> float:
        """Seconds."""
        return self.now_s

    def monotonic_ns(self) -> int:
        """Nanoseconds."""
        return round(self.now_s * 1e9)

    def reading(self) -> ClockReading:
        """All clocks; the wall clock is not known."""
        return ClockReading(self.monotonic_ns(), self.monotonic_ns(), 0, "boot", trusted=False)


class User:
    """Somebody who uses a line, and writes down what happens on it."""

    def __init__(self, port: int) -> None:
        self.clock = MovedClock()
        self.port = port
        self.events: list[Event] = []
        self.served = 0
        self.fault: Exception | None = None
        self.line = KeptLine(self, Backoff(1, 100, longest), self.clock.monotonic_s)

    def peer(self) -> Peer:
        """The scripted server."""
        return Peer("127.0.0.1", self.port, None, "user", subscriptions=(Subscription("#"),), unread_limit=2_000, receive_maximum=1_000)

    def on_event(self, event: Event) -> None:
        """Written down; a message is done with at once."""
        self.events.append(event)
        if isinstance(event, Arrived):
            self.line.done(event)

    def serve(self, now_s: float) -> float:
        """Nothing to do, unless there is a fault."""
        assert now_s == self.clock.now_s
        self.served += 1
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        return 0.01

    def kinds(self) -> list[type[Event]]:
        """What happened, by kind."""
        return [type(event) for event in self.events]

    def until(self, reached: Callable[[], bool]) -> None:
        """Turn the line until then."""
        turn_until(self.line, reached)

    def hold_for(self, seconds: float) -> None:
        """Connect if it is time, then let so much time pass on the standing connection."""
        self.until(lambda: self.line.phase is Phase.ONLINE)
        self.clock.now_s += seconds


def turn_until(line: KeptLine, reached: Callable[[], bool], most: int = 2_000) -> None:
    """Turn a line until something is so; each turn waits for the network by itself."""
    for _ in range(most):
        if reached():
            return
        line.turn()
    pytest.fail(f"it did not happen: {line.phase} {line.reason} {line.ends}")


def one_attempt(line: KeptLine) -> float:
    """Turn a line until one more attempt has failed. Returns how long it waits before the next."""
    before = line.attempts
    turn_until(line, lambda: line.attempts > before and line.phase is Phase.WAITING)
    assert line.retry_in_s is not None
    return line.retry_in_s


@pytest.fixture
def server() -> Iterator[MqttServer]:
    """The scripted server."""
    with MqttServer() as scripted:
        yield scripted


@pytest.fixture
def user(server: MqttServer) -> Iterator[User]:
    """A user at the scripted server, gone at the end."""
    one = User(server.port)
    one.line.begin()
    yield one
    one.line.goodbye(5.0)


@contextmanager
def uplink_line(port: int, _folder: Path, clock: MovedClock) -> Iterator[KeptLine]:
    """The uplink's."""
    rig = Rig(port, retry_min_s=0.5, retry_max_s=30, uniform=longest)
    rig.uplink._clock = clock  # noqa: SLF001 - one clock for all four
    yield rig.uplink._line  # noqa: SLF001 - the line is what is looked at


@contextmanager
def siblings_line(port: int, _folder: Path, clock: MovedClock) -> Iterator[KeptLine]:
    """The one to the other gates of a site."""
    section = SiblingsSection(gates=("gate-b",), host="127.0.0.1", port=port)
    yield Siblings(section, "site-1", "gate-a", clock, uniform=longest)._line  # noqa: SLF001 - the line is what is looked at


@contextmanager
def collector_line(port: int, folder: Path, clock: MovedClock) -> Iterator[KeptLine]:
    """The collector's."""
    with closing(SqliteStore(folder / "events.sqlite")) as store:
        peer = Peer("127.0.0.1", port, None, "collector")
        yield Collector(peer, store, now_s=clock.monotonic_s, uniform=longest)._line  # noqa: SLF001 - the line is what is looked at


@contextmanager
def worker_line(port: int, _folder: Path, clock: MovedClock) -> Iterator[KeptLine]:
    """The enrolment worker's."""
    nobody = cast("EnrolmentDesk", None)  # nothing is ever asked
    peer = Peer("127.0.0.1", port, None, "enrolment")
    yield Worker(peer, nobody, now_s=clock.monotonic_s, uniform=longest)._line  # noqa: SLF001 - the line is what is looked at


@pytest.mark.parametrize("make", [uplink_line, siblings_line, collector_line, worker_line])
def test_all_who_keep_a_line_try_as_often_at_a_broker_that_accepts_and_hangs_up(
    make: Callable[[int, Path, MovedClock], AbstractContextManager[KeptLine]], server: MqttServer, tmp_path: Path
) -> None:
    """With waits of 1.5, 4.5 and 13.5 s the fourth attempt within 25 s is the last: being accepted is no success."""
    server.tired = True
    clock = MovedClock()
    with make(server.port, tmp_path, clock) as line:
        line.begin()
        tried_s = []
        while clock.now_s < 1_025:
            tried_s.append(clock.now_s - 1_000)
            clock.now_s += one_attempt(line)
        line.goodbye(5.0)
    assert tried_s == [0, 1.5, 6, 19.5]
    assert line.attempts == len(server.connects) == 4


def test_only_a_connection_that_stood_for_a_stable_minute_lets_the_waits_begin_again(user: User, server: MqttServer) -> None:
    """A second less, and the next wait is three times the last one."""
    waits = []
    for held_s in (0, STABLE_S, STABLE_S + 0.1, 0):
        user.hold_for(held_s)
        server.hang_up()
        user.until(lambda: user.line.phase is Phase.WAITING)
        waits.append(user.line.retry_in_s)
        user.clock.now_s += user.line.retry_in_s or 0.0
    assert waits == [3, 9, 3, 9]


def test_where_somebody_must_mend_something_the_wait_is_long_at_once(user: User, server: MqttServer) -> None:
    """A gate that is not authorized does not heal within seconds; the short waits are untouched by it."""
    server.refuse(0x87)
    user.until(lambda: user.line.attempts == 1 and user.line.phase is Phase.WAITING)
    assert (user.line.retry_in_s, user.line.reason) == (100, "refused_not_authorized")


def test_a_connection_that_was_given_up_is_not_heard_any_more(user: User, server: MqttServer) -> None:
    """Its end is told once, by whoever hung up; what it still brings is nobody's."""
    user.hold_for(0)
    server.publish(TOPIC, b"late", qos=0)
    user.line.hang_up("unanswered")
    assert user.kinds()[-1] is Ended
    user.clock.now_s += 3
    user.until(lambda: user.line.connects == 2)
    user.until(lambda: user.kinds()[-1] is Subscribed)
    assert user.kinds().count(Ended) == 1
    assert Arrived not in user.kinds()
    assert user.line.ends == {"unanswered": 1}


def test_events_come_in_order_and_an_answer_carries_its_token(user: User, server: MqttServer) -> None:
    """First that it stands, then what was asked, last its end."""
    server.answer = server.accept_all
    user.hold_for(0)
    user.line.publish(Publication("mine", TOPIC, b"{}"))
    user.until(lambda: Answered in user.kinds())
    assert Answered("mine", 0) in user.events
    server.hang_up()
    user.until(lambda: user.kinds()[-1] is Ended)
    assert user.kinds()[0] is Connected


def test_a_user_that_hangs_up_on_the_greeting_was_never_online(user: User, server: MqttServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What repeats for the same reason is not told again, and no log swings between "connected" and "too narrow"."""
    heard = user.on_event

    def narrow(event: Event) -> None:
        heard(event)
        if isinstance(event, Connected):
            user.line.hang_up("no_qos_1")

    monkeypatch.setattr(user, "on_event", narrow)
    changes = []
    for _ in range(2):
        user.clock.now_s += one_attempt(user.line)
        changes.append(user.line.changed)
    assert (changes, user.line.connects, user.line.reason) == ([True, False], 0, "no_qos_1")
    assert server.connects


def test_a_flood_does_not_keep_the_user_from_its_work(user: User, server: MqttServer) -> None:
    """After so many events in one turn the user is asked again."""
    user.hold_for(0)
    user.until(lambda: Subscribed in user.kinds())
    for _ in range(EVENTS_A_TURN * 2):
        server.publish(TOPIC, b"x", qos=0)
    before, most = user.kinds().count(Arrived), 0
    while user.kinds().count(Arrived) < EVENTS_A_TURN * 2:
        user.line.turn()
        most, before = max(most, user.kinds().count(Arrived) - before), user.kinds().count(Arrived)
    assert most <= EVENTS_A_TURN + 1


def test_time_without_a_connection_is_counted(user: User, server: MqttServer) -> None:
    """From the beginning, and between connections; not while one stands."""
    user.clock.now_s += 5
    user.hold_for(40)
    assert user.line.offline_s == 5
    server.hang_up()
    user.until(lambda: user.line.phase is Phase.WAITING)
    user.clock.now_s += 2
    assert user.line.offline_s == 7


def test_what_was_dropped_is_counted_over_all_connections(user: User, server: MqttServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages beyond what the user can deal with, of a connection that is gone, too."""
    monkeypatch.setattr(
        user, "peer", lambda: Peer("127.0.0.1", server.port, None, "user", subscriptions=(Subscription("#"),), unread_limit=0)
    )
    for count in (1, 2):
        user.until(lambda: user.line.phase is Phase.ONLINE)
        user.until(lambda: user.kinds()[-1] is Subscribed)
        server.publish(TOPIC, b"x", qos=0)
        user.until(lambda count=count: user.line.overflowed == count)  # type: ignore[misc]  # bound now, not later
        server.hang_up()
        user.until(lambda: user.line.phase is Phase.WAITING)
        user.clock.now_s += user.line.retry_in_s or 0.0
    assert user.line.overflowed == 2


class UntilOnline(threading.Event):
    """Lets the clock run on where the line waits, and ends when it has connected so often."""

    def __init__(self, user: User, connects: int) -> None:
        super().__init__()
        self._user = user
        self._connects = connects

    def is_set(self) -> bool:
        """Whether it has."""
        self._user.clock.now_s += self._user.line.retry_in_s or 0.0
        return self._user.line.connects == self._connects

    def wait(self, timeout: float | None = None) -> bool:
        """No time passes here."""
        assert timeout is not None
        return False


def test_on_a_gate_a_fault_of_the_user_begins_the_connection_anew(user: User, server: MqttServer, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is there to start it again. The fault is logged with its place, and counted."""
    user.fault = RuntimeError("made")
    user.line.run_unattended(UntilOnline(user, 2))
    assert user.line.crashes == 1
    assert user.line.ends == {"internal": 1}
    assert "RuntimeError: made" in caplog.text
    assert f"127.0.0.1:{server.port} failed" in caplog.text


def test_a_user_that_fails_at_the_end_or_before_the_beginning_is_not_left_without_a_line(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told of the end it fails again, and so it does when it is asked where to connect: the waits grow, the line goes on."""
    user.fault = RuntimeError("made")
    faults = [RuntimeError("at the end"), RuntimeError("whereto")]
    heard, asked = user.on_event, user.peer

    def on_event(event: Event) -> None:
        if isinstance(event, Ended) and len(faults) == 2:
            raise faults.pop(0)
        heard(event)

    def peer() -> Peer:
        if len(faults) == 1:
            raise faults.pop(0)
        return asked()

    monkeypatch.setattr(user, "on_event", on_event)
    monkeypatch.setattr(user, "peer", peer)
    user.line.run_unattended(UntilOnline(user, 2))
    assert (user.line.crashes, user.line.ends, user.line.attempts) == (3, {"internal": 2}, 3)


def test_elsewhere_a_fault_of_the_user_ends_its_program(user: User) -> None:
    """The province's services are started again by their own manager, which sees that they failed."""
    user.fault = RuntimeError("made")
    with pytest.raises(RuntimeError, match="made"):
        user.line.run(threading.Event())


def test_an_orderly_end_is_said_and_waited_for(user: User, server: MqttServer) -> None:
    """So that the broker forgets the will."""
    user.hold_for(0)
    user.line.goodbye(5.0)
    server.wait(lambda: server.goodbyes == [0])
    assert (user.line.phase, user.line.reason) == (Phase.STOPPED, "goodbye")


def test_draining_ends_with_the_connection(user: User, server: MqttServer) -> None:
    """What can no longer come is not waited for."""
    user.hold_for(0)
    server.hang_up()
    assert not user.line.drain(lambda: False, 60.0)
    assert user.kinds()[-1] is Ended
    assert user.line.drain(lambda: True, 0.0)


def test_a_message_without_a_connection_is_lost_and_nothing_breaks(user: User) -> None:
    """Whoever has to be sure waits for the answer."""
    user.line.publish(Publication(object(), TOPIC, b"{}"))
    user.line.hear(TOPIC, wanted=True)
    user.line.done(Arrived(TOPIC, b"", 1, retained=False, mid=1))
    user.line.hang_up("nothing")
    assert user.events == []
