"""One showing of one code is one decision."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from device.core.presence import GLIMPSE_GAP_NS, HINT_AFTER_NS, TRACKED_LIMIT, Presence, glimpse, see, tidy
from device.core.types import Box, Sighting

MS = 1_000_000
REARM = 500 * MS


def sighting(payload: bytes, at_ms: int) -> Sighting:
    """A code in the frame taken at that time."""
    return Sighting(payload, frame=at_ms, taken_ns=at_ms * MS, read_ns=at_ms * MS, box=Box(0, 0, 9, 9), step="test")


def showings(shown: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Which of the sightings begin a showing."""
    presence, found = Presence(), []
    for payload, at_ms in shown:
        presence, showing = see(presence, sighting(payload, at_ms), REARM)
        if showing is not None:
            found.append((payload, at_ms))
    return found


def test_a_code_held_on_is_one_showing() -> None:
    """Sixty sightings over six seconds begin one showing."""
    assert showings([(b"a", ms) for ms in range(0, 6000, 100)]) == [(b"a", 0)]


def test_a_code_taken_away_and_shown_again_is_two_showings() -> None:
    """After the re-arm time out of view the same code counts again, and not a millisecond before."""
    assert showings([(b"a", 0), (b"a", 499), (b"a", 998)]) == [(b"a", 0)]
    assert showings([(b"a", 0), (b"a", 500)]) == [(b"a", 0), (b"a", 500)]


def test_two_codes_in_turn_are_two_showings() -> None:
    """The next different code counts at once."""
    assert showings([(b"a", 0), (b"b", 40), (b"a", 80), (b"b", 120)]) == [(b"a", 0), (b"b", 40)]


def test_codes_of_one_frame_are_marked_as_together() -> None:
    """The second code of a frame is a showing of its own, and says that it came with the first."""
    presence, first = see(Presence(), sighting(b"a", 7), REARM)
    presence, second = see(presence, sighting(b"b", 7), REARM)
    _, third = see(presence, sighting(b"c", 8), REARM)
    assert [showing.together for showing in (first, second, third) if showing is not None] == [False, True, False]


def test_what_is_remembered_is_bounded() -> None:
    """A wall of codes cannot fill the memory, and the newest are kept."""
    presence = Presence()
    for number in range(3 * TRACKED_LIMIT):
        presence, _ = see(presence, sighting(b"%d" % number, number), REARM)
    assert len(presence.last_seen_ns) == TRACKED_LIMIT
    _, again = see(presence, sighting(b"%d" % (3 * TRACKED_LIMIT - 1), 3 * TRACKED_LIMIT), REARM)
    assert again is None


def test_no_payload_is_kept() -> None:
    """Only digests stay behind."""
    presence, _ = see(Presence(), sighting(b"064090001234|secret", 0), REARM)
    assert b"064090001234" not in b"".join(presence.last_seen_ns)


def test_an_unreadable_code_hints_after_a_second_in_view() -> None:
    """Not before: passing hands must not make the lamp nervous."""
    presence, at = Presence(), 0
    while at < HINT_AFTER_NS:
        presence = glimpse(presence, at)
        assert not presence.hinting
        at += GLIMPSE_GAP_NS
    assert glimpse(presence, HINT_AFTER_NS).hinting


def test_glimpses_far_apart_do_not_add_up() -> None:
    """Noise that looks like a code once in a while never becomes a hint."""
    presence = Presence()
    for number in range(50):
        presence = glimpse(presence, number * (GLIMPSE_GAP_NS + 1))
        assert not presence.hinting


def test_a_hint_ends_when_nothing_more_is_glimpsed() -> None:
    """Shortly after the code is gone, so is the hint."""
    presence = glimpse(Presence(), 0)
    for at in range(0, 2 * HINT_AFTER_NS, GLIMPSE_GAP_NS):
        presence = glimpse(presence, at)
    assert tidy(presence, presence.glimpse_to_ns + GLIMPSE_GAP_NS).hinting
    assert not tidy(presence, presence.glimpse_to_ns + GLIMPSE_GAP_NS + 1).hinting


def test_a_reading_ends_a_hint() -> None:
    """What could not be read before has most likely just been read."""
    presence = glimpse(glimpse(Presence(), 0), GLIMPSE_GAP_NS)
    presence, _ = see(presence, sighting(b"a", 500), REARM)
    assert presence.glimpse_from_ns is None


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 900)), max_size=40))
@settings(max_examples=60)
def test_showings_of_one_code_are_never_closer_than_the_rearm_time(steps: list[tuple[bytes, int]]) -> None:
    """Whatever the order and the gaps: two showings of a code lie a gap of the re-arm time apart, and the first is never missed."""
    shown, now = [], 0
    for payload, gap in steps:
        now += gap
        shown.append((payload, now))
    found = showings(shown)
    for code in {payload for payload, _ in shown}:
        times = [ms for payload, ms in shown if payload == code]
        expected = [times[0]] + [later for earlier, later in pairwise(times) if later - earlier >= REARM // MS]
        assert [ms for payload, ms in found if payload == code] == expected


def test_a_frame_that_comes_late_does_not_make_a_code_look_gone() -> None:
    """A reading of an older frame is no later sight of the code: it is held against a showing as long as the newest one says."""
    presence, _ = see(Presence(), sighting(b"a", 1_000), REARM)
    presence, late = see(presence, sighting(b"a", 600), REARM)
    assert late is None
    _, again = see(presence, sighting(b"a", 1_400), REARM)
    assert again is None
    _, gone = see(presence, sighting(b"a", 1_500), REARM)
    assert gone is not None


def test_what_is_in_view_is_known_to_the_nanosecond() -> None:
    """When it was seen, which were seen together, and that a reading ends a glimpse."""
    presence = glimpse(Presence(), 5 * MS)
    assert (presence.glimpse_from_ns, presence.glimpse_to_ns) == (5 * MS, 5 * MS)
    presence = glimpse(presence, 5 * MS + GLIMPSE_GAP_NS)
    assert (presence.glimpse_from_ns, presence.glimpse_to_ns) == (5 * MS, 5 * MS + GLIMPSE_GAP_NS)
    anew = glimpse(presence, 5 * MS + 2 * GLIMPSE_GAP_NS + 1)
    assert anew.glimpse_from_ns == anew.glimpse_to_ns == 5 * MS + 2 * GLIMPSE_GAP_NS + 1
    assert tidy(presence, presence.glimpse_to_ns + GLIMPSE_GAP_NS) == presence
    tidied = tidy(presence, presence.glimpse_to_ns + GLIMPSE_GAP_NS + 1)
    assert (tidied.glimpse_from_ns, tidied.glimpse_to_ns) == (None, 0)
    seen, _ = see(presence, sighting(b"a", 7), REARM)
    assert (seen.glimpse_from_ns, seen.glimpse_to_ns, seen.shown_ns) == (None, 0, 7 * MS)


def test_the_code_seen_longest_ago_is_forgotten_first() -> None:
    """And the newest are all kept."""
    presence = Presence()
    for number in range(TRACKED_LIMIT + 1):
        presence, _ = see(presence, sighting(b"%d" % number, number), REARM)
    assert sorted(presence.last_seen_ns.values()) == [number * MS for number in range(1, TRACKED_LIMIT + 1)]
