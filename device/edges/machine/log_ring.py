"""The newest lines of the program's own log, in memory, for an order that asks for them."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

LINES: Final = 500
LINE_LETTERS: Final = 300
TEXT_LETTERS: Final = 60_000


class LogRing(logging.Handler):
    """Keeps lines as they were logged: the log never holds what was on a code."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, cut to ``LINE_LETTERS``; beyond ``LINES`` the oldest goes."""
        self._lines.append(self.format(record)[:LINE_LETTERS])

    def text(self, lines: int) -> str:
        """The newest ``lines`` lines, oldest first; of more than ``TEXT_LETTERS`` letters the newest."""
        return "\n".join(list(self._lines)[-lines:])[-TEXT_LETTERS:]
