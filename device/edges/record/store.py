"""The journal's file as its one writer uses it: events appended, frozen, marked and erased, each step one transaction.

Not for several threads at once. When SQLite fails a transaction, nobody knows
whether it reached the disk: whoever owns the store opens a new one on the
same file and looks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeAlias

from device.core.timeline import ClockState, Stamp, Timeline, stamp
from device.core.types import Channel, ClockReading, Passage, Stored
from device.core.wire import AuditFact, DeadLetter, audit_data
from device.edges.record import statements
from device.edges.record.passages import Passages
from device.edges.record.rows import Leaf, Record, Row, RowDamaged, RowKind, RowState, reading_of, record_of, uuid7
from device.edges.record.schema import read_meta, read_timeline, write_boots, write_meta
from device.errors import JournalError

Freezer: TypeAlias = Callable[[Stored, Stamp, bytes | None], bytes]
"""Makes the body that is published: from the event, its time and the SHA-256 digest of the body before it (None for an epoch's first)."""

BOOTS_KEPT: Final = 256
COUNT_EVERY: Final = 256
"""After so many appended events the counts are written down, so that opening reads no more rows than this."""
FREEZE_BATCH: Final = 100
GAP_DATA_BYTES: Final = 640
"""A gap event is written with room to grow, so that it can be extended without moving its neighbours."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class RowCounts:
    """What is known without reading the rows.

    ``chain`` is the hexadecimal digest of the newest frozen body and ``frozen``
    its place; every event above it that is still waiting is not frozen.
    """

    newest: int = 0
    waiting: int = 0
    unfrozen: int = 0
    frozen: int = 0
    chain: str | None = None
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One event to append, with the passage it makes. One that is not to be ``kept`` does not wait for a failing disk."""

    record: Record
    passage: Passage | None = None
    kept: bool = True


class Store:
    """One open journal file. ``now`` names the present boot, ``floor_ns`` a wall time that is certainly past."""

    def __init__(self, connection: sqlite3.Connection, freeze: Freezer, now: ClockReading, floor_ns: int = 0) -> None:
        meta = read_meta(connection)
        self.connection = connection
        self._opened = now
        self.epoch = meta["epoch"]
        self.clean = meta.get("running") == "0"
        self._freeze = freeze
        self.tally = self._recount(meta)
        self.passages = Passages(connection)
        self.line = self._latest(read_timeline(connection)).seen(now, floor_ns)
        self.line = self.line.newest(BOOTS_KEPT)

    # ------------------------------------------------------------- transactions

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is done inside, durably, or nothing of it. Raises sqlite3.Error."""
        tally, line = replace(self.tally), self.line
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            self.tally, self.line = tally, line
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise

    def begin_running(self) -> None:
        """Note in the file itself, not only in its WAL, that it is in use: a WAL missing at the next opening was lost."""
        with self.transaction() as connection:
            write_meta(connection, "running", "1")
            self._write_line(self.line)
        self.checkpoint()

    def finish(self) -> None:
        """Write down what memory knows better, and that the run has ended, in the file itself. Raises sqlite3.Error."""
        with self.transaction() as connection:
            self._write_line(self.line)
            self.write_tally()
            write_meta(connection, "running", "0")
        self.checkpoint()

    def checkpoint(self) -> bool:
        """Bring everything into the main file and cut the WAL to nothing; False while a reader is in the way, at once."""
        self.connection.execute("PRAGMA busy_timeout = 0").fetchall()
        try:
            return bool(self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        finally:
            self.connection.execute("PRAGMA busy_timeout = 5000").fetchall()

    # ------------------------------------------------------------- append

    def append(self, items: Sequence[Item]) -> list[int]:
        """Make events durable in one commit. Returns their sequence numbers. Raises sqlite3.Error."""
        with self.transaction():
            return [self._append(item) for item in items]

    def append_fact(self, fact: AuditFact, now: ClockReading) -> int:
        """Within a transaction: an audit event of the journal's own."""
        return self._append(Item(fact_record(fact, now)))

    def _append(self, item: Item) -> int:
        record, tally = item.record, self.tally
        tally.newest += 1
        tally.waiting += 1
        self.connection.execute(
            statements.INSERT_EVENT,
            (*record.values(tally.newest), RowState.WAITING, self._first_sheet(tally.newest, record).pack()),
        )
        if item.passage is not None:
            self.passages.remember(tally.newest, item.passage)
        self._note_moment(record.at)
        if tally.newest % COUNT_EVERY == 0:
            self.write_tally()
        return tally.newest

    def _first_sheet(self, seq: int, record: Record) -> Leaf:
        """With the body at once where its time is known and it follows a frozen one; else with room for it."""
        tally = self.tally
        if tally.unfrozen == 0 and record.at.trusted and record.kind is not RowKind.GAP:
            body = self._body(seq, record)
            if body is not None:
                return Leaf(0, body)
        tally.unfrozen += 1
        return Leaf.reserved(record.data)

    def _note_moment(self, at: ClockReading) -> None:
        """Write a boot down when it begins and when its clock is first trusted; the rest can wait for the upkeep."""
        known = self.line.find(at.boot_id)
        line = self.line.seen(at) if known is None or at.boot_id == self.line.boots[-1].boot_id else self.line
        new = line.find(at.boot_id)
        if known is None or (new is not None and new.anchor != known.anchor):
            self._write_line(line)
        self.line = line

    # ------------------------------------------------------------- freeze

    def freeze(self, upto: int, now: ClockReading, grace_ns: int = 0) -> None:
        """Make the bodies of waiting events up to ``upto``, in order, at most ``FREEZE_BATCH`` in one transaction.

        An event whose time is not known yet is left, with all after it, until
        it is ``grace_ns`` old, or of an earlier boot, until the file has been
        open for so long. Raises sqlite3.Error, and
        JournalError when the freezer works for no event at all.
        """
        before = replace(self.tally)
        with self.transaction():
            self._note_moment(now)
            rows = self.connection.execute(statements.TO_FREEZE, (self.tally.frozen, upto, FREEZE_BATCH)).fetchall()
            for *row, sheet in rows:
                if not self._freeze_row(tuple(row), sheet, now, grace_ns):
                    break
            # Nothing written, nothing synced: the uplink asks again and again while times are not known.
            if self.tally != before:
                self.write_tally()

    def before_gap(self) -> int:
        """The newest number before the first gap event that has no body yet; the newest of all where there is none."""
        (first,) = self.connection.execute(statements.FIRST_GROWING_GAP, (self.tally.frozen,)).fetchone()
        return self.tally.newest if first is None else int(first) - 1

    def _freeze_row(self, row: Row, sheet: bytes, now: ClockReading, grace_ns: int) -> bool:
        """False to stop here."""
        seq = int(row[0])
        try:
            record, room = record_of(row)[1], Leaf.unpack(sheet)
            record.stored(self.epoch, seq)
        except RowDamaged as error:
            log.warning("event %s is put aside: %s", seq, error)
            return self._bury(seq, "damaged", now)
        if self._too_early(record.at, now, grace_ns):
            return False
        body = self._body(seq, record)
        if body is None:
            self._probe(now)
            return self._bury(seq, "unfreezable", now)
        self.tally.unfrozen -= 1
        self.connection.execute(statements.SET_SHEET, (room.frozen(body).pack(), seq))
        return True

    def _too_early(self, at: ClockReading, now: ClockReading, grace_ns: int) -> bool:
        if stamp(at, self.line).clock is not ClockState.UNSYNCED:
            return False
        # What an earlier boot left gets its bounds from this one's clock, and waits for it from the opening on.
        since_ns = at.boot_ns if at.boot_id == now.boot_id else self._opened.boot_ns
        return now.boot_id == self._opened.boot_id and now.boot_ns - since_ns < grace_ns

    def _body(self, seq: int, record: Record) -> bytes | None:
        """The body, which becomes the chain's new end; None where the freezer cannot make one."""
        tally = self.tally
        prev = None if tally.chain is None else bytes.fromhex(tally.chain)
        body = self._try_freezer(record.stored(self.epoch, seq), prev)
        if body is not None:
            tally.chain, tally.frozen = hashlib.sha256(body).hexdigest(), seq
        return body

    def _probe(self, now: ClockReading) -> None:
        """Tell a bad event from a freezer that works for none, such as one whose key is gone: then nothing may be put aside."""
        sample = Stored(self.epoch, self.tally.newest + 1, uuid7(now.wall_ns), Channel.AUDIT, {"what": "stop"}, now)
        if self._try_freezer(sample, None) is None:
            raise JournalError("events cannot be made ready for publishing")

    def _try_freezer(self, stored: Stored, prev: bytes | None) -> bytes | None:
        try:
            return self._freeze(stored, stamp(stored.at, self.line), prev)
        except Exception as error:  # noqa: BLE001  handed in, with keys and contract behind it: whatever fails there, events are recorded
            log.warning("event %s cannot be made ready for publishing: %s", stored.seq, type(error).__name__)
            return None

    # ------------------------------------------------------------- what becomes of events

    def release(self, seqs: Sequence[int], now: ClockReading, *, keep: bool) -> None:
        """The province has these: erase them, or with ``keep`` only mark them. Raises sqlite3.Error."""
        with self.transaction():
            for seq in seqs:
                if keep:
                    self._mark(seq, RowState.CONFIRMED, now)
                else:
                    self.erase(seq)
            self.write_tally()

    def bury(self, seq: int, reason: str, now: ClockReading) -> bool:
        """Put a waiting event aside and record that, in one commit. False where it is not waiting. Raises sqlite3.Error."""
        with self.transaction():
            found = self._bury(seq, reason, now)
            self.write_tally()
        return found

    def resend(self, first: int, last: int, limit: int) -> int:
        """Confirmed events that are still kept wait again. Returns how many, at most ``limit``. Raises sqlite3.Error."""
        with self.transaction() as connection:
            seqs = [seq for (seq,) in connection.execute(statements.CONFIRMED_BETWEEN, (first, last, limit))]
            connection.executemany(statements.SET_STATE, [(RowState.WAITING, seq) for seq in seqs])
            self.tally.waiting += len(seqs)
            self.write_tally()
        return len(seqs)

    def erase(self, seq: int) -> None:
        """Within a transaction: overwrite the content of an event, in place. The row itself is taken out later."""
        self._leave_waiting(seq)
        self.connection.execute(statements.ERASE, (seq,))

    def _bury(self, seq: int, reason: str, now: ClockReading) -> bool:
        kind = self.connection.execute(statements.KIND_OF_WAITING, (seq,)).fetchone()
        if kind is None:
            return False
        self._mark(seq, RowState.DEAD, now, reason)
        channel = Channel.CHECKIN if kind[0] == RowKind.CHECKIN else Channel.AUDIT
        self.append_fact(DeadLetter(seq=seq, reason=reason, channel=channel), now)
        return True

    def _mark(self, seq: int, state: RowState, now: ClockReading, reason: str = "") -> None:
        row = self.connection.execute(statements.SHEET_OF, (seq,)).fetchone()
        if row is None or not self._leave_waiting(seq):
            return
        with suppress(RowDamaged):
            place = self.connection.execute(statements.BOOT_NUMBER, (now.boot_id,)).fetchone()
            marked = replace(Leaf.unpack(row[0]), boot=place[0] if place else 0, boot_ns=now.boot_ns, reason=reason)
            self.connection.execute(statements.SET_SHEET, (marked.pack(), seq))
        self.connection.execute(statements.SET_STATE, (state, seq))

    def _leave_waiting(self, seq: int) -> bool:
        row = self.connection.execute(statements.STATE_OF, (seq,)).fetchone()
        if row is None or row[0] != RowState.WAITING:
            return False
        self.tally.waiting -= 1
        if seq > self.tally.frozen:
            self.tally.unfrozen -= 1
        return True

    # ------------------------------------------------------------- what memory knows

    def write_tally(self) -> None:
        """Within a transaction: write the counts down."""
        write_meta(self.connection, "tally", json.dumps(asdict(self.tally)))

    def see(self, now: ClockReading) -> None:
        """Within a transaction: take in where this boot has come to."""
        self.line = self.line.seen(now)
        self._write_line(self.line)

    def count(self, state: RowState) -> int:
        """Rows in a state other than waiting."""
        return int(self.connection.execute(statements.COUNT_LEFT, (state,)).fetchone()[0])

    def ids(self, limit: int) -> set[str]:
        """The ids of the newest events."""
        return {ident for (ident,) in self.connection.execute(statements.NEWEST_IDS, (limit,))}

    def used_bytes(self) -> int:
        """What the file takes, without its free pages."""
        pages, free, size = (
            self.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _recount(self, meta: dict[str, str]) -> RowCounts:
        """The counts as last written down, and what was appended since."""
        tally = RowCounts(**json.loads(meta["tally"])) if "tally" in meta else RowCounts()
        rows = self.connection.execute(statements.SHEETS_AFTER, (tally.newest,)).fetchall()
        for seq, packed in rows:
            tally.waiting += 1
            with suppress(RowDamaged):
                body = Leaf.unpack(packed).body
                if body is not None:
                    tally.chain, tally.frozen = hashlib.sha256(body).hexdigest(), seq
                    continue
            tally.unfrozen += 1
        newest = self.connection.execute(statements.NEWEST_EVER).fetchone()
        tally.newest = newest[0] if newest else 0
        return tally

    def _latest(self, line: Timeline) -> Timeline:
        """With the newest event taken in: the boot before this one may have ended without writing its end down."""
        row = self.connection.execute(statements.NEWEST_MOMENT).fetchone()
        try:
            return line if row is None or line.find(row[0]) is None else line.seen(reading_of(row))
        except RowDamaged:
            return line

    def _write_line(self, line: Timeline) -> None:
        write_boots(self.connection, (*line.boots[:1], *line.boots[1:][-2:]))
        oldest = line.boots[0].boot_id
        self.connection.execute(statements.DELETE_BOOTS_BEFORE, (oldest,))


def fact_record(fact: AuditFact, now: ClockReading) -> Record:
    """An audit event of the journal's own, as a row. A gap is padded with the blanks that JSON allows at its end."""
    data = json.dumps(audit_data(fact), separators=(",", ":")).encode()
    if fact.what == "gap":
        return Record(uuid7(now.wall_ns), RowKind.GAP, now, data.ljust(GAP_DATA_BYTES))
    return Record(uuid7(now.wall_ns), RowKind.AUDIT, now, data)
