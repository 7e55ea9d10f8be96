"""The player: which sign is due at each moment, whatever is asked of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import device
from device.core.player import QUEUE_LIMIT, REPEAT_DARK_MS, Player, Snapshot
from device.core.score import Kit, Lamp, Profile, Score
from device.core.signal_rules import FLASH_LIMIT
from device.core.signals import changes, patterns
from device.core.types import Sign

SCORE = Score.from_tree(tomllib.loads((Path(device.__file__).parent / "score.toml").read_text(encoding="utf-8")))
MS = 1_000_000
START_NS = 77 * MS + 123_456
"""Not on a whole millisecond: nothing may depend on it."""

T = TypeVar("T")

PASSING = (Sign.ACCEPT_IN, Sign.ACCEPT_OUT, Sign.ALREADY, Sign.REJECT, Sign.REFER, Sign.ORDER_TAKEN)


@dataclass
class Stage:
    """A player with a clock, which plays as the pins do: whenever something is due, and when something is asked."""

    profile: Profile = "normal"
    kit: Kit = "full"
    pulse_ms: int = 500
    ms: int = 0
    seen: list[tuple[int, Snapshot]] = field(default_factory=list)
    player: Player = field(init=False)

    def __post_init__(self) -> None:
        self.player = Player(patterns(SCORE, self.profile, self.kit), self.pulse_ms)
        self.look()

    def look(self) -> Snapshot:
        """What is shown now; remembered when it changes."""
        snapshot = self.player.advance(START_NS + self.ms * MS)
        if not self.seen or snapshot != self.seen[-1][1]:
            self.seen.append((self.ms, snapshot))
        return snapshot

    def show(self, sign: Sign, *, queued: bool = False) -> Snapshot:
        """Ask for a sign now."""
        self.player.show(sign, START_NS + self.ms * MS, queued=queued)
        return self.look()

    def open_door(self) -> Snapshot:
        """Ask for the door now."""
        self.player.open_door(START_NS + self.ms * MS)
        return self.look()

    def play(self, ms: int) -> Snapshot:
        """Let so much time pass, looking whenever something is due."""
        end_ms = self.ms + ms
        while self.player.due_ns is not None and (due_ms := self.due_ms()) <= end_ms:
            assert due_ms > self.ms, "time stands still"
            self.ms = due_ms
            self.look()
        self.ms = end_ms
        return self.look()

    def due_ms(self) -> int:
        """When something is due; it must be on a whole millisecond after the beginning."""
        assert self.player.due_ns is not None
        due_ms, rest = divmod(self.player.due_ns - START_NS, MS)
        assert rest == 0
        return due_ms

    def signs(self) -> list[tuple[int, Sign | None]]:
        """When each sign began."""
        return began((at, snapshot.sign) for at, snapshot in self.seen)

    def lit_ms(self, lamp: Lamp) -> list[int]:
        """When a lamp lit."""
        return [at for (_, before), (at, after) in pairwise(self.seen) if after.lamps[lamp] and not before.lamps[lamp]]

    def beeps_ms(self) -> list[int]:
        """When each beep began."""
        return [at for at, tone in began((at, snapshot.tone_hz) for at, snapshot in self.seen) if tone is not None]


def began(values: Iterable[tuple[int, T]]) -> list[tuple[int, T]]:
    """Only where the value changes."""
    all_values = list(values)
    return [one for place, one in enumerate(all_values) if place == 0 or one[1] != all_values[place - 1][1]]


def looks(snapshot: Snapshot) -> tuple[Sign | None, Mapping[Lamp, float], int | None]:
    """What somebody sees and hears."""
    return snapshot.sign, snapshot.lamps, snapshot.tone_hz


def test_before_the_first_sign_all_is_dark_and_silent() -> None:
    """Nothing is due, and no lamp, not even the light on the card, is lit."""
    stage = Stage()
    after = stage.play(10_000)
    assert looks(after) == (None, dict.fromkeys(Lamp, 0.0), None)
    assert not after.relay
    assert stage.player.due_ns is None


@pytest.mark.parametrize("kit", ["full", "basic"])
@pytest.mark.parametrize("profile", ["normal", "night", "noisy"])
@pytest.mark.parametrize("sign", PASSING)
def test_a_passing_sign_plays_its_pattern_and_the_standing_sign_comes_back(sign: Sign, profile: Profile, kit: Kit) -> None:
    """Each change comes at its millisecond, and at the end of the last one ready is shown again from its beginning."""
    stage = Stage(profile, kit)
    ready = stage.show(Sign.READY)
    stage.play(1_230)
    stage.seen.clear()
    stage.show(sign)
    pattern = patterns(SCORE, profile, kit)[sign]
    assert looks(stage.play(pattern.length_ms)) == looks(ready)
    dark = dict.fromkeys(ready.lamps, 0.0)
    expected = [
        (moment.at_ms, dark | dict(moment.lamps), moment.tone_hz) for moment in changes(pattern) if moment.at_ms < pattern.length_ms
    ]
    assert [(at - 1_230, one.lamps, one.tone_hz) for at, one in stage.seen[:-1]] == expected
    assert stage.seen[-1][0] == 1_230 + pattern.length_ms
    assert {one.sign for _, one in stage.seen[:-1]} == {sign}


def test_a_new_answer_cancels_the_running_one_at_once() -> None:
    """The next person's code does not wait for the signal of the one before."""
    stage = Stage()
    stage.show(Sign.READY)
    stage.show(Sign.REJECT)
    stage.play(100)
    after = stage.show(Sign.ACCEPT_IN)
    assert (after.sign, after.lamps[Lamp.GREEN], after.lamps[Lamp.RED], after.tone_hz) == (Sign.ACCEPT_IN, 1.0, 0.0, 2000)
    stage.play(5_000)
    assert stage.signs() == [(0, None), (0, Sign.READY), (0, Sign.REJECT), (100, Sign.ACCEPT_IN), (1_100, Sign.READY)]


