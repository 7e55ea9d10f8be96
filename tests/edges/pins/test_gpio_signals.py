"""Lamps, buzzer and relay: what the pins themselves did, on a clock that the test moves."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from device.config import BuzzerSection, LampSection, RelaySection, SignalsSection
from device.core.player import Snapshot
from device.core.score import KITS, PROFILES, Kit, Lamp, Profile, Score
from device.core.signals import Pattern, changes, patterns
from device.core.types import Sign
from device.edges.pins import gpio_signals as signals_module
from device.edges.pins import pins as pins_module
from device.edges.pins.gpio_signals import GpioSignals, shipped_score
from device.edges.pins.pins import Pins
from device.errors import ConfigError, GateError, MissingPackage, PinsUnusable
from tests.fakes.clock import FakeClock

MS = 1_000_000
SCORE = shipped_score()
STANDING = (Sign.READY, Sign.UNREADABLE, Sign.OUT_OF_SERVICE, Sign.COMMISSIONING)
PASSING = tuple(sign for sign in Sign if sign not in STANDING)


class RecordingPin(MockPWMPin):  # type: ignore[misc]  # gpiozero has no types
    """gpiozero's pretend pin, which keeps its frequency beside each level too, and can jam as a real one can."""

    jams = 0
    """How many writes fail from now on."""
    frequencies: list[float | None]

    def clear_states(self) -> None:
        """Forget the history."""
        super().clear_states()
        self.frequencies = [self.__dict__.get("_frequency")]

    def _set_state(self, value: float) -> None:
        if self.jams:
            self.jams -= 1
            raise OSError(5, "Input/output error")
        kept = len(self.states)
        super()._set_state(value)
        self.frequencies += [self._frequency] * (len(self.states) - kept)


class Bench:
    """Signals on pretend pins, with a fake clock that the pins' own history goes by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.seen: list[Snapshot] = []
        self.board: Any = None
        self._patch = monkeypatch
        self._signals: GpioSignals | None = None
        monkeypatch.setattr("gpiozero.pins.mock.monotonic", lambda: self.clock.now_ns / 1e9)
        monkeypatch.setattr(pins_module, "MockFactory", self._make)

    def _make(self, **_keys: object) -> object:
        self.board = MockFactory(revision="c03115", pin_class=RecordingPin)
        return self.board

    def build(self, **keys: object) -> GpioSignals:
        """Signals without a thread, with all parts unless said otherwise; what went before is closed."""
        if self._signals is not None:
            self._signals.close()
        made = SignalsSection.model_validate({"pin_factory": "mock", "relay": RelaySection(pin=21), **keys})
        self._signals = GpioSignals(made, SCORE, self.clock, on_change=self.seen.append, threaded=False)
        self._signals.advance(self.clock.now_ns)
        for pin in self.board.pins.values():
            pin.clear_states()
        self.seen.clear()
        return self._signals

    def play(self, ms: int) -> None:
        """Let time pass as the thread would: from one change to the next."""
        assert self._signals is not None
        end_ns = self.clock.now_ns + ms * MS
        due_ns = self._signals.advance(self.clock.now_ns)
        while due_ns is not None and due_ns <= end_ns:
            self.clock.advance_ns(due_ns - self.clock.now_ns)
            due_ns = self._signals.advance(self.clock.now_ns)
        self.clock.advance_ns(end_ns - self.clock.now_ns)

    def history(self, pin: int) -> list[tuple[int, float]]:
        """What a pin did since it was built: ms and level, from gpiozero's own record."""
        at_ms, history = 0.0, []
        for state in self.board.pin(pin).states:
            at_ms += state.timestamp * 1000
            assert abs(at_ms - round(at_ms)) < 0.001, "off the millisecond"
            history.append((round(at_ms), round(float(state.state), 3)))
        return history

    def close(self) -> None:
        """Close what was built."""
        if self._signals is not None:
            self._signals.close()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench, cleared after use."""
    made = Bench(monkeypatch)
    yield made
    made.close()


def in_score(pattern: Pattern, value: Callable[[int], float], until_ms: int) -> list[tuple[int, float]]:
    """What a pin should do by the score: dark, and then each change of the value; a standing sign goes round until the end."""
    rounds = range(-(-until_ms // pattern.length_ms)) if pattern.standing else range(1)
    times = [moment.at_ms + lap * pattern.length_ms for lap in rounds for moment in changes(pattern)]
    history = [(0, 0.0)]
    for at_ms in times:
        if at_ms <= until_ms and value(at_ms) != history[-1][1]:
            history.append((at_ms, value(at_ms)))
    return history


@pytest.mark.parametrize("kind", ["active", "passive"])
@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("profile", PROFILES)
def test_the_pins_play_the_whole_score_to_the_millisecond(bench: Bench, profile: Profile, kit: Kit, kind: str) -> None:
    """Every sign from dark: the history that gpiozero keeps of each lamp's pin and of the buzzer's is the score's."""
    for sign, pattern in patterns(SCORE, profile, kit).items():
        signals = bench.build(profile=profile, kit=kit, buzzer=BuzzerSection.model_validate({"pin": 18, "kind": kind}))
        until_ms = 11_999 if pattern.standing else pattern.length_ms
        signals.show(sign)
        bench.play(until_ms)
        for lamp, pin in ((lamp, SignalsSection().pins()[lamp]) for lamp in pattern.levels_at(0)):
            assert bench.history(pin) == in_score(pattern, level_of(pattern, lamp), until_ms), (sign, lamp)
        loud = 0.5 * pattern.volume if kind == "passive" else 1.0
        assert bench.history(18) == in_score(pattern, loudness_of(pattern, loud), until_ms), sign
        if kind == "passive":
            frequencies = bench.board.pin(18).frequencies
            sounding = [hz for hz, (_, level) in zip(frequencies, bench.history(18), strict=True) if level]
            assert sounding == [pattern.sound.at(at_ms) for at_ms, level in bench.history(18) if level], sign


