"""The decision path: recorded before shown, whatever happens to eye, disk and clock."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import pytest

from device.core.eye_messages import Beat, Glimpse, Message, Trouble
from device.core.machine import State
from device.core.memory import Memory
from device.core.rules import Rules
from device.core.types import Box, Cause, Channel, JsonObject, Kind, Sighting, Sign, Verdict, View
from device.core.wire import Terms
from device.judge import Judge
from device.loop import START_GRACE_NS, Loop, LoopSettings
from device.scribe import Scribe
from device.workbench.foreign_codes import payment_code
from device.workbench.people import can_cuoc, citizen_card, people, seeded
from tests.fakes.clock import FakeClock
from tests.fakes.eye import ScriptedEye
from tests.fakes.journal import MemoryJournal

MS = 1_000_000
AN, BINH = people(2, seeded(3))
RULES = Rules(
    frozenset({Kind.CITIZEN_CARD}),
    None,
    duplicate_window_ns=10_000 * MS,
    in_out_reset_ns=10**15,
    unknown_clock=Verdict.REFER,
    utc_offset_min=420,
)
BEAT = Beat(frames=1, skipped=0, empty=1, read=0, taken_ns=0, cpu_ms=1)


class ShownSigns:
    """`ports.Signals` that remembers, with what the record held at that moment."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.shown: list[tuple[Sign, bool]] = []
        self.recorded: list[int] = []
        self.opened: list[int] = []
        self._journal = journal

    def show(self, sign: Sign, *, queued: bool = False) -> None:
        """Remember the sign and how many check-ins were durable."""
        self.shown.append((sign, queued))
        self.recorded.append(self._durable())

    def open_door(self) -> None:
        """Remember how many check-ins were durable."""
        self.opened.append(self._durable())

    def close(self) -> None:
        """Nothing to close."""

    def _durable(self) -> int:
        return sum(entry.channel is Channel.CHECKIN for entry in self._journal.entries)


@dataclass
class Scene:
    """A loop with its fakes, and what a test says of them."""

    strict: bool = False
    clock: FakeClock = field(default_factory=FakeClock)
    eye: ScriptedEye = field(default_factory=ScriptedEye)

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(self.clock, lambda *_: b"{}")
        self.signals = ShownSigns(self.journal)
        self.loop = self.make()
        self.frame = 0

    def make(self) -> Loop:
        """A loop as after a start of the program."""
        judge = Judge(RULES, bytes(32), memory=Memory(RULES.in_out_reset_ns, self.journal.passages()))
        scribe = Scribe(Terms("site-1", "1", "v1", "tests", "none"))
        settings = LoopSettings(rearm_ns=500 * MS, budget_s=0.02, strict=self.strict)
        return Loop(settings, self.clock, eye=self.eye, judge=judge, scribe=scribe, journal=self.journal, signals=self.signals)

    def see(self, *payloads: bytes, partial: bool = False) -> None:
        """One frame with these codes."""
        self.frame += 1
        now = self.clock.monotonic_ns()
        self.say(*(Sighting(payload, self.frame, now, now, Box(0, 0, 9, 9), "test", partial=partial) for payload in payloads))

    def say(self, *messages: Message) -> None:
        """The eye says this, and the loop handles it."""
        self.eye.send(*messages)
        for _ in messages:
            self.loop.turn(0)

    def wait(self, seconds: float) -> None:
        """Time passes with nothing said."""
        self.clock.advance(seconds)
        self.loop.turn(0)

    def data(self, channel: Channel = Channel.CHECKIN) -> list[JsonObject]:
        """The data of what was recorded."""
        return [entry.data for entry in self.journal.entries if entry.channel is channel]

    def signs(self) -> list[Sign]:
        """What was shown."""
        return [sign for sign, _ in self.signals.shown]


@pytest.fixture
def scene() -> Scene:
    """A gate that is ready."""
    one = Scene()
    one.say(BEAT)
    assert one.loop.state is State.READY
    return one


def test_a_card_is_recorded_then_shown_then_the_door_opens(scene: Scene) -> None:
    """In this order, and once."""
    scene.see(citizen_card(AN))
    assert scene.signs() == [Sign.READY, Sign.ACCEPT_IN]
    assert scene.signals.recorded == [0, 1]
    assert scene.signals.opened == [1]
    (data,) = scene.data()
    assert (data["decision"], data["reason"], data["direction"]) == ("accept", "accepted", "in")


def test_a_refused_code_is_recorded_and_shown_and_no_door_opens(scene: Scene) -> None:
    """A reject is as complete as an accept."""
    scene.see(payment_code("0123456789"))
    assert scene.signs() == [Sign.READY, Sign.REJECT]
    assert scene.signals.recorded[-1] == 1
    assert scene.signals.opened == []
    assert scene.data()[0]["reason"] == "payment_code"


