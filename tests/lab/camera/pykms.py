"""Stands in for the DRM library that picamera2 imports for its preview window, which a gate never opens. A Pi's own package has it."""

from __future__ import annotations


class _Formats:
    def __getattr__(self, name: str) -> str:
        return name


PixelFormat = _Formats()
