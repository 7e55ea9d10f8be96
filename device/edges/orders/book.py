"""What became of each order, durable before and after it is carried out: so that none is carried out twice.

One small file for each order. It is forgotten a day after the order expired:
from then on it is refused for that.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from device.core import wire
from device.edges.machine.files import read_plain, replace_durably

log = logging.getLogger(__name__)

BOOK_LIMIT: Final = 1000
KEPT_S: Final = 86_400
_FILE_LIMIT_BYTES: Final = 4096
_STATE: Final[TypeAdapter[wire.CommandStatus]] = TypeAdapter(wire.CommandStatus)
_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class OrderNote:
    """What became of one order. ``reported`` says that its end stands in the record; ``expires_s`` counts from 1970."""

    id: str
    name: str
    state: wire.CommandStatus
    expires_s: int
    reason: str | None = None
    reported: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing more will become of the order."""
        return self.state not in {"received", "executing"}


class OrderBook:
    """The folder of orders, read whole at the start. For one thread."""

    def __init__(self, folder: Path) -> None:
        """Read what was noted, and make the folder where there is none. Raises OSError where it cannot be used."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lines = {line.id: line for line in self._read()}

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, name: str) -> OrderNote | None:
        """What is known of an order by its id; None where it was never begun."""
        return self._lines.get(name)

    def lines(self) -> list[OrderNote]:
        """All orders that are known, in the order in which they were first noted or read."""
        return list(self._lines.values())

    def write(self, line: OrderNote) -> None:
        """Note a line, durably. Raises OSError, and then nothing has changed; ValueError for an id that is no name."""
        if _NAME.fullmatch(line.id) is None:
            raise ValueError("not the id of an order")
        content = {"name": line.name, "state": line.state, "expires_s": line.expires_s, "reason": line.reason, "told": line.reported}
        replace_durably(self._folder / f"{line.id}.json", json.dumps(content).encode())
        self._lines[line.id] = line

    def tidy(self, now_s: int) -> None:
        """Forget the orders that are over, reported, and expired more than ``KEPT_S`` before ``now_s`` (seconds since 1970).

        Only for a time that is known: by a clock far ahead, an order that still lives would be new again.
        """
        for line in self.lines():
            if line.over and line.reported and now_s > line.expires_s + KEPT_S:
                (self._folder / f"{line.id}.json").unlink(missing_ok=True)
                del self._lines[line.id]

    @property
    def full(self) -> bool:
        """Whether the book holds ``BOOK_LIMIT`` orders, so that no further one may be begun."""
        return len(self._lines) >= BOOK_LIMIT

    def _read(self) -> Iterator[OrderNote]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield _line(path.stem, json.loads(read_plain(path, _FILE_LIMIT_BYTES)))
            except (OSError, ValueError, KeyError, TypeError) as error:
                # It was begun once: it must not be begun again because its page is damaged.
                log.warning("what became of order %s cannot be read: %s", path.stem, type(error).__name__)
                yield OrderNote(path.stem, "unknown", "interrupted", 2**40, "unreadable")


def _line(name: str, content: dict[str, object]) -> OrderNote:
    expires_s, reason = content["expires_s"], content["reason"]
    if type(expires_s) is not int or not isinstance(reason, str | None):
        raise ValueError("not a line of the book")
    return OrderNote(name, str(content["name"]), _STATE.validate_python(content["state"]), expires_s, reason, bool(content["told"]))
