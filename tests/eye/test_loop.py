"""The eye's loop, with pretended cameras on a clock that moves when told."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from device.config import CameraSection
from device.core.eye_messages import Beat, Glimpse, Message, Trouble
from device.core.types import Cause, Sighting, View
from device.errors import CameraMissing, CameraStopped, SourceUnreadable
from device.eye.camera import BadFrame, Camera, Frame, Idle, Item, Items, Luma, Timer
from device.eye.decoder import Look
from device.eye.ladder import Ladder, make_ladder
from device.eye.link import Link
from device.eye.loop import EyeLoop
from device.eye.process import Parent
from tests.eye.pages import on_page, set_pages, symbol
from tests.fakes.clock import SECOND_NS, FakeClock

EMPTY = np.full((60, 80), 128, np.uint8)

Script: TypeAlias = Sequence[Item | float | Exception]


class Tape(Link):
    """A link that notes what is said and when; ``full`` is a gate that does not read."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.said: list[tuple[int, Message]] = []
        self.refusals = 0
        self.alone_for_s = 0.0
        self.dropped = 0
        self.reachable_after_ns = 0

    @property
    def alone_s(self) -> float:
        """As told."""
        return self.alone_for_s

    def connect(self) -> bool:
        """From a given time on."""
        return self.clock.now_ns >= self.reachable_after_ns

    def offer(self, message: Message) -> bool:
        """Taken, unless refusals are left."""
        if self.refusals:
            self.refusals -= 1
            return False
        self.said.append((self.clock.now_ns, message))
        return True

    def messages(self, kind: type[Message]) -> list[Message]:
        """Of one kind."""
        return [message for _, message in self.said if isinstance(message, kind)]


class Reel:
    """A camera that gives what it is told, moving the clock before each; numbers are seconds, errors are raised."""

    source = "reel"
    advice = ""

    def __init__(self, clock: FakeClock, items: Script, *, lossless: bool = False) -> None:
        self.lossless = lossless
        self.skipped = 0
        self.closed = 0
        self.judgements: list[tuple[bool, Cause | None]] = []
        self._clock = clock
        self._items = items

    def frames(self) -> Items:
        """As told."""
        for item in self._items:
            if isinstance(item, float):
                self._clock.advance(item)
            elif isinstance(item, Exception):
                raise item
            else:
                yield item

    def judged(self, frame: Frame, *, read: bool, cause: Cause | None = None) -> None:  # noqa: ARG002 - the port's name
        """Note it."""
        self.judgements.append((read, cause))

    def close(self) -> None:
        """Count."""
        self.closed += 1


class Stop:
    """A stop after so many waits, or when told."""

    def __init__(self, clock: FakeClock, waits: int = 3) -> None:
        self._clock = clock
        self._waits = waits
        self.told = False

    def is_set(self) -> bool:
        """Told, or waited long enough."""
        return self.told or self._waits <= 0

    def wait(self, timeout: float | None = None) -> bool:
        """Moves the clock."""
        self._waits -= 1
        self._clock.advance(timeout or 0)
        return self.is_set()


class Alarm:
    """Notes the limits that were set."""

    def __init__(self) -> None:
        self.limits: list[float | None] = []

    def arm(self, limit_s: float) -> None:
        """Note it."""
        self.limits.append(limit_s)

    def disarm(self) -> None:
        """Note it."""
        self.limits.append(None)