def test_a_code_held_on_is_decided_once(scene: Scene) -> None:
    """Ten frames of one card."""
    for _ in range(10):
        scene.see(citizen_card(AN))
        scene.clock.advance(0.1)
    assert scene.loop.tally.decisions == 1


def test_a_card_taken_away_and_shown_again_was_just_scanned_then_goes_out(scene: Scene) -> None:
    """Inside the window no second passage; after it the other way."""
    scene.see(citizen_card(AN))
    scene.wait(2)
    scene.see(citizen_card(AN))
    scene.wait(10)
    scene.see(citizen_card(AN))
    assert scene.signs() == [Sign.READY, Sign.ACCEPT_IN, Sign.ALREADY, Sign.ACCEPT_OUT]
    assert [data.get("direction") for data in scene.data()] == ["in", None, "out"]


def test_both_cards_of_one_person_are_one_person(scene: Scene) -> None:
    """The old card and the new one hold the same number."""
    scene.see(citizen_card(AN))
    scene.see(can_cuoc(AN))
    assert scene.signs()[-1] is Sign.ALREADY


def test_codes_of_one_frame_are_all_decided_and_the_answers_wait_for_each_other(scene: Scene) -> None:
    """None is lost; the second answer does not cut the first."""
    scene.see(citizen_card(AN), citizen_card(BINH))
    assert scene.signals.shown[1:] == [(Sign.ACCEPT_IN, False), (Sign.ACCEPT_IN, True)]
    assert scene.loop.tally.decisions == 2


def test_the_next_different_code_cuts_the_answer_before_it(scene: Scene) -> None:
    """Two people in turn never wait for each other."""
    scene.see(citizen_card(AN))
    scene.clock.advance(0.1)
    scene.see(citizen_card(BINH))
    assert scene.signals.shown[1:] == [(Sign.ACCEPT_IN, False), (Sign.ACCEPT_IN, False)]


def test_a_part_of_a_set_is_refused(scene: Scene) -> None:
    """It is no whole message, and the person is told at once."""
    scene.see(b"064", partial=True)
    assert scene.data()[0]["reason"] == "partial_code"


def test_passages_are_remembered_over_a_restart(scene: Scene) -> None:
    """The new loop begins with what the record remembers."""
    scene.see(citizen_card(AN))
    scene.loop = scene.make()
    scene.wait(20)
    scene.see(citizen_card(AN))
    assert scene.signs()[-1] is Sign.ACCEPT_OUT


def test_a_slow_disk_does_not_hold_the_lamp(scene: Scene) -> None:
    """Past the budget the answer is shown and counted; when the disk returns the event is there."""
    scene.journal.stall()
    scene.see(citizen_card(AN))
    assert scene.signs()[-1] is Sign.ACCEPT_IN
    assert (scene.loop.tally.record_late, scene.loop.tally.recorded) == (1, 0)
    scene.journal.resume()
    assert scene.loop.tally.recorded == 1
    assert len(scene.data()) == 1


def test_a_failing_disk_does_not_hold_the_gate(scene: Scene) -> None:
    """Decisions and lamps go on, the failure is counted, and the events come when the disk is back."""
    scene.journal.fail()
    scene.see(citizen_card(AN))
    scene.see(citizen_card(BINH))
    assert scene.signs()[1:] == [Sign.ACCEPT_IN, Sign.ACCEPT_IN]
    assert scene.loop.tally.record_failed == 2
    scene.journal.recover()
    assert len(scene.data()) == 2


def test_a_strict_gate_opens_to_nobody_whom_it_cannot_record() -> None:
    """It refers the person instead, does not count the passage, and says so in the record when the disk is back."""
    scene = Scene(strict=True)
    scene.say(BEAT)
    scene.journal.fail()
    scene.see(citizen_card(AN))
    assert scene.signs()[-1] is Sign.REFER
    assert scene.signals.opened == []
    assert (scene.loop.tally.accepted, scene.loop.tally.referred) == (0, 1)
    scene.journal.recover()
    assert [(data["decision"], data["reason"], data.get("direction")) for data in scene.data()] == [("refer", "not_recorded", None)]
    scene.wait(1)
    scene.see(citizen_card(AN))
    assert scene.signs()[-1] is Sign.ACCEPT_IN


def test_a_silent_eye_puts_the_gate_out_of_service_and_a_beat_brings_it_back(scene: Scene) -> None:
    """Both are recorded."""
    scene.eye.fall_silent()
    scene.wait(0.1)
    assert scene.loop.state is State.OUT_OF_SERVICE
    scene.clock.advance(7)
    scene.say(BEAT)
    assert scene.signs() == [Sign.READY, Sign.OUT_OF_SERVICE, Sign.READY]
    assert scene.data(Channel.AUDIT) == [{"what": "eye_lost"}, {"what": "eye_back", "away_ms": 7000}]


