"""Which event to send next, and when again: the sending window, its two lanes, resends, holds and waits.

Pure: the time is handed in (seconds on a monotonic clock), and so is chance.
The client library keeps nothing that this does not know of: at no time are
more than ``Window.width`` messages unanswered by the broker.

* Live events (younger than ``LIVE_AGE_S``) keep a quarter of the window;
  older ones share the rest, at a capped rate. So the province sees now while
  last week drains.
* An event that the broker took but the province did not confirm is sent
  again after ``max(30 s, 4 * the usual time)``, doubling to 15 minutes.
* A broker that refuses holds the window: one probe at a time, until one is
  taken again.
* An event is given up only when the broker has meanwhile taken another one:
  if it takes none, the fault is not the event's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from device.core.broker_codes import Fate
from device.core.figures import Figure
from device.core.pacing import Backoff, Bucket, Turns

WINDOW_LIMIT: Final = 16
"""Unanswered messages at most, however many the broker would allow."""
UNACKED_LIMIT: Final = 512
"""Events sent and not yet confirmed, at most: half of what Mosquitto queues for a collector that is away. Bounds memory too."""
BACKLOG_LIMIT: Final = UNACKED_LIMIT * 3 // 4
"""Old events among them, at most."""
LIVE_AGE_S: Final = 60.0
RESEND_MIN_S: Final = 30.0
RESEND_MAX_S: Final = 900.0
ACK_MULTIPLE: Final = 4
NOBODY_RETRY_S: Final = 30.0
FORBIDDEN_RETRY_S: Final = 300.0
POISON_LOSSES: Final = 3
"""So many connections may break over one event before it is given up."""
_ACK_TIMES_KEPT: Final = 200


class Lane(StrEnum):
    """Live events go first; the backlog is what a past outage left."""

    LIVE = "live"
    BACKLOG = "backlog"


class Outcome(StrEnum):
    """What an answer of the broker did to an event."""

    SETTLED = "settled"
    """Taken, and the broker's word is enough."""
    WAITING = "waiting"
    """Taken and to be confirmed by the province, or refused and to be sent again."""
    BURY = "bury"
    """It will never be taken: put it aside and say so."""


