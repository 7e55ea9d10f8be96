"""A frame's luma → the symbols in it, as raw bytes. One class for each library, behind one port.

Bytes and never text: a decoder's text is a guess at a character set, and the
guess turns Vietnamese names into Japanese.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from device.core.types import Box
from device.errors import DecoderBroken, MissingPackage
from device.eye.camera import Luma
from device.eye.parts import is_part

if TYPE_CHECKING:
    import zxingcpp


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """One symbol read. ``partial`` marks one part of a structured-append set; ``step`` names the rung that read it."""

    payload: bytes
    box: Box
    partial: bool = False
    step: str = ""

    def __repr__(self) -> str:
        """Without the payload, so that no log line and no failed assertion can hold one."""
        return f"Reading(bytes={len(self.payload)}, box={self.box}, partial={self.partial}, step={self.step!r})"


@dataclass(frozen=True, slots=True)
class Unread:
    """Where a symbol stands that could not be read: its corners as (x, y), around it in order, and its modules a side."""

    corners: tuple[tuple[int, int], ...]
    modules: int

    @property
    def box(self) -> Box:
        """The upright rectangle around it."""
        return _around([x for x, _ in self.corners], [y for _, y in self.corners])


@dataclass(frozen=True, slots=True)
class Look:
    """What one decoder found: symbols read, and symbols that could not be read."""

    readings: tuple[Reading, ...] = ()
    glimpses: tuple[Unread, ...] = ()


class Decoder(Protocol):
    """Finds QR symbols. Nothing that is in a picture makes it raise."""

    @property
    def name(self) -> str:
        """Short, stable: part of a sighting's ``step``."""
        ...

    def look(self, pixels: Luma) -> Look:
        """The symbols in ``pixels``, an array of any size, also none."""
        ...


def merged(looks: Iterable[Look]) -> Look:
    """Several looks at one frame as one: each payload once, the largest symbol first.

    Of a symbol read twice the first step and the larger box stay, and it is
    partial if any decoder says so. A glimpse whose middle lies in a reading
    is none.
    """
    found: dict[bytes, Reading] = {}
    glimpses: list[Unread] = []
    for look in looks:
        glimpses += look.glimpses
        for reading in look.readings:
            known = found.get(reading.payload, reading)
            box = max(known.box, reading.box, key=lambda box: box.area)
            found[reading.payload] = replace(known, box=box, partial=known.partial or reading.partial)
    readings: list[Reading] = []
    for reading in sorted(found.values(), key=lambda reading: -reading.box.area):
        # Of a part the decoders give different bytes: zbar puts a zero in the place of a missing neighbour.
        if not (reading.partial and any(other.partial and _covers(other.box, reading.box) for other in readings)):
            readings.append(reading)
    unread = {glimpse for glimpse in glimpses if not any(_covers(reading.box, glimpse.box) for reading in readings)}
    return Look(tuple(readings), tuple(sorted(unread, key=lambda glimpse: -glimpse.box.area)))


def _covers(box: Box, other: Box) -> bool:
    x, y = other.left + other.width // 2, other.top + other.height // 2
    return box.left <= x <= box.left + box.width and box.top <= y <= box.top + box.height


def placed(look: Look, step: str, scale: float = 1.0, left: int = 0, top: int = 0) -> Look:
    """The look with its step named, and its boxes moved from a prepared picture back into the frame.

    ``scale`` is pixels of the frame for one of the picture; ``left`` and
    ``top`` say where in the frame the picture begins.
    """
    return Look(
        tuple(replace(reading, box=_moved(reading.box, scale, left, top), step=step) for reading in look.readings),
        tuple(_moved_unread(glimpse, scale, left, top) for glimpse in look.glimpses),
    )


def _moved_unread(glimpse: Unread, scale: float, left: int, top: int) -> Unread:
    return Unread(tuple((left + round(x * scale), top + round(y * scale)) for x, y in glimpse.corners), glimpse.modules)


def _moved(box: Box, scale: float, left: int, top: int) -> Box:
    return Box(left + round(box.left * scale), top + round(box.top * scale), round(box.width * scale), round(box.height * scale))