class Notes:
    """A notifier."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ready(self) -> None:
        """Note it."""
        self.lines.append("ready")

    def alive(self) -> None:
        """Note it."""
        self.lines.append("alive")

    def patience(self, seconds: float) -> None:
        """Note it."""
        self.lines.append(f"patience {seconds:g}")

    def status(self, text: str) -> None:
        """Note it."""
        self.lines.append(text)

    def stopping(self) -> None:
        """Note it."""
        self.lines.append("stopping")


class Bench:
    """An eye's loop with everything around it pretended, but for the decoders."""

    def __init__(self, waits: int = 3) -> None:
        self.clock = FakeClock()
        self.tape = Tape(self.clock)
        self.alarm = Alarm()
        self.notes = Notes()
        self.stop = Stop(self.clock, waits)
        self.timer = Timer(self.clock.monotonic_ns, self.clock.advance)
        self.reels: list[Reel] = []

    def run(
        self, *attempts: Script | Exception, lossless: bool = False, parent: Parent | None = None, reference: str | None = None
    ) -> EyeLoop:
        """Open the attempts one after the other; an error is a camera that does not open. Ends with the last of them."""
        pending = list(attempts)

        def opener(_: CameraSection, __: Timer) -> Camera:
            if not pending:
                self.stop.told = True
                return Reel(self.clock, [])
            attempt = pending.pop(0)
            if isinstance(attempt, Exception):
                raise attempt
            self.reels.append(Reel(self.clock, attempt, lossless=lossless))
            return self.reels[-1]

        loop = EyeLoop(
            self.tape, make_ladder(), self.alarm, self.stop, notifier=self.notes, parent=parent, timer=self.timer, reference=reference
        )
        loop.run(CameraSection(), opener)
        return loop


def shot(pixels: Luma, taken_ns: int = 5, **light: float) -> Frame:
    """A frame."""
    exposure, lens = light.get("exposure_us"), light.get("lens_dioptre")
    return Frame(pixels, taken_ns, "shot", None if exposure is None else int(exposure), lens)


def test_a_code_becomes_a_sighting_with_its_frame_its_time_and_its_rung() -> None:
    """Exposure and focus stand behind the rung."""
    bench = Bench()
    bench.run([shot(EMPTY), shot(symbol(b"seen"), 42, exposure_us=8000, lens_dioptre=5.5)])
    (sighting,) = bench.tape.messages(Sighting)
    assert isinstance(sighting, Sighting)
    assert (sighting.payload, sighting.frame, sighting.taken_ns, sighting.partial) == (b"seen", 2, 42, False)
    assert sighting.step == "zxing@8000us,5.5D"


def test_several_codes_are_told_largest_first_with_the_same_frame() -> None:
    """The gate sees that they belong together."""
    bench = Bench()
    bench.run([shot(on_page([symbol(b"small", 4), symbol(b"large", 9)]))])
    seen = [(message.payload, message.frame) for message in bench.tape.messages(Sighting) if isinstance(message, Sighting)]
    assert seen == [(b"large", 1), (b"small", 1)]


def test_a_part_of_a_set_is_told_as_such() -> None:
    """The gate refuses it with its own reason."""
    bench = Bench()
    bench.run([shot(set_pages(b"part " * 20, 2)[0])])
    assert [seen.partial for seen in bench.tape.messages(Sighting) if isinstance(seen, Sighting)] == [True]


def test_a_code_that_cannot_be_read_is_a_glimpse() -> None:
    """So that the gate can ask to come closer."""
    picture = symbol(b"064090001234||" + b"x" * 80, scale=6, error="L")
    middle = picture.shape[0] // 2
    picture[middle - 30 : middle + 30, middle - 30 : middle + 30] = 0
    bench = Bench()
    loop = bench.run([shot(picture, 77), 0.05, shot(picture, 78), 0.15, shot(picture, 79)])
    told = Glimpse(frame=1, taken_ns=77, cause=Cause.UNREADABLE, px_per_module=6.0)
    assert bench.tape.messages(Glimpse) == [told, told.model_copy(update={"frame": 3, "taken_ns": 79})]
    assert (loop.counts.read, loop.counts.empty) == (0, 0)
    assert bench.reels[0].judgements == [(False, Cause.UNREADABLE), (False, Cause.UNREADABLE)]


def test_the_sun_in_the_lens_is_told_as_a_view_and_is_no_camera_that_stopped() -> None:
    """The same white frame for a minute; the short exposure alone says so where the long one is always white."""
    bench = Bench(waits=100_000)
    white, room = np.full((480, 640), 235, np.uint8), np.add.outer(np.arange(480) % 200, np.arange(640) % 20).astype(np.uint8)
    script: list[Item | float | Exception] = []
    for number in range(600):
        short = number % 2 == 0
        script += [0.2, replace(shot(white if number < 300 or not short else room), exposure_us=1_000 if short else 8_000)]
    bench.run(script)
    views = [message.view for message in bench.tape.messages(Beat) if isinstance(message, Beat)]
    assert [view for view, _ in itertools.groupby(views)] == [View.OK, View.BRIGHT, View.OK]
    assert [trouble.code for trouble in bench.tape.messages(Trouble) if isinstance(trouble, Trouble)] == ["source_ended"]