@dataclass(frozen=True, slots=True)
class Pick:
    """Send this event now. ``attempt`` counts from 1."""

    seq: int
    lane: Lane
    attempt: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing is sent but a probe after ``until_s``."""

    fate: Fate
    until_s: float


@dataclass(slots=True)
class _Sent:
    """An event that was sent and is not confirmed. ``due_s`` is infinite while the broker has not answered."""

    seq: int
    lane: Lane
    first_s: float
    sent_s: float
    attempt: int = 1
    due_s: float = math.inf
    losses: int = 0

    @property
    def in_flight(self) -> bool:
        """Whether the broker has still to answer."""
        return math.isinf(self.due_s)


class SendWindow:
    """What is on its way to the province. For one thread.

    ``settled_by_broker`` says that a PUBACK settles an event, otherwise only
    ``confirm`` does. ``live_floor`` must be kept up to date by whoever sends:
    events above it are live.
    """

    def __init__(self, *, settled_by_broker: bool, backlog_per_s: float, busy: Backoff) -> None:
        self._settled_by_broker = settled_by_broker
        self._busy = busy
        self._bucket = Bucket(backlog_per_s)
        self._lane_turns = Turns()
        self._resend_turns = {Lane.LIVE: Turns(), Lane.BACKLOG: Turns()}
        self._width = WINDOW_LIMIT
        self._sent: dict[int, _Sent] = {}
        self._in_flight: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self._control: dict[object, float] = {}
        self._orphans: dict[int, _Sent] = {}
        self._suspects: set[int] = set()
        self._next_due_s = math.inf
        self._heard_s = -math.inf
        self._proved = False
        self.hold: Hold | None = None
        self.live_floor = 0
        self.acks_s = Figure(_ACK_TIMES_KEPT)
        self._resend_s = RESEND_MIN_S

    # ------------------------------------------------------------- what it knows

    @property
    def width(self) -> int:
        """Messages that may be unanswered: the broker's Receive Maximum, at most 16; 1 while an event may be what breaks connections."""
        return 1 if self._suspects else self._width

    @property
    def in_flight(self) -> int:
        """Messages that the broker has not answered, of the record and others."""
        return self._events_in_flight + len(self._control)

    @property
    def unacked(self) -> int:
        """Events sent and not yet settled."""
        return len(self._sent)

    def knows(self, seq: int) -> bool:
        """Whether the event was sent and is not settled."""
        return seq in self._sent

    def oldest_unanswered_s(self, now_s: float) -> float:
        """For how long the broker has owed an answer to the oldest message in flight; 0 when it owes none."""
        unanswered = [sent for sent in self._sent.values() if sent.in_flight] + list(self._orphans.values())
        since = [sent.sent_s for sent in unanswered] + list(self._control.values())
        return now_s - min(since, default=now_s)

    def lane_of(self, seq: int) -> Lane:
        """The lane in which an event goes now."""
        return Lane.LIVE if seq > self.live_floor else Lane.BACKLOG

    # ------------------------------------------------------------- connection

    def connected(self, receive_maximum: int, now_s: float) -> None:
        """A new connection: nothing is in flight, and a hold is probed at once."""
        self._width = max(1, min(WINDOW_LIMIT, receive_maximum))
        if self.hold is not None:
            self.hold = Hold(self.hold.fate, now_s)

    def disconnected(self, now_s: float, *, blamed: bool = False) -> None:
        """Everything unanswered is to be sent again. ``blamed``: the broker hung up over something that we sent."""
        lost = [sent for sent in self._sent.values() if sent.in_flight]
        for sent in lost:
            self._answered(sent, now_s)
        if blamed and len(lost) == 1 and not self._control:
            lost[0].losses += 1
            self._due(lost[0], now_s + self._timeout_s(lost[0]))
        if blamed:
            self._suspects.update(sent.seq for sent in lost)
        self._control.clear()
        self._orphans.clear()
        self._in_flight = dict.fromkeys(Lane, 0)

    def set_backlog_rate(self, per_s: float) -> None:
        """The cap on events of the backlog from now on."""
        self._bucket = Bucket(per_s)

    def reserve(self, token: object, now_s: float) -> bool:
        """Use a place of the window for a message beside the record. False when there is none."""
        if self.in_flight >= self.width:
            return False
        self._control[token] = now_s
        return True

    def owes(self, token: object) -> bool:
        """Whether the broker has still to answer that message."""
        return token in self._control

    def free_slot(self, token: object) -> None:
        """The broker answered that message."""
        self._control.pop(token, None)

    # ------------------------------------------------------------- sending

    def pick(self, now_s: float, live: int | None, backlog: int | None) -> Pick | None:
        """What to send now, given the next event of each lane that was never sent; None when nothing may be sent.

        The event counts as in flight from here on.
        """
        if self.in_flight >= self.width or self._held(now_s):
            return None
        resend = self._resends(now_s)
        fresh = {Lane.LIVE: self._if_room(live, UNACKED_LIMIT), Lane.BACKLOG: self._if_room(backlog, BACKLOG_LIMIT)}
        wants_live = fresh[Lane.LIVE] is not None or resend[Lane.LIVE] is not None
        wants_backlog = (fresh[Lane.BACKLOG] is not None or resend[Lane.BACKLOG] is not None) and self._backlog_may(now_s)
        if not (wants_live or wants_backlog):
            return None
        lane = Lane.BACKLOG if self._lane_turns.second(wants_live, wants_backlog) else Lane.LIVE
        return self._send(lane, fresh[lane], resend[lane], now_s)

    def wait_s(self, now_s: float, backlog: int | None) -> float:
        """After ``pick`` gave nothing: seconds until time alone allows a pick; infinite when only an answer or news can."""
        if self.in_flight >= self.width:
            return math.inf
        if self.hold is not None and self._events_in_flight:
            return math.inf
        if self.hold is not None and now_s < self.hold.until_s:
            return self.hold.until_s - now_s
        until_due_s = self._soonest_s() - now_s
        waits = [until_due_s] if until_due_s > 0 else []
        if self._backlog_has_place and (until_due_s <= 0 or self._if_room(backlog, BACKLOG_LIMIT) is not None):
            waits.append(self._bucket.ready_in_s(now_s))
        return min(waits, default=math.inf)

    # ------------------------------------------------------------- answers

    def puback(self, seq: int, fate: Fate, now_s: float) -> Outcome:
        """The broker answered, or cannot take the event at all. After ``BURY`` call ``buried``."""
        sent = self._sent.get(seq)
        if sent is None or not sent.in_flight:
            orphan = self._orphans.pop(seq, None)
            if orphan is not None:
                self._in_flight[orphan.lane] -= 1
            return Outcome.WAITING
        self._answered(sent, now_s + self._timeout_s(sent))
        if fate is not Fate.TAKEN:
            return self._refused(fate, now_s)
        self.hold = None
        self._proved = True
        self._busy.reset()
        self._suspects.discard(seq)
        if not self._settled_by_broker:
            return Outcome.WAITING
        self._settle(sent, now_s)
        return Outcome.SETTLED

    def confirm(self, upto: int, ranges: Sequence[tuple[int, int]], now_s: float) -> list[int]:
        """The province has these. Returns the ones that were on their way, each once in its life.

        The first word after a long silence is a reason to ask again soon for
        what is still missing.
        """
        covered = [sent for seq, sent in self._sent.items() if seq <= upto or any(first <= seq <= last for first, last in ranges)]
        for sent in covered:
            self._settle(sent, now_s)
        if covered and now_s - self._heard_s > self._resend_s:
            for sent in self._sent.values():
                if not sent.in_flight:
                    self._due(sent, min(sent.due_s, now_s + self._resend_s))
        self._heard_s = now_s if covered else self._heard_s
        return sorted(sent.seq for sent in covered)

    def hopeless(self) -> list[int]:
        """Events over which connections break again and again, while others are taken: bury them."""
        return [seq for seq in sorted(self._suspects) if self._proved and self._sent[seq].losses >= POISON_LOSSES]

    def buried(self, seq: int) -> None:
        """The event was put aside for good."""
        self._proved = False
        self._forget(self._sent[seq])

    def dropped(self, seq: int) -> None:
        """A picked event is not in the record any more, and was not sent."""
        sent = self._sent.pop(seq)
        self._in_flight[sent.lane] -= 1
        self._suspects.discard(seq)

    def forget(self) -> None:
        """Another record: no event of the old one comes back. Only while none is in flight."""
        self._sent.clear()
        self._suspects.clear()
        self._in_flight = dict.fromkeys(Lane, 0)
        self._next_due_s = math.inf
        self.live_floor = 0

    # ------------------------------------------------------------- within

    def _held(self, now_s: float) -> bool:
        if self.hold is None:
            return False
        return now_s < self.hold.until_s or self._events_in_flight > 0

    def _if_room(self, seq: int | None, limit: int) -> int | None:
        return seq if len(self._sent) < limit else None

    @property
    def _events_in_flight(self) -> int:
        return sum(self._in_flight.values())

    @property
    def _backlog_has_place(self) -> bool:
        reserve = max(1, self.width // 4) if self.width > 1 else 0
        return self._in_flight[Lane.BACKLOG] < self.width - reserve

    def _backlog_may(self, now_s: float) -> bool:
        return self._backlog_has_place and self._bucket.ready_in_s(now_s) == 0

    def _resends(self, now_s: float) -> dict[Lane, int | None]:
        """The event of each lane that is due longest."""
        found: dict[Lane, int | None] = dict.fromkeys(Lane, None)
        if now_s < self._soonest_s():
            return found
        for sent in sorted((sent for sent in self._sent.values() if sent.due_s <= now_s), key=lambda sent: (-sent.due_s, -sent.seq)):
            found[self.lane_of(sent.seq)] = sent.seq
        return found

    def _send(self, lane: Lane, fresh: int | None, resend: int | None, now_s: float) -> Pick:
        again = self._resend_turns[lane].second(fresh is not None, resend is not None)
        seq = resend if again else fresh
        if seq is None:
            raise ValueError("a lane was chosen that has nothing to send")
        sent = self._sent.get(seq)
        if sent is None:
            sent = self._sent[seq] = _Sent(seq, lane, now_s, now_s)
        else:
            sent.lane, sent.sent_s, sent.attempt = lane, now_s, sent.attempt + 1
            self._due(sent, math.inf)
        self._in_flight[lane] += 1
        if lane is Lane.BACKLOG:
            self._bucket.spend()
        return Pick(seq, lane, sent.attempt)

    def _answered(self, sent: _Sent, due_s: float) -> None:
        """No longer in flight; to be sent again at ``due_s`` unless confirmed before."""
        self._in_flight[sent.lane] -= 1
        self._due(sent, due_s)

    def _due(self, sent: _Sent, due_s: float) -> None:
        self._unless_soonest(sent)
        sent.due_s = due_s
        self._next_due_s = min(self._next_due_s, due_s)

    def _unless_soonest(self, sent: _Sent) -> None:
        """The soonest time is unknown once the event that had it changes."""
        if sent.due_s <= self._next_due_s:
            self._next_due_s = -math.inf

    def _soonest_s(self) -> float:
        """When the next event is due again. Looked up only when it is not known, since it is asked for each event sent."""
        if self._next_due_s == -math.inf:
            self._next_due_s = min((sent.due_s for sent in self._sent.values()), default=math.inf)
        return self._next_due_s

    def _timeout_s(self, sent: _Sent) -> float:
        return float(min(RESEND_MAX_S, self._resend_s * 2 ** min(sent.attempt - 1, 16)))

    def _refused(self, fate: Fate, now_s: float) -> Outcome:
        """Hold; answers to what was already in flight do not make a running hold longer."""
        if fate is Fate.UNACCEPTABLE and self._proved:
            return Outcome.BURY
        if self.hold is None or now_s >= self.hold.until_s:
            wait_s = {Fate.NOBODY: NOBODY_RETRY_S, Fate.FORBIDDEN: FORBIDDEN_RETRY_S}.get(fate)
            self.hold = Hold(fate, now_s + (self._busy.next_s() if wait_s is None else wait_s))
        return Outcome.WAITING

    def _settle(self, sent: _Sent, now_s: float) -> None:
        if sent.attempt == 1:
            # An answer to an event that was sent twice does not say to which sending it belongs.
            self.acks_s.add(now_s - sent.first_s)
            usual_s = self.acks_s.percentile(50) or 0.0
            self._resend_s = min(RESEND_MAX_S, max(RESEND_MIN_S, ACK_MULTIPLE * usual_s))
        self._forget(sent)

    def _forget(self, sent: _Sent) -> None:
        if sent.in_flight:
            # Confirmed before the broker answered: the place in the window stays taken until it does.
            self._orphans[sent.seq] = sent
        self._suspects.discard(sent.seq)
        self._unless_soonest(sent)
        del self._sent[sent.seq]
