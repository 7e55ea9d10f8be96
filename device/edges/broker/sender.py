"""Sends the record: takes events from the outbox, through the window, to the connection, and their answers back.

The window decides, the outbox remembers; this is the hand between them. For
the uplink's own thread.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from device.core import broker_codes, wire
from device.core.broker_codes import Fate
from device.core.pacing import Backoff
from device.core.sending import LIVE_AGE_S, Lane, Outcome, Pick, SendWindow
from device.core.spans import spans
from device.core.types import Channel, Json
from device.edges.broker.outbox_pages import Feed
from device.edges.broker.values import Connected, Publication
from device.ports import Bounds, Clock, Outbox, Outgoing

log = logging.getLogger(__name__)

REFRESH_S = 1.0
SETTLE_ROWS = 50
"""Rows confirmed at once where the broker's word settles: each deletion on its own would cost a write to the card."""
SETTLE_S = 0.2
OVERHEAD_BYTES = 256
"""What a packet holds beside topic and body, at most."""

_CONTENT_TYPE = "application/cloudevents+json"


@dataclass(frozen=True, slots=True)
class EventToken:
    """Which event an answer of the broker is about."""

    seq: int


class Sender:
    """One record on its way. ``settled_by_broker``: a PUBACK releases an event, otherwise only the collector's ack does."""

    def __init__(self, gate: str, outbox: Outbox, clock: Clock, *, settled_by_broker: bool, backlog_per_s: float, busy: Backoff) -> None:
        self._gate = gate
        self._outbox = outbox
        self._clock = clock
        self._maximum_packet_bytes = 0
        self._refreshed_s = -math.inf
        self._settled: list[int] = []
        self._settled_s = math.inf
        self.window = SendWindow(settled_by_broker=settled_by_broker, backlog_per_s=backlog_per_s, busy=busy)
        self._feed = Feed(outbox, self.window.knows)
        self.epoch = ""
        self.outdated = False
        self.published = self.acked = self.resent = self.dead_letters = self.stray_acks = 0

    # ------------------------------------------------------------- connection

    def begin(self, limits: Connected, now_s: float) -> None:
        """A connection with these limits stands."""
        self._maximum_packet_bytes = limits.maximum_packet_bytes
        self.window.connected(limits.receive_maximum, now_s)

    def adopt(self, epoch: str) -> None:
        """The province was told of the record by this epoch: events may follow."""
        if epoch != self.epoch:
            self.window.forget()
            self._feed = Feed(self._outbox, self.window.knows)
            self._settled.clear()
            self.epoch = epoch
        self.outdated = False
        self._refreshed_s = -math.inf

    def rewind(self) -> None:
        """Events below those that were read wait again."""
        self._feed = Feed(self._outbox, self.window.knows)
        self._refreshed_s = -math.inf

    def end(self, now_s: float, *, blamed: bool) -> None:
        """The connection is gone. ``blamed``: the broker hung up over something that was sent."""
        self.window.disconnected(now_s, blamed=blamed)

    # ------------------------------------------------------------- sending

    def news(self) -> None:
        """Events were added."""
        self._feed.news()

    def pump(self, now_s: float, publish: Callable[[Publication], None]) -> float:
        """Send what may be sent now. Returns in how many seconds it may be worth coming back, without other news.

        Sets ``outdated`` and sends nothing when the record's file was replaced.
        """
        if now_s - self._refreshed_s >= REFRESH_S:
            self._refresh(now_s)
        if self.outdated:
            return 0.0
        while (pick := self.window.pick(now_s, self._next(Lane.LIVE), self._next(Lane.BACKLOG))) is not None:
            self._send(pick, now_s, publish)
        self._flush(now_s)
        wait_s = self.window.wait_s(now_s, self._next(Lane.BACKLOG))
        return min(wait_s, REFRESH_S, max(0.0, self._settled_s + SETTLE_S - now_s))

    def _refresh(self, now_s: float) -> None:
        self.outdated = self._outbox.bounds().epoch != self.epoch
        for seq in self.window.hopeless():
            self._bury(seq, "breaks_connections")
        self._feed.refresh()
        self.window.live_floor = self._feed.live_floor
        self._refreshed_s = now_s

    def _next(self, lane: Lane) -> int | None:
        row = self._feed.head(lane)
        return None if row is None else row.seq

    def _send(self, pick: Pick, now_s: float, publish: Callable[[Publication], None]) -> None:
        row = self._feed.pop(pick.lane) if pick.attempt == 1 else self._feed.again(pick.seq)
        if row is None:
            # Dropped by the record's bounds or its retention, which said so in an event of its own.
            self.window.dropped(pick.seq)
            return
        publication = self._publication(row, pick.attempt)
        if len(publication.payload) + len(publication.topic) + OVERHEAD_BYTES > self._maximum_packet_bytes:
            self._refused(pick.seq, broker_codes.PACKET_TOO_LARGE, now_s)
            return
        self.resent += pick.attempt > 1
        publish(publication)

    def _publication(self, row: Outgoing, attempt: int) -> Publication:
        sent = wire.time_text(self._clock.reading().wall_ns)
        return Publication(
            token=EventToken(row.seq),
            topic=wire.up(self._gate, "audit" if row.channel is Channel.AUDIT else "checkin"),
            payload=row.body,
            content_type=_CONTENT_TYPE,
            user=(("attempt", str(attempt)), ("sent", sent)),
        )

    # ------------------------------------------------------------- answers

    def answered(self, seq: int, code: int, now_s: float) -> None:
        """The broker's answer to an event."""
        if broker_codes.fate(code) is not Fate.TAKEN:
            self._refused(seq, code, now_s)
            return
        self.published += 1
        if self.window.puback(seq, Fate.TAKEN, now_s) is Outcome.SETTLED:
            self._settled.append(seq)
            self._settled_s = min(self._settled_s, now_s)

    def confirmed(self, ack: wire.Ack, now_s: float) -> None:
        """The collector's ack. One for another record releases nothing."""
        if ack.epoch != self.epoch:
            self.stray_acks += 1
            return
        self.acked += self._outbox.confirm(ack.epoch, ack.upto, ack.spans)
        self._feed.confirmed(ack.upto, ack.spans)
        self.window.confirm(ack.upto, ack.spans, now_s)

    def close(self) -> None:
        """Confirm what the broker has taken."""
        self._flush(math.inf)

    def _refused(self, seq: int, code: int, now_s: float) -> None:
        if self.window.puback(seq, broker_codes.fate(code), now_s) is Outcome.BURY:
            self._bury(seq, broker_codes.name(code))

    def _bury(self, seq: int, reason: str) -> None:
        log.warning("event %d is a dead letter: %s", seq, reason)
        self._outbox.bury(seq, reason)
        self.window.buried(seq)
        self.dead_letters += 1

    def _flush(self, now_s: float) -> None:
        if not self._settled or (len(self._settled) < SETTLE_ROWS and now_s - self._settled_s < SETTLE_S):
            return
        self.acked += self._outbox.confirm(self.epoch, 0, spans(self._settled))
        self._settled.clear()
        self._settled_s = math.inf

    # ------------------------------------------------------------- figures

    def figures(self) -> dict[str, Json]:
        """Counters, times and why events are held back, by the names of health."""
        acks, hold = self.window.acks_s.summary(), self.window.hold
        return {
            "published": self.published,
            "acked": self.acked,
            "resent": self.resent,
            "ack_ms": {name: None if value is None else round(value * 1000, 1) for name, value in acks.items()},
            "hold": None if hold is None else hold.fate.value,
        }

    def lanes(self) -> dict[str, Json]:
        """Depth and oldest age of both lanes. Live events are counted at most: gaps among them are not looked for."""
        bounds, floor = self._outbox.bounds(), self._outbox.live_from(LIVE_AGE_S)
        live = _live_depth(bounds, floor)
        oldest = {lane: self._outbox.waiting(after, 1) for lane, after in (("live", floor), ("backlog", 0))}
        depth = {"live": live, "backlog": bounds.waiting - live}
        return {
            lane: {"depth": depth[lane], "oldest_s": round(rows[0].age_s, 1)} if depth[lane] and rows else {"depth": depth[lane]}
            for lane, rows in oldest.items()
        }


def _live_depth(bounds: Bounds, live_floor: int) -> int:
    return min(bounds.waiting, max(0, bounds.newest - max(live_floor, bounds.oldest - 1)))
