"""What the province keeps: each event once, in one chain, and everything that is missing named."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core import wire
from device.core.spans import spans
from provisioning.province import event_store as stores
from provisioning.province.event_store import Coverage, Kept, SqliteStore
from provisioning.province.intake import Notice, Received, RefusedMessage, judge
from tests.provisioning.province.events import CHECKIN, EPOCH, Chain

NOW = "2026-11-23T10:00:00.000Z"
KEY = ("gate-07", EPOCH)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    made = SqliteStore(tmp_path / "events.sqlite")
    yield made
    made.close()


def received(chain: Chain, *seqs: int) -> list[Received | Notice | RefusedMessage]:
    """Events of a chain as they arrive."""
    return [judge(chain.topic(seq), chain.bodies[seq]) for seq in seqs]


def keep(store: SqliteStore, chain: Chain, *seqs: int) -> Kept:
    """Keep them in one batch."""
    return store.keep(received(chain, *seqs), NOW)


def test_an_event_is_kept_once_however_often_it_comes(store: SqliteStore) -> None:
    """Also twice in one batch; every copy may be acknowledged."""
    chain = Chain().grow(3)
    assert keep(store, chain, 1, 2, 2).stored == 2
    again = keep(store, chain, 1, 2, 3)
    assert (again.stored, again.duplicates, again.held) == (1, 2, {KEY: [1, 2, 3]})
    assert store.counts()["events"] == 3


def test_the_same_number_in_another_epoch_or_gate_is_another_event(store: SqliteStore) -> None:
    """The key is gate, epoch and sequence."""
    for chain in (Chain(), Chain(gate="gate-08"), Chain(epoch="0d7c41fb-55c2-4a39-9d0e-5b8d8f0c8e11")):
        assert keep(store, chain.grow(1), 1).stored == 1
    assert (store.counts()["events"], store.counts()["gates"]) == (3, 2)


NEXT = "0d7c41fb-55c2-4a39-9d0e-5b8d8f0c8e11"


def distinct(path: Path) -> list[tuple[str, int]]:
    """What happened, each event once, by the number under which it came first."""
    with closing(sqlite3.connect(path)) as reader:
        return reader.execute("SELECT epoch, seq FROM distinct_events ORDER BY epoch DESC, seq").fetchall()


def test_what_a_gate_sends_again_from_a_new_file_is_one_event_with_two_numbers(store: SqliteStore, tmp_path: Path) -> None:
    """Acknowledged, chained and counted under its new number, and there once for whoever reads what happened."""
    keep(store, Chain().grow(3), 1, 2, 3)
    again = keep(store, Chain(epoch=NEXT).grow(4), 1, 2, 3, 4)
    assert (again.stored, again.repeats, again.held) == (4, 3, {("gate-07", NEXT): [1, 2, 3, 4]})
    assert store.coverage(("gate-07", NEXT)) == Coverage(4)
    assert distinct(tmp_path / "events.sqlite") == [(EPOCH, 1), (EPOCH, 2), (EPOCH, 3), (NEXT, 4)]
    assert (store.counts()["events"], store.counts()["repeats"], store.counts()["breaks"]) == (7, 3, 0)


def test_the_first_sending_may_come_last(store: SqliteStore, tmp_path: Path) -> None:
    """A message of the old file was still on its way: whichever came first stands."""
    keep(store, Chain(epoch=NEXT).grow(2), 1, 2)
    assert keep(store, Chain().grow(2), 2).repeats == 1
    assert distinct(tmp_path / "events.sqlite") == [(NEXT, 1), (NEXT, 2)]


@pytest.mark.parametrize("other", ["content", "gate"])
def test_one_id_for_two_events_hides_neither(store: SqliteStore, tmp_path: Path, other: str) -> None:
    """Another content under a known id, or another gate's, is another event, whatever the id says."""
    keep(store, Chain().grow(1), 1)
    chain = Chain(epoch=NEXT, gate="gate-08" if other == "gate" else "gate-07")
    chain.add({**CHECKIN, "subject": "cd" * 32} if other == "content" else CHECKIN)
    assert keep(store, chain, 1).repeats == 0
    assert distinct(tmp_path / "events.sqlite") == [(EPOCH, 1), (NEXT, 1)]