def level_of(pattern: Pattern, lamp: Lamp) -> Callable[[int], float]:
    """A lamp's level over time."""
    return lambda ms: pattern.levels_at(ms)[lamp]


def loudness_of(pattern: Pattern, loud: float) -> Callable[[int], float]:
    """What the buzzer's pin does over time."""
    return lambda ms: loud if pattern.sound.at(ms) is not None else 0.0


def test_five_minutes_out_of_service_are_a_hundred_and_fifty_blinks_and_one_chirp(bench: Bench) -> None:
    """Nothing drifts in 300 s."""
    bench.build().show(Sign.OUT_OF_SERVICE)
    bench.play(300_000)
    assert [at for at, level in bench.history(22) if level] == list(range(0, 300_001, 2_000))
    assert bench.history(18) == [(0, 0.0), (5_000, 1.0), (5_060, 0.0)]


@pytest.mark.parametrize("kind", ["active", "passive"])
def test_parts_that_are_on_when_low_do_the_same_upside_down(bench: Bench, kind: str) -> None:
    """The same score on inverted pins is the same history inverted."""
    lamps = {lamp.value: LampSection(pin=pin, active_high=False) for pin, lamp in enumerate(Lamp, 5)}
    buzzer = BuzzerSection.model_validate({"pin": 18, "kind": kind, "active_high": False})
    signals = bench.build(**lamps, buzzer=buzzer, relay=RelaySection(pin=21, active_high=False, pulse_ms=700))
    signals.show(Sign.ACCEPT_OUT)
    signals.open_door()
    bench.play(1_000)
    loud = 0.5 if kind == "passive" else 0.0
    assert bench.history(5) == [(0, 1.0), (0, 0.0), (400, 1.0), (600, 0.0), (1_000, 1.0)]
    assert bench.history(18) == [(0, 1.0), (0, loud), (90, 1.0), (180, loud), (270, 1.0)]
    assert bench.history(21) == [(0, 1.0), (0, 0.0), (700, 1.0)]


