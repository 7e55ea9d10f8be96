"""Where the province keeps events: the interface, and the form of it that needs no server.

Whatever is returned by ``keep`` is durable. Values never become part of an
SQL text.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from device.core.spans import Span, merged, total, without
from provisioning.province.intake import Notice, Received, RefusedMessage, content_digest

Key: TypeAlias = tuple[str, str]
"""Gate and epoch."""

REFUSED_LIMIT: Final = 1000
"""Refused messages kept of one gate. What comes beyond is counted only."""
ISLANDS_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is held of one epoch: everything that a gate can still have up to ``upto``, and ranges above it."""

    upto: int
    ranges: tuple[Span, ...] = ()


@dataclass(slots=True)
class Kept:
    """What became of one batch. ``held`` are the numbers, by gate and epoch, that their gate may forget."""

    held: dict[Key, list[int]] = field(default_factory=dict)
    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    repeats: int = 0
    refused: int = 0
    breaks: int = 0


class EventStore(Protocol):
    """Keeps events once each, in whatever order and however often they come. For one thread."""

    def keep(self, batch: Sequence[Received | Notice | RefusedMessage], received: str) -> Kept:
        """Keep a batch in one transaction, durable on return. ``received`` is the time, RFC 3339."""
        ...

    def note_oldest(self, gate: str, epoch: str, oldest: int) -> None:
        """The gate says that ``oldest`` is the oldest event that it still holds: what is missing below will never come."""
        ...

    def upto(self, key: Key) -> int:
        """Up to where everything is held that the gate can still have."""
        ...

    def coverage(self, key: Key) -> Coverage:
        """What is held of one epoch of a gate."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Rows held, and what is wrong with them: breaks of the chain, gaps that were declared, holes that were not."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    gate TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    id TEXT NOT NULL, type TEXT NOT NULL, time TEXT NOT NULL, received TEXT NOT NULL,
    digest TEXT NOT NULL, prev TEXT, body BLOB NOT NULL,
    PRIMARY KEY (gate, epoch, seq)
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_id ON events (gate, id);
CREATE TABLE IF NOT EXISTS repeats (
    gate TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, of_epoch TEXT NOT NULL, of_seq INTEGER NOT NULL,
    PRIMARY KEY (gate, epoch, seq)
) STRICT;
CREATE VIEW IF NOT EXISTS distinct_events AS
    SELECT events.* FROM events LEFT JOIN repeats USING (gate, epoch, seq) WHERE repeats.of_seq IS NULL;
CREATE TABLE IF NOT EXISTS progress (
    gate TEXT NOT NULL, epoch TEXT NOT NULL, upto INTEGER NOT NULL,
    PRIMARY KEY (gate, epoch)
) STRICT;
CREATE TABLE IF NOT EXISTS gaps (
    gate TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, digest TEXT, told_by INTEGER NOT NULL,
    PRIMARY KEY (gate, epoch, told_by)
) STRICT;
CREATE TABLE IF NOT EXISTS missing (
    gate TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (gate, epoch, first)
) STRICT;
CREATE TABLE IF NOT EXISTS breaks (
    gate TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, prev TEXT, digest_before TEXT NOT NULL, received TEXT NOT NULL,
    PRIMARY KEY (gate, epoch, seq)
) STRICT;
CREATE TABLE IF NOT EXISTS refused (
    gate TEXT NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, digest TEXT NOT NULL, received TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (topic, reason, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS latest (
    topic TEXT PRIMARY KEY, gate TEXT NOT NULL, received TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
"""


