"""What somebody would use instead of the eye, each as it comes: measured beside it on the same frames in the same run."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from pyzbar import pyzbar

from device.eye.camera import Luma
from device.eye.decoder import ZbarDecoder
from device.eye.filters import adaptive

Read: TypeAlias = Callable[[Luma], list[bytes]]

_Y800: Final = int.from_bytes(b"Y800", "little")


def rivals() -> Mapping[str, Read]:
    """Name → all payloads that it reads in a picture. OpenCV only where it is installed: a gate has no use for it."""
    zxing = importlib.import_module("zxingcpp")
    found: dict[str, Read] = {
        "pyzbar.decode": lambda pixels: [symbol.data for symbol in pyzbar.decode(np.ascontiguousarray(pixels))],
        "zxing-cpp default": lambda pixels: [code.bytes for code in zxing.read_barcodes(np.ascontiguousarray(pixels))],
        "zbar full scan": _zbar(),
    }
    try:
        opencv: Any = importlib.import_module("cv2")
    except ImportError:
        return found
    return found | {"OpenCV QRCodeDetector": _opencv(opencv, opencv.QRCodeDetector())}


def tuned() -> Mapping[str, Read]:
    """The same libraries, each as somebody would set it who had measured: for reading QR codes and nothing else."""
    zxing = importlib.import_module("zxingcpp")
    model2 = zxing.BarcodeFormat.QRCodeModel2
    zbar = ZbarDecoder()
    found: dict[str, Read] = {
        "zxing-cpp, QR alone": lambda pixels: [code.bytes for code in zxing.read_barcodes(np.ascontiguousarray(pixels), formats=model2)],
        "zbar, QR alone, binary, adaptive threshold": lambda pixels: [one.payload for one in zbar.look(adaptive(pixels)).readings],
    }
    try:
        opencv: Any = importlib.import_module("cv2")
    except ImportError:
        return found
    return found | {"OpenCV QRCodeDetectorAruco": _opencv(opencv, opencv.QRCodeDetectorAruco())}


def _zbar() -> Read:
    """As ``zbarcam`` does it: one scanner for good, every symbology, every row and column."""
    zbar = importlib.import_module("pyzbar.wrapper")
    scanner = zbar.zbar_image_scanner_create()

    def read(pixels: Luma) -> list[bytes]:
        contiguous = np.ascontiguousarray(pixels)
        image = zbar.zbar_image_create()
        try:
            zbar.zbar_image_set_format(image, _Y800)
            zbar.zbar_image_set_size(image, contiguous.shape[1], contiguous.shape[0])
            zbar.zbar_image_set_data(image, contiguous.ctypes.data_as(ctypes.c_void_p), contiguous.size, None)
            zbar.zbar_scan_image(scanner, image)
            found, symbol = [], zbar.zbar_image_first_symbol(image)
            while symbol:
                found.append(ctypes.string_at(zbar.zbar_symbol_get_data(symbol), zbar.zbar_symbol_get_data_length(symbol)))
                symbol = zbar.zbar_symbol_next(symbol)
            return found
        finally:
            zbar.zbar_image_destroy(image)

    return read


def _opencv(opencv: Any, detector: Any) -> Read:  # noqa: ANN401 - a library without types, which is not always there
    def read(pixels: Luma) -> list[bytes]:
        try:
            _, texts, _, _ = detector.detectAndDecodeMulti(np.ascontiguousarray(pixels))
        except (opencv.error, UnicodeDecodeError):
            # Some pictures fail an assertion of its own, and bytes that are no UTF-8 the conversion to text.
            return []
        return [text.encode("utf-8", "surrogateescape") for text in texts or () if text]

    return read
