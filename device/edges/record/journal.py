"""The record: an event is on the disk before its lamp is lit, and stays there until the province has it.

One thread owns the file and does everything that writes, records before all
else; records that wait together go into one commit. Readers have connections
of their own. When the disk fails, events are kept in memory and written as
soon as it is back; their futures say that they are not durable.

See ``schema`` for how deleted is deleted, ``gaps`` for how
dropped events are told of, ``writer`` for the failing disk,
``salvage`` for what happens to a damaged file.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from device.config import JournalSection
from device.core.timeline import least_age_ns
from device.core.types import Channel, Entry, Json, Passage, Receipt
from device.edges.record.file import JournalFile, PreviousRun
from device.edges.record.passages import read_passages
from device.edges.record.reader import (
    Waiting,
    read_newest_moments,
    read_newest_waiting_seqs,
    read_waiting,
    read_waiting_seqs,
)
from device.edges.record.rows import Record, RowKind, pack_slot, uuid7
from device.edges.record.schema import Connect, sqlite_connect
from device.edges.record.store import Freezer, Item, RowCounts
from device.edges.record.writer import GROUP, StoreView, Writer
from device.errors import JournalError
from device.ports import Bounds, Clock, Outgoing

STALL_NS: Final = 30_000_000_000
"""Without a turn of the writer for so long it is no longer alive."""

log = logging.getLogger(__name__)


class SqliteJournal:
    """``ports.Journal`` and ``ports.Outbox`` on one SQLite file.

    ``freeze`` makes published bodies. ``keep_confirmed_s`` keeps a confirmed
    event for so long, for a province that may ask again. ``unsynced_grace_s``
    holds back what this boot recorded before its clock was right, at most so
    long, so that it can be published with corrected times. ``floor_ns`` is a
    wall time that is certainly past. ``retry_s`` is how often a failing disk
    is tried. ``connect`` is the one place through which the file is reached;
    tests inject faults there.

    Raises JournalBusy when another process owns the file. A file that is
    damaged is replaced, and a disk that fails is waited for: neither raises.
    """

    def __init__(  # noqa: PLR0913  four things it needs, and five settings by keyword
        self,
        path: Path,
        section: JournalSection,
        clock: Clock,
        freeze: Freezer,
        *,
        keep_confirmed_s: float = 0.0,
        unsynced_grace_s: float = 0.0,
        floor_ns: int = 0,
        retry_s: float = 5.0,
        connect: Connect = sqlite_connect,
    ) -> None:
        self._clock = clock
        self._grace_ns = round(unsynced_grace_s * 1e9)
        self._callbacks: list[Callable[[], None]] = []
        self._file = JournalFile(path, section, freeze, connect, keep_ns=round(keep_confirmed_s * 1e9), floor_ns=floor_ns)
        self._writer = Writer(
            self._file,
            clock,
            budget_ms=section.budget_ms,
            retry_ns=round(retry_s * 1e9),
            keep=keep_confirmed_s > 0,
            news=self._tell_news,
        )
        self._writer.start()

    # ------------------------------------------------------------- ports.Journal

    def record(self, entry: Entry) -> Future[Receipt]:
        """Append durably. The future is done when the event survives a power cut, or holds a JournalError.

        An error means that the event is not durable now. Unless the journal is
        closed, the entry cannot be recorded at all or is not to be kept, it is
        kept in memory and written later.
        """
        try:
            item = _item(entry)
        except (ValueError, TypeError) as error:
            refused: Future[Receipt] = Future()
            refused.set_exception(JournalError(f"the entry cannot be recorded: {type(error).__name__}"))
            return refused
        return self._writer.hand_in(item)

    def passages(self) -> Sequence[Passage]:
        """The remembered passages, at most one for each subject and newest last; none while the file cannot be read."""
        try:
            with self._file.readers.connection() as connection:
                return read_passages(connection)
        except JournalError as error:
            log.warning("nobody is remembered: %s", error)
            return []

    def stats(self) -> Mapping[str, Json]:
        """Counts, bytes, commit times in milliseconds and the state of the disk. Never waits for the disk."""
        writer, view = self._writer, self._writer.view
        tally = RowCounts() if view is None else view.tally
        dead, confirmed, used = (0, 0, 0) if view is None else (view.dead, view.confirmed, view.used_bytes)
        trouble = writer.trouble
        return {
            "epoch": None if view is None else view.epoch,
            "newest": tally.newest,
            "waiting": max(0, tally.waiting - len(writer.released())),
            "rows": tally.waiting + confirmed + dead,
            "bytes": used,
            "wal_bytes": self._file.wal_bytes,
            "recorded": writer.recorded,
            "confirmed_kept": confirmed,
            "dead": dead,
            "dropped": tally.dropped + writer.lost,
            "in_memory": writer.in_memory,
            "commit_ms": {**writer.commit_ms.summary()},
            "commit_max_ms": writer.commit_ms.percentile(100),
            "over_budget": writer.over_budget,
            "storage_state": "degraded" if trouble is not None else "slow" if writer.is_slow else "ok",
            "storage_error": None if trouble is None else trouble.code,
            "last_error": writer.last_error,
        }

    @property
    def alive(self) -> bool:
        """Whether the writer has gone round within the limit: for the watchdog. A card that hangs makes this False."""
        return self._writer.is_alive and self._clock.monotonic_ns() - self._writer.turned_ns < STALL_NS

    @property
    def progress(self) -> int:
        """Rises whenever the writer has gone round."""
        return self._writer.turns

    @property
    def previous_run(self) -> PreviousRun | None:
        """How the run before this one ended; None where the file could not be opened yet."""
        return self._file.previous_run

    @property
    def certainly_past_ns(self) -> int:
        """A wall time that the record proves to be past, 0 where it proves nothing: a floor for the clock."""
        view = self._writer.view
        return 0 if view is None else view.line.earliest_ns(self._clock.reading())

    def close(self) -> None:
        """Finish what was handed in, then close the file. A disk that hangs is left behind after half a minute."""
        if not self._writer.stop():
            log.error("the disk does not let the record be closed; %s events are in memory only", self._writer.in_memory)

    # ------------------------------------------------------------- ports.Outbox

    def bounds(self) -> Bounds:
        """The unconfirmed range. Raises JournalError, as all of these do, while the file cannot be read or written."""
        view, released = self._view(), self._writer.released()
        with self._file.readers.connection() as connection:
            oldest = read_waiting_seqs(connection, 0, view.tally.newest, len(released) + 1)
            newest = read_newest_waiting_seqs(connection, len(released) + 1)
        first, last = (next((seq for seq in seqs if seq not in released), 0) for seqs in (oldest, newest))
        return Bounds(view.epoch, first, last, max(0, view.tally.waiting - len(released)))

    def waiting(self, after: int, limit: int) -> Sequence[Outgoing]:
        """Unconfirmed events with ``seq > after``, ascending, at most ``limit``, bodies frozen in order of seq.

        Fewer come where the time of the next is still held back.
        """
        rows = self._rows(after, limit)
        last = next((row.seq for row in reversed(rows) if row.body is None and not row.damaged), 0)
        if last:
            self._freeze_up_to(last)
        return self._outgoing(self._rows(after, limit) if last else rows)

    def live_from(self, age_s: float) -> int:
        """Every event recorded in the last ``age_s`` seconds has a seq above this one."""
        view, now = self._view(), self._clock.reading()
        edge = view.tally.newest
        with self._file.readers.connection() as connection:
            for seq, at in read_newest_moments(connection):
                if least_age_ns(at, now, view.line) > age_s * 1e9:
                    return seq
                edge = seq - 1
        return edge

    def confirm(self, epoch: str, upto: int, ranges: Sequence[tuple[int, int]] = ()) -> int:
        """The province has all events up to ``upto`` and the closed ``ranges``. Returns how many rows that released.

        An ack for another epoch, or above the newest seq, releases nothing;
        nor is an event released that was never made ready to be sent. Released
        events are gone for every reader at once and from the disk a little
        later, many in one commit: after a crash in between they are sent again.
        """
        view = self._view()
        spans = [(1, upto), *ranges]
        if epoch != view.epoch or any(last > view.tally.newest for _, last in spans):
            return 0
        return sum(self._release(epoch, first, min(last, view.tally.frozen)) for first, last in spans)

    def bury(self, seq: int, reason: str) -> None:
        """Dead letter: keep it aside, never send it again, and record an audit event that says so."""
        if seq in self._writer.released():
            return
        code = re.sub(r"[^a-z0-9_]+", "_", reason.lower())[:64] or "unknown"
        self._writer.ask(lambda store: store.bury(seq, code, self._clock.reading()))
        self._tell_news()

    def resend(self, first: int, last: int) -> int:
        """The province asks again for what was confirmed and is still kept. Returns how many events wait again."""
        self._writer.flush()
        total = 0
        while count := self._writer.ask(lambda store: store.resend(first, last, GROUP)):
            total += count
        self._tell_news()
        return total

    def on_news(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` (which must not block) after each commit that added events."""
        self._callbacks.append(callback)

    def maintain(self) -> None:
        """Do now what is otherwise done each minute: erase what is confirmed or too old, give back room, empty the WAL."""
        self._writer.tend()

    # ------------------------------------------------------------- how

    def _tell_news(self) -> None:
        for callback in self._callbacks:
            callback()

    def _view(self) -> StoreView:
        if self._writer.view is None:
            raise JournalError("the record's file could not be opened yet")
        return self._writer.view

    def _rows(self, after: int, limit: int) -> list[Waiting]:
        released = self._writer.released()
        with self._file.readers.connection() as connection:
            rows = read_waiting(connection, after, limit + len(released))
        return [row for row in rows if row.seq not in released][:limit]

    def _freeze_up_to(self, last: int) -> None:
        """In order and in batches, as far as times are known; the chain allows no leap."""
        frozen = -1
        while frozen < self._view().tally.frozen < last:
            frozen = self._view().tally.frozen
            self._writer.ask(lambda store: store.freeze(last, self._clock.reading(), self._grace_ns))

    def _outgoing(self, rows: Sequence[Waiting]) -> list[Outgoing]:
        """What may be sent: up to the first that is not frozen. A damaged body is put aside."""
        now, line = self._clock.reading(), self._view().line
        out = []
        for row in rows:
            if row.damaged:
                log.error("event %s does not match its checksum; it is put aside", row.seq)
                self.bury(row.seq, "damaged")
            elif row.body is None:
                break
            else:
                out.append(Outgoing(row.seq, row.channel, row.body, least_age_ns(row.at, now, line) / 1e9))
        return out

    def _release(self, epoch: str, first: int, last: int) -> int:
        count = 0
        while True:
            # First what is hidden, then the file, as in _rows: what is erased in between is then known to have been hidden.
            hidden = self._writer.released()
            with self._file.readers.connection() as connection:
                seqs = read_waiting_seqs(connection, first, last, GROUP)
            count += self._writer.release(epoch, set(seqs) - hidden)
            if len(seqs) < GROUP:
                return count
            # The hidden ones are held in memory: let the disk keep up.
            self._writer.flush()
            first = seqs[-1] + 1


def _item(entry: Entry) -> Item:
    """An entry as a row. Raises ValueError or TypeError for data that is not JSON, or a passage that does not fit its slot."""
    data = json.dumps(dict(entry.data), allow_nan=False, separators=(",", ":")).encode("ascii")
    if entry.passage is not None:
        pack_slot(0, entry.passage)
    kind = RowKind.CHECKIN if entry.channel is Channel.CHECKIN else RowKind.AUDIT
    return Item(Record(uuid7(entry.at.wall_ns), kind, entry.at, data), entry.passage, entry.kept)
