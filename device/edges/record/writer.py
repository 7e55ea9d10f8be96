"""The one thread that writes the record: what it does first, what when nobody waits, and what while the disk fails."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from device.core.figures import Figure
from device.core.pacing import Turns
from device.core.problems import LIMITS, RECORD_WAIT
from device.core.timeline import Timeline
from device.core.types import ClockReading, Receipt
from device.core.wire import Storage
from device.edges.machine.systemd import name_thread
from device.edges.record import opening
from device.edges.record.file import JournalFile
from device.edges.record.rows import RowState
from device.edges.record.store import Item, RowCounts, Store, fact_record
from device.edges.record.upkeep import BATCH
from device.errors import JournalBusy, JournalError
from device.ports import Clock

RING_LIMIT: Final = 10_000
"""Events kept in memory while the disk fails or hangs; beyond it the oldest are lost, and counted."""
GROUP: Final = 256
"""Events in one commit at most."""
FLUSH_FROM: Final = 32
"""So many confirmed events are erased together, or what there is after ``FLUSH_AFTER_NS``."""
FLUSH_AFTER_NS: Final = 30_000_000_000
UPKEEP_EVERY_NS: Final = 60_000_000_000
WAL_BYTES: Final = 4 * 1024 * 1024
"""A WAL above this is brought into the main file when nobody waits, and above four times this in any case."""
NEVER_NS: Final = 1 << 62
"""The minute's upkeep gives no body to an event whose time may still become known."""
SLOW_NS: Final = round(LIMITS[RECORD_WAIT].warn * 1e6)
"""A card that takes so long for one event is slow: somebody should know before it fails altogether."""
SLOW_FOR_NS: Final = 60_000_000_000
"""So long after it was slow last."""
PATIENCE_S: Final = 30.0
"""How long a caller other than the decision path waits for the writer."""

log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(slots=True)
class Pending:
    """An event handed in and not yet durable. ``future`` is None once its fate has been told."""

    item: Item
    future: Future[Receipt] | None
    handed_ns: int

    def fail(self, why: str) -> None:
        """Tell whoever waits that it is not durable."""
        future, self.future = self.future, None
        if future is not None:
            future.set_exception(JournalError(why))


@dataclass(frozen=True, slots=True)
class Job:
    """Something else for the writer to do. One of ``answer`` and ``refuse`` is called when it is over and others can see it."""

    work: Callable[[], object]
    answer: Callable[[], None] = lambda: None
    refuse: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class StoreView:
    """What other threads may know of the store, as of the last commit."""

    epoch: str
    tally: RowCounts
    line: Timeline
    dead: int
    confirmed: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class DiskTrouble:
    """Why the disk cannot be written, as a code and in words."""

    code: str
    text: str


