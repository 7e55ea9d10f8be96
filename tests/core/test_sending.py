"""The sending window: never too much on the wire, the newest first, nothing starved, each event settled once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device.core.broker_codes import Fate
from device.core.pacing import Backoff
from device.core.sending import (
    BACKLOG_LIMIT,
    FORBIDDEN_RETRY_S,
    NOBODY_RETRY_S,
    POISON_LOSSES,
    RESEND_MAX_S,
    RESEND_MIN_S,
    UNACKED_LIMIT,
    WINDOW_LIMIT,
    Hold,
    Lane,
    Outcome,
    Pick,
    SendWindow,
)

FAST = 1e6


def lowest(low: float, high: float) -> float:
    """Chance that always gives the lowest."""
    assert low <= high
    return low


def window(*, settled_by_broker: bool = False, backlog_per_s: float = FAST, receive_maximum: int = 100, floor: int = 0) -> SendWindow:
    """A window on a fresh connection at time 0. Events above `floor` are live."""
    made = SendWindow(settled_by_broker=settled_by_broker, backlog_per_s=backlog_per_s, busy=Backoff(2, 300, lowest))
    made.connected(receive_maximum, 0.0)
    made.live_floor = floor
    return made


def send(sending: SendWindow, live: int = 0, backlog: int = 0, now_s: float = 0.0) -> list[Pick]:
    """Pick as long as there is something: `live` and `backlog` fresh events in each lane, numbered on from what was sent."""
    ahead = {Lane.LIVE: list(range(1001, 1001 + live)), Lane.BACKLOG: list(range(1, 1 + backlog))}
    picked: list[Pick] = []
    while True:
        heads = {lane: seqs[0] if seqs else None for lane, seqs in ahead.items()}
        pick = sending.pick(now_s, heads[Lane.LIVE], heads[Lane.BACKLOG])
        if pick is None:
            return picked
        picked.append(pick)
        if pick.attempt == 1:
            ahead[pick.lane].pop(0)


def taken(sending: SendWindow, *seqs: int, now_s: float = 0.0) -> None:
    """The broker takes these."""
    for seq in seqs:
        sending.puback(seq, Fate.TAKEN, now_s)


# ----------------------------------------------------------------- width and lanes


@pytest.mark.parametrize(("receive_maximum", "width"), [(1, 1), (5, 5), (16, 16), (20, 16), (65_535, 16), (0, 1)])
def test_no_more_is_unanswered_than_the_broker_allows_and_never_more_than_16(receive_maximum: int, width: int) -> None:
    """W = min(16, Receive Maximum); a broker that says 0, which MQTT forbids, still gets one."""
    sending = window(receive_maximum=receive_maximum, floor=1000)
    assert len(send(sending, live=50, backlog=50)) == width
    assert sending.in_flight == width == sending.width


@pytest.mark.parametrize(("width", "places"), [(16, 12), (5, 4), (4, 3), (2, 1), (1, 1)])
def test_the_backlog_alone_leaves_a_quarter_of_the_window_free(width: int, places: int) -> None:
    """A live event never waits for old ones to be answered, except where there is only one place."""
    sending = window(receive_maximum=width, floor=1000)
    assert len(send(sending, backlog=50)) == places
    if width > 1:
        assert [pick.lane for pick in send(sending, live=50)] == [Lane.LIVE] * (width - places)


def test_live_events_may_use_the_whole_window() -> None:
    """Nothing is kept free for a backlog that is not there."""
    assert len(send(window(floor=1000), live=50)) == WINDOW_LIMIT


def test_where_both_lanes_wait_the_backlog_gets_every_fourth_turn() -> None:
    """Live first, but even endless live events do not starve last week."""
    sending = window(receive_maximum=1, floor=1000)
    lanes = []
    for number in range(8):
        pick = sending.pick(0.0, 1001 + number, 1 + number)
        assert pick is not None
        lanes.append(pick.lane)
        taken(sending, pick.seq)
    assert lanes == [Lane.LIVE] * 3 + [Lane.BACKLOG] + [Lane.LIVE] * 3 + [Lane.BACKLOG]


def test_the_backlog_drains_at_its_capped_rate() -> None:
    """50 a second: after one second's worth at once, 50 in each further second."""
    sending = window(backlog_per_s=50, settled_by_broker=True, floor=10_000)
    sent = 0
    for tick in range(301):
        now_s = tick / 100
        while (pick := sending.pick(now_s, None, sent + 1)) is not None:
            sent += 1
            taken(sending, pick.seq, now_s=now_s)
    assert 50 + 3 * 50 - 1 <= sent <= 50 + 3 * 50 + 1


