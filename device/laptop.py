"""What a clone of the project has and the package for a gate leaves out: the workbench, and video files as frames.

pyproject.toml excludes both from the wheel (decision 17). Whoever needs one of
them asks here first, so that a person at a gate reads a sentence and not a traceback.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from device.errors import LaptopOnly

WORKBENCH: Final = "device.workbench"
VIDEO: Final = "device.eye.video"

VIDEO_IS_NOT_HERE: Final = "a gate plays no videos: name `picamera2` or `folder:PATH`, or run it on a laptop, from a clone of the project"
"""What is said of a configuration that names one."""


def is_here(part: str) -> bool:
    """Whether this installation has ``part``, the full name of a module. Nothing but the packages around it is imported."""
    return find_spec(part) is not None


def need(part: str, command: str) -> None:
    """Raise LaptopOnly where ``part`` is not here. ``command`` is what the person typed, without ``gate``."""
    if not is_here(part):
        raise LaptopOnly(f"`gate {command}` runs on a laptop: `provisioning/bootstrap gate {command}` in a clone of the project")