def test_queued_answers_follow_one_another_and_then_the_standing_sign() -> None:
    """Two codes in one frame are answered in turn, each whole."""
    stage = Stage()
    stage.show(Sign.READY)
    stage.show(Sign.REJECT, queued=True)
    stage.show(Sign.ACCEPT_IN, queued=True)
    stage.show(Sign.REFER, queued=True)
    stage.play(10_000)
    assert stage.signs()[2:] == [(0, Sign.REJECT), (2_000, Sign.ACCEPT_IN), (3_000, Sign.REFER), (4_500, Sign.READY)]


def test_the_queue_holds_four_and_keeps_the_oldest() -> None:
    """What comes on top is dropped and counted."""
    stage = Stage()
    for sign in (Sign.REJECT, *[Sign.ACCEPT_IN, Sign.REFER] * 2, Sign.ALREADY, Sign.ALREADY):
        stage.show(sign, queued=True)
    stage.play(20_000)
    assert [sign for _, sign in stage.signs()[1:]] == [Sign.REJECT, *[Sign.ACCEPT_IN, Sign.REFER] * 2, None]
    assert (stage.player.dropped, QUEUE_LIMIT) == (2, 4)


def test_an_answer_at_once_empties_the_queue() -> None:
    """An older answer never comes after a newer one; what was dropped is counted."""
    stage = Stage()
    for sign in (Sign.REJECT, Sign.REFER, Sign.ALREADY):
        stage.show(sign, queued=True)
    stage.show(Sign.ACCEPT_IN)
    stage.play(10_000)
    assert stage.signs()[1:] == [(0, Sign.REJECT), (0, Sign.ACCEPT_IN), (1_000, None)]
    assert stage.player.dropped == 2


def test_an_answer_that_is_replaced_before_a_pin_was_written_is_counted() -> None:
    """Two answers in turn while the thread had no time: the first was seen by nobody, and that is told."""
    stage = Stage()
    for sign in (Sign.REJECT, Sign.ACCEPT_IN):
        stage.player.show(sign, START_NS)
    assert (stage.look().sign, stage.player.dropped) == (Sign.ACCEPT_IN, 1)
    stage.show(Sign.REJECT)
    assert stage.player.dropped == 1, "seen, then replaced: nothing was kept from anybody"


def test_a_light_that_is_still_lit_because_the_thread_is_late_goes_out_before_the_same_one_begins() -> None:
    """By the pattern it would be dark by now; by the pins it is not."""
    stage = Stage()
    assert stage.show(Sign.REJECT).lamps[Lamp.RED] == 1
    pattern = patterns(SCORE, "normal", "full")[Sign.REJECT]
    stage.ms = next(ms for ms in range(pattern.length_ms) if not pattern.levels_at(ms)[Lamp.RED]) + 1
    assert stage.show(Sign.REJECT).lamps[Lamp.RED] == 0
    stage.ms += REPEAT_DARK_MS
    assert stage.look().lamps[Lamp.RED] == 1


