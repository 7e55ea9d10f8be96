"""A folder of pictures as a camera: for the demonstration, for recorded material, for a gate on a laptop."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from device.config import CameraSection
from device.core.types import Cause
from device.errors import SourceUnreadable
from device.eye.camera import BadFrame, Frame, Idle, Items, Pace, Timer
from device.eye.pictures import list_pictures, read_image

log = logging.getLogger(__name__)

RESCAN_S: Final = 0.5
"""A folder without a usable picture is looked at this often, so that the first one put into it is seen."""

OTHERS_NAMED: Final = 10


class FolderCamera:
    """PNG and JPEG files in natural order of name, at ``fps``, once or again and again.

    The folder is listed anew on each round, so files may come and go. A file
    that is no whole picture is a ``BadFrame`` when it is first met and again
    only after it has changed. Files that are not named like pictures are
    named and counted in one line of the log.

    When it plays in rounds, a picture that is overdue is skipped and counted.
    Once is once: then every picture is seen, however late.
    """

    source = "folder"
    advice = ""

    def __init__(self, path: str, section: CameraSection, timer: Timer) -> None:
        """Raises SourceUnreadable, naming the folder, where it cannot be listed."""
        self.lossless = not section.loop
        self.skipped = 0
        self._folder = Path(path)
        self._max_megapixels = section.max_megapixels
        self._timer = timer
        self._pace = Pace(section.fps, timer)
        self._known_bad: dict[str, tuple[int, int]] = {}
        self._rounds = 0
        self._behind = 0
        _log_others(self._folder, list_pictures(self._folder))

    def frames(self) -> Items:
        """See ``Camera``. Raises SourceUnreadable when the folder has gone."""
        while True:
            files = [file for file in list_pictures(self._folder) if self._known_bad.get(file.name) != _stamp(file)]
            yield from self._round(files)
            if self.lossless:
                return
            self._rounds += 1
            if not files:
                self._timer.sleep(RESCAN_S)
                yield Idle()

    def _round(self, files: list[Path]) -> Items:
        # Each round starts elsewhere, so that a steady lateness does not leave out the same pictures for ever.
        place = self._rounds % min(self._behind + 1, len(files) or 1)
        self.skipped += place
        while place < len(files):
            yield from self._pace.wait()
            yield self._load(files[place])
            overdue = self._pace.overdue()
            self._behind = 0 if self.lossless else overdue
            self.skipped += min(self._behind, len(files) - place - 1)
            place += 1 + self._behind

    def judged(self, frame: Frame, *, read: bool, cause: Cause | None = None) -> None:
        """Nothing can be chosen."""

    def close(self) -> None:
        """Nothing is held open between frames."""

    def _load(self, file: Path) -> Frame | BadFrame:
        try:
            pixels = read_image(file, self._max_megapixels)
        except SourceUnreadable as error:
            self._known_bad[file.name] = _stamp(file)
            return BadFrame(file.name, str(error))
        return Frame(pixels, self._timer.now_ns(), file.name)


def _stamp(file: Path) -> tuple[int, int]:
    """What changes when the file does; of a file that cannot be looked at, nothing ever."""
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _log_others(folder: Path, pictures: list[Path]) -> None:
    known = {picture.name for picture in pictures}
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in known)
    if others:
        log.info("%s: %d entries are not named .png or .jpg and are left alone: %s", folder, len(others), ascii(others[:OTHERS_NAMED]))