def test_the_wait_for_the_next_token_is_exact() -> None:
    """Whoever waits does not have to look before, and does not spin."""
    sending = window(backlog_per_s=4, settled_by_broker=True, floor=10_000)
    for seq in range(1, 5):
        assert sending.pick(0.0, None, seq) is not None
        taken(sending, seq)
    assert sending.pick(0.0, None, 5) is None
    wait_s = sending.wait_s(0.0, 5)
    assert wait_s == pytest.approx(0.25)
    assert sending.pick(wait_s + 1e-9, None, 5) is not None


def test_messages_beside_the_record_use_places_of_the_window_too() -> None:
    """State and hello count against Receive Maximum like events."""
    sending = window(receive_maximum=2)
    assert sending.reserve("state", 0.0)
    assert sending.reserve("hello", 0.0)
    assert not sending.reserve("more", 0.0)
    assert sending.pick(0.0, 1, None) is None
    assert sending.wait_s(0.0, None) == math.inf
    sending.free_slot("state")
    assert not sending.owes("state")
    assert sending.pick(0.0, 1, None) == Pick(1, Lane.LIVE, 1)


def test_sent_and_unconfirmed_events_are_bounded_and_the_backlog_leaves_room_for_live_ones() -> None:
    """With a collector that is away: half of what Mosquitto queues for it, a quarter of that for live events."""
    sending = window(floor=1000)
    for seq in range(1, 1000):
        if sending.pick(0.0, None, seq) is None:
            break
        taken(sending, seq)
    assert sending.unacked == BACKLOG_LIMIT
    assert sending.wait_s(0.0, 1000) == pytest.approx(RESEND_MIN_S)
    for seq in range(1001, 2000):
        if sending.pick(0.0, seq, None) is None:
            break
        taken(sending, seq)
    assert sending.unacked == UNACKED_LIMIT


# ----------------------------------------------------------------- answers


def test_with_a_collector_a_puback_settles_nothing() -> None:
    """An acknowledgement from a broker is not safety."""
    sending = window()
    send(sending, live=1)
    assert sending.puback(1001, Fate.TAKEN, 0.1) is Outcome.WAITING
    assert sending.knows(1001)
    assert sending.confirm(1001, [], 0.2) == [1001]
    assert not sending.knows(1001)


def test_without_a_collector_a_puback_settles() -> None:
    """`confirm = "broker"`."""
    sending = window(settled_by_broker=True)
    send(sending, live=1)
    assert sending.puback(1001, Fate.TAKEN, 0.25) is Outcome.SETTLED
    assert not sending.knows(1001)
    assert sending.acks_s.percentile(50) == 0.25


def test_a_confirmation_may_come_before_the_broker_answers_and_the_place_stays_taken() -> None:
    """Receive Maximum counts what the broker has not answered, whatever the province says."""
    sending = window(receive_maximum=1)
    send(sending, live=1)
    assert sending.confirm(1001, [], 0.1) == [1001]
    assert sending.in_flight == 1
    assert sending.pick(0.1, 1002, None) is None
    assert sending.puback(1001, Fate.TAKEN, 0.2) is Outcome.WAITING
    assert sending.pick(0.2, 1002, None) == Pick(1002, Lane.LIVE, 1)


def test_ranges_confirm_what_they_hold_and_each_only_once() -> None:
    """Two acks that overlap count every event once."""
    sending = window()
    send(sending, live=8)
    taken(sending, *range(1001, 1009))
    assert sending.confirm(1002, [(1005, 1006)], 1.0) == [1001, 1002, 1005, 1006]
    assert sending.confirm(1003, [(1005, 1007)], 1.0) == [1003, 1007]


def test_an_answer_to_something_unknown_changes_nothing() -> None:
    """A broker that answers twice, or what nobody sent."""
    sending = window()
    send(sending, live=1)
    taken(sending, 1001)
    assert sending.puback(1001, Fate.UNACCEPTABLE, 0.0) is Outcome.WAITING
    assert sending.puback(77, Fate.TAKEN, 0.0) is Outcome.WAITING
    assert sending.in_flight == 0
    assert sending.hold is None