def test_the_reference_code_is_nobodys_and_tells_how_the_camera_sees() -> None:
    """It is not told as a sighting; when it is gone for half a minute the beats say so, and no longer when it is back."""
    bench = Bench(waits=100_000)
    scenery = np.full((700, 700), 90, np.uint8)
    scenery[::7] = 140
    shown = scenery.copy()
    code = symbol(b"PLATE 7", 4)
    shown[40 : 40 + len(code), 40 : 40 + len(code)] = code
    person = shown.copy()
    card = symbol(b"somebody", 5)
    person[300 : 300 + len(card), 300 : 300 + len(card)] = card
    script: list[Item | float | Exception] = []
    for number in range(400):
        script += [0.2, shot(scenery if 50 <= number < 250 else person if number == 300 else shown)]
    loop = bench.run(script, reference="PLATE 7")
    assert [seen.payload for seen in bench.tape.messages(Sighting) if isinstance(seen, Sighting)] == [b"somebody"]
    views = [message.view for message in bench.tape.messages(Beat) if isinstance(message, Beat)]
    assert [view for view, _ in itertools.groupby(views)] == [View.OK, View.MISSING, View.OK]
    assert 38 < views.index(View.MISSING) * 0.4 < 43
    assert loop.counts.read == 1


def test_beats_follow_frames_and_come_four_times_a_second() -> None:
    """With the counts since the start."""
    bench = Bench(waits=0)
    items: list[Item | float | Exception] = []
    for number in range(20):
        items += [0.05, shot(EMPTY, number)]
    bench.stop = Stop(bench.clock, 1)
    bench.run(items)
    times = [at for at, message in bench.tape.said if isinstance(message, Beat)]
    gaps = {after - before for before, after in itertools.pairwise(times)}
    assert max(gaps) <= 0.3 * SECOND_NS
    last = bench.tape.messages(Beat)[-1]
    assert isinstance(last, Beat)
    assert last.frames >= 15
    assert last.empty == last.frames


def test_slow_frames_never_keep_the_gate_waiting_for_longer_than_the_limit_for_one() -> None:
    """Each takes nearly all that it may: a beat before and a beat after."""
    bench = Bench()

    class Slow:
        name = "zxing"

        def look(self, _: Luma) -> Look:
            bench.clock.advance(1.4)
            return Look()

    loop = EyeLoop(bench.tape, Ladder([Slow()]), bench.alarm, bench.stop, timer=bench.timer)
    script: Script = [*[part for _ in range(6) for part in (0.3, shot(EMPTY))], CameraStopped("the end")]
    with pytest.raises(CameraStopped):
        loop.run(CameraSection(), lambda *_: Reel(bench.clock, script))
    times = [at for at, message in bench.tape.said if isinstance(message, Beat)]
    assert max(after - before for before, after in itertools.pairwise(times)) <= 1.5 * SECOND_NS


def test_a_slow_source_that_says_it_is_idle_keeps_beating_and_a_hung_camera_does_not() -> None:
    """A folder at one frame in five seconds is well; silence is not."""
    idle = Bench()
    idle.run([part for _ in range(25) for part in (0.2, Idle())])
    assert len(idle.tape.messages(Beat)) >= 12
    hung = Bench()
    hung.run([shot(EMPTY), 5.0, CameraStopped("no frame for 1 s")])
    assert len(hung.tape.messages(Beat)) == 1


