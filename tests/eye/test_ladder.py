"""Which decoder looks when: the plan by itself, and the ladder with pretended and with real decoders."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from device.core.types import Box
from device.errors import DecoderBroken
from device.eye.camera import Luma
from device.eye.decoder import Decoder, Look, Reading, Unread, ZbarDecoder, ZxingDecoder
from device.eye.ladder import Ladder, LiveSettings, Plan, Planner, make_ladder
from device.eye.loop import FRAME_LIMIT_S
from device.eye.selfcheck import EXPECTED, check
from device.workbench.lens import Lens
from device.workbench.scenes import Pose, scene
from tests.eye.pages import bent, finder_page, on_page, set_pages, symbol

SECOND_NS = 1_000_000_000
FRAME_NS = SECOND_NS // 15
MS = 1_000_000


class Scripted:
    """A decoder that answers as told, and notes the shapes of what it was shown."""

    def __init__(self, name: str, answer: Callable[[Luma], Look]) -> None:
        self.name = name
        self.answer = answer
        self.shown: list[tuple[int, ...]] = []

    def look(self, pixels: Luma) -> Look:
        """As told."""
        self.shown.append(pixels.shape)
        return self.answer(pixels)


def nothing(_: Luma) -> Look:
    """An answer."""
    return Look()


SMALL = Box(0, 0, 9, 9)


def unread(box: Box, modules: int = 21) -> Unread:
    """An upright symbol that could not be read."""
    right, bottom = box.left + box.width, box.top + box.height
    return Unread(((box.left, box.top), (right, box.top), (right, bottom), (box.left, bottom)), modules)


def found(payload: bytes, box: Box = SMALL) -> Callable[[Luma], Look]:
    """An answer."""
    return lambda _: Look((Reading(payload, box),))


FRAME = Box(0, 0, 1280, 720)
PLACE = Box(400, 300, 160, 160)


def plans(planner: Planner, frames: int, *places: Box, changed: bool = False, read: bool = False) -> list[Plan]:
    """What the planner says to so many frames in a row, of which the first has changed."""
    found = []
    for number in range(frames):
        found.append(planner.plan(number * FRAME_NS, places, FRAME, changed=changed or number == 0))
        planner.learn(read=read, parts=len(found[-1].parts))
    return found


def test_an_empty_scene_at_rest_is_looked_at_as_a_whole_now_and_then() -> None:
    """When it comes into view, and each twelfth frame: what the sieve misses is found then."""
    looked = [number for number, plan in enumerate(plans(Planner(LiveSettings(whole_every=12)), 36)) if plan.parts]
    assert looked == [0, 11, 23, 35]
    assert plans(Planner(), 1)[0].parts == (FRAME,)


def test_what_looks_like_a_code_is_looked_at_in_each_frame_and_in_vain_only_six_times() -> None:
    """A poster on the wall costs a fifth of the looks, and each change begins anew."""
    planner = Planner(LiveSettings(patience=6, rest_every=5, whole_every=1000))
    looked = [number for number, plan in enumerate(plans(planner, 30, PLACE)) if plan.parts]
    assert looked == [0, 1, 2, 3, 4, 5, 9, 14, 19, 24, 29]
    assert planner.plan(31 * FRAME_NS, [PLACE], FRAME, changed=True).parts == (PLACE,)
    assert all(plan.parts for plan in plans(Planner(LiveSettings(whole_every=1000)), 30, PLACE, read=True))


def test_looking_stays_within_its_share_of_a_core_however_much_happens() -> None:
    """On a machine where a look takes 400 ms it happens seldom, over a minute the share holds, and what is refused is told."""
    planner = Planner(LiveSettings(cpu_share=0.25, burst_s=0.3))
    spent_ns = refused = 0
    for frame in range(15 * 60):
        plan = planner.plan(frame * FRAME_NS, [PLACE], FRAME, changed=True)
        refused += plan.refused
        if plan.parts:
            planner.spent(400 * MS)
            spent_ns += 400 * MS
    assert 0.2 * 60 * SECOND_NS < spent_ns <= 0.25 * 60 * SECOND_NS + 700 * MS
    assert refused > 800


def test_a_closer_look_needs_something_to_spare_and_the_first_does_not() -> None:
    """So that nobody waits for the first because of the last one's closer look."""
    planner = Planner(LiveSettings(cpu_share=0.5, burst_s=0.4))
    assert planner.plan(0, [PLACE], FRAME, changed=True).closer
    planner.spent(350 * MS)
    plan = planner.plan(1, [PLACE], FRAME, changed=True)
    assert (plan.parts, plan.closer) == ((PLACE,), False)


def test_an_idle_hour_saves_up_no_more_than_the_burst() -> None:
    """Otherwise the first visitor of the morning would have the core for a quarter of an hour."""
    planner = Planner(LiveSettings(cpu_share=0.25, burst_s=0.3))
    planner.plan(0, [], FRAME, changed=False)
    looks = 0
    for _ in range(10):
        if not planner.plan(3600 * SECOND_NS, [PLACE], FRAME, changed=True).refused:
            planner.spent(100 * MS)
            looks += 1
    assert looks == 3


