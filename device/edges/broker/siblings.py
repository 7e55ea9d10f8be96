"""What the other gates of a site saw: passages over the site's own broker, without any server.

Each gate says who passed, by keyed hash, and that it is there. One that comes
up asks, and the others tell it what they remember. A gate that falls silent,
or a broker that does, makes this one ``blind``: the rules then refuse nobody
for what may have happened there unseen.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated, Final, Literal

from pydantic import Field

from device.config import SiblingsSection
from device.core import wire
from device.core.pacing import Backoff, Uniform
from device.core.types import ClockReading, Direction, Passage
from device.edges.broker.kept_line import TURN_S, KeptLine
from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Answered, Arrived, Connected, Event, Peer, Publication, Subscription
from device.edges.machine.systemd import name_thread
from device.ports import Clock

log = logging.getLogger(__name__)

ROOT: Final = "sites/v1"
ALIVE_EVERY_S: Final = 5.0
REMEMBERED: Final = 20_000
"""Own passages that others may ask for, and passages of others that wait for the loop."""
WINDOW: Final = 16
SESSION_S: Final = 86_400
"""The site's broker keeps what comes while this gate is away for so long."""
RETRY_MIN_S: Final = 0.5
RETRY_MAX_S: Final = 15.0
GOODBYE_S: Final = 1.0


class SiblingPassage(wire.Heard):
    """One passage at another gate."""

    subject: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    direction: Direction
    age_ms: Annotated[int, Field(ge=0, le=2**53)]
    """How long ago it was when it was said, by the sender's own clock: no wall clock is needed."""


class Word(wire.Heard):
    """A gate is there; ``fresh`` asks the others for what they remember."""

    fresh: bool = False