# ----------------------------------------------------------------- sending again


def test_what_is_not_confirmed_is_sent_again_after_30_s_then_60_and_at_most_every_15_min() -> None:
    """Doubling waits."""
    sending = window()
    send(sending, live=1)
    now_s, waits = 0.0, []
    for attempt in range(2, 9):
        taken(sending, 1001, now_s=now_s)
        wait_s = sending.wait_s(now_s, None)
        waits.append(wait_s)
        assert sending.pick(now_s + wait_s - 1, None, None) is None
        now_s += wait_s
        assert sending.pick(now_s, None, None) == Pick(1001, Lane.LIVE, attempt)
    assert waits == [30, 60, 120, 240, 480, RESEND_MAX_S, RESEND_MAX_S]


def test_a_slow_collector_is_given_four_times_its_usual_time() -> None:
    """A resend before the ack can have come would only add load."""
    sending = window()
    send(sending, live=5)
    taken(sending, *range(1001, 1006))
    assert len(sending.confirm(1005, [], 20.0)) == 5
    sending.pick(20.0, 1006, None)
    taken(sending, 1006, now_s=20.0)
    assert sending.wait_s(20.0, None) == pytest.approx(80.0)


def test_an_event_that_was_sent_twice_says_nothing_about_the_usual_time() -> None:
    """Nobody knows which of the two the ack answers."""
    sending = window()
    send(sending, live=1)
    taken(sending, 1001)
    send(sending, now_s=40.0)
    taken(sending, 1001, now_s=40.0)
    sending.confirm(1001, [], 41.0)
    assert sending.acks_s.count == 0


def test_after_a_long_silence_the_first_ack_brings_the_rest_forward() -> None:
    """When the collector is back, what it missed does not wait for its quarter of an hour."""
    sending = window()
    send(sending, live=3)
    taken(sending, 1001, 1002, 1003)
    now_s = 0.0
    for _ in range(6):
        now_s += sending.wait_s(now_s, None)
        for pick in send(sending, now_s=now_s):
            taken(sending, pick.seq, now_s=now_s)
    assert sending.wait_s(now_s, None) == pytest.approx(RESEND_MAX_S)
    sending.confirm(0, [(1001, 1001)], now_s)
    assert sending.wait_s(now_s, None) == pytest.approx(RESEND_MIN_S)


def test_acks_that_flow_do_not_bring_forward_what_the_collector_will_not_take() -> None:
    """One event that is never confirmed keeps its growing waits."""
    sending = window()
    send(sending, live=2)
    taken(sending, 1001, 1002)
    for now_s in (0.5, 10.0, 20.0, 29.0):
        sending.confirm(0, [(1002, 1002)], now_s)
        sending.pick(now_s, 1002, None)
        taken(sending, 1002, now_s=now_s)
        sending.confirm(0, [(1002, 1002)], now_s)
    assert [pick.seq for pick in send(sending, now_s=30.0)] == [1001]
    taken(sending, 1001, now_s=30.0)
    sending.pick(31.0, 1002, None)
    sending.confirm(0, [(1002, 1002)], 31.0)
    assert sending.wait_s(31.0, None) == pytest.approx(59.0)


def test_resends_wait_for_fresh_events_but_not_for_ever() -> None:
    """In a lane with both, every fourth turn goes to what is due again."""
    sending = window(receive_maximum=1)
    send(sending, live=1)
    taken(sending, 1001)
    order = []
    for seq in range(1002, 1006):
        pick = sending.pick(31.0, seq, None)
        assert pick is not None
        order.append(pick.attempt)
        taken(sending, pick.seq, now_s=31.0)
    assert order == [1, 1, 1, 2]


def test_a_lost_connection_makes_everything_unanswered_due_at_once() -> None:
    """Without a PUBACK nobody knows whether the broker has it."""
    sending = window(receive_maximum=3)
    send(sending, live=3)
    sending.reserve("state", 0.0)
    sending.disconnected(5.0)
    assert sending.in_flight == 0
    sending.connected(3, 6.0)
    assert [(pick.seq, pick.attempt) for pick in send(sending, now_s=6.0)] == [(1001, 2), (1002, 2), (1003, 2)]


