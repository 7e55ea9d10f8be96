"""When an event really happened, by what is known of each boot."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.core.timeline import Anchor, Boot, ClockState, Stamp, Timeline, drift_ms, least_age_ns, stamp, step_ms
from device.core.types import ClockReading

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
NOON = 1_790_000_000 * SECOND


def moment(
    boot: str, boot_s: float, *, wall_ns: int = 0, trusted: bool = False, held_over: bool = False, doubt_ms: int = 0
) -> ClockReading:
    """A reading of a machine that never sleeps."""
    at = round(boot_s * SECOND)
    return ClockReading(at, at, wall_ns, boot, trusted, held_over, doubt_ms)


def line(*readings: ClockReading, floor_ns: int = 0) -> Timeline:
    """What is known after these readings in turn."""
    known = Timeline()
    for reading in readings:
        known = known.seen(reading, floor_ns)
    return known


def test_a_trusted_reading_is_the_time_itself() -> None:
    """An event recorded under a synchronised clock keeps that clock's time and its uncertainty."""
    assert stamp(moment("a", 5, wall_ns=NOON, trusted=True, doubt_ms=12), Timeline()) == Stamp(NOON, ClockState.SYNCED, 12)


def test_a_clock_held_over_says_so() -> None:
    """An event of the hours after synchronisation was lost is marked as held over."""
    assert stamp(moment("a", 5, wall_ns=NOON, trusted=True, held_over=True, doubt_ms=900), Timeline()).clock is ClockState.HOLDOVER


def test_an_event_from_before_synchronisation_is_corrected_by_the_boot_clock() -> None:
    """Two days of 1970 and then a time server: the event is where CLOCK_BOOTTIME puts it, with the drift as uncertainty."""
    early = moment("a", 60, wall_ns=60 * SECOND)
    known = line(early, moment("a", 60 + 172_800, wall_ns=NOON, trusted=True, doubt_ms=5))
    assert stamp(early, known) == Stamp(NOON - 172_800 * SECOND, ClockState.CORRECTED, 5 + 17_280)


def test_correction_needs_no_later_event_of_that_boot() -> None:
    """What an earlier boot learned about its time before it ended still corrects its events."""
    early = moment("a", 10)
    known = line(early, moment("a", 30, wall_ns=NOON, trusted=True), moment("b", 1))
    assert stamp(early, known).time_ns == NOON - 20 * SECOND


