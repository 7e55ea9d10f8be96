"""The eye's process: checks its decoders, gives up what it does not need, and looks until it is told to stop.

It has no network, no keys and no journal, and may be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from device import config as configuration
from device.config import GateConfig
from device.core.eye_messages import Hello
from device.eye import selfcheck
from device.eye.camera import Timer
from device.eye.ladder import LiveSettings, make_ladder
from device.eye.link import Link
from device.eye.loop import Alarm, EyeLoop, StopFlag
from device.eye.process import FrameAlarm, Parent, restrict
from device.ports import Notifier


def main(config_path: Path | str, notifier: Notifier | None = None) -> int:
    """The eye alone, until SIGTERM or SIGINT. Returns the exit code.

    Raises ConfigError, MissingPackage or DecoderBroken, with which it cannot
    start, and CameraStopped, after which whoever started it starts it again.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parent = Parent()
    restrict()
    run(configuration.load(Path(config_path)), stop, FrameAlarm(), notifier, parent)
    if notifier:
        notifier.stopping()
    return 0


def run(config: GateConfig, stop: StopFlag, alarm: Alarm, notifier: Notifier | None = None, parent: Parent | None = None) -> None:
    """Check the decoders, then look. Raises as ``main`` does, but for ConfigError."""
    ladder = make_ladder(LiveSettings(cpu_share=config.eye.cpu_share))
    selfcheck.check(ladder.decoders)
    timer = Timer()
    hello = Hello(pid=os.getpid(), source=config.camera.source.partition(":")[0], decoders=[decoder.name for decoder in ladder.decoders])
    link = Link(config.eye_socket, lambda: hello, timer.now_ns)
    try:
        EyeLoop(link, ladder, alarm, stop, notifier=notifier, parent=parent, timer=timer, reference=config.camera.reference).run(
            config.camera
        )
    finally:
        link.close()