def test_what_the_record_dropped_is_forgotten() -> None:
    """A resend whose row is gone frees its place."""
    sending = window()
    send(sending, live=1)
    sending.disconnected(1.0)
    sending.connected(16, 1.0)
    pick = sending.pick(1.0, None, None)
    assert pick == Pick(1001, Lane.LIVE, 2)
    sending.dropped(1001)
    assert (sending.in_flight, sending.unacked) == (0, 0)


def test_it_shows_how_long_the_broker_has_owed_an_answer() -> None:
    """So that a broker that never answers can be left."""
    sending = window()
    assert sending.oldest_unanswered_s(9.0) == 0
    send(sending, live=1, now_s=1.0)
    sending.reserve("hello", 4.0)
    assert sending.oldest_unanswered_s(9.0) == 8.0
    taken(sending, 1001)
    assert sending.oldest_unanswered_s(9.0) == 5.0


def test_another_record_starts_from_nothing() -> None:
    """Numbers of the old file mean nothing in the new one."""
    sending = window()
    send(sending, live=2)
    sending.disconnected(0.0)
    sending.forget()
    assert (sending.unacked, sending.in_flight, sending.live_floor) == (0, 0, 0)
    assert sending.pick(0.0, None, None) is None


# ----------------------------------------------------------------- refusals


@pytest.mark.parametrize(("fate", "wait_s"), [(Fate.NOBODY, NOBODY_RETRY_S), (Fate.FORBIDDEN, FORBIDDEN_RETRY_S), (Fate.BUSY, 2.0)])
def test_a_refusal_holds_the_window_until_one_probe_is_taken(fate: Fate, wait_s: float) -> None:
    """Nobody subscribed: 30 s; not authorised: 5 min; busy: back-off. Then one event at a time."""
    sending = window()
    send(sending, live=1)
    sending.puback(1001, fate, 0.0)
    assert sending.hold == Hold(fate, wait_s)
    assert sending.pick(wait_s - 0.01, 1002, None) is None
    assert sending.wait_s(0.0, None) == pytest.approx(wait_s)
    assert sending.pick(wait_s, 1002, None) is not None
    assert sending.pick(wait_s, 1003, None) is None
    taken(sending, 1002, now_s=wait_s)
    assert sending.pick(wait_s, 1003, None) is not None


def test_a_hold_that_is_over_with_nothing_to_probe_waits_for_the_next_resend() -> None:
    """Whoever waits does not spin meanwhile."""
    sending = window()
    send(sending, live=1)
    sending.puback(1001, Fate.BUSY, 0.0)
    assert sending.pick(2.0, None, None) is None
    assert sending.wait_s(2.0, None) == pytest.approx(RESEND_MIN_S - 2)


def test_answers_of_one_burst_do_not_lengthen_the_hold() -> None:
    """Sixteen refusals at once are one refusal."""
    sending = window()
    send(sending, live=16)
    for seq in range(1001, 1017):
        sending.puback(seq, Fate.FORBIDDEN, (seq - 1001) * 1.0)
    assert sending.hold is not None
    assert sending.hold.until_s == FORBIDDEN_RETRY_S


def test_a_new_connection_probes_at_once() -> None:
    """The reason may be gone with the old broker."""
    sending = window()
    send(sending, live=1)
    sending.puback(1001, Fate.FORBIDDEN, 0.0)
    sending.disconnected(10.0)
    sending.connected(16, 11.0)
    assert len(send(sending, live=5, now_s=11.0)) == 1


def test_a_refused_event_does_not_stand_in_the_way_of_the_others() -> None:
    """The probe is another event while the refused one waits for its time."""
    sending = window()
    send(sending, live=1)
    sending.puback(1001, Fate.BUSY, 0.0)
    pick = sending.pick(2.0, 1002, None)
    assert pick is not None
    assert pick.seq == 1002


def test_an_unacceptable_event_is_buried_once_the_broker_has_taken_another() -> None:
    """The fault is the event's only if others pass."""
    sending = window()
    send(sending, live=2)
    taken(sending, 1001)
    assert sending.puback(1002, Fate.UNACCEPTABLE, 0.0) is Outcome.BURY
    sending.buried(1002)
    assert (sending.knows(1002), sending.hold) == (False, None)