def test_an_event_of_a_boot_that_never_synced_lies_between_its_neighbours() -> None:
    """The boot before ended at a known time and the boot after began at one: the event lies between, in the middle."""
    lost = moment("b", 100, wall_ns=7)
    known = line(
        moment("a", 500, wall_ns=NOON, trusted=True),
        lost,
        moment("b", 400),
        moment("c", 50, wall_ns=NOON + 3_600 * SECOND, trusted=True),
    )
    found = stamp(lost, known)
    earliest, latest = NOON + 100 * SECOND, NOON + (3_550 - 300) * SECOND + drift_ms(50 * SECOND) * 1_000_000
    half_ms = (latest - earliest) // 2_000_000
    assert found == Stamp((earliest + latest) // 2, ClockState.BOUNDED, half_ms + 1, earliest, latest)


def test_two_boots_without_synchronisation_each_tighten_the_others_bounds() -> None:
    """The hours that a later unsynced boot ran cannot be hours of the earlier one."""
    first, second = moment("b", 10), moment("c", 10)
    known = line(
        moment("a", 1, wall_ns=NOON, trusted=True),
        replace(first, boot_ns=1_000 * SECOND),
        replace(second, boot_ns=2_000 * SECOND),
        moment("d", 0, wall_ns=NOON + 10_000 * SECOND, trusted=True),
    )
    assert stamp(first, known).latest_ns == NOON + (10_000 - 2_000 - 990) * SECOND
    assert stamp(second, known).earliest_ns == NOON + 1_010 * SECOND


def test_an_event_of_this_boot_has_no_upper_bound_before_synchronisation() -> None:
    """As long as nobody knows the time, the event says unsynced and only what it cannot have been earlier than."""
    known = line(moment("a", 100, wall_ns=NOON, trusted=True), moment("b", 20, wall_ns=5))
    assert stamp(moment("b", 20, wall_ns=5), known) == Stamp(NOON + 20 * SECOND, ClockState.UNSYNCED, None, NOON + 20 * SECOND)


def test_a_plausible_raw_time_is_the_best_guess_of_an_unsynced_event() -> None:
    """A battery clock that nobody vouches for is still likelier than the bare lower bound."""
    assert stamp(moment("a", 20, wall_ns=NOON), line(moment("a", 20), floor_ns=SECOND)).time_ns == NOON


def test_the_floor_holds_for_the_boot_in_which_it_was_known() -> None:
    """A newer build date says nothing about events that an older program recorded in an earlier boot."""
    known = Timeline().seen(moment("a", 10), 0).seen(moment("b", 10), NOON)
    assert known.earliest_ns(moment("a", 10)) == 10 * SECOND
    assert known.earliest_ns(moment("b", 10)) == NOON


def test_an_event_of_a_forgotten_boot_is_only_older_than_all_that_is_remembered() -> None:
    """A boot id that is not remembered gives no lower bound, and the start of the present boot as the upper one."""
    known = line(moment("z", 100, wall_ns=NOON, trusted=True))
    latest = known.latest_ns(moment("gone", 5))
    assert latest == NOON - 100 * SECOND + drift_ms(100 * SECOND) * 1_000_000
    assert known.earliest_ns(moment("gone", 5)) == 0
    assert stamp(moment("gone", 5), Timeline()).clock is ClockState.UNSYNCED


def test_the_first_trusted_reading_stays_the_anchor_until_the_clock_is_stepped() -> None:
    """Slewing does not move the anchor, because the first is nearest to what came before; a step replaces it."""
    known = line(moment("a", 10, wall_ns=NOON, trusted=True), moment("a", 20, wall_ns=NOON + 11 * SECOND, trusted=True))
    assert known.boots[0].anchor == Anchor(10 * SECOND, NOON, 0)
    stepped = known.seen(moment("a", 30, wall_ns=NOON + HOUR, trusted=True))
    assert stepped.boots[0].anchor == Anchor(30 * SECOND, NOON + HOUR, 0)


def test_forgetting_old_boots_keeps_what_they_say_about_the_rest() -> None:
    """With only the newest boots kept, no event of theirs may seem older than the end of the last forgotten one."""
    known = line(moment("a", 100, wall_ns=NOON, trusted=True), moment("b", 50), moment("c", 5))
    fewer = known.newest(2)
    assert [boot.boot_id for boot in fewer.boots] == ["b", "c"]
    assert known.earliest_ns(moment("c", 5)) == NOON + 55 * SECOND
    assert fewer.earliest_ns(moment("b", 5)) == NOON
    assert fewer.earliest_ns(moment("c", 5)) == NOON + 5 * SECOND
    assert known.newest(3) is known


def test_age_is_exact_within_a_boot() -> None:
    """Whatever the wall clock did, the age of an event of this boot is what CLOCK_BOOTTIME says."""
    assert least_age_ns(moment("a", 10, wall_ns=NOON, trusted=True), moment("a", 70, wall_ns=3), Timeline()) == 60 * SECOND
    assert least_age_ns(moment("a", 70), moment("a", 10), Timeline()) == 0


def test_age_across_boots_is_what_the_wall_clocks_prove() -> None:
    """With both times trusted the age is their difference less their uncertainties."""
    then = moment("a", 10, wall_ns=NOON, trusted=True, doubt_ms=500)
    now = moment("b", 10, wall_ns=NOON + HOUR, trusted=True, doubt_ms=500)
    assert least_age_ns(then, now, line(then, now)) == HOUR - SECOND


def test_age_across_boots_without_any_clock_is_the_time_the_gate_ran() -> None:
    """Without a trusted clock the age is at least the rest of that boot, the boots between and this one so far."""
    then, now = moment("a", 10), moment("c", 30)
    assert least_age_ns(then, now, line(moment("a", 25), moment("b", 1_000), now)) == (15 + 1_000 + 30) * SECOND
    assert least_age_ns(moment("gone", 1), now, line(now)) == 0


@pytest.mark.parametrize("moved", [3 * SECOND, -3 * SECOND, HOUR, -HOUR, 365 * 24 * HOUR])
def test_a_step_is_told_to_the_millisecond(moved: int) -> None:
    """A wall clock that jumps against CLOCK_BOOTTIME was stepped, forward or back."""
    assert step_ms(moment("a", 10, wall_ns=NOON), moment("a", 11, wall_ns=NOON + SECOND + moved)) == moved // 1_000_000


def test_slewing_and_restarts_are_no_steps() -> None:
    """Two seconds and less are slewing; a new boot has a new relation of its clocks."""
    assert step_ms(moment("a", 10, wall_ns=NOON), moment("a", 20, wall_ns=NOON + 12 * SECOND)) == 0
    assert step_ms(moment("a", 10, wall_ns=NOON), moment("b", 1, wall_ns=NOON + HOUR)) == 0


def test_drift_rounds_up() -> None:
    """An uncertainty is never understated: a hundred parts in a million, rounded up to whole milliseconds."""
    assert [drift_ms(span) for span in (0, 1, 10 * SECOND, -10 * SECOND, 10 * SECOND + 1)] == [0, 1, 1, 1, 2]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[int, ClockReading]], Timeline]:
    """Boots at true times that nobody sees, some synchronised at some moment; each reading beside its true time."""
    true_ns, known, readings = NOON, Timeline(), []
    for number in range(draw(st.integers(1, 5))):
        true_ns += draw(st.integers(0, HOUR))
        begun, synced = true_ns, False
        for _ in range(draw(st.integers(1, 4))):
            true_ns += draw(st.integers(1, HOUR))
            synced = synced or draw(st.booleans())
            uptime = true_ns - begun
            reading = ClockReading(uptime, uptime, true_ns if synced else uptime, f"boot-{number}", synced)
            known = known.seen(reading)
            readings.append((true_ns, reading))
    return readings, known


