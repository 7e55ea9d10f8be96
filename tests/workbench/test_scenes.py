"""Made frames: what goes in as bytes is what a decoder reads out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import zxingcpp
from pyzbar.pyzbar import ZBarSymbol
from pyzbar.pyzbar import decode as zbar_decode

from device.workbench.foreign_codes import foreign_codes
from device.workbench.people import PAPERS, Person, citizen_card, national_qr, people, seeded
from device.workbench.scenes import Carriage, Frame, Pose, empty_scene, scene
from device.workbench.symbols import modules

PERSON, NEIGHBOUR = people(2, seeded(5))
CARD = citizen_card(PERSON)
HELD = {
    Carriage.CARD: Pose(4.0, turn_deg=8, tilt_deg=20, pan_deg=10, blur_px=0.7, noise=4, shade=0.4, contrast=0.7),
    Carriage.BADGE: Pose(5.0, turn_deg=-12, tilt_deg=15, blur_px=0.8, noise=4, shade=0.3, look=Carriage.BADGE),
    Carriage.PHONE: Pose(6.0, turn_deg=3, pan_deg=25, blur_px=0.6, noise=3, look=Carriage.PHONE),
}


def generator(seed: int = 1) -> np.random.Generator:
    """The same chance for the same seed."""
    return np.random.default_rng(seed)


def codes(frame: Frame) -> list[zxingcpp.Barcode]:
    """What a decoder finds in a frame."""
    return list(zxingcpp.read_barcodes(frame, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2)))


def read(frame: Frame) -> list[bytes]:
    """The payloads that a decoder reads in a frame, in order of their bytes."""
    return sorted(code.bytes for code in codes(frame))


@pytest.mark.parametrize("look", Carriage)
@pytest.mark.parametrize("paper", PAPERS)
def test_frame_holds_the_payload_byte_for_byte(look: Carriage, paper: Callable[[Person], bytes]) -> None:
    """Perspective, blur, noise and shade as at a gate leave every kind of code readable on every carrier."""
    payload = paper(PERSON)
    assert read(scene([payload], HELD[look], generator())) == [payload]


def test_second_decoder_reads_the_same() -> None:
    """The frames suit no particular decoder: libzbar reads them as well."""
    payload = national_qr(PERSON)
    assert [code.data for code in zbar_decode(scene([payload], HELD[Carriage.CARD], generator()), [ZBarSymbol.QRCODE])] == [payload]


def test_every_foreign_code_can_be_held_up() -> None:
    """From eight NUL bytes to one byte more than the limit, all of them come through exactly."""
    view = Pose(3.5, turn_deg=10, noise=2, look=Carriage.PHONE)
    for code in foreign_codes(seeded(7)):
        assert read(scene([code.payload], view, generator())) == [code.payload], code.name


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_codes_are_all_whole_in_one_frame(count: int) -> None:
    """Each has its own part of the frame, and no carrier covers another's code."""
    payloads = [citizen_card(person) for person in people(count, seeded(count))]
    for turn_deg in (0, 30, 90):
        assert read(scene(payloads, Pose(3.0, turn_deg=turn_deg), generator())) == sorted(payloads)


def test_same_seed_gives_the_same_frame() -> None:
    """A figure measured on made frames can be measured again."""
    first, second, other = (scene([CARD], HELD[Carriage.CARD], generator(seed)) for seed in (4, 4, 5))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (2304, 1296), (721, 405)])
def test_frame_is_grey_and_of_the_size_asked_for(size: tuple[int, int]) -> None:
    """A frame is what the camera gives: height by width of single bytes."""
    for frame in (scene([CARD], Pose(3.0), generator(), size), empty_scene(generator(), size)):
        assert frame.dtype == np.uint8
        assert frame.shape == (size[1], size[0])
        assert frame.flags.c_contiguous


@pytest.mark.parametrize("px_per_module", [2.5, 3.0, 4.2])
def test_pixels_for_a_module_are_what_was_asked_for(px_per_module: float) -> None:
    """The distance between the corners of the code that a decoder reports is the number of its modules times the size of one."""
    (code,) = codes(scene([CARD], Pose(px_per_module, turn_deg=30, contrast=1.0), generator(), exact=True))
    corners = code.position
    side = math.hypot(corners.top_right.x - corners.top_left.x, corners.top_right.y - corners.top_left.y)
    assert side == pytest.approx(px_per_module * len(modules(CARD, quiet=0)), rel=0.02)


def test_code_turns_and_tips_as_told() -> None:
    """Turned clockwise the upper edge falls to the right; the edge that is tipped away looks shorter."""
    (turned,) = codes(scene([CARD], Pose(4.0, turn_deg=20), generator()))
    fall = turned.position.top_right.y - turned.position.top_left.y
    run = turned.position.top_right.x - turned.position.top_left.x
    assert math.degrees(math.atan2(fall, run)) == pytest.approx(20, abs=2)
    (tipped,) = codes(scene([CARD], Pose(6.0, tilt_deg=35), generator()))
    upper = tipped.position.top_right.x - tipped.position.top_left.x
    assert upper < tipped.position.bottom_right.x - tipped.position.bottom_left.x - 10
    (panned,) = codes(scene([CARD], Pose(6.0, pan_deg=35), generator()))
    right = panned.position.bottom_right.y - panned.position.top_right.y
    assert right < panned.position.bottom_left.y - panned.position.top_left.y - 10


def test_code_too_near_is_held_further_away_or_refused() -> None:
    """A frame never shows part of a code: it is made smaller, or with ``exact`` the caller hears of it."""
    near = Pose(40.0, turn_deg=20, tilt_deg=20)
    assert read(scene([CARD], near, generator())) == [CARD]
    with pytest.raises(ValueError, match=r"40\.0 pixels a module are too many for this code in 1280 x 720"):
        scene([CARD], near, generator(), exact=True)


def test_what_no_symbol_holds_is_refused() -> None:
    """A payload beyond the largest symbol is the caller's mistake."""
    with pytest.raises(ValueError, match="Data too large"):
        scene([bytes(2954)], Pose(error="L"), generator())


@pytest.mark.parametrize(
    ("view", "spoilt"),
    [(Pose(blur_px=4.0), "blur"), (Pose(noise=150.0), "noise"), (Pose(contrast=0.0), "contrast"), (Pose(1.0, blur_px=1.0), "distance")],
)
def test_bad_seeing_makes_a_code_unreadable(view: Pose, spoilt: str) -> None:
    """Each of the settings really takes something away."""
    assert read(scene([CARD], view, generator())) == [], spoilt


def test_shade_takes_light_from_one_side() -> None:
    """The darkest corner keeps ``1 - shade`` of its light, the brightest all of it."""
    plain, shaded = (scene([CARD], Pose(shade=shade), generator(9)).astype(float) for shade in (0.0, 0.5))
    corners = [shaded[y, x] / plain[y, x] for y in (0, -1) for x in (0, -1)]
    assert min(corners) == pytest.approx(0.5, abs=0.02)
    assert max(corners) == pytest.approx(1.0, abs=0.02)


def test_empty_frame_holds_no_code_and_is_not_flat() -> None:
    """It has light and edges to look through, and differs from one to the next."""
    rng = generator()
    first, second = empty_scene(rng), empty_scene(rng)
    assert read(first) == read(second) == []
    assert first.std() > 15
    assert not np.array_equal(first, second)


def test_no_payload_is_an_empty_scene() -> None:
    """A frame of nobody is a frame."""
    assert read(scene([], Pose(noise=2), generator())) == []