def test_a_lamp_that_only_switches_blinks_where_others_swell(bench: Bench) -> None:
    """An amber behind a relay is on in the brighter half of each second."""
    bench.build(amber=LampSection(pin=22, pwm=False)).show(Sign.UNREADABLE)
    bench.play(2_000)
    assert bench.history(22) == [(0, 0.0), (250, 1.0), (800, 0.0), (1_250, 1.0), (1_800, 0.0)]


def test_the_relay_holds_its_pulse_apart_from_the_lamps(bench: Bench) -> None:
    """A second accept extends it; the lamps go on by themselves."""
    signals = bench.build(relay=RelaySection(pin=21, pulse_ms=600))
    signals.show(Sign.ACCEPT_IN)
    signals.open_door()
    bench.play(400)
    signals.show(Sign.REJECT)
    signals.open_door()
    bench.play(3_000)
    assert bench.history(21) == [(0, 0.0), (0, 1.0), (1_000, 0.0)]
    assert bench.history(17) == [(0, 0.0), (0, 1.0), (400, 0.0)]


def test_without_a_relay_opening_the_door_is_harmless(bench: Bench) -> None:
    """A gate that only shows its answer has nothing to open."""
    signals = bench.build(relay=None)
    signals.open_door()
    bench.play(1_000)
    assert signals.stats()["faults"] == 0
    assert 21 not in {int(info.name.removeprefix("GPIO")) for info in bench.board.pins}


def test_a_cancelled_sign_leaves_nothing_behind_on_the_pins(bench: Bench) -> None:
    """Reject, cut by accept in the middle of flash and beep, then ready."""
    signals = bench.build()
    signals.show(Sign.READY)
    signals.show(Sign.REJECT)
    bench.play(100)
    signals.show(Sign.ACCEPT_IN)
    bench.play(1_000)
    assert bench.history(27) == [(0, 0.0), (0, 1.0), (100, 0.0)]
    assert bench.history(17) == [(0, 0.0), (100, 1.0), (1_100, 0.0)]
    assert bench.history(18) == [(0, 0.0), (0, 1.0), (220, 0.0)]
    assert signals.levels()[Lamp.BLUE] == 0.1