def _around(xs: Sequence[int], ys: Sequence[int]) -> Box:
    return Box(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


# ------------------------------------------------------------------ zbar


_EVERY_SYMBOLOGY: Final = 0
_QR: Final = 64
_PARTIAL: Final = 1
_ENABLE: Final = 0
_BINARY: Final = 4
"""ZBAR_CFG_BINARY: bytes as they are. pyzbar 0.1.9 knows it only as the number of settings that there were before it."""
_Y800: Final = int.from_bytes(b"Y800", "little")


class ZbarDecoder:
    """libzbar through the handle that pyzbar has loaded: QR only, raw bytes, one scanner until it has read something.

    Parts of a structured-append set come as PARTIAL, or as one symbol with
    components where the whole set is in the frame; both are ``partial`` here.
    Not for use from several threads.
    """

    name = "zbar"

    def __init__(self) -> None:
        """Raises MissingPackage without libzbar, DecoderBroken where it knows no binary mode (before 0.23.1)."""
        try:
            self._zbar = importlib.import_module("pyzbar.wrapper")
        except ImportError as error:
            raise MissingPackage(f"reading codes needs the package `libzbar0`: {error}") from error
        self._components = self._zbar.zbar_function("zbar_symbol_get_components", ctypes.c_void_p, ctypes.POINTER(self._zbar.zbar_symbol))
        self._scanner = self._new_scanner()

    def _new_scanner(self) -> object:
        scanner = self._zbar.zbar_image_scanner_create()
        for symbology, setting, value in ((_EVERY_SYMBOLOGY, _ENABLE, 0), (_QR, _ENABLE, 1), (_QR, _BINARY, 1)):
            if self._zbar.zbar_image_scanner_set_config(scanner, symbology, setting, value) != 0:
                raise DecoderBroken(f"libzbar refuses setting {setting} of symbology {symbology}")
        return scanner

    def _forget(self) -> None:
        """A scanner keeps the last symbols, with what they hold, to use their memory again: another one knows nobody."""
        self._zbar.zbar_image_scanner_destroy(self._scanner)
        self._scanner = self._new_scanner()

    def look(self, pixels: Luma) -> Look:
        """See ``Decoder``. Reads no symbol with fewer than about 2.5 pixels a module."""
        if pixels.ndim != 2 or not pixels.size:  # noqa: PLR2004 - rows and columns
            return Look()
        # libzbar keeps the address, not the pixels: this array must live until the image is destroyed.
        contiguous = np.ascontiguousarray(pixels, dtype=np.uint8)
        image = self._zbar.zbar_image_create()
        try:
            self._zbar.zbar_image_set_format(image, _Y800)
            self._zbar.zbar_image_set_size(image, contiguous.shape[1], contiguous.shape[0])
            self._zbar.zbar_image_set_data(image, contiguous.ctypes.data_as(ctypes.c_void_p), contiguous.size, None)
            read = self._zbar.zbar_scan_image(self._scanner, image) > 0
            found = Look(tuple(self._readings(image))) if read else Look()
        finally:
            self._zbar.zbar_image_destroy(image)
        if read:
            self._forget()
        return found

    def _readings(self, image: object) -> Iterable[Reading]:
        symbol = self._zbar.zbar_image_first_symbol(image)
        while symbol:
            corners = range(self._zbar.zbar_symbol_get_loc_size(symbol))
            if symbol.contents.type in {_QR, _PARTIAL} and corners:
                length = self._zbar.zbar_symbol_get_data_length(symbol)
                payload = ctypes.string_at(self._zbar.zbar_symbol_get_data(symbol), length)
                xs = [self._zbar.zbar_symbol_get_loc_x(symbol, at) for at in corners]
                ys = [self._zbar.zbar_symbol_get_loc_y(symbol, at) for at in corners]
                yield Reading(payload, _around(xs, ys), symbol.contents.type == _PARTIAL or bool(self._components(symbol)))
            symbol = self._zbar.zbar_symbol_next(symbol)


# ------------------------------------------------------------------ zxing-cpp


class ZxingDecoder:
    """zxing-cpp 3 or newer: ``QRCodeModel2`` alone, since ``QRCode`` means Micro QR too and reads digits out of noise.

    A symbol found that fails its checksum is a glimpse. ``plain`` takes one
    threshold for the whole picture instead of local ones, which reads a few
    that those miss.
    """

    def __init__(self, *, plain: bool = False) -> None:
        """Raises MissingPackage where there is no wheel for this machine."""
        try:
            self._zxing = importlib.import_module("zxingcpp")
            self._format = self._zxing.BarcodeFormat.QRCodeModel2
        except (ImportError, AttributeError) as error:
            raise MissingPackage(f"zxing-cpp 3 or newer is not installed: {error}") from error
        self.name = "zxing-plain" if plain else "zxing"
        self._binarizer = self._zxing.Binarizer.GlobalHistogram if plain else self._zxing.Binarizer.LocalAverage

    def look(self, pixels: Luma) -> Look:
        """See ``Decoder``."""
        if pixels.ndim != 2 or not pixels.size:  # noqa: PLR2004 - rows and columns
            return Look()
        barcodes: list[zxingcpp.Barcode] = self._zxing.read_barcodes(
            np.asarray(pixels, dtype=np.uint8), formats=self._format, binarizer=self._binarizer, return_errors=True
        )
        whole = [barcode for barcode in barcodes if barcode.error is None]
        return Look(
            tuple(Reading(barcode.bytes, _place(barcode), _is_part(barcode)) for barcode in whole),
            tuple(unread for barcode in barcodes if barcode.error is not None and (unread := _unread(barcode))),
        )


def _corners(barcode: zxingcpp.Barcode) -> tuple[tuple[int, int], ...]:
    position = barcode.position
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    return tuple((corner.x, corner.y) for corner in corners)


def _place(barcode: zxingcpp.Barcode) -> Box:
    corners = _corners(barcode)
    return _around([x for x, _ in corners], [y for _, y in corners])


def _unread(barcode: zxingcpp.Barcode) -> Unread | None:
    """None of a find without a size, which is no symbol."""
    version = barcode.extra.get("Version") if isinstance(barcode.extra, dict) else None
    return Unread(_corners(barcode), 17 + 4 * int(version)) if isinstance(version, str) and version.isdecimal() else None


def _is_part(barcode: zxingcpp.Barcode) -> bool:
    extra = barcode.extra
    if not isinstance(extra, dict) or not isinstance(extra.get("DataMask"), int):
        return False
    modules = np.asarray(barcode.to_image(scale=1, add_quiet_zones=False)) == 0
    return is_part(modules, str(extra.get("ECLevel")), extra["DataMask"])