def test_a_broker_that_finds_everything_unacceptable_buries_nothing() -> None:
    """Otherwise one broken broker would empty the record, and each burial would add an event to bury."""
    sending = window()
    now_s = 0.0
    for seq in range(1001, 1101):
        pick = sending.pick(now_s, seq, None)
        if pick is not None:
            assert sending.puback(pick.seq, Fate.UNACCEPTABLE, now_s) is Outcome.WAITING
        now_s += 10.0
    assert sending.hold is not None


def test_after_one_burial_the_next_needs_its_own_proof() -> None:
    """An event about the burial that is refused as well is not buried at once."""
    sending = window()
    send(sending, live=3)
    taken(sending, 1001)
    assert sending.puback(1002, Fate.UNACCEPTABLE, 0.0) is Outcome.BURY
    sending.buried(1002)
    assert sending.puback(1003, Fate.UNACCEPTABLE, 0.0) is Outcome.WAITING


def test_an_event_that_breaks_connections_is_found_and_given_up() -> None:
    """The broker hangs up over one of several: they go one by one, the guilty one is buried, the others pass."""
    sending = window(settled_by_broker=True)
    poison, now_s = 1002, 0.0
    passed: list[int] = []
    fresh = [1001, 1002, 1003, 1004]
    for _ in range(200):
        now_s += 1.0
        pick = sending.pick(now_s, fresh[0] if fresh else None, None)
        if pick is None:
            continue
        fresh = [seq for seq in fresh if seq != pick.seq]
        if pick.seq == poison:
            sending.disconnected(now_s, blamed=True)
            for seq in sending.hopeless():
                sending.buried(seq)
            sending.connected(16, now_s)
            assert sending.width == 1 or not sending.knows(poison)
        else:
            taken(sending, pick.seq, now_s=now_s)
            passed.append(pick.seq)
    assert sorted(passed) == [1001, 1003, 1004]
    assert not sending.knows(poison)


def test_the_guilty_event_steps_back_for_the_innocent_ones_that_were_lost_with_it() -> None:
    """Also where all of them were sent before and the guilty one is the first."""
    sending = window(settled_by_broker=True)
    poison, now_s = 1001, 1.0
    send(sending, live=4)
    sending.disconnected(now_s, blamed=True)
    sending.connected(16, now_s)
    passed: set[int] = set()
    for _ in range(10):
        now_s += 1.0
        pick = sending.pick(now_s, None, None)
        if pick is not None and pick.seq == poison:
            sending.disconnected(now_s, blamed=True)
            sending.connected(16, now_s)
        elif pick is not None:
            taken(sending, pick.seq, now_s=now_s)
            passed.add(pick.seq)
    assert passed == {1002, 1003, 1004}
    assert sending.pick(now_s, None, None) is None, "it would only break the connection again"
    assert sending.pick(now_s + 2 * RESEND_MIN_S, None, None) == Pick(poison, Lane.LIVE, 3)


def test_a_connection_that_breaks_by_itself_makes_nobody_suspect() -> None:
    """A bad line is not the event's fault, however often it breaks."""
    sending = window()
    for number in range(2 * POISON_LOSSES):
        send(sending, live=1 if number == 0 else 0, now_s=float(number))
        sending.disconnected(float(number))
        sending.connected(16, float(number))
    assert sending.hopeless() == []
    assert sending.width == WINDOW_LIMIT


# ----------------------------------------------------------------- waits


# ----------------------------------------------------------------- any history


