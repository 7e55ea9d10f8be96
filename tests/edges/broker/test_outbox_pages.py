"""The uplink's two places in the record: the newest and the oldest, nothing twice and nothing passed over."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from device.core.sending import Lane
from device.edges.broker.outbox_pages import PAGE_ROWS, Feed
from tests.edges.broker.uplink_kit import PushedClock, Record


@dataclass
class Reader:
    """A feed on a record in memory. `sent` is what was sent and waits for its answer."""

    clock: PushedClock = field(default_factory=PushedClock)
    sent: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin with an empty record."""
        self.record = Record(self.clock)
        self.feed = Feed(self.record, self.sent.__contains__)

    def take(self, lane: Lane, count: int = 1000) -> list[int]:
        """So many events of a lane, or all that there are."""
        found: list[int] = []
        while len(found) < count and (row := self.feed.head(lane)) is not None:
            assert self.feed.pop(lane) is row
            found.append(row.seq)
            self.sent.add(row.seq)
        return found


def test_old_and_young_events_are_offered_in_their_own_lanes() -> None:
    """In order of their numbers."""
    reader = Reader()
    reader.record.add(40, age_s=3600)
    reader.record.add(5)
    reader.feed.refresh()
    assert reader.take(Lane.LIVE) == [41, 42, 43, 44, 45]
    assert reader.take(Lane.BACKLOG) == list(range(1, 41))


def test_news_shows_at_once_without_a_refresh() -> None:
    """A person who has just passed is not kept waiting for a second."""
    reader = Reader()
    reader.feed.refresh()
    assert reader.take(Lane.LIVE) == []
    reader.record.add()
    assert reader.take(Lane.LIVE) == []
    reader.feed.news()
    assert reader.take(Lane.LIVE) == [1]


def test_a_live_event_that_waited_too_long_becomes_backlog_and_is_not_lost() -> None:
    """A minute offline."""
    reader = Reader()
    reader.record.add(3)
    reader.feed.refresh()
    assert reader.feed.head(Lane.LIVE) is not None
    reader.clock.advance(61)
    reader.record.add()
    reader.feed.refresh()
    assert reader.take(Lane.LIVE) == [4]
    assert reader.take(Lane.BACKLOG) == [1, 2, 3]


def test_what_the_province_confirms_is_not_sent_although_it_was_read_ahead() -> None:
    """The answer to a hello may hold most of the backlog."""
    reader = Reader()
    reader.record.add(10, age_s=3600)
    reader.record.add(4)
    reader.feed.refresh()
    assert reader.feed.head(Lane.BACKLOG) is not None
    assert reader.feed.head(Lane.LIVE) is not None
    reader.record.confirm(reader.record.epoch, 6, [(8, 9), (12, 14)])
    reader.feed.confirmed(6, [(8, 9), (12, 14)])
    assert reader.take(Lane.BACKLOG) == [7, 10]
    assert reader.take(Lane.LIVE) == [11]


def test_an_event_is_fetched_again_by_its_number_or_is_gone() -> None:
    """A body is not kept in memory while it waits for its ack."""
    reader = Reader()
    reader.record.add(3)
    reader.record.drop(2)
    assert reader.feed.again(2) is None
    found = reader.feed.again(3)
    assert found is not None
    assert found.seq == 3


@given(st.data())
def test_everything_is_offered_once_whatever_happens_in_between(data: st.DataObject) -> None:
    """Events come, grow old, are sent in either lane and are confirmed, in any order."""
    reader, offered = Reader(), []
    for _ in range(data.draw(st.integers(1, 12))):
        reader.record.add(data.draw(st.integers(0, 2 * PAGE_ROWS)))
        reader.feed.news()
        if data.draw(st.booleans()):
            reader.clock.advance(data.draw(st.sampled_from([1, 30, 61])))
            reader.feed.refresh()
        offered += reader.take(data.draw(st.sampled_from(Lane)), data.draw(st.integers(0, 20)))
    reader.feed.refresh()
    offered += reader.take(Lane.LIVE) + reader.take(Lane.BACKLOG)
    assert sorted(offered) == list(range(1, reader.record.bounds().newest + 1))
