"""Both decoders, held to one contract: raw bytes, places, parts, and no picture that makes them raise."""

from __future__ import annotations

import ctypes
import gc
import sys
import time

import numpy as np
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from pyzbar import wrapper

from device.core.types import Box
from device.errors import DecoderBroken, MissingPackage
from device.eye.camera import Luma
from device.eye.decoder import Decoder, Look, Reading, Unread, ZbarDecoder, ZxingDecoder, merged, placed
from device.workbench.people import citizen_card, people, seeded
from tests.eye.pages import drawn, finder_page, on_page, set_pages, symbol

DECODERS: list[Decoder] = [ZbarDecoder(), ZxingDecoder(), ZxingDecoder(plain=True)]


@pytest.fixture(params=DECODERS, ids=lambda decoder: decoder.name)
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """Each decoder in turn, and the same one for all tests, as in the eye."""
    found: Decoder = request.param
    return found


def payloads(look: Look) -> list[bytes]:
    """What was read."""
    return [reading.payload for reading in look.readings]


def test_vietnamese_names_come_through_as_the_bytes_that_were_put_in(decoder: Decoder) -> None:
    """No character set is guessed: forty made-up cards, byte for byte."""
    cards = [citizen_card(person) for person in people(40, seeded(1))]
    assert [payloads(decoder.look(symbol(card))) for card in cards] == [[card] for card in cards]