def test_a_standing_sign_waits_for_the_passing_ones_and_the_newest_wins() -> None:
    """Unreadable and ready come only when the answers are over."""
    stage = Stage()
    stage.show(Sign.ACCEPT_IN)
    stage.show(Sign.REFER, queued=True)
    for sign in (Sign.READY, Sign.UNREADABLE):
        assert stage.show(sign).sign is Sign.ACCEPT_IN
    stage.play(3_000)
    assert stage.signs()[1:] == [(0, Sign.ACCEPT_IN), (1_000, Sign.REFER), (2_500, Sign.UNREADABLE)]


def test_out_of_service_takes_over_at_once_and_empties_the_queue() -> None:
    """What no longer works is seen at once, even in the middle of an answer."""
    stage = Stage()
    stage.show(Sign.READY)
    stage.show(Sign.REJECT)
    stage.show(Sign.REFER, queued=True)
    stage.play(100)
    assert stage.show(Sign.OUT_OF_SERVICE).lamps[Lamp.AMBER] == 1.0
    stage.play(10_000)
    assert stage.signs()[3:] == [(100, Sign.OUT_OF_SERVICE)]
    assert stage.player.dropped == 1


def test_an_answer_that_comes_late_is_shown_though_out_of_service() -> None:
    """It is not cut by saying out of service again, and out of service comes back after it."""
    stage = Stage()
    stage.show(Sign.OUT_OF_SERVICE)
    stage.play(300)
    stage.show(Sign.ACCEPT_IN)
    stage.play(100)
    assert stage.show(Sign.OUT_OF_SERVICE).sign is Sign.ACCEPT_IN
    stage.play(2_000)
    assert stage.signs()[1:] == [(0, Sign.OUT_OF_SERVICE), (300, Sign.ACCEPT_IN), (1_300, Sign.OUT_OF_SERVICE)]


def test_saying_the_standing_sign_again_does_not_begin_it_again() -> None:
    """A gate that repeats itself each second still blinks evenly."""
    stage = Stage()
    stage.show(Sign.OUT_OF_SERVICE)
    for _ in range(40):
        stage.play(110)
        stage.show(Sign.OUT_OF_SERVICE)
    assert stage.lit_ms(Lamp.AMBER) == [0, 2_000, 4_000]


@pytest.mark.parametrize("first", [Sign.ACCEPT_IN, Sign.ACCEPT_OUT])
@pytest.mark.parametrize("second", [Sign.ACCEPT_IN, Sign.ACCEPT_OUT])
def test_two_people_accepted_in_turn_see_two_lights(first: Sign, second: Sign) -> None:
    """Where green is lit already, the second answer begins with a short dark, cancelled or queued; then it is whole."""
    cut, queued = Stage(), Stage()
    cut.show(first)
    cut.play(300)
    assert cut.show(second).lamps[Lamp.GREEN] == 0
    cut.play(REPEAT_DARK_MS)
    assert cut.lit_ms(Lamp.GREEN)[:2] == [0, 380]
    assert cut.beeps_ms()[-1] == 380
    cut.play(1_000)
    assert cut.signs()[-1] == (1_380, None)
    queued.show(first)
    queued.show(second, queued=True)
    queued.play(1_000)
    assert queued.look().lamps[Lamp.GREEN] == 0
    assert queued.play(REPEAT_DARK_MS).lamps[Lamp.GREEN] == 1.0


def test_an_answer_on_other_lamps_begins_without_dark() -> None:
    """Only where nothing would be seen to change does an answer wait."""
    stage = Stage()
    stage.show(Sign.ACCEPT_IN)
    stage.play(300)
    assert stage.show(Sign.ALREADY).lamps[Lamp.AMBER] == 1.0
    stage.play(300)
    assert stage.show(Sign.ACCEPT_OUT).lamps[Lamp.GREEN] == 1.0


def test_a_lamp_never_lights_a_fourth_time_within_a_second() -> None:
    """Answers that follow too fast for the eye come late; that is counted, and the beep comes in time."""
    stage = Stage()
    shown = []
    for _ in range(4):
        stage.show(Sign.REJECT)
        stage.play(100)
        shown.append(stage.show(Sign.ACCEPT_IN))
        stage.play(100)
    assert stage.lit_ms(Lamp.RED) == [0, 200, 400]
    assert stage.lit_ms(Lamp.GREEN) == [100, 300, 500]
    assert (shown[-1].lamps[Lamp.GREEN], shown[-1].tone_hz) == (0.0, 2000)
    assert stage.player.held_back == 2
    stage.play(2_000)
    assert stage.lit_ms(Lamp.GREEN) == [100, 300, 500, 1_100]


