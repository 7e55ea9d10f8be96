"""Lamps, buzzer and relay, played by a thread of their own.

`GpioSignals.show` only posts and wakes the thread, so that it never waits for a
pin. The thread does what `GpioSignals.advance` does: take what was posted, ask
the player what is due, write the pins, and wait until the next change. Without
the thread, whoever calls `advance` moves time: so tests replay a score without
waiting.
"""

from __future__ import annotations

import logging
import tomllib
from collections import deque
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from threading import Condition, Thread, current_thread

from device.config import SignalsSection
from device.core.player import Player, Snapshot
from device.core.score import Lamp, Score
from device.core.signals import patterns
from device.core.types import Json, Sign
from device.edges.machine.systemd import name_thread
from device.edges.pins.pins import Pins, dims
from device.errors import ConfigError, MissingPackage, PinsUnusable
from device.ports import Clock

log = logging.getLogger(__name__)

RETRY_NS = 100_000_000
"""Nanoseconds after which a pin is tried again whose write failed."""

OPEN_AGAIN_NS = 3_000_000_000
"""Nanoseconds after which pins are tried again that could not be had."""

POSTED_LIMIT = 64
"""Requests that may wait for the thread, which takes them in microseconds; beyond, it hangs, and the oldest are lost."""

TURN_NS = 2_000_000_000
"""Nanoseconds after which the thread goes round at the latest, though nothing is due: so one that hangs is told from one that rests."""

STALL_NS = 15_000_000_000
"""Nanoseconds after which a thread that has not gone round counts as hanging: more than it takes to import lgpio on the slowest board."""

JOIN_S = 2.0
"""Seconds that closing waits for the thread; then the pins are closed under it."""


def shipped_score() -> Score:
    """The score that comes with the program. Raises ConfigError that names what is wrong in it."""
    text = files("device").joinpath("score.toml").read_text(encoding="utf-8")
    try:
        return Score.from_tree(tomllib.loads(text))
    except ValueError as error:
        raise ConfigError(f"score.toml: {error}") from error