@given(payload=st.binary(min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_come_through(payload: bytes) -> None:
    """Control characters, zeros, broken UTF-8: a symbol's bytes are what was put in."""
    picture = symbol(payload)
    for decoder in DECODERS:
        assert payloads(decoder.look(picture)) == [payload]


def test_the_box_is_where_the_symbol_stands(decoder: Decoder) -> None:
    """To within two modules."""
    page = np.full((400, 600), 255, np.uint8)
    picture = symbol(b"where am I", scale=4)
    page[100 : 100 + picture.shape[0], 300 : 300 + picture.shape[1]] = picture
    (reading,) = decoder.look(page).readings
    modules = picture.shape[0] // 4 - 8
    expected = (316, 116, 4 * modules, 4 * modules)
    box = reading.box
    assert all(abs(got - want) <= 8 for got, want in zip((box.left, box.top, box.width, box.height), expected, strict=True))


def test_several_codes_in_one_frame_are_all_found(decoder: Decoder) -> None:
    """None is lost to another."""
    codes = [b"first", b"second code", b"the third of them"]
    page = on_page([symbol(code, scale=scale) for code, scale in zip(codes, (8, 4, 6), strict=True)])
    assert sorted(payloads(decoder.look(page))) == sorted(codes)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_turned_or_inverted_or_mirrored_code_is_read(decoder: Decoder, turn: int) -> None:
    """People hold codes in any way; inverted ones stand on telephones in dark mode, which zbar cannot read."""
    picture = np.rot90(symbol(b"turned about"), turn)
    assert payloads(decoder.look(picture)) == [b"turned about"]
    assert payloads(decoder.look(np.fliplr(picture))) == [b"turned about"]
    assert payloads(decoder.look(255 - picture)) == ([] if decoder.name == "zbar" else [b"turned about"])


def test_each_part_of_a_set_is_partial(decoder: Decoder) -> None:
    """A part alone on a page would otherwise pass for a whole message, and stops a loop around pyzbar's own decode."""
    for page in set_pages(b"064090001234||" + b"x" * 60, 3):
        assert [reading.partial for reading in decoder.look(page).readings] == [True]


def test_a_whole_set_in_one_frame_is_partial_too(decoder: Decoder) -> None:
    """Whether somebody holds up all the parts must not change the answer: no accepted credential comes in parts."""
    pages = set_pages(b"064090001234||" + b"x" * 60, 2)
    look = decoder.look(np.hstack(pages))
    assert look.readings
    assert all(reading.partial for reading in look.readings)


def test_a_whole_symbol_is_not_partial(decoder: Decoder) -> None:
    """Also beside a part."""
    whole = symbol(b"whole", scale=5)
    part = set_pages(b"part of a set" * 3, 2)[0]
    readings = {reading.payload: reading.partial for reading in decoder.look(on_page([whole, part])).readings}
    assert readings.pop(b"whole") is False
    assert set(readings.values()) == {True}


def test_the_scanner_keeps_nothing_of_the_frame_before(decoder: Decoder) -> None:
    """One scanner serves for good: a code that was there is not read again from an empty frame, nor a part completed."""
    first, second = set_pages(b"in two frames " * 4, 2)
    assert payloads(decoder.look(symbol(b"before"))) == [b"before"]
    assert decoder.look(np.full((300, 300), 255, np.uint8)) == Look()
    for page in (first, second):
        assert all(reading.partial for reading in decoder.look(page).readings)


ODD: dict[str, Luma] = {
    "none": np.zeros((0, 0), np.uint8),
    "no rows": np.zeros((0, 10), np.uint8),
    "one pixel": np.zeros((1, 1), np.uint8),
    "one row": np.zeros((1, 5000), np.uint8),
    "one column": np.zeros((5000, 1), np.uint8),
    "black": np.zeros((480, 640), np.uint8),
    "white": np.full((480, 640), 255, np.uint8),
    "noise": np.random.default_rng(3).integers(0, 256, (480, 640), dtype=np.uint8),
    "three channels": np.zeros((20, 20, 3), np.uint8),
    "one dimension": np.zeros(500, np.uint8),
    "finder patterns": finder_page(),
}


@pytest.mark.parametrize("picture", ODD.values(), ids=ODD)
def test_a_picture_without_a_code_gives_nothing_and_never_raises(decoder: Decoder, picture: Luma) -> None:
    """Frames of every shape, empty ones too."""
    assert decoder.look(picture).readings == ()


def test_a_page_of_finder_patterns_is_done_in_time(decoder: Decoder) -> None:
    """The limit for a frame is 1.5 s; this page of them at 1280x720 is left in well below a third."""
    page = finder_page(columns=70, rows=40)
    before_ns = time.thread_time_ns()
    decoder.look(page)
    assert time.thread_time_ns() - before_ns < 500_000_000


def test_rows_with_a_stride_are_read_in_place(decoder: Decoder) -> None:
    """A camera pads its rows; Fortran order and reversed rows come from turned arrays."""
    picture = symbol(b"strided", scale=4)
    padded = np.zeros((picture.shape[0], picture.shape[1] + 37), np.uint8)
    padded[:, : picture.shape[1]] = picture
    for view in (padded[:, : picture.shape[1]], np.asfortranarray(picture), picture[::-1], picture[:, ::-1], picture[::2, ::2]):
        assert payloads(decoder.look(view)) == [b"strided"]


def test_a_micro_qr_is_no_code(decoder: Decoder) -> None:
    """No accepted credential is one, and the format makes digits out of noise."""
    micro = np.array([[bool(module) for module in row] for row in segno.make_micro("12345").matrix])
    assert decoder.look(drawn(np.pad(micro, 4), 6)) == Look()


def test_a_code_that_cannot_be_read_is_a_glimpse() -> None:
    """A thumb over the middle: the corners are seen, the checksum fails, and the gate can say "closer, hold still"."""
    picture = symbol(b"064090001234||" + b"x" * 80, scale=6, error="L")
    middle = picture.shape[0] // 2
    picture[middle - 30 : middle + 30, middle - 30 : middle + 30] = 0
    look = ZxingDecoder().look(picture)
    assert look.readings == ()
    (glimpse,) = look.glimpses
    assert abs(glimpse.box.width - (picture.shape[1] - 48)) < 12
    assert glimpse.modules == picture.shape[1] // 6 - 8


def test_a_reading_shows_no_payload() -> None:
    """What is printed in a failed test or a log line must not hold a name."""
    assert "secret" not in repr(Reading(b"secret", Box(0, 0, 1, 1)))


def test_the_largest_comes_first_and_each_payload_once() -> None:
    """Two decoders that agree give one reading, with the larger box and the name of the first."""
    small, large = Box(0, 0, 10, 10), Box(50, 50, 90, 90)
    look = merged(
        [
            Look((Reading(b"a", small, step="one"),)),
            Look((Reading(b"b", large, step="two"), Reading(b"a", Box(0, 0, 11, 11), step="two"))),
        ]
    )
    assert [(reading.payload, reading.box, reading.step) for reading in look.readings] == [
        (b"b", large, "two"),
        (b"a", Box(0, 0, 11, 11), "one"),
    ]


def test_one_decoder_that_says_partial_is_enough() -> None:
    """A part is refused whoever noticed it."""
    box = Box(0, 0, 10, 10)
    for first, second in ((True, False), (False, True)):
        look = merged([Look((Reading(b"a", box, first),)), Look((Reading(b"a", box, second),))])
        assert look.readings[0].partial is True


def test_a_glimpse_of_what_was_read_is_none() -> None:
    """What one decoder could not read another has read: nobody needs to come closer."""
    here = Unread(((10, 10), (110, 10), (110, 110), (10, 110)), 21)
    elsewhere = Unread(((310, 10), (410, 10), (410, 110), (310, 110)), 21)
    look = merged([Look(glimpses=(here, elsewhere, elsewhere)), Look((Reading(b"a", Box(12, 9, 99, 101)),))])
    assert look.glimpses == (elsewhere,)


def test_boxes_of_a_prepared_picture_are_moved_back_into_the_frame() -> None:
    """Half the size means twice the pixels, and a crop begins where it was cut."""
    unread = Unread(((1, 2), (4, 2), (4, 6), (1, 6)), 21)
    look = placed(Look((Reading(b"a", Box(10, 20, 30, 40)),), (unread,)), "rung", 2.0, 100, 200)
    assert look.readings[0].box == Box(120, 240, 60, 80)
    assert look.readings[0].step == "rung"
    assert look.glimpses == (Unread(((102, 204), (108, 204), (108, 212), (102, 212)), 21),)
    assert look.glimpses[0].box == Box(102, 204, 6, 8)


def test_a_libzbar_without_binary_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older library takes the setting for an unknown one and says so; its text would mangle names."""
    real = wrapper.zbar_image_scanner_set_config
    monkeypatch.setattr(
        wrapper,
        "zbar_image_scanner_set_config",
        lambda scanner, symbology, setting, value: 1 if setting == 4 else real(scanner, symbology, setting, value),
    )
    with pytest.raises(DecoderBroken, match="setting 4"):
        ZbarDecoder()


def test_a_machine_without_libzbar_is_told_which_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names Debian's package."""
    monkeypatch.setitem(sys.modules, "pyzbar.wrapper", None)
    with pytest.raises(MissingPackage, match="libzbar0"):
        ZbarDecoder()


def test_a_machine_without_zxing_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no wheel for 32-bit machines; the caller then goes without."""
    monkeypatch.setitem(sys.modules, "zxingcpp", None)
    with pytest.raises(MissingPackage, match="zxing"):
        ZxingDecoder()


def test_libzbar_is_given_pixels_that_live_as_long_as_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library keeps an address only: at the scan the bytes behind it are those of the frame."""
    seen: list[bytes] = []
    kept: dict[str, tuple[int, int]] = {}
    set_data, scan = wrapper.zbar_image_set_data, wrapper.zbar_scan_image

    def noting_set_data(image: object, data: ctypes.c_void_p, length: int, cleanup: None) -> None:
        kept["at"] = (data.value or 0, length)
        set_data(image, data, length, cleanup)

    def noting_scan(scanner: object, image: object) -> object:
        gc.collect()
        [bytearray(200_000) for _ in range(50)]
        seen.append(ctypes.string_at(*kept["at"]))
        return scan(scanner, image)

    monkeypatch.setattr(wrapper, "zbar_image_set_data", noting_set_data)
    monkeypatch.setattr(wrapper, "zbar_scan_image", noting_scan)
    picture = drawn(np.random.default_rng(0).random((80, 80)) < 0.5, 5)[::-1]
    ZbarDecoder().look(picture)
    assert seen == [picture.tobytes()]
