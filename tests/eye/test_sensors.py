"""The table of cameras: modes that their sensors have, and distances that follow from their optics."""

from __future__ import annotations

import pytest

from device.eye.sensors import GENERAL_SIZE, SENSORS, Focus, advice_for

LISTED = {
    "imx708": {(1536, 864, 10), (2304, 1296, 10), (4608, 2592, 10)},
    "imx219": {(640, 480, 10), (1640, 1232, 10), (1920, 1080, 10), (3280, 2464, 10)},
    "ov5647": {(640, 480, 10), (1296, 972, 10), (1920, 1080, 10), (2592, 1944, 10)},
    "imx477": {(1332, 990, 10), (2028, 1080, 12), (2028, 1520, 12), (4056, 3040, 12)},
    "imx296": {(1456, 1088, 10)},
}
"""As `rpicam-hello --list-cameras` prints them on Raspberry Pi OS."""

OPTICS = {"imx708": (4.74, 2 * 1.40), "imx219": (3.04, 1.12), "ov5647": (3.60, 1.40), "imx477": (6.0, 2 * 1.55), "imx296": (6.0, 3.45)}
"""Focal length in mm, and width of a pixel of the mode in µm: from the data sheets, where the table has angles."""


@pytest.mark.parametrize("model", SENSORS)
def test_each_camera_is_used_in_a_mode_of_its_own(model: str) -> None:
    """Not one enlarged from a smaller one; and of no more pixels than the smallest board has memory for."""
    sensor = SENSORS[model]
    assert (*sensor.size, sensor.bit_depth) in LISTED[model.partition("_")[0]]
    assert sensor.size[0] * sensor.size[1] < 3_200_000


@pytest.mark.parametrize("model", OPTICS)
def test_the_distance_of_a_card_follows_from_focal_length_and_pixels(model: str) -> None:
    """Three pixels a module of a sixteen millimetre code with 49; within a tenth of what the angle of view says."""
    focal_mm, pixel_um = OPTICS[model]
    expected_mm = focal_mm * 1_000 / pixel_um * 16 / 49 / 3
    sensor = SENSORS[model]
    found_mm = sensor.card_mm(focal_mm if sensor.focus is Focus.LENS else None)
    assert found_mm == pytest.approx(expected_mm, rel=0.1)


def test_whoever_sets_it_up_is_told_from_where_it_reads_and_how_it_is_focused() -> None:
    """In both languages, and of a camera that nobody knows that it is so."""
    assert "19 cm" in advice_for("imx708").en
    assert "29 cm" in advice_for("imx219").en
    assert "turn the lens" in advice_for("ov5647").en
    assert "28 cm" in advice_for("ov5647").en
    assert "56 cm with one of 16 mm" not in advice_for("imx708").en
    assert "at 21 cm with a lens of 6 mm, at 56 cm with one of 16 mm" in advice_for("imx477").en
    assert "18 cm" in advice_for("imx296").en
    unknown = advice_for("imx999")
    assert unknown.en.startswith("imx999: not in the table")
    assert "x".join(map(str, GENERAL_SIZE)) in unknown.en
    assert "x".join(map(str, GENERAL_SIZE)) in unknown.vi