def test_the_tick_of_unreadable_keeps_its_distance_when_the_sign_comes_and_goes() -> None:
    """A code held at the edge of the frame makes the sign come back every moment; a tick still comes at most every 2 s."""
    stage = Stage()
    for _ in range(60):
        stage.show(Sign.UNREADABLE)
        stage.play(110)
        stage.show(Sign.READY)
        stage.play(50)
    assert stage.beeps_ms()[0] == 0
    assert len(stage.beeps_ms()) >= 4
    assert min(later - earlier for earlier, later in pairwise(stage.beeps_ms())) >= 2_000


def test_the_chirp_of_out_of_service_comes_once_in_five_minutes_however_often_it_fails() -> None:
    """Not before 5 s, and not again before 300 s."""
    stage = Stage()
    for _ in range(100):
        stage.show(Sign.OUT_OF_SERVICE)
        stage.play(5_900)
        stage.show(Sign.READY)
        stage.play(100)
    assert stage.beeps_ms() == [5_000, 305_000]


def test_the_relay_is_held_for_its_pulse_whatever_the_lamps_do() -> None:
    """It goes by the clock alone: neither a cancelled accept nor out of service shortens it."""
    stage = Stage(pulse_ms=700)
    stage.show(Sign.ACCEPT_IN)
    assert stage.open_door().relay
    stage.play(200)
    stage.show(Sign.OUT_OF_SERVICE)
    assert stage.play(499).relay
    assert not stage.play(1).relay


def test_opening_an_open_door_extends_the_pulse() -> None:
    """The second person has the whole pulse too."""
    stage = Stage(pulse_ms=500)
    stage.open_door()
    stage.play(300)
    stage.open_door()
    assert stage.play(499).relay
    assert not stage.play(1).relay
    assert [at for at, relay in began((at, one.relay) for at, one in stage.seen) if relay] == [0]


def test_without_a_relay_opening_does_nothing() -> None:
    """A pulse of 0 ms."""
    stage = Stage(pulse_ms=0)
    assert not stage.open_door().relay
    assert stage.player.due_ns is None


def test_a_thread_that_wakes_late_still_shows_what_waited_whole() -> None:
    """A queued answer begins when it is first shown, not when it should have been: nobody's answer passes unseen."""
    stage = Stage()
    stage.show(Sign.ACCEPT_IN)
    stage.show(Sign.REJECT, queued=True)
    stage.ms = 9_000
    assert stage.look().sign is Sign.REJECT
    stage.play(2_000)
    assert stage.signs()[1:] == [(0, Sign.ACCEPT_IN), (9_000, Sign.REJECT), (11_000, None)]


# --- whatever is asked --------------------------------------------------------------

requests = st.lists(
    st.tuples(st.integers(0, 2_500), st.sampled_from([*Sign, "door"]), st.booleans()),
    min_size=1,
    max_size=25,
)
kits = st.sampled_from(["full", "basic"])
profiles = st.sampled_from(["normal", "night", "noisy"])
Requests = list[tuple[int, Sign | str, bool]]


def ask(stage: Stage, asked: Requests) -> None:
    """Wait, ask, and so on."""
    for wait_ms, what, queued in asked:
        stage.play(wait_ms)
        if isinstance(what, Sign):
            stage.show(what, queued=queued)
        else:
            stage.open_door()


@given(requests, kits, profiles)
def test_after_all_answers_only_the_newest_standing_sign_is_left(asked: Requests, kit: Kit, profile: Profile) -> None:
    """No lamp stays on that does not belong there, and the relay is released."""
    stage = Stage(profile, kit)
    ask(stage, asked)
    stage.play(12_000)
    last = next((what for _, what, _ in reversed(asked) if isinstance(what, Sign) and what not in PASSING), None)
    after = stage.look()
    allowed = {Lamp.WHITE} | (set(patterns(SCORE, profile, kit)[last].lamps) if last else set())
    assert after.sign == last
    assert {lamp for lamp, level in after.lamps.items() if level} <= allowed
    assert not after.relay


@given(requests, kits, profiles)
@example([(50, sign, False) for _ in range(6) for sign in (Sign.REJECT, Sign.ACCEPT_IN)], "full", "normal")
def test_no_lamp_ever_flashes_more_than_three_times_a_second(asked: Requests, kit: Kit, profile: Profile) -> None:
    """In any window of a second, whatever was asked in it."""
    stage = Stage(profile, kit)
    ask(stage, asked)
    stage.play(3_000)
    for lamp in stage.look().lamps:
        lit = stage.lit_ms(lamp)
        assert all(later - earlier >= 1_000 for earlier, later in zip(lit, lit[FLASH_LIMIT:], strict=False))