def test_without_a_second_decoder_zxing_looks_alone() -> None:
    """A pretended machine."""
    ladder = Ladder([Scripted("zxing", nothing)])
    assert list(ladder.looks(np.zeros((100, 100), np.uint8), 0)) == [Look()]


def whole(look: Look, shape: tuple[int, int] = (500, 500)) -> Callable[[Luma], Look]:
    """An answer to a whole frame, and nothing to a part of it."""
    return lambda pixels: look if pixels.shape == shape else Look()


def test_the_first_reading_is_told_before_a_closer_look_begins() -> None:
    """The lamp does not wait for a look that only might find a second code."""
    zxing = Scripted("zxing", whole(Look((Reading(b"at once", SMALL),), (unread(Box(300, 300, 50, 50)),))))
    zbar = Scripted("zbar", nothing)
    looks = Ladder([zxing, zbar]).looks(np.zeros((500, 500), np.uint8), 0)
    assert next(looks).readings[0].payload == b"at once"
    assert zbar.shown == []
    assert {look.readings for look in looks} == {()}
    assert zbar.shown != []


def test_where_a_symbol_could_not_be_read_a_closer_look_is_taken_only_there() -> None:
    """A crop with a margin of a quarter, and the box is that of the frame again."""
    glimpse = Look(glimpses=(unread(Box(400, 300, 100, 100)),))
    zbar = Scripted("zbar", found(b"closer", Box(26, 26, 100, 100)))
    ladder = Ladder([Scripted("zxing", whole(glimpse, (720, 1280))), zbar])
    look = ladder.live(np.zeros((720, 1280), np.uint8), 0)
    assert zbar.shown == [(152, 152)]
    assert look.readings[0].box == Box(400, 300, 100, 100)
    assert look.glimpses == ()


def test_a_code_beside_one_that_was_read_is_found_by_its_looks() -> None:
    """Both decoders read the same: one reading; what only the closer one reads comes after."""
    first = Look((Reading(b"same", Box(0, 0, 9, 9)),), (unread(Box(300, 300, 50, 50)),))
    both = Look((Reading(b"same", Box(0, 0, 9, 9)), Reading(b"other", Box(20, 20, 40, 40))))
    ladder = Ladder([Scripted("zxing", whole(first)), Scripted("zbar", lambda _: both)])
    pixels = np.zeros((500, 500), np.uint8)
    assert [reading.payload for look in ladder.looks(pixels, 0) for reading in look.readings] == [b"same", b"other"]


def test_small_modules_are_read_by_looking_at_the_code_twice_as_large() -> None:
    """Two pixels a module, slightly out of focus: the first look fails, a closer one in the same frame does not."""
    payload = b"064090001234|230123456|Made Up|01011990|Nam|Somewhere, Gia Lai|15042021"
    view = Pose(px_per_module=1.9, turn_deg=20, contrast=0.5, lens=Lens(defocus_px=0.9, photons=900))
    frames = [scene([payload], view, np.random.default_rng(seed)) for seed in range(12)]
    first = sum(bool(ZxingDecoder().look(frame).readings) for frame in frames)
    ladders = [make_ladder().live(frame, 0) for frame in frames]
    read = [reading.payload for look in ladders for reading in look.readings]
    assert set(read) == {payload}
    assert len(read) >= 10
    assert first <= 2


@pytest.mark.parametrize(
    "box", [Box(-50, -50, 40, 40), Box(95, 95, 500, 500), Box(0, 0, 0, 0), Box(500, 500, 10, 10), Box(-500, 20, 90, 60)]
)
def test_a_glimpse_at_or_beyond_the_edge_is_no_error(box: Box) -> None:
    """Decoders guess corners outside the picture."""
    ladder = Ladder([Scripted("zxing", lambda _: Look(glimpses=(unread(box),))), ZbarDecoder()])
    assert ladder.live(np.zeros((100, 100), np.uint8), 0).readings == ()


def test_a_single_pass_stops_when_nothing_is_left_that_could_be_a_code() -> None:
    """The other decoders cost nothing where the first has read everything; beside something that looks like another code they look."""
    zbar = Scripted("zbar", nothing)
    Ladder([Scripted("zxing", found(b"all")), zbar]).one_shot(np.zeros((600, 800), np.uint8))
    assert zbar.shown == []
    page = np.full((720, 1280), 128, np.uint8)
    code = symbol(b"left to be read", 6)
    page[300 : 300 + len(code), 700 : 700 + len(code)] = code
    Ladder([Scripted("zxing", found(b"all", Box(0, 0, 1, 1))), zbar]).one_shot(page)
    assert zbar.shown != []


def test_a_single_pass_goes_on_while_a_symbol_is_left_unread() -> None:
    """One code read beside one that is not: the second is worth the deep rungs."""
    one = Look((Reading(b"one", Box(0, 0, 9, 9)),), (unread(Box(300, 300, 50, 50)),))
    zbar = Scripted("zbar", nothing)
    Ladder([Scripted("zxing", lambda pixels: one if pixels.shape == (600, 800) else Look()), zbar]).one_shot(np.zeros((600, 800), np.uint8))
    assert len(zbar.shown) > 2


