"""The eye's loop: camera → ladder → messages to the gate.

Signs of life come from the loop that reads frames: a beat follows a frame, or
a source that says it has none to give yet. Where a camera hangs, beats stop,
and the gate says that it is out of service.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol

from device.config import CameraSection
from device.core.eye_messages import Beat, Glimpse, Message, Trouble
from device.core.types import Box, Sighting, View
from device.errors import CameraMissing, CameraStopped, SourceUnreadable
from device.eye.camera import BadFrame, Camera, Frame, Idle, Timer
from device.eye.cause import Explained
from device.eye.decoder import Look, Reading, Unread
from device.eye.ladder import Ladder
from device.eye.link import Link
from device.eye.process import Parent
from device.eye.sources import open_camera
from device.eye.watch import Watch
from device.ports import Notifier

log = logging.getLogger(__name__)

BEAT_NS: Final = 250_000_000
"""A beat is due after this; twice as often as promised, since a slow frame may come between."""

FRAME_LIMIT_S: Final = 1.5
"""A look at a frame that takes longer ends the process. A page of nothing but finder patterns takes 0.8 s on a laptop.

By the clock, not by processor time: a library that waits for ever uses none, and
an eye that is silent for longer is out of service to its gate, whatever the reason.
"""

SOURCE_LIMIT_S: Final = 5.0
"""So long may a source take for its next word: a picture of 25 megapixels is unpacked in it."""

OPENING_LIMIT_S: Final = 20.0
"""So long may a camera take to start or to stop."""

CLOSING_LIMIT_S: Final = 3.0
"""So long may a camera take to be given back. One that hangs ends the process."""

TRUST_NS: Final = 60_000_000_000
"""A camera that falls silent again within this time of being opened anew is not cured by that."""

EXPLAIN_NS: Final = 150_000_000
"""Least time between two explanations of what cannot be read: three of them in the gap after which a gate thinks the code gone."""

REFERENCE_NS: Final = 1_000_000_000
"""The reference code is looked for this often."""

MARGIN_S: Final = 1.0
"""The service manager waits so much longer than the alarm."""

RETRY_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Waits between attempts to reach a camera that is missing; the last is repeated."""

REPEAT_S: Final = 0.25
"""A trouble that lasts is said again this often: the gate tells a waiting eye from a hung one by it."""

ALONE_LIMIT_S: Final = 10.0
"""An eye that a gate started ends when nobody has listened for so long."""

IDLE_S: Final = 0.2
DELIVERY_S: Final = 0.02

SINGLE_PASS_PX: Final = 4_000_000
"""In a source that is to be seen whole, a picture up to this size is looked at in full: it is shown only once."""

SINGLE_PASS_NS: Final = 400_000_000
"""But no new look at it is begun after so much processor time, or a page made to be slow would meet the limit for a frame."""

STEP_LETTERS: Final = 64
TROUBLE_LETTERS: Final = 512
MOST_READINGS: Final = 64
"""Of one frame, the largest so many are told: a sheet of stickers must not fill the link."""


class StopFlag(Protocol):
    """Of a ``threading.Event``, what the loop needs."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait so many seconds, or until the stop."""
        ...


class Alarm(Protocol):
    """Of ``FrameAlarm``, what the loop needs."""

    def arm(self, limit_s: float) -> None:
        """From now on there are ``limit_s`` seconds."""
        ...

    def disarm(self) -> None:
        """No limit."""
        ...


@dataclass(slots=True)
class Counts:
    """Frames since the eye started; ``read`` had a symbol that was read, ``empty`` had none in view."""

    frames: int = 0
    skipped: int = 0
    empty: int = 0
    read: int = 0
    bad: int = 0
    taken_ns: int = 0
    refused: int = 0
    view: View = View.OK


