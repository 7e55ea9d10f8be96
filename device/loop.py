"""The decision path: what the eye saw → decided → recorded → shown.

One thread, one message at a time, nothing that waits for a network. All rules
are in the core; this carries out what the machine says, in its order.
"""

from __future__ import annotations

import concurrent.futures
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from device.core import presence
from device.core.commissioning import is_order
from device.core.eye_messages import Beat, Glimpse, Hello, Trouble
from device.core.figures import Figure
from device.core.machine import Action, Input, State, step
from device.core.reasons import Reason
from device.core.types import Cause, Sighting, Sign, Verdict, View
from device.core.wire import CameraView, EyeBack, EyeLost
from device.errors import JournalError
from device.scribe import FactRecorder

if TYPE_CHECKING:
    from device.core.eye_messages import Message
    from device.core.presence import Showing
    from device.core.types import Decision, Entry, Receipt
    from device.judge import Judge, Judged
    from device.ports import Clock, Eye, Journal, Orders, Signals
    from device.scribe import Scribe

log = logging.getLogger(__name__)

START_GRACE_NS: Final = 3_000_000_000
"""An eye that starts has so long before the gate says that it is out of service."""

STALE_NS: Final = 10_000_000_000
"""The eye's times are clamped to this much before now: they come from a process that hostile images can take over."""

MS: Final = 1_000_000

_SHOWN: Final = {
    Action.STAND_READY: Sign.READY,
    Action.STAND_UNREADABLE: Sign.UNREADABLE,
    Action.STAND_OUT: Sign.OUT_OF_SERVICE,
    Action.STAND_COMMISSIONING: Sign.COMMISSIONING,
    Action.SHOW_TAKEN: Sign.ORDER_TAKEN,
    Action.SHOW_REFUSED: Sign.REJECT,
}
"""What is shown at once, whatever was decided."""