@given(requests, kits, profiles, st.sampled_from(["in time", "starved"]))
@example([(10, Sign.ACCEPT_IN, False) for _ in range(9)], "full", "normal", "in time")
@example([(0, sign, False) for sign in (Sign.REJECT, Sign.ACCEPT_IN) * 3], "full", "normal", "starved")
def test_every_answer_is_seen_to_begin_or_counted(asked: Requests, kit: Kit, profile: Profile, thread: str) -> None:
    """However fast they come, and though the thread has no time for some: whoever watches the pins and reads the count misses nobody."""
    stage = Stage(profile, kit)
    for wait_ms, what, queued in asked:
        stage.play(wait_ms)
        if isinstance(what, Sign):
            stage.player.show(what, START_NS + stage.ms * MS, queued=queued)
        if thread == "in time":
            stage.look()
    stage.play(60_000)
    seen = {snapshot.showing for _, snapshot in stage.seen if snapshot.sign in PASSING}
    assert len(seen) + stage.player.dropped == sum(what in PASSING for _, what, _ in asked)


@settings(max_examples=25)
@given(requests, kits, profiles)
def test_a_player_asked_only_when_something_is_due_shows_what_one_asked_each_millisecond_shows(
    asked: Requests, kit: Kit, profile: Profile
) -> None:
    """``due_ns`` misses no change: the pins may sleep until then."""
    asked = [(wait_ms % 250, what, queued) for wait_ms, what, queued in asked]
    lazy, eager = Stage(profile, kit), Stage(profile, kit)
    for wait_ms, what, queued in [*asked, (400, "door", False)]:
        for _ in range(wait_ms):
            eager.ms += 1
            eager.look()
        ask(eager, [(0, what, queued)])
        ask(lazy, [(wait_ms, what, queued)])
    assert lazy.seen == eager.seen


@given(st.lists(st.sampled_from(PASSING), min_size=1, max_size=QUEUE_LIMIT + 1))
def test_queued_answers_lose_no_time_and_no_answer(asked: list[Sign]) -> None:
    """They take the sum of their lengths, and a short dark where two would look like one."""
    stage = Stage()
    for sign in asked:
        stage.show(sign, queued=True)
    stage.play(15_000)
    lengths = [patterns(SCORE, "normal", "full")[sign].length_ms for sign in asked]
    extra = stage.signs()[-1][0] - sum(lengths)
    assert extra in {count * REPEAT_DARK_MS for count in range(len(asked))}
    assert len(stage.beeps_ms()) == sum({"accept_out": 2, "reject": 3, "order_taken": 5}.get(sign.value, 1) for sign in asked)


def test_a_beep_that_was_begun_counts_as_heard() -> None:
    """Cut off after a moment it does not come again before its distance is over; one that was not begun counts for nothing."""
    stage = Stage()
    stage.show(Sign.OUT_OF_SERVICE)
    stage.play(5_010)
    stage.show(Sign.ACCEPT_IN)
    stage.play(10_000)
    stage.show(Sign.OUT_OF_SERVICE)
    stage.play(20_000)
    chirps = [at for at in stage.beeps_ms() if at != 5_010]
    assert chirps == [5_000]
    ticking = Stage()
    for sign, ms in ((Sign.UNREADABLE, 10), (Sign.READY, 100), (Sign.UNREADABLE, 2_000)):
        ticking.show(sign)
        ticking.play(ms)
    assert ticking.beeps_ms() == [0, 2_000]
    failing = Stage()
    for sign, ms in ((Sign.OUT_OF_SERVICE, 4_000), (Sign.READY, 100), (Sign.OUT_OF_SERVICE, 6_000)):
        failing.show(sign)
        failing.play(ms)
    assert failing.beeps_ms() == [9_100]


def test_answers_before_the_pins_were_ever_written_are_played() -> None:
    """Two in one moment: the newer is shown, and the one that nobody could see is counted."""
    player = Player(patterns(SCORE, "normal", "full"))
    assert player.due_ns is None
    player.show(Sign.REJECT, START_NS)
    player.show(Sign.ACCEPT_IN, START_NS)
    assert (player.advance(START_NS).sign, player.dropped) == (Sign.ACCEPT_IN, 1)


def test_a_light_that_is_held_back_counts_once_however_often_it_is_looked_at() -> None:
    """The thread may look each millisecond while it waits."""
    stage = Stage()
    for _ in range(4):
        stage.show(Sign.ACCEPT_IN)
        stage.play(100)
        stage.show(Sign.READY)
        stage.show(Sign.REJECT)
        stage.play(100)
    for _ in range(5):
        stage.play(1)
    assert stage.player.held_back == 2
