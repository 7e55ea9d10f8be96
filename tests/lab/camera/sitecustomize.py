"""Fits picamera2 to libcamera's virtual camera, and shows that camera a picture that can be changed while it runs.

Python imports this by itself where the folder is on PYTHONPATH. The product's
own code runs unchanged: it opens picamera2, and what it opens has been fitted.

``LAB_PICTURE`` names a file of raw luma, as large as a frame: it is painted
into each frame as it completes. While ``LAB_PICTURE.hang`` exists no frame
completes, as when a camera stack hangs.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

FITTED = "picamera2"
SPARSE = 64
"""Every so many pixels are noisy: enough for a source that looks at every eighth of every eighth row."""
FRAME_S = 1 / 15
"""The virtual camera paces nothing: unpaced it gives hundreds of frames a second."""


class _Painter:
    """Holds each frame for its time, and paints the picture on it."""

    def __init__(self, module: ModuleType, then: Callable[[object], None] | None) -> None:
        self._module = module
        self._then = then
        self._path = Path(os.environ["LAB_PICTURE"])
        self._hang = self._path.with_name(self._path.name + ".hang")

    def __call__(self, request: object) -> None:
        time.sleep(FRAME_S)
        while self._hang.exists():
            time.sleep(FRAME_S)
        if self._path.exists():
            with self._module.MappedArray(request, "main", reshape=False) as mapped:
                self._paint(mapped.array.reshape(-1))
        if self._then is not None:
            self._then(request)

    def _paint(self, buffer: npt.NDArray[np.uint8]) -> None:
        """Straight into the buffer: what this takes of memory would be taken for the product's. Nothing may refer to it afterwards."""
        with self._path.open("rb") as picture:
            size = picture.readinto(buffer.data)
        # A sensor's noise: a camera that gives the same picture twice is taken for one that hangs.
        noisy = buffer[:size:SPARSE]
        noisy ^= np.frombuffer(os.urandom(noisy.size), np.uint8) & 1


def _fit(module: ModuleType) -> None:
    camera = module.Picamera2
    allocators = importlib.import_module("picamera2.allocators")
    # The virtual pipeline refuses the raw role; one made-up mode is enough for what asks.
    camera._get_raw_modes = lambda _self: [{"format": "NV12", "size": (1280, 720)}]  # noqa: SLF001 - fitting another's insides is the purpose
    configure = camera.configure

    def with_its_own_buffers(self: Any, *arguments: object) -> object:  # noqa: ANN401 - a class without types
        # picamera2's dma-buf allocator makes one plane where this pipeline wants two, and libcamera aborts the process.
        self.allocator = allocators.LibcameraAllocator(self.camera)
        return configure(self, *arguments)

    camera.configure = with_its_own_buffers
    camera.pre_callback = property(
        lambda self: self.__dict__.get("_painter"),
        lambda self, then: self.__dict__.__setitem__("_painter", _Painter(module, then)),
    )


class _Loader(importlib.abc.Loader):
    def __init__(self, real: importlib.abc.Loader) -> None:
        self._real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        _fit(module)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != FITTED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


if "LAB_PICTURE" in os.environ:
    sys.meta_path.insert(0, _Finder())