def test_a_camera_that_stops_is_started_anew_and_then_the_eye_and_each_is_said() -> None:
    """Some hangs end with the camera, the rest with the process: the camera is given back first, within a short limit of its own."""
    bench = Bench()
    stops = CameraStopped("no frame for 1 s")
    with pytest.raises(CameraStopped):
        bench.run([shot(EMPTY), stops], [shot(EMPTY), 20.0, shot(EMPTY), stops])
    first, second = "no frame for 1 s; the camera is started anew", "no frame for 1 s; the eye is started anew"
    assert bench.tape.messages(Trouble) == [Trouble(code="camera_stopped", what=what) for what in (first, second)]
    assert [reel.closed for reel in bench.reels] == [1, 1]
    assert bench.alarm.limits.count(3.0) == 2


def test_a_camera_that_stops_once_an_hour_is_only_ever_started_anew() -> None:
    """The process stays, and with it the count of its frames."""
    bench = Bench(waits=100_000)
    stops = CameraStopped("no frame for 1 s")
    loop = bench.run([shot(EMPTY), stops], [61.0, shot(EMPTY), stops], [shot(EMPTY), 61.0, stops], [shot(EMPTY)])
    assert loop.counts.frames == 4
    stopped = [
        message.what for message in bench.tape.messages(Trouble) if isinstance(message, Trouble) and message.code == "camera_stopped"
    ]
    assert stopped == ["no frame for 1 s; the camera is started anew"] * 3


def test_a_missing_camera_is_said_again_and_again_without_beats_until_it_is_there() -> None:
    """A trouble is no beat: the gate stays out of service, and knows that the eye is not hung."""
    bench = Bench(waits=30)
    bench.run(CameraMissing("no camera"), CameraMissing("no camera"), [shot(symbol(b"back again"))])
    troubles = [at for at, message in bench.tape.said if isinstance(message, Trouble) and message.code == "camera_missing"]
    assert len(troubles) == 4 + 8
    assert max(after - before for before, after in itertools.pairwise(troubles)) <= 0.3 * SECOND_NS
    first_beat = min(at for at, message in bench.tape.said if isinstance(message, Beat))
    assert first_beat > troubles[-1]
    assert len(bench.tape.messages(Sighting)) == 1


def test_a_camera_that_is_stuck_is_reported_and_ends_the_eye() -> None:
    """Another process may have it."""
    bench = Bench()
    with pytest.raises(CameraStopped):
        bench.run(CameraStopped("cannot be opened"))
    assert bench.tape.messages(Trouble) == [Trouble(code="camera_stopped", what="cannot be opened")]


def test_attempts_come_further_apart_and_never_end() -> None:
    """One second, two, four … thirty."""
    bench = Bench(waits=1200)
    opened: list[int] = []

    def opener(_: CameraSection, __: Timer) -> Camera:
        opened.append(bench.clock.now_ns)
        raise CameraMissing("no camera")

    loop = EyeLoop(bench.tape, make_ladder(), bench.alarm, bench.stop, timer=bench.timer)
    loop.run(CameraSection(), opener)
    waits = [(after - before) / SECOND_NS for before, after in itertools.pairwise(opened)]
    assert waits == [1, 2, 4, 8, 16, *[30] * (len(waits) - 5)]
    assert len(waits) > 10


def test_a_source_that_goes_away_is_waited_for() -> None:
    """A memory stick that was pulled out."""
    bench = Bench(waits=20)
    bench.run([shot(EMPTY), SourceUnreadable("/media/stick: no such folder")], [shot(symbol(b"plugged in"))])
    assert "stick" in str(bench.tape.messages(Trouble)[0])
    assert len(bench.tape.messages(Sighting)) == 1
    assert [reel.closed for reel in bench.reels] == [1, 1]


def test_a_bad_frame_is_named_and_counted_and_looking_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """Its name may be no text."""
    bench = Bench()
    loop = bench.run([BadFrame("x.png", "/frames/\udcff.png: empty"), shot(symbol(b"after it"))])
    trouble = bench.tape.messages(Trouble)[0]
    assert isinstance(trouble, Trouble)
    assert (trouble.code, trouble.what) == ("unreadable_frame", "/frames/\\udcff.png: empty")
    assert loop.counts.bad == 1
    assert "skipped" in caplog.text
    assert len(bench.tape.messages(Sighting)) == 1