class AnyHistory(RuleBasedStateMachine):
    """Events, answers, losses and acks in any order against a plain account of them."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.window = SendWindow(settled_by_broker=False, backlog_per_s=20, busy=Backoff(2, 300, lowest))
        self.receive_maximum = 1
        self.online = False
        self.added: dict[int, float] = {}
        self.waiting: set[int] = set()
        self.ever_sent: set[int] = set()
        self.on_wire: dict[int, Lane] = {}
        self.at_broker: set[int] = set()
        self.confirmed: list[int] = []
        self.buried: set[int] = set()

    def floor(self) -> int:
        """The newest event that is older than a minute."""
        return max((seq for seq, added_s in self.added.items() if self.now_s - added_s > 60), default=0)

    def head(self, lane: Lane) -> int | None:
        """The first event of a lane that was never sent."""
        fresh = self.waiting - self.ever_sent
        floor = self.window.live_floor
        return min((seq for seq in fresh if (seq > floor) == (lane is Lane.LIVE)), default=None)

    def pump(self) -> int:
        """Send what may be sent."""
        self.window.live_floor = self.floor()
        count = 0
        while (pick := self.window.pick(self.now_s, self.head(Lane.LIVE), self.head(Lane.BACKLOG))) is not None:
            assert self.online
            assert pick.seq in self.waiting, "sent although the province has it"
            assert pick.seq not in self.on_wire, "twice on the wire at once"
            assert (pick.attempt == 1) == (pick.seq not in self.ever_sent)
            self.ever_sent.add(pick.seq)
            self.on_wire[pick.seq] = pick.lane
            count += 1
        return count

    def answer(self, seq: int, fate: Fate) -> None:
        """The broker answers one."""
        del self.on_wire[seq]
        if self.window.puback(seq, fate, self.now_s) is Outcome.BURY:
            self.window.buried(seq)
            self.buried.add(seq)
            self.waiting.discard(seq)
        elif fate is Fate.TAKEN:
            self.at_broker.add(seq)

    def acknowledge(self, seqs: set[int]) -> None:
        """The province has some of what the broker got."""
        self.confirmed += self.window.confirm(0, [(seq, seq) for seq in seqs], self.now_s)
        self.waiting -= seqs

    @initialize(old=st.integers(0, 60))
    def outage_before(self, old: int) -> None:
        """Some events are old already."""
        for seq in range(1, old + 1):
            self.added[seq] = -1000.0
            self.waiting.add(seq)

    @rule(count=st.integers(1, 10))
    def add(self, count: int) -> None:
        """People pass."""
        for _ in range(count):
            seq = len(self.added) + 1
            self.added[seq] = self.now_s
            self.waiting.add(seq)

    @rule(seconds=st.sampled_from([0.05, 1.0, 10.0, 31.0, 65.0, 400.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds

    @precondition(lambda self: not self.online)
    @rule(receive_maximum=st.sampled_from([1, 2, 5, 16, 20]))
    def connect(self, receive_maximum: int) -> None:
        """A new connection."""
        self.online, self.receive_maximum = True, receive_maximum
        self.window.connected(receive_maximum, self.now_s)

    @precondition(lambda self: self.online)
    @rule()
    def send(self) -> None:
        """The supervisor goes round."""
        self.pump()

    @precondition(lambda self: self.on_wire)
    @rule(data=st.data(), fate=st.sampled_from([Fate.TAKEN, Fate.TAKEN, Fate.TAKEN, *Fate]))
    def puback(self, data: st.DataObject, fate: Fate) -> None:
        """The broker answers something."""
        self.answer(data.draw(st.sampled_from(sorted(self.on_wire))), fate)

    @precondition(lambda self: self.at_broker or self.on_wire)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        """The collector acknowledges something, perhaps before the broker does, perhaps twice."""
        self.acknowledge(data.draw(st.sets(st.sampled_from(sorted(self.at_broker | self.on_wire.keys())))))

    @precondition(lambda self: self.online)
    @rule(blamed=st.booleans())
    def lose(self, blamed: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
        """The connection breaks."""
        self.online = False
        self.on_wire.clear()
        self.window.disconnected(self.now_s, blamed=blamed)
        for seq in self.window.hopeless():
            self.window.buried(seq)
            self.buried.add(seq)
            self.waiting.discard(seq)

    @invariant()
    def never_more_on_the_wire_than_allowed(self) -> None:
        """W = min(16, Receive Maximum), and the account is exact."""
        assert len(self.on_wire) == self.window.in_flight <= min(WINDOW_LIMIT, self.receive_maximum)

    @invariant()
    def live_events_have_their_quarter(self) -> None:
        """The backlog never has the last quarter of the window."""
        backlog = sum(lane is Lane.BACKLOG for lane in self.on_wire.values())
        width = min(WINDOW_LIMIT, self.receive_maximum)
        assert backlog <= (width - max(1, width // 4) if width > 1 else 1)

    @invariant()
    def each_is_confirmed_once_and_memory_is_bounded(self) -> None:
        """Confirmations are counted once in an event's life."""
        assert len(self.confirmed) == len(set(self.confirmed))
        assert self.window.unacked <= UNACKED_LIMIT

    def teardown(self) -> None:
        """With a good broker and collector everything that is left arrives: nothing starves, whatever happened before."""
        if not self.online:
            self.connect(4)
        for _ in range(4000):
            for seq in sorted(self.on_wire):
                self.answer(seq, Fate.TAKEN)
            self.acknowledge(self.at_broker & self.waiting)
            if not self.waiting:
                break
            self.pump()
            wait_s = self.window.wait_s(self.now_s, self.head(Lane.BACKLOG))
            assert self.on_wire or wait_s < math.inf, "nothing on its way and nothing to wait for"
            self.now_s += 0.0 if self.on_wire else max(wait_s, 1e-6)
        assert not self.waiting
        assert set(self.confirmed) | self.buried == set(self.added)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(stateful_step_count=40)