class EyeLoop:
    """One eye. ``run`` returns when told to stop, or when the gate that started this eye has gone."""

    def __init__(
        self,
        link: Link,
        ladder: Ladder,
        alarm: Alarm,
        stop: StopFlag,
        *,
        notifier: Notifier | None = None,
        parent: Parent | None = None,
        timer: Timer | None = None,
        reference: str | None = None,
    ) -> None:
        """``reference`` is what a code says that is always in view, and is nobody's."""
        self.counts = Counts()
        self._reference = None if reference is None else reference.encode()
        self._watched = Watch(with_reference=reference is not None)
        self._explained_ns = 0
        self._reference_ns = 0
        self._set_aside: Box | None = None
        self._link = link
        self._ladder = ladder
        self._alarm = alarm
        self._stop = stop
        self._notifier = notifier
        self._parent = parent
        self._timer = timer or Timer()
        self._beaten_ns: int | None = None
        self._whole = False

    def run(self, section: CameraSection, opener: Callable[[CameraSection, Timer], Camera] = open_camera) -> None:
        """Look until told to stop.

        A camera that falls silent is given back and opened again. Raises
        CameraStopped when that does not last, or cannot be done: then only a
        new process cures libcamera.
        """
        reopened_ns: int | None = None
        if self._notifier:
            self._notifier.ready()
            self._notifier.status("opening the camera")
        while (camera := self._open(section, opener)) is not None:
            try:
                self._watch(camera)
            except CameraStopped as error:
                now_ns = self._timer.now_ns()
                again = reopened_ns is not None and now_ns - reopened_ns < TRUST_NS
                self._trouble("camera_stopped", f"{error}; {'the eye' if again else 'the camera'} is started anew")
                log.warning("%s", error)
                if again:
                    raise
                reopened_ns = now_ns
            except SourceUnreadable as error:
                self._alarm.disarm()
                log.warning("the source has gone: %s", error)
                self._lament("camera_missing", str(error), RETRY_S[0])
            finally:
                self._alarm.arm(CLOSING_LIMIT_S)
                camera.close()
                self._alarm.disarm()
            if self._over():
                return

    # ---------------------------------------------------------------- opening

    def _open(self, section: CameraSection, opener: Callable[[CameraSection, Timer], Camera]) -> Camera | None:
        attempt = 0
        self._patience(OPENING_LIMIT_S)
        while not self._over():
            self._alarm.arm(OPENING_LIMIT_S)
            try:
                return opener(section, self._timer)
            except (CameraMissing, SourceUnreadable) as error:
                log.warning("%s", error)
                self._alarm.disarm()
                self._lament("camera_missing", str(error), RETRY_S[min(attempt, len(RETRY_S) - 1)])
            except CameraStopped as error:
                self._trouble("camera_stopped", str(error))
                raise
            attempt += 1
        return None

    def _lament(self, code: str, what: str, seconds: float) -> None:
        """Say what is wrong, again and again, for so long. These are no beats: without frames the gate is out of service."""
        for _ in range(max(1, round(seconds / REPEAT_S))):
            self._trouble(code, what)
            if self._notifier:
                self._notifier.alive()
            if self._stop.wait(REPEAT_S) or self._over():
                return

    # ---------------------------------------------------------------- looking

    def _watch(self, camera: Camera) -> None:
        self._whole = camera.lossless
        if self._whole and not self._await_gate():
            return
        skipped_before = self.counts.skipped
        self._patience(SOURCE_LIMIT_S)
        if self._notifier:
            self._notifier.status(f"looking at {camera.source}")
        with closing(camera.frames()) as items:
            self._alarm.arm(SOURCE_LIMIT_S)
            for item in items:
                if self._over():
                    return
                self.counts.skipped = skipped_before + camera.skipped
                self._alarm.arm(FRAME_LIMIT_S)
                self._beat()
                match item:
                    case Frame():
                        self._frame(item, camera)
                    case BadFrame():
                        self._bad(item)
                    case Idle():
                        pass
                self._beat()
                self._alarm.arm(SOURCE_LIMIT_S)
        self._alarm.disarm()
        self._rest(camera)

    def _frame(self, frame: Frame, camera: Camera) -> None:
        counts = self.counts
        counts.frames += 1
        counts.taken_ns = frame.taken_ns
        now_ns = self._timer.now_ns()
        self._ladder.set_aside = self._set_aside if now_ns - self._reference_ns < REFERENCE_NS else None
        read = False
        unread: tuple[Unread, ...] = ()
        for look in self._looks(frame):
            self._alarm.arm(FRAME_LIMIT_S)
            self._beat()
            unread = look.glimpses
            read_ns = self._timer.now_ns()
            persons = [reading for reading in look.readings if not self._is_reference(reading, read_ns)]
            read = read or bool(persons)
            for reading in persons[:MOST_READINGS]:
                self._send(_sighting(reading, frame, counts.frames, read_ns))
        counts.read += read
        counts.refused = self._ladder.refused
        explained = None if read else self._explain(frame, unread)
        counts.empty += not read and not unread and explained is None
        if read or explained is not None:
            camera.judged(frame, read=read, cause=explained.cause if explained else None)
        counts.view = self._watched.see(frame.pixels, now_ns, frame.exposure_us)

    def _explain(self, frame: Frame, unread: tuple[Unread, ...]) -> Explained | None:
        """Tell the gate of a code in view that could not be read, a few times a second."""
        now_ns = self._timer.now_ns()
        if now_ns - self._explained_ns < EXPLAIN_NS or not (unread or self._ladder.places):
            return None
        self._explained_ns = now_ns
        explained = self._ladder.explain(frame.pixels, unread)
        if explained is not None:
            self._send(
                Glimpse(frame=self.counts.frames, taken_ns=frame.taken_ns, cause=explained.cause, px_per_module=explained.px_per_module)
            )
        return explained

    def _is_reference(self, reading: Reading, now_ns: int) -> bool:
        if reading.payload != self._reference:
            return False
        self._watched.reference(reading.box, now_ns)
        self._set_aside, self._reference_ns = reading.box, now_ns
        return True

    def _looks(self, frame: Frame) -> Iterable[Look]:
        if self._whole and frame.pixels.size <= SINGLE_PASS_PX:
            return [self._ladder.one_shot(frame.pixels, SINGLE_PASS_NS)]
        return self._ladder.looks(frame.pixels, self._timer.now_ns(), frame.light)

    def _bad(self, bad: BadFrame) -> None:
        self.counts.bad += 1
        log.warning("skipped: %s", ascii(bad.why))
        self._send(_trouble("unreadable_frame", bad.why))

    def _rest(self, camera: Camera) -> None:
        """The source has ended. The eye stays, well and idle: a new one would play everything again."""
        log.info("%s has ended after %d frames", camera.source, self.counts.frames)
        self._send(_trouble("source_ended", f"{self.counts.frames} frames, {self.counts.bad} unreadable"))
        while not self._over():
            self._beat()
            self._stop.wait(IDLE_S)

    # ---------------------------------------------------------------- telling

    def _send(self, message: Message) -> None:
        """Once, and dropped where the gate does not read; from a source to be seen whole, until it is taken."""
        if not self._whole:
            self._link.send(message)
            return
        while not self._link.offer(message) and not self._over():
            self._alarm.arm(FRAME_LIMIT_S)
            self._stop.wait(DELIVERY_S)

    def _trouble(self, code: str, what: str) -> None:
        self._link.send(_trouble(code, what))

    def _beat(self) -> None:
        now_ns = self._timer.now_ns()
        if self._beaten_ns is not None and now_ns - self._beaten_ns < BEAT_NS:
            return
        self._beaten_ns = now_ns
        counts = self.counts
        self._link.send(
            Beat(
                frames=counts.frames,
                skipped=counts.skipped,
                empty=counts.empty,
                read=counts.read,
                taken_ns=counts.taken_ns,
                cpu_ms=time.process_time_ns() // 1_000_000,
                refused=counts.refused,
                view=counts.view,
            )
        )
        if self._notifier:
            self._notifier.alive()

    def _patience(self, limit_s: float) -> None:
        """The kernel's alarm comes first; the service manager's watchdog is for what even that does not end."""
        if self._notifier:
            self._notifier.alive()
            self._notifier.patience(limit_s + MARGIN_S)

    def _await_gate(self) -> bool:
        self._alarm.disarm()
        while not self._link.connect():
            if self._over():
                return False
            if self._notifier:
                self._notifier.alive()
            self._stop.wait(DELIVERY_S)
        return True

    def _over(self) -> bool:
        if self._stop.is_set():
            return True
        if self._parent is None or self._parent.pid is None:
            return False
        if self._parent.gone or self._link.alone_s > ALONE_LIMIT_S:
            log.info("the gate that started this eye has gone")
            return True
        return False


def _sighting(reading: Reading, frame: Frame, number: int, read_ns: int) -> Sighting:
    return Sighting(
        payload=reading.payload,
        frame=number,
        taken_ns=frame.taken_ns,
        read_ns=read_ns,
        box=reading.box,
        step=(f"{reading.step}@{frame.light}" if frame.light else reading.step)[:STEP_LETTERS],
        partial=reading.partial,
    )


def _trouble(code: str, what: str) -> Trouble:
    """A file's name may hold bytes that are no text: they are written as escapes."""
    clean = what.encode("utf-8", "backslashreplace").decode()[:TROUBLE_LETTERS]
    return Trouble.model_validate({"code": code, "what": clean})
