"""How dropped events are told of: one ``gap`` event for each dropped range.

The span of a gap event holds no event that is still to be sent. One that has
not been published yet grows with the range it tells of; one that is dropped
itself, as the oldest, hands its span on to the next.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ValidationError

from device.core.timeline import ClockState, stamp
from device.core.types import ClockReading
from device.core.wire import Gap, time_text
from device.edges.record import statements
from device.edges.record.rows import Leaf, Record, Row, RowDamaged, RowKind, RowState, reading_of
from device.edges.record.store import Store, fact_record

Cause = Literal["full", "retention"]

_NOWHEN: Final = ClockReading(0, 0, 0, "", trusted=False)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may have to go."""

    seq: int
    state: RowState
    kind: RowKind
    at: ClockReading
    data: bytes
    sheet: bytes

    @classmethod
    def of(cls, row: Row) -> Candidate:
        """From a row of these columns. A damaged one is taken as an old check-in: it has to go some day."""
        seq, state, kind, *at, data, sheet = row
        try:
            return cls(seq, RowState(state), RowKind(kind), reading_of(at), data, sheet)
        except ValueError:
            return cls(seq, RowState.WAITING, RowKind.CHECKIN, _NOWHEN, b"", b"")

    @property
    def body(self) -> bytes | None:
        """The frozen body, where there is one that is whole."""
        try:
            return Leaf.unpack(self.sheet).body
        except RowDamaged:
            return None


def record_gap(store: Store, rows: Sequence[Candidate], cause: Cause, now: ClockReading, *, oldest: bool) -> None:
    """Within the transaction that erases ``rows``, which follow each other: let a gap event tell of them.

    ``oldest`` says that no waiting event is older than they are.
    """
    loss = _loss(store, rows, cause, oldest=oldest)
    store.tally.dropped += len(rows)
    if not _grow(store, loss):
        store.append_fact(loss, now)


def gap_in(data: bytes) -> Gap | None:
    """What a gap event says; None where it cannot be read."""
    try:
        return Gap.model_validate_json(data)
    except ValidationError:
        return None


def _loss(store: Store, rows: Sequence[Candidate], cause: Cause, *, oldest: bool) -> Gap:
    spans = [_span(store, row) for row in rows]
    body = rows[-1].body
    # An event not frozen yet has no digest: the chain will go on from the newest body that there is, unless others are frozen between.
    head = store.tally.chain if oldest else None
    return Gap(
        first=min(span.first for span in spans),
        last=max(span.last for span in spans),
        count=sum(span.count for span in spans),
        cause=cause,
        oldest=min(spans, key=lambda span: span.first).oldest,
        newest=spans[-1].newest,
        digest=head if body is None else hashlib.sha256(body).hexdigest(),
    )


def _span(store: Store, row: Candidate) -> Gap:
    """What is lost with one row: itself, and what it told of where it is a gap event."""
    time = _time(store, row.at)
    inner = gap_in(row.data) if row.kind is RowKind.GAP else None
    if inner is None:
        return Gap(first=row.seq, last=row.seq, count=1, cause="full", oldest=time, newest=time)
    return Gap(first=inner.first, last=row.seq, count=inner.count + 1, cause="full", oldest=inner.oldest or time, newest=time)


def _time(store: Store, at: ClockReading) -> str | None:
    known = stamp(at, store.line)
    return None if known.clock is ClockState.UNSYNCED else time_text(known.time_ns)


def _grow(store: Store, loss: Gap) -> bool:
    """Let an unpublished gap event of the same cause tell of this too, where nothing to be sent lies between."""
    for seq, ident, *at, data in store.connection.execute(statements.GROWING_GAPS, (store.tally.frozen,)).fetchall():
        before = gap_in(data)
        if before is None or before.cause != loss.cause:
            continue
        both = _joined(before, loss)
        if not _holds_waiting(store.connection, both):
            grown = fact_record(both, reading_of(at))
            record = Record(ident, RowKind.GAP, grown.at, grown.data)
            store.connection.execute(statements.SET_DATA, (record.data, record.crc, seq))
            return True
    return False


def _joined(one: Gap, other: Gap) -> Gap:
    early, late = sorted((one, other), key=lambda gap: gap.last)
    return Gap(
        first=min(one.first, other.first),
        last=late.last,
        count=one.count + other.count,
        cause=one.cause,
        oldest=(one if one.first <= other.first else other).oldest,
        newest=late.newest or early.newest,
        digest=late.digest,
    )


def _holds_waiting(connection: sqlite3.Connection, gap: Gap) -> bool:
    return connection.execute(statements.ANY_WAITING_BETWEEN, (gap.first, gap.last)).fetchone() is not None