def test_a_starting_eye_has_some_seconds() -> None:
    """The lamp does not flash "out of service" at every start; a camera that never comes does."""
    scene = Scene()
    scene.wait(START_GRACE_NS / 1e9 - 0.001)
    assert scene.signs() == []
    scene.wait(0.001)
    assert scene.signs() == [Sign.OUT_OF_SERVICE]


def test_a_sighting_is_a_sign_of_life(scene: Scene) -> None:
    """No decision is dropped because its beat comes later."""
    scene.eye.fall_silent()
    scene.wait(0.1)
    scene.see(citizen_card(AN))
    assert scene.signs()[-3:] == [Sign.OUT_OF_SERVICE, Sign.ACCEPT_IN, Sign.READY]


def test_an_unreadable_code_is_asked_for_after_a_second_and_the_answer_ends_the_asking(scene: Scene) -> None:
    """First "closer, hold still", then the answer, then ready."""
    for number in range(14):
        scene.say(Glimpse(frame=number, taken_ns=scene.clock.monotonic_ns()))
        scene.clock.advance(0.1)
    assert scene.signs() == [Sign.READY, Sign.UNREADABLE]
    scene.see(citizen_card(AN))
    assert scene.signs()[2:] == [Sign.ACCEPT_IN, Sign.READY]


def test_an_unreadable_code_that_goes_away_ends_the_asking(scene: Scene) -> None:
    """The lamp does not ask an empty room."""
    for number in range(14):
        scene.say(Glimpse(frame=number, taken_ns=scene.clock.monotonic_ns()))
        scene.clock.advance(0.1)
    scene.wait(1)
    assert scene.signs() == [Sign.READY, Sign.UNREADABLE, Sign.READY]


def test_what_cannot_be_read_is_counted_once_a_showing_by_its_cause(scene: Scene) -> None:
    """When the person is told, by what the eye says then; a glimpse that passes is none."""
    for showing, cause in enumerate((Cause.BLURRED, Cause.GLARE, Cause.BLURRED)):
        for number in range(14):
            scene.say(Glimpse(frame=100 * showing + number, taken_ns=scene.clock.monotonic_ns(), cause=cause, px_per_module=3.1))
            scene.clock.advance(0.1)
        scene.wait(2)
    scene.say(Glimpse(frame=999, taken_ns=scene.clock.monotonic_ns(), cause=Cause.DARK))
    assert scene.loop.tally.unreadable == {Cause.BLURRED: 2, Cause.GLARE: 1}


def test_a_view_that_goes_wrong_and_right_again_is_on_record(scene: Scene) -> None:
    """Each change once, however often the eye says it."""
    for view in (View.OK, View.COVERED, View.COVERED, View.OK, View.OK):
        scene.say(BEAT.model_copy(update={"view": view}))
    assert scene.data(Channel.AUDIT) == [
        {"what": "camera_view", "view": "covered", "before": "ok"},
        {"what": "camera_view", "view": "ok", "before": "covered"},
    ]


def test_times_that_an_eye_makes_up_are_kept_near_now(scene: Scene) -> None:
    """A hostile eye cannot keep a code "held" for a year, nor freeze the hint."""
    now = scene.clock.monotonic_ns()
    for taken_ns in (now + 10**18, 0):
        scene.say(Sighting(citizen_card(AN), 1, taken_ns, taken_ns, Box(0, 0, 9, 9), "test"))
    scene.wait(1)
    scene.see(citizen_card(AN))
    assert scene.loop.tally.decisions == 2


def test_a_lasting_trouble_is_told_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log for each change, counted each time, and nothing that could move a terminal."""
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            scene.say(Trouble(code="camera_missing", what="no camera \x1b[31m"))
        scene.say(Trouble(code="source_ended", what="frames"))
    assert caplog.text.count("camera_missing") == 1
    assert "\x1b" not in caplog.text
    assert scene.loop.tally.troubles == 6
    assert scene.loop.source_ended


def test_the_time_to_the_lamp_is_taken_when_the_pins_have_it(scene: Scene) -> None:
    """Not when it was asked for; another sign than the awaited one does not count."""
    scene.see(citizen_card(AN))
    scene.loop.lit(Sign.READY)
    assert scene.loop.tally.lamp_ms.count == 0
    scene.clock.advance(0.1)
    scene.see(citizen_card(BINH))
    scene.clock.advance(0.012)
    scene.loop.lit(Sign.ACCEPT_IN)
    assert scene.loop.tally.lamp_ms.percentile(50) == pytest.approx(12)
    scene.loop.lit(Sign.ACCEPT_IN)
    assert scene.loop.tally.lamp_ms.count == 1


def test_a_stopped_loop_decides_nothing(scene: Scene) -> None:
    """After the stop nothing is shown or recorded."""
    scene.loop.stop()
    scene.see(citizen_card(AN))
    assert scene.loop.state is State.STOPPED
    assert scene.signs() == [Sign.READY]