def test_a_bent_symbol_is_read_by_flattening_it_live_and_in_a_single_pass() -> None:
    """The first look finds its corners, and its checksum fails."""
    picture = bent(b"064090001234||bent", 1.3)
    assert ZxingDecoder().look(picture).readings == ()
    ladder = make_ladder()
    for look in (ladder.one_shot(picture), ladder.live(picture, 0)):
        (reading,) = look.readings
        assert (reading.payload, reading.step) == (b"064090001234||bent", "zxing-flattened")
        assert reading.box.width > 100
        assert look.glimpses == ()


def test_a_single_pass_begins_no_further_look_when_its_time_is_spent() -> None:
    """A page of finder patterns would otherwise take every rung that there is."""
    spent = iter(range(0, 10**12, 200 * MS))
    zbar = Scripted("zbar", nothing)
    ladder = Ladder([Scripted("zxing", nothing), zbar], cpu_ns=lambda: next(spent))
    ladder.one_shot(np.zeros((600, 800), np.uint8), limit_ns=400 * MS)
    assert len(zbar.shown) == 1


def test_all_real_decoders_pass_the_start_check() -> None:
    """Those of this machine."""
    ladder = make_ladder()
    assert [decoder.name for decoder in ladder.decoders] == ["zbar", "zxing", "zxing-plain"]
    check(ladder.decoders)


def test_a_machine_without_zxing_reads_with_zbar_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """At half the size first, then in full."""
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    ladder = make_ladder()
    assert [decoder.name for decoder in ladder.decoders] == ["zbar"]
    picture = on_page([symbol(b"zbar alone", scale=8)])
    assert [reading.payload for reading in ladder.live(picture, 0).readings] == [b"zbar alone"]
    assert [reading.payload for reading in ladder.one_shot(picture).readings] == [b"zbar alone"]
    small = on_page([symbol(b"small", scale=3)])
    assert any(ladder.live(small, frame * FRAME_NS).readings for frame in range(12))


@pytest.mark.parametrize("mode", ["live", "one_shot"])
def test_several_codes_come_with_the_largest_first_and_none_is_lost(mode: str) -> None:
    """Three people at once."""
    codes = {b"small": 4, b"largest of all": 9, b"medium": 6}
    page = on_page([symbol(code, scale) for code, scale in codes.items()])
    ladder = make_ladder()
    look = ladder.live(page, 0) if mode == "live" else ladder.one_shot(page)
    assert [reading.payload for reading in look.readings] == [b"largest of all", b"medium", b"small"]


@pytest.mark.parametrize("edge", ["left", "top", "right", "bottom"])
def test_a_code_at_the_very_edge_of_the_frame_is_read(edge: str) -> None:
    """With one module of its quiet zone left, and small modules."""
    code = symbol(b"at the edge of the frame", 3)[9:-9, 9:-9]
    page = np.full((480, 640), 235, np.uint8)
    side = len(code)
    top = {"top": 0, "bottom": 480 - side}.get(edge, 200)
    left = {"left": 0, "right": 640 - side}.get(edge, 300)
    page[top : top + side, left : left + side] = code
    assert [reading.payload for reading in make_ladder().live(page, 0).readings] == [b"at the edge of the frame"]


def test_parts_stay_parts_through_the_ladder() -> None:
    """Every rung says so."""
    ladder = make_ladder()
    for page in set_pages(b"in parts " * 8, 2):
        assert [reading.partial for reading in ladder.one_shot(page).readings] == [True]
        assert [reading.partial for reading in ladder.live(page, 0).readings] == [True]


def test_a_decoder_that_reads_something_else_is_refused() -> None:
    """Wrong bytes or nothing: the eye does not start."""
    wrong: list[tuple[Decoder, str]] = [
        (Scripted("guesser", found(EXPECTED.decode().encode("utf-16"))), "guesser reads something else"),
        (Scripted("blind", nothing), "blind reads nothing"),
    ]
    for decoder, why in wrong:
        with pytest.raises(DecoderBroken, match=why):
            check([ZxingDecoder(), decoder])


def test_no_page_makes_the_ladder_raise() -> None:
    """In both modes, frame after frame."""
    ladder = make_ladder()
    pages = [finder_page(), np.zeros((1, 1), np.uint8), np.zeros((700, 700), np.uint8), np.zeros((1, 3000), np.uint8)]
    for frame, page in enumerate(pages * 3):
        assert ladder.live(page, frame * FRAME_NS).readings == ()
    for page in pages:
        assert ladder.one_shot(page).readings == ()


def test_no_look_at_a_page_of_finder_patterns_takes_the_processor_for_as_long_as_the_alarm_lets_it() -> None:
    """The slowest page that is known. By processor time: how long it takes by the clock is the business of whoever else runs here."""
    ladder = make_ladder()
    before_s, longest_s = time.thread_time(), 0.0
    for _ in ladder.looks(finder_page(columns=70, rows=40), 0):
        now_s = time.thread_time()
        before_s, longest_s = now_s, max(longest_s, now_s - before_s)
    assert 0 < longest_s < FRAME_LIMIT_S