def test_two_bodies_with_one_number_are_a_conflict_and_the_first_stands(store: SqliteStore) -> None:
    """A copied card, or a gate that lies: the other body is kept as evidence."""
    one, other = Chain().grow(1), Chain()
    other.add({"decision": "reject"})
    keep(store, one, 1)
    kept = keep(store, other, 1)
    assert (kept.conflicts, kept.stored, kept.held) == (1, 0, {KEY: [1]})
    assert store.counts()["refused"] == 1
    assert keep(store, one, 1).duplicates == 1


def test_everything_up_to_a_number_is_acknowledged_in_one_word(store: SqliteStore) -> None:
    """Gaps in what has arrived are ranges above it, and close when the rest comes."""
    chain = Chain().grow(10)
    keep(store, chain, 1, 2, 3, 6, 7, 10)
    assert store.coverage(KEY) == Coverage(3, ((6, 7), (10, 10)))
    keep(store, chain, 4, 5)
    assert store.coverage(KEY) == Coverage(7, ((10, 10),))
    assert store.upto(KEY) == 7
    assert store.coverage(("gate-99", EPOCH)) == Coverage(0)


@given(st.data())
def test_in_whatever_order_events_come_what_is_held_is_told_exactly(data: st.DataObject) -> None:
    """Batches in any order with repeats: `upto` and the ranges are the set of what was kept, and the chain is whole."""
    chain = Chain().grow(12)
    store = SqliteStore(Path(":memory:"))
    held: set[int] = set()
    for _ in range(data.draw(st.integers(1, 5))):
        batch = data.draw(st.lists(st.integers(1, 12), max_size=6))
        keep(store, chain, *batch)
        held |= set(batch)
    coverage = store.coverage(KEY)
    assert spans(held) == ([(1, coverage.upto)] if coverage.upto else []) + list(coverage.ranges)
    assert store.counts()["breaks"] == 0
    store.close()


# ----------------------------------------------------------------- the chain


@pytest.mark.parametrize("seed", range(5))
def test_a_whole_chain_has_no_breaks_in_whatever_order_it_comes(store: SqliteStore, seed: int) -> None:
    """Live events overtake the backlog all the time."""
    chain = Chain().grow(20)
    lost = chain.lose(3, frozen=True)
    chain.grow(3)
    chain.declare(*lost)
    bare = chain.lose(2, frozen=False)
    chain.grow(2)
    chain.declare(*bare)
    order = list(chain.bodies)
    random.Random(seed).shuffle(order)  # noqa: S311 - any order will do
    assert sum(keep(store, chain, seq).breaks for seq in order) == 0
    assert store.coverage(KEY) == Coverage(max(chain.bodies))
    assert (store.counts()["declared_lost"], store.counts()["unexplained"]) == (5, 0)


def other_body(chain: Chain, seq: int, **changes: object) -> Received | Notice | RefusedMessage:
    """An event that somebody changed."""
    event = json.loads(chain.bodies[seq])
    event["data"].update(changes)
    return judge(chain.topic(seq), json.dumps(event).encode())


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 4, 1, 3), (1, 3, 4, 2)])
def test_a_changed_event_breaks_the_chain_behind_it(store: SqliteStore, order: tuple[int, ...]) -> None:
    """Wherever it comes in the order of arrival."""
    chain = Chain().grow(4)
    breaks = 0
    for seq in order:
        item = other_body(chain, 2, decision="reject") if seq == 2 else received(chain, seq)[0]
        breaks += store.keep([item], NOW).breaks
    assert breaks == store.counts()["breaks"] == 1


def test_a_changed_link_breaks_the_chain_on_both_sides(store: SqliteStore) -> None:
    """The event itself is another body, and it names another predecessor."""
    chain = Chain().grow(4)
    store.keep([*received(chain, 1, 3, 4), other_body(chain, 2, prev="cd" * 32)], NOW)
    assert store.counts()["breaks"] == 2


