"""The uplink's view of the record: the next event of each lane, a page at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from device.core.sending import LIVE_AGE_S, WINDOW_LIMIT, Lane
from device.ports import Outbox, Outgoing

PAGE_ROWS = WINDOW_LIMIT
"""Rows read ahead in each lane. Small, so that hardly anything is sent that the record has just dropped."""


class Feed:
    """Reads the outbox forward in two places. For the uplink's own thread, because the outbox may block.

    ``known`` tells whether an event was sent before and still waits for its
    answer: those are not offered again, ``again`` fetches them.
    """

    def __init__(self, outbox: Outbox, known: Callable[[int], bool]) -> None:
        self._outbox = outbox
        self._known = known
        self._rows: dict[Lane, deque[Outgoing]] = {lane: deque() for lane in Lane}
        self._after = dict.fromkeys(Lane, 0)
        self._more = dict.fromkeys(Lane, True)
        self.live_floor = 0

    def news(self) -> None:
        """Events were added, at the end."""
        self._more[Lane.LIVE] = True

    def refresh(self) -> None:
        """Time has passed: live events may have become old."""
        self.live_floor = max(self.live_floor, self._outbox.live_from(LIVE_AGE_S))
        live = self._rows[Lane.LIVE]
        while live and live[0].seq <= self.live_floor:
            live.popleft()
        self._after[Lane.LIVE] = max(self._after[Lane.LIVE], self.live_floor)
        self._more = dict.fromkeys(Lane, True)

    def head(self, lane: Lane) -> Outgoing | None:
        """The next event of a lane that was never sent, None when there is none."""
        rows = self._rows[lane]
        while rows and self._known(rows[0].seq):
            rows.popleft()
        while not rows and self._more[lane]:
            self._read(lane)
        return rows[0] if rows else None

    def pop(self, lane: Lane) -> Outgoing:
        """The event that ``head`` showed, which is now being sent."""
        return self._rows[lane].popleft()

    def again(self, seq: int) -> Outgoing | None:
        """An event that was sent before, None when the record holds it no more."""
        rows = self._outbox.waiting(seq - 1, 1)
        return rows[0] if rows and rows[0].seq == seq else None

    def confirmed(self, upto: int, ranges: Sequence[tuple[int, int]]) -> None:
        """The province has these: do not send what was read ahead of them."""
        for lane, rows in self._rows.items():
            self._rows[lane] = deque(row for row in rows if row.seq > upto and not any(first <= row.seq <= last for first, last in ranges))

    def _read(self, lane: Lane) -> None:
        page = self._outbox.waiting(self._after[lane], PAGE_ROWS)
        mine = [row for row in page if lane is Lane.LIVE or row.seq <= self.live_floor]
        self._more[lane] = len(mine) == PAGE_ROWS
        if mine:
            self._after[lane] = mine[-1].seq
        self._rows[lane].extend(row for row in mine if not self._known(row.seq))
