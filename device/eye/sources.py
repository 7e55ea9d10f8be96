"""The choice of the source of frames that the configuration names.

Each source lives in a module of its own and is imported only when it is the
one in use: on a Pi the import of a camera stack costs a second, and a laptop
has none.
"""

from __future__ import annotations

from device.config import CameraSection
from device.errors import ConfigError
from device.eye.camera import Camera, Timer
from device.laptop import VIDEO, VIDEO_IS_NOT_HERE, is_here


def open_camera(section: CameraSection, timer: Timer | None = None) -> Camera:
    """The source that ``section`` names.

    Raises CameraMissing, SourceUnreadable, MissingPackage with the name of the
    package that would bring it, or ConfigError for a video where there is no player.
    """
    timer = timer or Timer()
    kind, _, path = section.source.partition(":")
    if kind == "folder":
        from device.eye.folder import FolderCamera  # noqa: PLC0415 - only the source in use is loaded

        return FolderCamera(path, section, timer)
    if kind == "video":
        if not is_here(VIDEO):
            raise ConfigError(f"camera.source: {VIDEO_IS_NOT_HERE}")
        from device.eye.video import VideoCamera  # noqa: PLC0415 - only the source in use is loaded

        return VideoCamera(path, section, timer)
    from device.eye.picamera import PicameraCamera  # noqa: PLC0415 - only the source in use is loaded

    return PicameraCamera(section, timer)