def test_the_listener_is_told_each_change_once_after_the_pins_made_it(bench: Bench) -> None:
    """The demo draws from it: sign, levels, tone, relay, and when."""
    signals = bench.build()
    states: list[float] = []
    bench.seen = Listener(lambda: states.append(float(bench.board.pin(17).state)))
    signals._on_change = bench.seen.append  # noqa: SLF001 - the listener is otherwise given when made
    start_ns = bench.clock.now_ns
    signals.show(Sign.ALREADY)
    signals.open_door()
    for _ in range(40):
        bench.play(50)
    told = [(one.sign, one.lamps[Lamp.GREEN], one.tone_hz, one.relay, (one.at_ns - start_ns) // MS) for one in bench.seen]
    assert told == [
        (Sign.ALREADY, 1.0, 2000, True, 0),
        (Sign.ALREADY, 1.0, None, True, 60),
        (Sign.ALREADY, 1.0, None, False, 500),
        (None, 0.0, None, False, 800),
    ]
    assert states == [1.0, 1.0, 1.0, 0.0]


class Listener(list[Snapshot]):
    """Remembers what it is told, and looks at something each time."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    def append(self, snapshot: Snapshot) -> None:
        """Be told."""
        self._look()
        super().append(snapshot)


def test_a_pin_that_fails_is_tried_again_until_it_works(bench: Bench) -> None:
    """Every 100 ms, though nothing else is due: a lamp that could not be switched off does not stay lit for long."""
    signals = bench.build()
    signals.show(Sign.ACCEPT_IN)
    bench.play(990)
    bench.board.pin(17).jams = 3
    bench.play(1_000)
    assert bench.history(17) == [(0, 0.0), (0, 1.0), (1_300, 0.0)]
    assert (signals.stats()["failing"], signals.stats()["write_errors"]) == ([], 3)


def test_a_pin_that_keeps_failing_is_reported(bench: Bench) -> None:
    """It stands in the figures for health by the name that it has in the configuration."""
    signals = bench.build()
    bench.board.pin(27).jams = 1_000
    signals.show(Sign.REJECT)
    bench.play(450)
    assert (signals.stats()["failing"], signals.stats()["write_errors"]) == (["red"], 6)


def test_dropped_signs_are_counted_and_said_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """An answer that nobody saw is never silent."""
    caplog.set_level("INFO", logger="device.edges.pins.gpio_signals")
    signals = bench.build()
    for _ in range(7):
        signals.show(Sign.REJECT, queued=True)
    bench.play(1)
    assert (signals.stats()["shown"], signals.stats()["dropped"]) == (7, 2)
    assert [record.getMessage() for record in caplog.records] == ["a sign was not shown, because a newer one took its place (2 so far)"]


def test_requests_beyond_what_a_hanging_thread_can_take_are_counted(bench: Bench) -> None:
    """The list of requests does not grow without end; the newest are kept."""
    signals = bench.build()
    for _ in range(signals_module.POSTED_LIMIT):
        signals.show(Sign.READY)
    signals.show(Sign.OUT_OF_SERVICE)
    bench.play(1)
    assert signals.stats()["dropped"] == 1
    assert signals.stats()["sign"] == "out_of_service"


def test_closing_ends_everything_and_may_be_repeated(bench: Bench) -> None:
    """All dark, silent, released; what is asked afterwards is ignored."""
    signals = bench.build()
    signals.show(Sign.OUT_OF_SERVICE)
    signals.open_door()
    bench.play(10)
    kept = {pin: bench.board.pin(pin) for pin in (22, 24, 21)}
    assert signals.alive
    signals.close()
    signals.close()
    assert {number: (pin.function, pin.states[-1].state) for number, pin in kept.items()} == dict.fromkeys(kept, ("input", 0.0))
    signals.show(Sign.REJECT)
    signals.open_door()
    assert signals.advance(bench.clock.now_ns) is None
    assert (signals.alive, signals.levels(), signals.stats()["sign"]) == (False, {}, None)


@pytest.mark.parametrize("text", ["sign = 1", "[sign", ""])
def test_a_score_that_is_broken_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The gate says which file, not a traceback."""

    class Broken:
        def joinpath(self, _name: str) -> Broken:
            return self

        def read_text(self, **_keys: str) -> str:
            return text

    monkeypatch.setattr(signals_module, "files", lambda _package: Broken())
    with pytest.raises(ConfigError, match=r"score\.toml"):
        shipped_score()


# --- the thread ------------------------------------------------------------------------


class RealClock(FakeClock):
    """The thread waits for real time."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return monotonic_ns()


class Told:
    """A listener that a test can wait on."""

    def __init__(self, *, faults: int = 0) -> None:
        self.snapshots: list[Snapshot] = []
        self._news = threading.Condition()
        self._faults = faults

    def __call__(self, snapshot: Snapshot) -> None:
        """Be told, and fail as often as was asked."""
        with self._news:
            self.snapshots.append(snapshot)
            self._news.notify_all()
        if self._faults:
            self._faults -= 1
            raise ZeroDivisionError("a listener with a bug")

    def until(self, condition: Callable[[Sequence[Snapshot]], bool]) -> None:
        """Wait, 10 s at most."""
        with self._news:
            assert self._news.wait_for(lambda: condition(self.snapshots), timeout=10), self.snapshots


def showing(sign: Sign) -> Callable[[Sequence[Snapshot]], bool]:
    """The last thing told is this sign."""
    return lambda seen: bool(seen) and seen[-1].sign is sign


def short_score() -> Score:
    """The shipped score with an accept of 20 ms."""
    tree = deepcopy(tomllib.loads(files("device").joinpath("score.toml").read_text(encoding="utf-8")))
    tree["sign"]["accept_in"] |= {"light": [20], "beeps": False}
    return Score.from_tree(tree)


def threaded(told: Told, score: Score = SCORE) -> GpioSignals:
    """Signals with their thread, in real time."""
    return GpioSignals(SignalsSection(pin_factory="mock"), score, RealClock(), on_change=told)


def test_the_thread_shows_what_is_posted_and_ends_it_in_time() -> None:
    """Nobody calls advance: accept lights, and after its 20 ms ready comes back, no earlier."""
    told = Told()
    signals = threaded(told, short_score())
    signals.show(Sign.READY)
    told.until(showing(Sign.READY))
    signals.show(Sign.ACCEPT_IN)
    told.until(lambda seen: Sign.ACCEPT_IN in [one.sign for one in seen] and seen[-1].sign is Sign.READY)
    signals.close()
    began = next(one.at_ns for one in told.snapshots if one.sign is Sign.ACCEPT_IN)
    ended = next(one.at_ns for one in told.snapshots if one.sign is Sign.READY and one.at_ns > began)
    assert ended - began >= 20 * MS
    assert not signals.alive


def test_what_is_posted_while_the_pins_are_written_is_not_forgotten() -> None:
    """A request that comes between looking and sleeping wakes nobody; the thread looks again before it sleeps, here for ever."""
    told = Told()
    made: list[GpioSignals] = []
    ready = threading.Event()

    def ask(snapshot: Snapshot) -> None:
        assert ready.wait(10)
        if snapshot.sign is None:
            made[0].show(Sign.READY)
        told(snapshot)

    made.append(GpioSignals(SignalsSection(pin_factory="mock"), SCORE, RealClock(), on_change=ask))
    ready.set()
    told.until(showing(Sign.READY))
    made[0].close()


def test_a_bug_in_the_listener_does_not_stop_the_lamps(caplog: pytest.LogCaptureFixture) -> None:
    """The thread logs it once while it lasts, counts it, and goes on."""
    told = Told(faults=2)
    signals = threaded(told)
    for sign in (Sign.READY, Sign.ACCEPT_IN, Sign.REJECT):
        signals.show(sign)
        told.until(showing(sign))
    told.until(lambda seen: len(seen) > 3)
    assert signals.alive
    assert signals.stats()["faults"] == 2
    assert "ZeroDivisionError" in caplog.text
    signals.close()


class BlockedPin(MockPWMPin):  # type: ignore[misc]  # gpiozero has no types
    """A pin whose driver hangs when it is driven high."""

    reached = threading.Event()
    release = threading.Event()

    def _set_state(self, value: float) -> None:
        if value:
            self.reached.set()
            self.release.wait(10)
        super()._set_state(value)


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[BlockedPin]]:
    """Pins that hang until released."""
    BlockedPin.reached.clear()
    BlockedPin.release.clear()
    monkeypatch.setattr(pins_module, "PretendPin", BlockedPin)
    yield BlockedPin
    BlockedPin.release.set()


def test_showing_does_not_wait_for_a_pin_that_hangs(blocked: type[BlockedPin]) -> None:
    """The decision goes on while a driver hangs: 200 requests return although none can be played."""
    signals = threaded(Told())
    signals.show(Sign.REJECT)
    assert blocked.reached.wait(10)
    for _ in range(100):
        signals.show(Sign.ACCEPT_IN)
        signals.open_door()
    assert signals.stats()["shown"] == 101
    assert not blocked.release.is_set()
    blocked.release.set()
    signals.close()


def test_a_thread_that_hangs_in_a_pin_is_not_alive(blocked: type[BlockedPin]) -> None:
    """The watchdog must hear of it: its lamps stay as they are for ever, and no door opens. A thread that comes round again is well."""
    told, clock = Told(), FakeClock()
    signals = GpioSignals(SignalsSection(pin_factory="mock"), SCORE, clock, on_change=told)
    signals.show(Sign.REJECT)
    assert blocked.reached.wait(10)
    clock.advance_ns(signals_module.STALL_NS)
    alive = [signals.alive]
    clock.advance_ns(1)
    alive += [signals.alive, bool(signals.stats()["alive"])]
    blocked.release.set()
    signals.show(Sign.READY)
    told.until(showing(Sign.READY))
    assert [*alive, signals.alive] == [True, False, False, True]
    signals.close()


def test_a_thread_with_nothing_to_do_goes_round_and_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sign was shown and nothing is due: it still comes round, and tells nobody anything new."""
    monkeypatch.setattr(signals_module, "TURN_NS", 1 * MS)
    told, turns, enough = Told(), [0], threading.Event()
    signals = threaded(told)
    told.until(lambda seen: len(seen) == 1)
    advance = signals.advance

    def counted(now_ns: int) -> int | None:
        turns[0] += 1
        if turns[0] > 20:
            enough.set()
        return advance(now_ns)

    monkeypatch.setattr(signals, "advance", counted)
    assert enough.wait(10)
    assert signals.alive
    signals.close()
    assert len(told.snapshots) == 1


def test_closing_does_not_wait_for_ever_for_a_pin_that_hangs(
    blocked: type[BlockedPin], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The program stops in time, and says that the thread hung."""
    monkeypatch.setattr(signals_module, "JOIN_S", 0.01)
    signals = threaded(Told())
    signals.show(Sign.REJECT)
    assert blocked.reached.wait(10)
    signals.close()
    assert "hangs" in caplog.text


def test_a_listener_may_close_the_signals() -> None:
    """Closing from the thread itself does not wait for itself."""
    made: list[GpioSignals] = []
    done = threading.Event()

    def close(_snapshot: Snapshot) -> None:
        if made:
            made[0].close()
            done.set()

    signals = GpioSignals(SignalsSection(pin_factory="mock"), SCORE, RealClock(), on_change=close)
    made.append(signals)
    signals.show(Sign.READY)
    assert done.wait(10)
    assert not signals.alive


class Absent:
    """The pins' maker while the pins cannot be had."""

    def __init__(self, error: GateError) -> None:
        self.error: GateError | None = error
        self.tries = 0

    def __call__(self, section: SignalsSection, runtime_dir: Path | None, on_button: Callable[[], None] | None) -> Pins:
        """Fails as told, else makes them."""
        self.tries += 1
        if self.error is not None:
            raise self.error
        return Pins(section, runtime_dir, on_button)


@pytest.mark.parametrize("error", [PinsUnusable("signals.red: pin 27: GPIO busy"), MissingPackage("lgpio cannot be imported")])
def test_pins_that_cannot_be_had_are_said_and_taken_when_they_can(
    error: GateError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A gate without lamps still runs: restarting it for their sake would end in restarting the machine."""
    absent = Absent(error)
    monkeypatch.setattr(signals_module, "Pins", absent)
    clock = FakeClock()
    signals = GpioSignals(SignalsSection(pin_factory="mock"), SCORE, clock, threaded=False)
    signals.show(Sign.READY)
    begin_ns = clock.monotonic_ns()
    for after_ms in range(0, 10_000, 100):
        signals.advance(begin_ns + after_ms * MS)
    assert signals.stats()["failing"] == [str(error)]
    assert signals.alive
    assert absent.tries == 4
    assert [record.message for record in caplog.records] == [f"no lamp and no buzzer: {error}; trying on"]
    absent.error = None
    signals.advance(begin_ns + 13_000 * MS)
    assert signals.stats()["failing"] == []
    assert signals.levels()[Lamp.BLUE] > 0
    signals.close()