class SqliteStore:
    """`Store` in one SQLite file. Raises sqlite3.Error where the file cannot be used.

    The table ``events`` holds every number of every epoch, for the chain and
    for what is missing. A gate whose file was damaged sends again under new
    numbers: what came before is named in ``repeats``, and the view
    ``distinct_events`` is what happened, each event once.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._refused = Counter(dict(self._db.execute("SELECT gate, count(*) FROM refused GROUP BY gate").fetchall()))
        except sqlite3.Error:
            self._db.close()
            raise

    def keep(self, batch: Sequence[Received | Notice | RefusedMessage], received: str) -> Kept:
        """Keep a batch in one transaction, durable on return."""
        kept = Kept()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for item in batch:
                self._keep_one(item, received, kept)
            for key in kept.held:
                self._advance(key)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return kept

    def note_oldest(self, gate: str, epoch: str, oldest: int) -> None:
        """Note that what is not held below ``oldest`` will never come, and go on from there."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            upto = self.upto((gate, epoch))
            if oldest > upto + 1:
                span = (gate, epoch, upto + 1, oldest - 1)
                self._db.execute("INSERT INTO missing VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", span)
                self._set_upto((gate, epoch), oldest - 1)
                self._advance((gate, epoch))
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def upto(self, key: Key) -> int:
        """Up to where everything is held that the gate can still have."""
        row = self._db.execute("SELECT upto FROM progress WHERE gate = ? AND epoch = ?", key).fetchone()
        return 0 if row is None else int(row[0])

    def coverage(self, key: Key) -> Coverage:
        """What is held of one epoch of a gate."""
        upto = self.upto(key)
        return Coverage(upto, tuple(self._islands(key, upto, limit=ISLANDS_LIMIT)))

    def counts(self) -> Mapping[str, int]:
        """Rows of each table, and the numbers in declared gaps and in holes that nothing explains."""
        tables = ("events", "repeats", "breaks", "refused")
        counts = {table: self._one(f"SELECT count(*) FROM {table}") for table in tables}  # noqa: S608 - our own four names
        counts["gates"] = self._one("SELECT count(DISTINCT gate) FROM events")
        gaps = self._by_key("gaps")
        missing = self._by_key("missing")
        counts["declared_lost"] = sum(total(self._not_held(key, ranges)) for key, ranges in gaps.items())
        counts["unexplained"] = sum(total(self._not_held(key, without(ranges, gaps.get(key, [])))) for key, ranges in missing.items())
        return counts

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # ------------------------------------------------------------- one message

    def _keep_one(self, item: Received | Notice | RefusedMessage, received: str, kept: Kept) -> None:
        if isinstance(item, Received):
            self._keep_event(item, received, kept)
        elif isinstance(item, RefusedMessage):
            if self._keep_refused(item, received, kept) and item.key is not None:
                kept.held.setdefault((item.gate, item.key[0]), []).append(item.key[1])
        else:
            self._db.execute(
                "INSERT INTO latest VALUES (?, ?, ?, ?)"
                " ON CONFLICT (topic) DO UPDATE SET received = excluded.received, body = excluded.body",
                (item.topic, item.gate, received, item.body),
            )

    def _keep_event(self, item: Received, received: str, kept: Kept) -> None:
        event, digest = item.event, item.digest
        row = (item.gate, event.epoch, event.seq, event.id, event.type, event.time, received, digest, event.data.prev, item.body)
        inserted = self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount
        kept.held.setdefault(item.key, []).append(event.seq)
        if inserted:
            kept.stored += 1
            doubtful = {event.seq, event.seq + 1, *self._behind_bare_gaps(item.key, event.seq)}
            gap = event.data.gap
            if gap is not None:
                values = (*item.key, gap.first, gap.last, gap.digest, event.seq)
                self._db.execute("INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values)
                doubtful.add(gap.last + 1)
            kept.breaks += sum(self._check_link(item.key, seq, received) for seq in doubtful)
            kept.repeats += self._note_repeat(item)
            return
        if self._digest(item.key, event.seq) == digest:
            kept.duplicates += 1
            return
        # Two bodies with one number: the first stands, the other is evidence.
        kept.conflicts += 1
        topic = f"{item.gate} {event.epoch} {event.seq}"
        self._keep_refused(RefusedMessage(topic, item.gate, item.body, "conflict"), received, kept)

    def _note_repeat(self, item: Received) -> int:
        """1 if the same event is held under another number, which is then noted; else 0. One id for two contents is two events."""
        others = self._db.execute(
            "SELECT epoch, seq, body FROM distinct_events WHERE gate = ? AND id = ? AND (epoch, seq) <> (?, ?)",
            (item.gate, item.event.id, item.event.epoch, item.event.seq),
        ).fetchall()
        told = content_digest(item.body) if others else ""
        for epoch, seq, body in others:
            if content_digest(body) == told:
                self._db.execute("INSERT INTO repeats VALUES (?, ?, ?, ?, ?)", (*item.key, item.event.seq, epoch, seq))
                return 1
        return 0

    def _check_link(self, key: Key, seq: int, received: str) -> int:
        """1 if an event that is held names another predecessor than the one held or declared, and nobody saw that before; else 0."""
        row = self._db.execute("SELECT prev FROM events WHERE gate = ? AND epoch = ? AND seq = ?", (*key, seq)).fetchone()
        before = None if row is None else self._digest_before(key, seq)
        if row is None or before is None or row[0] == before:
            return 0
        values = (*key, seq, row[0], before, received)
        return self._db.execute("INSERT INTO breaks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values).rowcount

    def _digest_before(self, key: Key, seq: int) -> str | None:
        """What the event must name: the body before it, or what a gap says of the last one in it; None as long as nobody knows."""
        held = self._digest(key, seq - 1)
        if held is not None:
            return held
        gap = self._db.execute("SELECT first, digest FROM gaps WHERE gate = ? AND epoch = ? AND last = ?", (*key, seq - 1)).fetchone()
        if gap is None:
            return None
        return str(gap[1]) if gap[1] is not None else self._digest(key, int(gap[0]) - 1)

    def _behind_bare_gaps(self, key: Key, seq: int) -> list[int]:
        """The events that follow this one although numbers lie between, because those never had a body."""
        rows = self._db.execute("SELECT last FROM gaps WHERE gate = ? AND epoch = ? AND first = ? AND digest IS NULL", (*key, seq + 1))
        return [int(last) + 1 for (last,) in rows.fetchall()]

    def _keep_refused(self, item: RefusedMessage, received: str, kept: Kept) -> bool:
        """Whether it is held as evidence."""
        kept.refused += 1
        if self._refused[item.gate] >= REFUSED_LIMIT:
            return False
        digest = hashlib.sha256(item.body).hexdigest()
        row = (item.gate, item.topic, item.reason, digest, received, item.body)
        self._refused[item.gate] += self._db.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount
        return True

    # ------------------------------------------------------------- what is held

    def _advance(self, key: Key) -> None:
        """Move ``upto`` over everything that is held or declared lost."""
        upto = self.upto(key)
        gaps = self._gaps(key, upto)
        before = -1
        while upto != before:
            before = upto
            rows = self._db.execute("SELECT seq FROM events WHERE gate = ? AND epoch = ? AND seq > ? ORDER BY seq", (*key, upto))
            for (seq,) in rows:
                if seq != upto + 1:
                    break
                upto = seq
            rows.close()
            upto = max([upto, *(last for first, last in gaps if first <= upto + 1 <= last)])
        self._set_upto(key, upto)

    def _islands(self, key: Key, above: int, upto: int = 2**63 - 1, limit: int = -1) -> list[Span]:
        """Ranges held above one number and up to another; so many of them, or all."""
        rows = self._db.execute(
            "SELECT min(seq), max(seq) FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS island FROM events"
            " WHERE gate = ? AND epoch = ? AND seq > ? AND seq <= ?) GROUP BY island ORDER BY 1 LIMIT ?",
            (*key, above, upto, limit),
        )
        return [(int(first), int(last)) for first, last in rows.fetchall()]

    def _not_held(self, key: Key, ranges: Iterable[Span]) -> list[Span]:
        rest = list(ranges)
        return without(rest, [island for first, last in rest for island in self._islands(key, first - 1, last)])

    def _gaps(self, key: Key, above: int) -> list[Span]:
        rows = self._db.execute("SELECT first, last FROM gaps WHERE gate = ? AND epoch = ? AND last > ?", (*key, above))
        return merged((int(first), int(last)) for first, last in rows.fetchall())

    def _by_key(self, table: str) -> dict[Key, list[Span]]:
        rows = self._db.execute(f"SELECT gate, epoch, first, last FROM {table}").fetchall()  # noqa: S608 - our own two names
        found: dict[Key, list[Span]] = {}
        for gate, epoch, first, last in rows:
            found.setdefault((gate, epoch), []).append((first, last))
        return {key: merged(ranges) for key, ranges in found.items()}

    def _set_upto(self, key: Key, upto: int) -> None:
        self._db.execute(
            "INSERT INTO progress VALUES (?, ?, ?) ON CONFLICT (gate, epoch) DO UPDATE SET upto = max(upto, excluded.upto)", (*key, upto)
        )

    def _digest(self, key: Key, seq: int) -> str | None:
        row = self._db.execute("SELECT digest FROM events WHERE gate = ? AND epoch = ? AND seq = ?", (*key, seq)).fetchone()
        return None if row is None else str(row[0])

    def _one(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])