class Writer:
    """Owns a journal file from its own thread. Everything public may be called from any thread, ``start`` once.

    ``released`` are events that the province has, still on the disk; ``news``
    is called after each commit that added events.
    """

    def __init__(self, file: JournalFile, clock: Clock, *, budget_ms: float, retry_ns: int, keep: bool, news: Callable[[], None]) -> None:
        self.file = file
        self.view: StoreView | None = None
        self.trouble: DiskTrouble | None = None
        self.last_error: str | None = None
        self.commit_ms = Figure()
        self.recorded = self.over_budget = self.lost = self.turns = 0
        self.turned_ns = clock.monotonic_ns()
        self._clock = clock
        self._budget_ms = budget_ms
        self._retry_ns = retry_ns
        self._keep = keep
        self._news = news
        self._work = threading.Condition()
        self._queue: deque[Pending] = deque()
        self._jobs: deque[Job] = deque()
        self._closing = self._stopped = False
        self._released: set[int] = set()
        self._released_since_ns = self._tended_ns = self._tried_ns = self.turned_ns
        self._mistrusted_ns: int | None = None
        self._writing_since_ns: int | None = None
        self._slow_ns: int | None = None
        self._turns = Turns()
        self._making_room = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        file.on_damage = lambda: self._enlist(Job(self._mistrust))

    # ------------------------------------------------------------- for other threads

    def start(self) -> None:
        """Open the file and begin. Raises JournalBusy; whatever else fails is waited for."""
        try:
            self.file.open(self._clock.reading())
            self._publish()
        except JournalBusy:
            raise
        except (sqlite3.Error, OSError) as error:
            self._degrade(error)
        self._thread.start()

    def hand_in(self, item: Item) -> Future[Receipt]:
        """Take an event in, to be written before all else. The future is as ``Journal.record`` says."""
        future: Future[Receipt] = Future()
        future.set_running_or_notify_cancel()
        pending = Pending(item, future, self._clock.monotonic_ns())
        with self._work:
            refusal = "the record is closed" if self._closing else None if self.trouble is None else self.trouble.text
            lost = [] if self._closing or (refusal is not None and not item.kept) else self._enqueue(pending)
            self._work.notify()
        if refusal is not None:
            pending.fail(refusal)
        for other in lost:
            other.fail("the disk does not answer and memory is full: the event is lost")
        return future

    def ask(self, work: Callable[[Store], _T]) -> _T:
        """Have something else done, and wait for it. Raises JournalError."""
        return self._call(lambda: work(self.file.store))

    def _call(self, work: Callable[[], _T]) -> _T:
        answer: Future[_T] = Future()
        answer.set_running_or_notify_cancel()
        found: list[_T] = []
        self._enlist(
            Job(
                lambda: found.append(work()),
                lambda: answer.set_result(found[0]),
                lambda why: answer.set_exception(JournalError(why)),
            )
        )
        try:
            return answer.result(PATIENCE_S)
        except NotDoneError:
            raise JournalError("the disk under the record does not answer") from None

    def release(self, epoch: str, seqs: Iterable[int]) -> int:
        """The province has these: hide them now, erase them soon, many in one commit. Returns how many are new."""
        with self._work:
            # The numbers of one epoch mean other events in the next.
            new = set(seqs) - self._released if self.view is not None and self.view.epoch == epoch else set()
            if new and not self._released:
                self._released_since_ns = self._clock.monotonic_ns()
            self._released |= new
            enough = len(self._released) >= FLUSH_FROM
        if enough:
            self._enlist(Job(partial(self._flush, FLUSH_FROM)))
        return len(new)

    def released(self) -> frozenset[int]:
        """What is hidden and still on the disk."""
        with self._work:
            return frozenset(self._released)

    def tend(self) -> None:
        """Do now what is otherwise done each minute, and try a disk that fails. Raises JournalError."""
        self._call(self._recover_and_tend)

    def flush(self) -> None:
        """Erase now what is hidden. Raises JournalError."""
        self._call(self._flush)

    @property
    def in_memory(self) -> int:
        """Events handed in and not yet on the disk."""
        return len(self._queue)

    @property
    def is_slow(self) -> bool:
        """Whether an event waits for the disk for long now, or one did a little while ago."""
        now_ns, since_ns, slow_ns = self._clock.monotonic_ns(), self._writing_since_ns, self._slow_ns
        return (since_ns is not None and now_ns - since_ns > SLOW_NS) or (slow_ns is not None and now_ns - slow_ns < SLOW_FOR_NS)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> bool:
        """Write what was handed in, close the file and end. False where the disk does not let go in time."""
        with self._work:
            self._closing = True
            self._work.notify()
        self._thread.join(PATIENCE_S)
        return not self._thread.is_alive()

    def _enqueue(self, pending: Pending) -> list[Pending]:
        """Under the lock: take an event in. Returns those that are lost for it."""
        self._queue.append(pending)
        lost = [self._queue.popleft() for _ in range(len(self._queue) - RING_LIMIT)]
        self.lost += len(lost)
        return lost

    def _enlist(self, job: Job) -> None:
        with self._work:
            refused = self._stopped
            if not refused:
                self._jobs.append(job)
                self._work.notify()
        if refused:
            job.refuse("the record is closed")

    # ------------------------------------------------------------- the thread

    def _run(self) -> None:
        name_thread("journal")
        try:
            while self._turn():
                pass
            self._shut()
        except Exception:
            log.exception("the record's writer failed")
            self.last_error = "the writer failed"
        self._abandon()

    def _turn(self) -> bool:
        """One round. False when it is time to stop."""
        with self._work:
            self._work.wait_for(self._is_wanted, timeout=1.0)
            records = self._next_records()
            job = None if records or not self._jobs else self._jobs.popleft()
            stop = self._closing and not records and job is None
        self.turns += 1
        self.turned_ns = self._clock.monotonic_ns()
        if records:
            self._write(records)
        elif job is not None:
            self._do(job)
        elif not stop:
            self._guarded(self._look_around)
        return not stop

    def _is_wanted(self) -> bool:
        return self._closing or bool(self._jobs) or (bool(self._queue) and self.trouble is None)

    def _next_records(self) -> list[Pending]:
        """Under the lock: records come first, but a job that was passed over often enough has its turn."""
        waits = self.trouble is None and bool(self._queue)
        if not waits or self._turns.second(waits, bool(self._jobs)):
            return []
        return self._pop_records()

    def _pop_records(self) -> list[Pending]:
        return [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]

    def _do(self, job: Job) -> None:
        try:
            job.work()
        except JournalError as error:
            job.refuse(str(error))
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            job.refuse(f"the record cannot be written: {error}")
        except BaseException:
            job.refuse("the record's writer failed")
            raise
        else:
            self._publish()
            job.answer()

    def _guarded(self, work: Callable[[], object]) -> None:
        self._do(Job(work))

    def _write(self, records: Sequence[Pending]) -> None:
        self._writing_since_ns = self._clock.monotonic_ns()
        try:
            seqs = self.file.store.append([pending.item for pending in records])
        except (sqlite3.Error, OSError) as error:
            self._put_back(records)
            self._failed(error)
            return
        finally:
            now_ns = self._clock.monotonic_ns()
            self._slow_ns = now_ns if now_ns - self._writing_since_ns > SLOW_NS else self._slow_ns
            self._writing_since_ns = None
        self._publish()
        self._settle(records, seqs)
        if not self._making_room:
            self._guarded(self._keep_bounds)
        if self.file.wal_bytes > 4 * WAL_BYTES:
            self._guarded(self.file.store.checkpoint)

    def _settle(self, records: Sequence[Pending], seqs: Sequence[int]) -> None:
        """Tell the ones who wait that their events are durable."""
        epoch, now_ns = self.file.store.epoch, self._clock.monotonic_ns()
        self.recorded += len(records)
        for pending, seq in zip(records, seqs, strict=True):
            if pending.future is not None:
                took_ms = (now_ns - pending.handed_ns) / 1e6
                self.commit_ms.add(took_ms)
                self.over_budget += took_ms > self._budget_ms
                pending.future.set_result(Receipt(epoch, seq))
        self._news()

    def _serve(self) -> None:
        """Between two steps of other work: write what has come meanwhile. Another job that waits gets no turn by holding that up."""
        with self._work:
            records = self._pop_records() if self.trouble is None else []
        if records:
            self._write(records)

    # ------------------------------------------------------------- when nobody waits

    def _look_around(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if self.trouble is not None:
            if now_ns - self._tried_ns >= self._retry_ns:
                self._tried_ns = now_ns
                self._recover()
        elif now_ns - self._tended_ns >= UPKEEP_EVERY_NS:
            self._tend()
        elif self._released and now_ns - self._released_since_ns >= FLUSH_AFTER_NS:
            self._flush()
        elif self.file.wal_bytes > WAL_BYTES:
            self.file.store.checkpoint()

    def _keep_bounds(self) -> None:
        """Records are let in between the steps; they do not begin to make room themselves, or this would go as deep as people come."""
        upkeep = self.file.upkeep
        self._making_room = True
        try:
            while upkeep.over():
                dropped = upkeep.make_room(self._clock.reading())
                if not (upkeep.purge() or dropped):
                    break
                self._serve()
        finally:
            self._making_room = False

    def _recover_and_tend(self) -> None:
        if self.trouble is not None:
            self._recover()
        self._tend()

    def _tend(self) -> None:
        now = self._clock.reading()
        self._tended_ns = now.monotonic_ns
        if not self.file.is_same():
            self.file.rescue(now)
        # What the province has goes first, or it would be told of as dropped when its retention is over.
        self._flush()
        store, upkeep = self.file.store, self.file.upkeep
        with store.transaction():
            store.see(now)
        steps: tuple[Callable[[], bool], ...] = (
            partial(upkeep.expire, now),
            partial(upkeep.forget, now),
            upkeep.purge,
            partial(self._make_ready, now),
        )
        for step in steps:
            while step():
                self._serve()
        upkeep.shrink()
        self.file.tidy(now)
        store.checkpoint()

    def _make_ready(self, now: ClockReading) -> bool:
        """Make bodies of events whose time is known; whether it is worth coming back for more.

        The chain allows no leap, so after months without a province the first
        live event would wait until all before it have bodies. A gap event
        still grows as long as it has none, and is left so.
        """
        store = self.file.store
        frozen = store.tally.frozen
        if store.tally.unfrozen:
            store.freeze(store.before_gap(), now, NEVER_NS)
        return store.tally.frozen > frozen

    def _flush(self, least: int = 1) -> None:
        """Erase what was confirmed, or mark it where it is to be kept, until fewer than ``least`` are left."""
        while len(released := self.released()) >= least:
            batch = sorted(released)[:BATCH]
            self.file.store.release(batch, self._clock.reading(), keep=self._keep)
            self._publish(batch)
            self.file.upkeep.purge()
            self._serve()

    # ------------------------------------------------------------- the disk fails, and comes back

    def _failed(self, error: sqlite3.Error | OSError) -> None:
        """What memory holds of the store is in doubt: replace a damaged file, wait for a disk that fails."""
        if not isinstance(error, sqlite3.Error) or not opening.is_damage(error):
            self._degrade(error)
            return
        log.error("the record's file is damaged: %s", error)
        now_ns = self._clock.monotonic_ns()
        if self._mistrusted_ns is not None and now_ns - self._mistrusted_ns < UPKEEP_EVERY_NS:
            # A new file that is damaged at once: the disk is at fault, and another file would only push older ones out.
            self._degrade(error)
            return
        self._mistrusted_ns = now_ns
        try:
            self._mistrust()
        except (sqlite3.Error, OSError) as failure:
            self._degrade(failure)

    def _mistrust(self) -> None:
        self.file.open(self._clock.reading(), suspect="damaged")
        # The damage may have shown after the commit; then what is in the queue again has been carried over into the new file already.
        self._forget_written()
        self._publish()
        self._news()

    def _degrade(self, error: sqlite3.Error | OSError) -> None:
        trouble = describe(error)
        self.last_error = trouble.text
        fact = Storage(state="degraded", error=trouble.code)
        with self._work:
            first, self.trouble = self.trouble is None, trouble
            waiting = list(self._queue)
            self._queue = deque(pending for pending in waiting if pending.item.kept)
            if first:
                self._enqueue(Pending(Item(fact_record(fact, self._clock.reading())), None, 0))
        if first:
            self._tried_ns = self._clock.monotonic_ns()
            log.error("the record cannot be written, events are kept in memory: %s", trouble.text)
        for pending in waiting:
            pending.fail(f"the record cannot be written: {trouble.text}")

    def _recover(self) -> None:
        """Open the file and write what is in memory; only then all is well again. Raises sqlite3.Error, OSError."""
        self.file.open(self._clock.reading())
        self._forget_written()
        while records := self._pop_records():
            try:
                self.file.store.append([pending.item for pending in records])
            except BaseException:
                self._put_back(records)
                raise
        code = None if self.trouble is None else self.trouble.code
        self.file.store.append([Item(fact_record(Storage(state="ok", error=code, lost=self.lost), self._clock.reading()))])
        self.trouble = None
        log.warning("the record can be written again")
        self._publish()
        self._news()

    def _forget_written(self) -> None:
        """A commit that failed may have reached the disk all the same: what is there is not written again."""
        written = self.file.store.ids(2 * GROUP)
        with self._work:
            found = [pending for pending in self._queue if pending.item.record.id in written]
            self._queue = deque(pending for pending in self._queue if pending.item.record.id not in written)
        for pending in found:
            pending.fail("the disk failed while the event was written; it is there now")

    def _put_back(self, records: Sequence[Pending]) -> None:
        with self._work:
            self._queue.extendleft(reversed(records))

    # ------------------------------------------------------------- the end

    def _shut(self) -> None:
        try:
            if self.trouble is not None:
                self._recover()
            self._flush()
            self.file.finish()
        except (sqlite3.Error, OSError) as error:
            log.warning("the record could not be closed in order: %s", error)
            self.file.close()

    def _abandon(self) -> None:
        """The thread ends: tell everybody who still waits."""
        with self._work:
            self._closing = self._stopped = True
            jobs, records = list(self._jobs), list(self._queue)
        for job in jobs:
            job.refuse("the record is closed")
        for pending in records:
            pending.fail("the record is closed")
        if records:
            log.error("%s events are lost: the disk did not come back", len(records))
        self.file.close()
        self.file.disown()

    def _publish(self, flushed: Sequence[int] = ()) -> None:
        """After a commit: let the other threads see it."""
        if not self.file.is_open:
            return
        store = self.file.store
        with suppress(sqlite3.Error):
            dead, confirmed = store.count(RowState.DEAD), store.count(RowState.CONFIRMED)
            view = StoreView(store.epoch, replace(store.tally), store.line, dead, confirmed, store.used_bytes())
            with self._work:
                # The file was replaced: all events wait again, under new numbers, and the acks that are held here meant the old ones.
                if self.view is not None and self.view.epoch != view.epoch:
                    self._released.clear()
                self._released.difference_update(flushed)
                self.view = view


def describe(error: sqlite3.Error | OSError) -> DiskTrouble:
    """What a failing disk said, as a code for machines and in words."""
    names = {
        sqlite3.SQLITE_FULL: "disk_full",
        sqlite3.SQLITE_IOERR: "io_error",
        sqlite3.SQLITE_READONLY: "read_only",
        sqlite3.SQLITE_BUSY: "busy",
    }
    numbers = {5: "io_error", 28: "disk_full", 30: "read_only"}
    if isinstance(error, OSError):
        return DiskTrouble(numbers.get(error.errno or 0, "cannot_open"), str(error))
    return DiskTrouble(names.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "cannot_open"), str(error))