def test_a_source_that_has_ended_is_reported_once_and_the_eye_stays_well() -> None:
    """A new eye would play everything again."""
    bench = Bench(waits=40)
    bench.run([shot(EMPTY)], lossless=True)
    assert bench.tape.messages(Trouble) == [Trouble(code="source_ended", what="1 frames, 0 unreadable")]
    assert len(bench.tape.messages(Beat)) > 15


def test_a_source_to_be_seen_whole_waits_for_the_gate_and_loses_nothing() -> None:
    """Before the first frame, and at each message that is not taken."""
    bench = Bench(waits=200)
    bench.tape.reachable_after_ns = bench.clock.now_ns + SECOND_NS
    bench.tape.refusals = 20
    bench.run([shot(symbol(f"whole {number}".encode())) for number in range(5)], lossless=True)
    seen = [message.payload for message in bench.tape.messages(Sighting) if isinstance(message, Sighting)]
    assert seen == [f"whole {number}".encode() for number in range(5)]
    assert all(at >= bench.tape.reachable_after_ns for at, _ in bench.tape.said)


def test_any_other_source_never_waits_for_the_gate() -> None:
    """What cannot be sent is dropped."""
    bench = Bench()
    bench.tape.refusals = 1000
    bench.run([shot(symbol(b"dropped"))])
    assert bench.tape.said == []
    assert bench.tape.dropped >= 2


def test_each_frame_has_a_limit_and_waiting_for_the_next_another() -> None:
    """And none is left when the loop is over."""
    bench = Bench()
    bench.run([shot(EMPTY), shot(EMPTY)])
    assert bench.alarm.limits.count(1.5) >= 2 + 2
    assert set(bench.alarm.limits[1:]) == {1.5, 3.0, 5.0, None}
    assert bench.alarm.limits[-1] is None


def test_an_eye_of_its_own_ends_with_its_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the gate is another process's child by now, or when nobody has listened for ten seconds."""
    frames = [shot(EMPTY)] * 100
    for gone, alone_s, limit in ((True, 0.0, 0), (False, 11.0, 0), (False, 9.0, 100)):
        bench = Bench()
        parent = Parent()
        parent.pid = 1
        monkeypatch.setattr(Parent, "gone", gone)
        bench.tape.alone_for_s = alone_s
        assert bench.run(frames, parent=parent).counts.frames == limit


def test_an_eye_run_separately_waits_for_its_gate_for_ever() -> None:
    """Its service manager looks after it."""
    bench = Bench()
    bench.tape.alone_for_s = 10_000
    assert bench.run([shot(EMPTY)], parent=Parent()).counts.frames == 1


def test_the_service_manager_hears_of_the_start_and_of_life_also_without_a_camera() -> None:
    """Waiting for a camera is not hanging: the watchdog is fed."""
    bench = Bench(waits=10)
    bench.run(CameraMissing("no camera"), [shot(EMPTY)])
    assert bench.notes.lines[0] == "ready"
    assert bench.notes.lines.count("ready") == 1
    assert bench.notes.lines.count("alive") >= 5


def test_skipped_frames_of_all_cameras_are_added_up() -> None:
    """The count in the beats never goes back."""
    bench = Bench(waits=50)

    class Skipping(Reel):
        def frames(self) -> Items:
            self.skipped = 4
            yield from super().frames()

    reels = [Skipping(bench.clock, [shot(EMPTY), SourceUnreadable("gone")]), Skipping(bench.clock, [0.5, shot(EMPTY), 0.5, shot(EMPTY)])]

    def opener(_: CameraSection, __: Timer) -> Camera:
        if not reels:
            bench.stop.told = True
            raise CameraMissing("none")
        return reels.pop(0)

    loop = EyeLoop(bench.tape, make_ladder(), bench.alarm, bench.stop, timer=bench.timer)
    loop.run(CameraSection(), opener)
    assert loop.counts.skipped == 8


def test_no_payload_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At no level."""
    caplog.set_level("DEBUG")
    bench = Bench()
    bench.run([shot(symbol(b"064090001234|secret"))])
    assert len(bench.tape.messages(Sighting)) == 1
    assert "secret" not in caplog.text