@dataclass(slots=True)
class Tally:
    """What the loop has done since it started, for health, ``gate status`` and the benchmarks. Times in milliseconds."""

    decisions: int = 0
    accepted: int = 0
    rejected: int = 0
    referred: int = 0
    recorded: int = 0
    record_late: int = 0
    record_failed: int = 0
    troubles: int = 0
    unreadable: Counter[Cause] = field(default_factory=Counter)
    read_ms: Figure = field(default_factory=Figure)
    link_ms: Figure = field(default_factory=Figure)
    decide_ms: Figure = field(default_factory=Figure)
    record_ms: Figure = field(default_factory=Figure)
    signal_ms: Figure = field(default_factory=Figure)
    lamp_ms: Figure = field(default_factory=Figure)

    def count(self, verdict: Verdict) -> None:
        """Count one decision."""
        self.decisions += 1
        self.accepted += verdict is Verdict.ACCEPT
        self.rejected += verdict is Verdict.REJECT
        self.referred += verdict is Verdict.REFER


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A sign that was asked for and is not yet on the pins."""

    sign: Sign
    asked_ns: int
    taken_ns: int


@dataclass(slots=True)
class _Answer:
    """One decision on its way to record and lamp. ``refused``: the record failed a strict gate, and the answer is another one."""

    judged: Judged
    entry: Entry
    showing: Showing
    refused: bool = False


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """``budget_s`` is how long a lamp waits for the record; ``strict`` waits for ever, and refers when it fails."""

    rearm_ns: int
    budget_s: float
    strict: bool


class Loop:
    """The gate's loop. ``turn`` handles at most one message and is called for ever."""

    def __init__(
        self,
        settings: LoopSettings,
        clock: Clock,
        *,
        eye: Eye,
        judge: Judge,
        scribe: Scribe,
        journal: Journal,
        signals: Signals,
        orders: Orders | None = None,
    ) -> None:
        self._orders = orders
        self._settings = settings
        self._clock = clock
        self._eye = eye
        self._judge = judge
        self._scribe = scribe
        self._facts = FactRecorder(journal, clock)
        self._journal = journal
        self._signals = signals
        self._presence = presence.Presence()
        self._started_ns = clock.monotonic_ns()
        self._lost_ns = self._started_ns
        self._awaited: _Awaited | None = None
        self.state = State.STARTING
        self.tally = Tally()
        self.turns = 0
        self._trouble: tuple[str, str] | None = None
        self.source_ended = False
        self.beat: Beat | None = None
        self.last: Decision | None = None

    def turn(self, timeout_s: float = 0.1) -> None:
        """Wait at most ``timeout_s`` for what the eye has to say, and answer it."""
        message = self._eye.receive(timeout_s)
        if message is not None:
            self._handle(message)
        self._watch()
        self.turns += 1

    def lit(self, sign: Sign | None) -> None:
        """The pins now do ``sign``: told by the signals' own thread, after the pins were written."""
        awaited, self._awaited = self._awaited, None
        if awaited is None or awaited.sign is not sign:
            return
        now_ns = self._clock.monotonic_ns()
        self.tally.signal_ms.add((now_ns - awaited.asked_ns) / MS)
        self.tally.lamp_ms.add((now_ns - awaited.taken_ns) / MS)

    def stop(self) -> None:
        """No more decisions."""
        self._perform(Input.STOP)

    def _handle(self, message: Message) -> None:
        match message:
            case Sighting():
                self._sighted(message)
            case Glimpse(taken_ns=taken_ns, cause=cause, px_per_module=px_per_module):
                self._glimpsed(self._clamped(taken_ns), cause, px_per_module)
            case Trouble(code=code, what=what):
                self._troubled(code, what)
            case Hello(pid=pid, source=source, decoders=decoders):
                log.info("eye connected: pid %d, source %s, decoders %s", pid, ascii(source), ascii(", ".join(decoders)))
            case Beat():
                self._beaten(message)

    def _glimpsed(self, taken_ns: int, cause: Cause, px_per_module: float | None) -> None:
        """Counted once a showing, when the person is told: by what the eye says then."""
        hinted = self._presence.hinting
        self._presence = presence.glimpse(self._presence, taken_ns)
        if self._presence.hinting and not hinted:
            self.tally.unreadable[cause] += 1
            size = "unknown" if px_per_module is None else f"{px_per_module:g} pixels"
            log.info("a code in view cannot be read: %s; a module is %s", cause.value, size)

    def _beaten(self, beat: Beat) -> None:
        before = View.OK if self.beat is None else self.beat.view
        self.beat = beat
        if beat.view is not before:
            log.warning("the camera's view: %s (before: %s)", beat.view.value, before.value)
            self._facts.record(CameraView(view=beat.view, before=before))

    def _troubled(self, code: str, what: str) -> None:
        """Told once for each change: the eye says a lasting trouble again and again."""
        self.tally.troubles += 1
        self.source_ended = self.source_ended or code == "source_ended"
        if (code, what) != self._trouble:
            self._trouble = (code, what)
            log.info("the eye reports %s: %s", code, ascii(what))

    def _watch(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._presence = presence.tidy(self._presence, now_ns)
        if self._eye.alive:
            self._perform(Input.EYE_ALIVE)
            if self._orders is not None:
                self._perform(Input.WINDOW_OPEN if self._orders.is_open(now_ns) else Input.WINDOW_SHUT)
            self._perform(Input.UNREADABLE if self._presence.hinting else Input.CLEAR)
        elif self.state is not State.STARTING or now_ns - self._started_ns >= START_GRACE_NS:
            self._perform(Input.EYE_SILENT)

    def _sighted(self, sighting: Sighting) -> None:
        received_ns = self._clock.monotonic_ns()
        sighting = replace(sighting, taken_ns=self._clamped(sighting.taken_ns))
        self._presence, showing = presence.see(self._presence, sighting, self._settings.rearm_ns)
        if showing is None:
            return
        now = self._clock.reading()
        if self.state is State.COMMISSIONING and self._orders is not None and is_order(sighting.payload):
            taken = self._orders.submit(sighting.payload, now)
            self._perform(Input.ORDER_TAKEN if taken else Input.ORDER_REFUSED)
            return
        judged = self._judge.judge(sighting, now)
        decided_ns = self._clock.monotonic_ns()
        self.last = judged.decision
        decide_ms = (decided_ns - received_ns) / MS
        entry = self._scribe.checkin(judged, now, decide_ms, kept=not self._settings.strict)
        self.tally.read_ms.add((sighting.read_ns - sighting.taken_ns) / MS)
        self.tally.link_ms.add((received_ns - sighting.read_ns) / MS)
        self.tally.decide_ms.add((decided_ns - received_ns) / MS)
        self._perform(Input.PASSED if judged.decision.direction else Input.ANSWERED, _Answer(judged, entry, showing))

    def _perform(self, event: Input, answer: _Answer | None = None) -> None:
        before = self.state
        self.state, actions = step(self.state, event)
        for action in actions:
            if action in _SHOWN:
                self._signals.show(_SHOWN[action])
            elif action is Action.AUDIT_EYE_LOST:
                self._lost_ns = self._clock.monotonic_ns()
                self._facts.record(EyeLost())
            elif action is Action.AUDIT_EYE_BACK:
                self._facts.record(EyeBack(away_ms=(self._clock.monotonic_ns() - self._lost_ns) // MS))
            elif answer is not None:
                self._answer(action, answer)
        if self.state is not before:
            log.info("%s → %s (%s)", before.value, self.state.value, event.value)

    def _answer(self, action: Action, answer: _Answer) -> None:
        if action is Action.RECORD and not self._record(answer.judged, answer.entry):
            answer.judged, answer.refused = _not_recorded(answer.judged), True
            self._journal.record(self._scribe.checkin(answer.judged, answer.entry.at, 0.0))
        elif action is Action.SHOW:
            self._show(answer.judged, answer.showing)
        elif action is Action.OPEN and not answer.refused:
            self._signals.open_door()

    def _record(self, judged: Judged, entry: Entry) -> bool:
        """Whether the answer may be shown as decided. False only in strict mode."""
        started_ns = self._clock.monotonic_ns()
        future = self._journal.record(entry)
        recorded = True
        try:
            future.result(timeout=None if self._settings.strict else self._settings.budget_s)
            self.tally.recorded += 1
        except concurrent.futures.TimeoutError:
            self.tally.record_late += 1
            future.add_done_callback(self._recorded_late)
            log.warning("the record took longer than %.0f ms; the lamp did not wait", self._settings.budget_s * 1000)
        except JournalError as error:
            self.tally.record_failed += 1
            recorded = not self._settings.strict
            log.warning("not durable: %s", error)
        self.tally.record_ms.add((self._clock.monotonic_ns() - started_ns) / MS)
        self.tally.count(judged.decision.verdict if recorded else Verdict.REFER)
        if recorded and entry.passage is not None:
            self._judge.passed(judged, entry.passage)
        return recorded

    def _recorded_late(self, future: concurrent.futures.Future[Receipt]) -> None:
        if future.exception() is None:
            self.tally.recorded += 1

    def _show(self, judged: Judged, showing: Showing) -> None:
        started_ns = self._clock.monotonic_ns()
        # An answer that waits for the one before it, to a code in the same frame, says nothing of how fast the gate is.
        self._awaited = None if showing.together else _Awaited(judged.decision.sign, started_ns, showing.sighting.taken_ns)
        self._signals.show(judged.decision.sign, queued=showing.together)

    def _clamped(self, taken_ns: int) -> int:
        now_ns = self._clock.monotonic_ns()
        return min(max(taken_ns, now_ns - STALE_NS), now_ns)


def _not_recorded(judged: Judged) -> Judged:
    decision = replace(judged.decision, verdict=Verdict.REFER, reason=Reason.NOT_RECORDED, sign=Sign.REFER, direction=None)
    return replace(judged, decision=decision)
