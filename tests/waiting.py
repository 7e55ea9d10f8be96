"""How a test waits for what happens elsewhere: for the state that it needs, and never for a time.

What a fake clock, a queue or an event can say is waited for by that. The rest,
another process or thread that tells nobody, is asked again and again here; the
limits are far above anything that a slow machine needs, so only a hang meets
them. `tests/system/test_sleeps.py` keeps every other pause out of the tests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

LIMIT_S: Final = 30.0
"""Half of what a test may take at all, so that it can say what did not happen."""
STEP_S: Final = 0.005

_NEVER: Final = threading.Event()


def happens(reached: Callable[[], object], limit_s: float = LIMIT_S) -> bool:
    """Whether it becomes true within the limit; returns as soon as it is."""
    end_s = time.monotonic() + limit_s
    while not reached():
        if time.monotonic() > end_s:
            return False
        _NEVER.wait(STEP_S)
    return True


def until(reached: Callable[[], object], limit_s: float = LIMIT_S, why: Callable[[], object] = str) -> None:
    """Return as soon as it is true; fail with ``why`` when it does not become so."""
    assert happens(reached, limit_s), f"it did not happen within {limit_s:g} s: {why()}"


def next_second() -> None:
    """Return when the wall clock shows another second: certificates know whole ones."""
    now_s = int(time.time())
    until(lambda: int(time.time()) > now_s)