def test_an_inserted_event_breaks_the_chain(store: SqliteStore) -> None:
    """Numbers moved on by one."""
    chain, forged = Chain().grow(2), Chain().grow(2)
    forged.add({"decision": "accept", "reason": "forged"})
    after = forged.grow(1)
    keep(store, chain, 1, 2)
    keep(store, after, 4)
    chain.add()
    keep(store, chain, 3)
    assert store.counts()["breaks"] == 1


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("told_first", [True, False])
def test_a_gap_that_hides_a_change_does_not_hold(store: SqliteStore, frozen: bool, told_first: bool) -> None:  # noqa: FBT001 - two columns
    """The chain goes on behind a declared gap at the digest that the gap names, or where it stopped before."""
    chain = Chain().grow(2)
    first, last, _ = chain.lose(2, frozen=frozen)
    chain.grow(1)
    behind = last + 1
    gap = chain.declare(first, last, "cd" * 32 if frozen else None)
    if not frozen:
        store.keep([other_body(chain, behind, prev="cd" * 32)], NOW)
    order = (gap, behind) if told_first else (behind, gap)
    keep(store, chain, 1, 2, *(seq for seq in order if frozen or seq != behind))
    assert store.counts()["breaks"] == (1 if frozen else 2)


@pytest.mark.parametrize("order", [(1, 2, 6, 5), (5, 6, 1, 2), (6, 5, 2, 1), (6, 2, 5, 1)])
def test_a_link_over_events_that_never_had_a_body_is_checked_in_any_order(store: SqliteStore, order: tuple[int, ...]) -> None:
    """The event behind such a gap names the last body before it."""
    chain = Chain().grow(2)
    first, last, digest = chain.lose(2, frozen=False)
    chain.grow(1)
    assert chain.declare(first, last, digest) == 6
    breaks = 0
    for seq in order:
        item = other_body(chain, 5, prev="cd" * 32) if seq == 5 else received(chain, seq)[0]
        breaks += store.keep([item], NOW).breaks
    assert breaks == store.counts()["breaks"] == 2, "the link over the gap, and the one to the changed event"


# ----------------------------------------------------------------- what is missing


def test_a_declared_gap_is_passed_over_and_counted_as_lost(store: SqliteStore) -> None:
    """The gate has dropped it and said so: waiting for it would keep everything behind it unconfirmed."""
    chain = Chain().grow(3)
    lost = chain.lose(4, frozen=True)
    chain.grow(2)
    keep(store, chain, 1, 2, 3, 8, 9)
    assert store.upto(KEY) == 3
    keep(store, chain, chain.declare(*lost))
    assert store.coverage(KEY) == Coverage(10)
    assert store.counts()["declared_lost"] == 4


def test_of_a_declared_gap_only_what_is_not_held_is_lost(store: SqliteStore) -> None:
    """Some of it may have been delivered before."""
    chain = Chain().grow(5)
    keep(store, chain, 1, 2, 4)
    keep(store, chain, chain.declare(2, 5, wire.body_digest(chain.bodies[5])))
    assert store.counts()["declared_lost"] == 2


def test_what_the_gate_no_longer_has_and_never_sent_is_unexplained_until_a_gap_explains_it(store: SqliteStore) -> None:
    """A hello says what the gate still holds: below that nothing will come."""
    chain = Chain().grow(3)
    lost = chain.lose(4, frozen=True)
    chain.grow(2)
    keep(store, chain, 1, 2, 3, 9)
    store.note_oldest(*KEY, 8)
    assert store.coverage(KEY) == Coverage(9 - 2, ((9, 9),))
    assert store.counts()["unexplained"] == 4
    keep(store, chain, 8, chain.declare(*lost))
    assert (store.counts()["unexplained"], store.counts()["declared_lost"]) == (0, 4)


