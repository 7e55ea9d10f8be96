"""The Raspberry Pi's cameras: which mode of its sensor each is used in, how it is focused, and from where it reads a card.

A mode is a size that the sensor itself gives. A picture enlarged from a
smaller mode has more pixels and shows no more; one made smaller from a larger
mode costs what the larger one does. Modes and bit depths are those that
``rpicam-hello --list-cameras`` names, angles and focal lengths those of
Raspberry Pi's documentation. Pure: a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from device.core.reasons import Sentence

CODE_MM: Final = 16.0
CODE_MODULES: Final = 49
"""The smallest code that people carry, and the finest on it: a citizen card's."""

PX_PER_MODULE: Final = 3.0
"""So many pixels a module are wanted; with fewer than 2.25 nothing is read."""


class Focus(StrEnum):
    """How a camera is focused."""

    MOTOR = "motor"
    """The gate moves the lens (`camera.lens_positions_dioptre`)."""
    TURNED = "turned"
    """The lens stands still, and can be turned by hand, once."""
    LENS = "lens"
    """The camera comes without a lens; what is screwed on is focused by hand."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """A camera as libcamera names it, with what is known of it.

    ``size`` is width and height of the mode in pixels. ``focal_px`` is the
    focal length in pixels of that mode, None where the lens is not the
    camera's; then ``pixel_um`` is the width of a pixel of that mode.
    """

    name: str
    size: tuple[int, int]
    bit_depth: int
    focus: Focus
    focal_px: float | None = None
    pixel_um: float | None = None

    def card_mm(self, lens_mm: float | None = None) -> int | None:
        """From how many millimetres a card's code has enough pixels; with ``lens_mm`` through a lens of that focal length."""
        if lens_mm is not None and self.pixel_um is not None:
            focal_px: float | None = lens_mm * 1_000 / self.pixel_um
        else:
            focal_px = self.focal_px
        return None if focal_px is None else round(focal_px * CODE_MM / CODE_MODULES / PX_PER_MODULE)

    @property
    def advice(self) -> Sentence:
        """What whoever sets it up has to know."""
        if self.focus is Focus.LENS:
            short, long = ((self.card_mm(lens) or 0) // 10 for lens in LENSES_MM)
            six, sixteen = LENSES_MM
            return Sentence(
                f"đọc thẻ ở {short} cm với ống kính {six} mm, {long} cm với ống kính {sixteen} mm; vặn nét bằng tay tại đó.",
                f"cards are read at {short} cm with a lens of {six} mm, at {long} cm with one of {sixteen} mm; focus it there by hand.",
            )
        card_cm = (self.card_mm() or 0) // 10
        if self.focus is Focus.MOTOR:
            return Sentence(
                f"đọc thẻ ở {card_cm} cm hoặc gần hơn; cổng tự chỉnh nét.", f"cards are read at {card_cm} cm or nearer; the gate focuses."
            )
        return Sentence(
            f"nét cố định cho vật ở xa; vặn ống kính cho nét ở {card_cm} cm, là chỗ đặt thẻ, nếu không chỉ đọc được mã lớn.",
            f"its focus is fixed, for what is far away: turn the lens until print is sharp at {card_cm} cm, where cards are held, "
            "or only large codes are read.",
        )


LENSES_MM: Final = (6, 16)
"""Focal lengths of the two lenses that Raspberry Pi sells for cameras that come without one."""


def _across(width_px: int, degrees: float) -> float:
    """Focal length in pixels of a picture so many pixels wide, that shows so wide an angle."""
    return width_px / 2 / math.tan(math.radians(degrees) / 2)


_MODULE_3: Final = Sensor("Camera Module 3", (2304, 1296), 10, Focus.MOTOR, _across(2304, 66.0))
_MODULE_3_WIDE: Final = Sensor("Camera Module 3 Wide", (2304, 1296), 10, Focus.MOTOR, _across(2304, 102.0))

SENSORS: Final[Mapping[str, Sensor]] = {
    # Two pixels by two as one, the whole field, up to 56 frames a second.
    "imx708": _MODULE_3,
    "imx708_noir": _MODULE_3,
    "imx708_wide": _MODULE_3_WIDE,
    "imx708_wide_noir": _MODULE_3_WIDE,
    # The middle of the field, pixel by pixel, 47 a second. The whole field two by two has half of that resolution.
    "imx219": Sensor("Camera Module 2", (1920, 1080), 10, Focus.TURNED, _across(3280, 62.2)),
    # The same, 30 a second.
    "ov5647": Sensor("Camera Module 1", (1920, 1080), 10, Focus.TURNED, _across(2592, 53.5)),
    # Two by two, the whole field, 40 a second; only the cropped mode of 1332x990 has 10 bits in every kernel.
    "imx477": Sensor("High Quality Camera", (2028, 1520), 12, Focus.LENS, pixel_um=3.10),
    # The only one, 60 a second.
    "imx296": Sensor("Global Shutter Camera", (1456, 1088), 10, Focus.LENS, pixel_um=3.45),
}
"""By the name that libcamera gives the camera."""

GENERAL_SIZE: Final = (1280, 720)
"""Of a camera that is not in the table: every sensor has as much, and picamera2 chooses the mode."""

UNKNOWN: Final = Sentence(
    "không có trong bảng: dùng giá trị chung (1280x720); thử xem đọc được thẻ ở khoảng cách nào, rồi đặt [camera] width_px và height_px.",
    "not in the table, general values are used (1280x720): try from where a card is read, and set [camera] width_px and height_px.",
)


def advice_for(model: str) -> Sentence:
    """What whoever sets a camera up has to know, with its names."""
    sensor = SENSORS.get(model)
    name, known = (model, UNKNOWN) if sensor is None else (f"{sensor.name} ({model})", sensor.advice)
    return Sentence(f"{name}: {known.vi}", f"{name}: {known.en}")