@given(st.integers(1, 20), st.integers(0, 40), st.integers(0, 40))
def test_a_live_event_is_sent_in_its_first_free_place(receive_maximum: int, live: int, backlog: int) -> None:
    """However deep the backlog, a live event that comes while no other live one waits goes out at once, or (W = 1) next."""
    sending = window(receive_maximum=receive_maximum, floor=1000)
    send(sending, backlog=backlog)
    picked = send(sending, live=live)
    free = sending.width - min(backlog, sending.width - max(1, sending.width // 4) if sending.width > 1 else 1)
    assert len([pick for pick in picked if pick.lane is Lane.LIVE]) == min(live, free)


def test_a_broker_that_takes_an_event_is_busy_from_the_shortest_wait_on_again() -> None:
    """The waits grow while it is busy, and a success forgets them."""
    sending = SendWindow(settled_by_broker=False, backlog_per_s=FAST, busy=Backoff(2, 300, lambda _, high: high))
    sending.connected(100, 0.0)
    waits = []
    now_s = 0.0
    for seq in (1, 2):
        sending.pick(now_s, seq, None)
        sending.puback(seq, Fate.BUSY, now_s)
        assert sending.hold is not None
        waits.append(sending.hold.until_s - now_s)
        now_s = sending.hold.until_s
    assert sending.pick(now_s, 3, None) is not None
    sending.puback(3, Fate.TAKEN, now_s)
    sending.pick(now_s, 4, None)
    sending.puback(4, Fate.BUSY, now_s)
    assert sending.hold is not None
    waits.append(sending.hold.until_s - now_s)
    assert waits == [6, 18, 6]


def test_the_rate_of_the_backlog_can_be_changed_while_it_drains() -> None:
    """By an order of the province, at once."""
    sending = window(backlog_per_s=1, floor=1000)
    assert len(send(sending, backlog=5)) == 1
    sending.set_backlog_rate(2)
    assert len(send(sending, backlog=5, now_s=0.0)) == 2
    assert sending.wait_s(0.0, 9) == pytest.approx(0.5)


def test_how_long_to_wait_is_said_exactly() -> None:
    """For ever with nothing to send; until the hold is over; until the next resend."""
    assert window().wait_s(0.0, None) == math.inf
    sending = window(receive_maximum=1)
    send(sending, live=1)
    assert sending.wait_s(0.0, 5) == math.inf
    sending.puback(1001, Fate.FORBIDDEN, 7.0)
    assert sending.wait_s(10.0, None) == pytest.approx(FORBIDDEN_RETRY_S - 3)


def test_a_new_connection_probes_at_once_and_still_says_why_it_held() -> None:
    """Whoever asks for the state in between is told what the broker had said."""
    sending = window(floor=1000)
    send(sending, live=1)
    sending.puback(1001, Fate.FORBIDDEN, 0.0)
    sending.disconnected(1.0)
    sending.connected(100, 2.0)
    assert sending.hold == Hold(Fate.FORBIDDEN, 2.0)


@pytest.mark.parametrize("left_s", [0.001, 0.5, 1.0, 20.0])
def test_the_next_resend_is_waited_for_however_near_it_is(left_s: float) -> None:
    """Half a second before it is due there is half a second to wait, and not for ever."""
    sending = window(floor=1000)
    send(sending, live=1)
    taken(sending, 1001)
    assert sending.wait_s(RESEND_MIN_S - left_s, None) == pytest.approx(left_s)