class GpioSignals:
    """`device.ports.Signals` on gpiozero.

    All pins are off when it is made and when it is closed; nothing lights
    before the first sign. Pins that cannot be had (another process holds one,
    no chip has the label) are said, and tried again and again: a gate without
    lamps still decides and records, and the province sees that it is dark.
    """

    def __init__(
        self,
        section: SignalsSection,
        score: Score,
        clock: Clock,
        *,
        runtime_dir: Path | None = None,
        on_change: Callable[[Snapshot], None] | None = None,
        on_button: Callable[[], None] | None = None,
        threaded: bool = True,
    ) -> None:
        """``runtime_dir`` is where lgpio makes its FIFO.

        ``on_change`` is called after each change of the pins, by the thread;
        ``on_button`` when the button was held, by a thread of gpiozero's.
        """
        self._clock = clock
        self._on_button = on_button
        self._on_change = on_change
        self._player = player(section, score)
        self._news = Condition()
        self._posted: deque[Callable[[int], None]] = deque(maxlen=POSTED_LIMIT)
        self._closed = False
        self._snapshot: Snapshot | None = None
        self._dropped = self._overruns = self._shown = self._faults = 0
        self._section, self._runtime_dir = section, runtime_dir
        self._pins: Pins | None = None
        self._without: str | None = None
        self._open_ns = 0
        self._turned_ns = clock.monotonic_ns()
        self._open_pins(clock.monotonic_ns())
        self._thread = Thread(target=self._play, name="signals", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def show(self, sign: Sign, *, queued: bool = False) -> None:
        """Answer with ``sign`` at once, or ``queued`` behind the passing sign that runs. Never waits for a pin."""
        self._post(lambda now_ns: self._player.show(sign, now_ns, queued=queued))
        self._shown += 1

    def open_door(self) -> None:
        """Release the door for one pulse of the relay; without a relay nothing happens."""
        self._post(self._player.open_door)

    def close(self) -> None:
        """Switch all lamps off, silence the buzzer, release the relay and free the pins. A second call does nothing."""
        with self._news:
            if self._closed:
                return
            self._closed = True
            self._news.notify()
        if self._thread is not None and self._thread is not current_thread():
            self._thread.join(JOIN_S)
            if self._thread.is_alive():
                log.error("the thread of the signals hangs; closing the pins under it")
        if self._pins is not None:
            self._pins.close()
        self._snapshot = None

    def advance(self, now_ns: int) -> int | None:
        """Bring the pins to what is due at ``now_ns``. Returns when to call next at the latest; None until something is posted."""
        if self._closed:
            return None
        for request in self._pop_commands():
            request(now_ns)
        snapshot = self._player.advance(now_ns)
        self._open_pins(now_ns)
        written = self._pins is not None and self._pins.apply(snapshot)
        self._notify(snapshot)
        due_ns = self._player.due_ns
        return due_ns if written else min(now_ns + RETRY_NS, due_ns or now_ns + RETRY_NS)

    def levels(self) -> Mapping[Lamp, float]:
        """The level of each lamp now, 0 to 1; empty before the first change and when closed."""
        return self._snapshot.lamps if self._snapshot is not None else {}

    @property
    def alive(self) -> bool:
        """Whether somebody still plays: false when the thread has died or hangs, as in a driver, or all is closed."""
        return not self._closed and (self._thread is None or (self._thread.is_alive() and not self._stalled))

    @property
    def _stalled(self) -> bool:
        return self._clock.monotonic_ns() - self._turned_ns > STALL_NS

    def stats(self) -> Mapping[str, Json]:
        """Counters since the start and the state now, for health and ``gate status``."""
        return {
            "sign": self._snapshot.sign.value if self._snapshot is not None and self._snapshot.sign is not None else None,
            "alive": self.alive,
            "shown": self._shown,
            "dropped": self._player.dropped + self._overruns,
            "held_back": self._player.held_back,
            "write_errors": 0 if self._pins is None else self._pins.write_errors,
            "failing": [self._without or "pins"] if self._pins is None else list(self._pins.failing),
            "faults": self._faults,
        }

    def _open_pins(self, now_ns: int) -> None:
        """Take the pins if they are not taken yet, every few seconds. The reason why not is logged once."""
        if self._pins is not None or now_ns < self._open_ns:
            return
        self._open_ns = now_ns + OPEN_AGAIN_NS
        try:
            self._pins = Pins(self._section, self._runtime_dir, self._on_button)
        except (PinsUnusable, MissingPackage) as error:
            if str(error) != self._without:
                log.error("no lamp and no buzzer: %s; trying on", error)  # noqa: TRY400 - the reason is one line, a traceback says no more
            self._without = str(error)
            return
        if self._without is not None:
            log.info("the pins were taken after all")
        self._without = None

    def _post(self, request: Callable[[int], None]) -> None:
        with self._news:
            self._overruns += len(self._posted) == POSTED_LIMIT
            self._posted.append(request)
            self._news.notify()

    def _pop_commands(self) -> list[Callable[[int], None]]:
        with self._news:
            taken = list(self._posted)
            self._posted.clear()
        return taken

    def _notify(self, snapshot: Snapshot) -> None:
        changed, self._snapshot = snapshot != self._snapshot, snapshot
        if self._player.dropped > self._dropped:
            self._dropped = self._player.dropped
            log.warning("a sign was not shown, because a newer one took its place (%s so far)", self._dropped)
        if changed and self._on_change is not None:
            self._on_change(snapshot)

    def _play(self) -> None:
        name_thread("signals")
        well = True
        while not self._closed:
            self._turned_ns = self._clock.monotonic_ns()
            try:
                due_ns = self.advance(self._turned_ns)
                well = True
            except Exception:  # the top of the thread: without it the gate would fall dark and silent
                self._faults += 1
                due_ns = self._clock.monotonic_ns() + RETRY_NS
                if well:
                    log.exception("the signals failed; going on")
                well = False
            self._wait(due_ns)

    def _wait(self, due_ns: int | None) -> None:
        with self._news:
            if self._posted or self._closed:
                return
            remaining_ns = TURN_NS if due_ns is None else min(due_ns - self._clock.monotonic_ns(), TURN_NS)
            if remaining_ns > 0:
                self._news.wait(remaining_ns / 1e9)


def player(section: SignalsSection, score: Score) -> Player:
    """A player of the score on the lamps that the configuration names."""
    lamps = {lamp: getattr(section, lamp.value) for lamp in Lamp if lamp.value in section.pins()}
    dimming = {lamp: dims(lamp, part) for lamp, part in lamps.items()}
    wired = {sign: one.wired(dimming) for sign, one in patterns(score, section.profile, section.kit).items()}
    return Player(wired, 0 if section.relay is None else section.relay.pulse_ms)