def test_a_gate_that_holds_everything_misses_nothing(store: SqliteStore) -> None:
    """Neither does an empty one (`oldest` 0), nor one whose events arrived before its hello."""
    keep(store, Chain().grow(3), 1, 2, 3)
    for oldest in (0, 1, 4):
        store.note_oldest(*KEY, oldest)
    assert store.counts()["unexplained"] == 0
    assert store.coverage(KEY) == Coverage(3)


def test_a_new_store_takes_up_an_old_gate_where_it_is(store: SqliteStore) -> None:
    """Events before the first hello were another collector's."""
    store.note_oldest(*KEY, 5001)
    assert store.upto(KEY) == 5000


# ----------------------------------------------------------------- refusals and notices


def test_what_is_refused_is_kept_once_with_its_reason_and_never_silently(store: SqliteStore, tmp_path: Path) -> None:
    """The body is evidence; a copy of it is not."""
    bad = judge("gates/v1/gate-07/up/checkin", b"not an event")
    kept = [store.keep([bad], NOW) for _ in range(3)]
    assert [one.refused for one in kept] == [1, 1, 1]
    with closing(sqlite3.connect(tmp_path / "events.sqlite")) as reader:
        rows = reader.execute("SELECT gate, reason, body FROM refused").fetchall()
    reader.close()
    assert rows == [("gate-07", "unreadable: json_invalid", b"not an event")]


def test_one_gate_cannot_fill_the_store_with_rubbish(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit it is counted only, and not acknowledged; other gates are not affected."""
    monkeypatch.setattr(stores, "REFUSED_LIMIT", 5)
    for number in range(9):
        store.keep([judge("gates/v1/gate-07/up/checkin", str(number).encode())], NOW)
    store.keep([judge("gates/v1/gate-08/up/checkin", b"x")], NOW)
    assert store.counts()["refused"] == 6


def test_a_refused_event_whose_key_is_known_need_not_be_sent_again(store: SqliteStore) -> None:
    """The province has it, as evidence."""
    chain = Chain().grow(1)
    kept = store.keep([judge("gates/v1/gate-07/up/audit", chain.bodies[1])], NOW)
    assert (kept.refused, kept.held) == (1, {KEY: [1]})


def test_the_latest_of_each_other_message_is_kept(store: SqliteStore, tmp_path: Path) -> None:
    """State, health and reports: one row a topic."""
    for body in (b'{"online":true}', b'{"online":false}'):
        store.keep([judge("gates/v1/gate-07/up/state", body)], NOW)
    with closing(sqlite3.connect(tmp_path / "events.sqlite")) as reader:
        assert reader.execute("SELECT topic, body FROM latest").fetchall() == [("gates/v1/gate-07/up/state", b'{"online":false}')]
    reader.close()


def test_a_batch_that_fails_is_not_kept_in_part(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction: nothing of it is acknowledged, all of it comes again."""
    chain = Chain().grow(3)
    monkeypatch.setattr(SqliteStore, "_advance", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk full")))
    with pytest.raises(sqlite3.OperationalError):
        keep(store, chain, 1, 2)
    monkeypatch.undo()
    assert store.counts()["events"] == 0
    assert keep(store, chain, 1, 2).stored == 2


def test_values_never_become_sql(store: SqliteStore) -> None:
    """What is hostile in a body stays a value."""
    chain = Chain()
    chain.add({"decision": "'); DROP TABLE events; --", "what": None})
    assert keep(store, chain, 1).stored == 1
    assert store.counts()["events"] == 1


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    """With its progress, and with the count of what was refused."""
    chain = Chain().grow(4)
    first = SqliteStore(tmp_path / "events.sqlite")
    keep(first, chain, 1, 2, 4)
    first.keep([judge("x", b"y")], NOW)
    first.close()
    second = SqliteStore(tmp_path / "events.sqlite")
    assert second.coverage(KEY) == Coverage(2, ((4, 4),))
    assert keep(second, chain, 1, 2, 3, 4).duplicates == 3
    assert second.coverage(KEY) == Coverage(4)
    second.close()