@given(histories())
def test_no_stamp_ever_excludes_the_true_time(history: tuple[list[tuple[int, ClockReading]], Timeline]) -> None:
    """Whatever was synchronised when, the true time lies within the bounds or the uncertainty that the stamp states."""
    readings, known = history
    for true_ns, reading in readings:
        earliest, latest = stamp(reading, known).span
        assert earliest <= true_ns
        assert latest is None or true_ns <= latest


@given(histories())
def test_an_age_is_never_overstated(history: tuple[list[tuple[int, ClockReading]], Timeline]) -> None:
    """No event is held to be older than it is, so retention never deletes early."""
    readings, known = history
    now_true, now = readings[-1]
    for true_ns, reading in readings:
        assert 0 <= least_age_ns(reading, now, known) <= now_true - true_ns


@given(histories())
def test_lower_bounds_rise_with_the_order_of_recording(history: tuple[list[tuple[int, ClockReading]], Timeline]) -> None:
    """Within and across boots, what was recorded later is never bounded earlier."""
    readings, known = history
    bounds = [known.earliest_ns(reading) for _, reading in readings]
    assert all(earlier <= later for earlier, later in pairwise(bounds))


@given(histories(), st.integers(1, 5))
def test_forgetting_boots_never_excludes_the_true_time(history: tuple[list[tuple[int, ClockReading]], Timeline], count: int) -> None:
    """Bounds stay true, if wider, when only the newest boots are remembered."""
    readings, known = history
    fewer = known.newest(count)
    for true_ns, reading in readings:
        earliest, latest = stamp(reading, fewer).span
        assert earliest <= true_ns
        assert latest is None or true_ns <= latest


def test_an_empty_line_knows_nothing() -> None:
    """Before the first reading nothing bounds anything."""
    assert Timeline().latest_ns(moment("a", 1)) is None
    assert Timeline((Boot("a", 5),)).latest_ns(moment("a", 1)) is None