class Siblings:
    """The other gates of one site. ``receive`` and ``blind`` are for the loop; the rest has a thread of its own."""

    def __init__(
        self,
        section: SiblingsSection,
        site: str,
        gate: str,
        clock: Clock,
        own: Iterable[Passage] = (),
        *,
        uniform: Uniform = random.uniform,
    ) -> None:
        """``own`` are this gate's remembered passages; ``uniform`` is chance, for tests."""
        self._section = section
        self._site = site
        self._gate = gate
        self._clock = clock
        self._own: dict[str, Passage] = {passage.subject: passage for passage in own}
        self._outbox: deque[Passage] = deque(maxlen=REMEMBERED)
        self._inbox: deque[Passage] = deque(maxlen=REMEMBERED)
        self._line = KeptLine(self, Backoff(RETRY_MIN_S, RETRY_MAX_S, uniform), self._now_s)
        self._heard_s: dict[str, float] = {}
        self._unanswered: set[object] = set()
        self._asked = False
        self._alive_at_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="siblings", daemon=True)

    # ------------------------------------------------------------- for the loop

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Say goodbye, within a limit."""
        self._stop.set()
        self._line.wake()
        if self._thread.ident is not None:
            self._thread.join(3 * GOODBYE_S)

    def passed(self, passage: Passage) -> None:
        """Somebody passed here: tell the others."""
        self._outbox.append(passage)
        self._line.wake()

    def receive(self) -> list[Passage]:
        """What others saw since it was last asked, oldest first."""
        found = []
        while self._inbox:
            found.append(self._inbox.popleft())
        return found

    @property
    def blind(self) -> bool:
        """Whether somebody may have passed another gate unseen."""
        return bool(self.silent)

    @property
    def silent(self) -> list[str]:
        """The gates that were not heard for too long."""
        limit_s = self._now_s() - self._section.silent_after_s
        return [gate for gate in self._section.gates if self._heard_s.get(gate, -1e18) < limit_s]

    # ------------------------------------------------------------- the thread

    def _run(self) -> None:
        name_thread("siblings")
        self._line.begin()
        self._line.run_unattended(self._stop)
        self._line.goodbye(GOODBYE_S)

    def peer(self) -> Peer:
        """The site's own broker."""
        section = self._section
        tls = None if section.ca is None else TlsFiles(section.ca, section.cert, section.key)
        wanted = tuple(Subscription(f"{ROOT}/{self._site}/{gate}/{kind}") for gate in section.gates for kind in ("passage", "alive"))
        return Peer(
            section.host,
            section.port,
            tls,
            self._gate,
            subscriptions=wanted,
            session_expiry_s=SESSION_S,
            receive_maximum=1000,
            unread_limit=2000,
        )

    def on_event(self, event: Event) -> None:
        """What happened on the line."""
        match event:
            case Connected():
                self._alive_at_s = 0.0
                self._asked = False
                self._unanswered.clear()
            case Answered(token, _):
                self._unanswered.discard(token)
            case Arrived():
                self._arrived(event)
                self._line.done(event)

    def serve(self, now_s: float) -> float:
        """Say what there is to say."""
        if now_s >= self._alive_at_s:
            self._alive_at_s = now_s + ALIVE_EVERY_S
            self._publish("alive", wire.compact({"fresh": not self._asked}), qos=0 if self._asked else 1)
            self._asked = True
        while self._outbox and len(self._unanswered) < WINDOW:
            passage = self._outbox.popleft()
            self._own.pop(passage.subject, None)
            self._own[passage.subject] = passage
            if len(self._own) > REMEMBERED:
                del self._own[next(iter(self._own))]
            age_ns = self._age_ns(passage)
            if age_ns is not None:
                said = {"subject": passage.subject, "direction": passage.direction.value, "age_ms": age_ns // 1_000_000}
                self._publish("passage", wire.compact({**said}), qos=1)
        return TURN_S

    def _arrived(self, message: Arrived) -> None:
        gate, kind = _who(message.topic, self._site)
        if gate not in self._section.gates:
            return
        self._heard_s[gate] = self._now_s()
        if kind == "alive":
            word = wire.read(Word, message.payload)
            if isinstance(word, Word) and word.fresh:
                self._outbox.extend(self._own.values())
            return
        seen = wire.read(SiblingPassage, message.payload)
        if isinstance(seen, SiblingPassage):
            self._inbox.append(Passage(seen.subject, seen.direction, _ago(self._clock.reading(), seen.age_ms * 1_000_000)))

    def _age_ns(self, passage: Passage) -> int | None:
        """How long ago it was; None where no clock can tell."""
        now = self._clock.reading()
        if passage.at.boot_id == now.boot_id:
            return max(0, now.boot_ns - passage.at.boot_ns)
        return max(0, now.wall_ns - passage.at.wall_ns) if passage.at.trusted and now.trusted else None

    def _publish(self, kind: Literal["alive", "passage"], payload: bytes, *, qos: int) -> None:
        publication = Publication(object(), f"{ROOT}/{self._site}/{self._gate}/{kind}", payload, qos=qos)
        if qos:
            self._unanswered.add(publication.token)
        self._line.publish(publication)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def apply_passages(siblings: Siblings, remember: Callable[[Passage], None], last_of: Callable[[str], Passage | None]) -> None:
    """Take what others saw into a memory, unless what is remembered is newer."""
    for passage in siblings.receive():
        last = last_of(passage.subject)
        if last is None or last.at.boot_id != passage.at.boot_id or last.at.boot_ns <= passage.at.boot_ns:
            remember(passage)


def _who(topic: str, site: str) -> tuple[str, str]:
    parts = topic.removeprefix(f"{ROOT}/{site}/").split("/")
    return (parts[0], parts[1]) if len(parts) == 2 else ("", "")  # noqa: PLR2004 - gate and kind


def _ago(now: ClockReading, age_ns: int) -> ClockReading:
    """The clocks as they were so long ago."""
    return replace(now, monotonic_ns=now.monotonic_ns - age_ns, boot_ns=now.boot_ns - age_ns, wall_ns=now.wall_ns - age_ns)
