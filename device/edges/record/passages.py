"""The last passage of each person, in slots of one size that are overwritten in place: see ``schema``.

Used by the writer's thread alone, within the transaction of the event that
made the passage.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Final

from device.core.types import Passage
from device.edges.record import statements
from device.edges.record.rows import SLOT_BYTES, RowDamaged, pack_slot, unpack_slot

PASSAGES_LIMIT: Final = 100_000
"""Persons remembered; beyond it the one who passed longest ago is forgotten. A slot takes 180 bytes."""

_EMPTY: Final = bytes(SLOT_BYTES)
log = logging.getLogger(__name__)


class Passages:
    """The slots of one journal file: which are taken by whom, in the order of the last passage."""

    def __init__(self, connection: sqlite3.Connection, limit: int = PASSAGES_LIMIT) -> None:
        self._connection = connection
        self._limit = limit
        self._free: list[int] = []
        found: list[tuple[int, str, int]] = []
        self._size = 0
        for slot, content in connection.execute(statements.PASSAGES):
            self._size = slot
            held = _held(content)
            if held is None:
                self._free.append(slot)
            else:
                found.append((held[0], held[1].subject, slot))
        self._slots = {subject: slot for _, subject, slot in sorted(found)}

    def __len__(self) -> int:
        """Persons remembered."""
        return len(self._slots)

    def remember(self, seq: int, passage: Passage) -> None:
        """Put the newest passage of a person in the place of an older one."""
        content = pack_slot(seq, passage)
        slot = self._slots.pop(passage.subject, None) or self._vacant()
        self._slots[passage.subject] = slot
        self._connection.execute(statements.SET_PASSAGE, (slot, content))

    def forget(self, old: Callable[[Passage], bool], limit: int) -> int:
        """Overwrite the oldest passages as long as they are ``old``, at most ``limit``. Returns how many."""
        forgotten = 0
        for subject, slot in list(self._slots.items())[:limit]:
            held = _held(self._content(slot))
            if held is not None and not old(held[1]):
                break
            self._connection.execute(statements.SET_PASSAGE, (slot, _EMPTY))
            del self._slots[subject]
            self._free.append(slot)
            forgotten += 1
        return forgotten

    def _vacant(self) -> int:
        if self._free:
            return self._free.pop()
        if len(self._slots) >= self._limit:
            return self._slots.pop(next(iter(self._slots)))
        self._size += 1
        return self._size

    def _content(self, slot: int) -> bytes:
        row = self._connection.execute(statements.PASSAGE_IN, (slot,)).fetchone()
        return _EMPTY if row is None else bytes(row[0])


def read_passages(connection: sqlite3.Connection) -> list[Passage]:
    """All remembered passages, newest last. A damaged slot is left out."""
    held = [_held(content) for _, content in connection.execute(statements.PASSAGES)]
    return [passage for _, passage in sorted((item for item in held if item is not None), key=lambda item: item[0])]


def _held(content: bytes) -> tuple[int, Passage] | None:
    try:
        return unpack_slot(content)
    except RowDamaged as error:
        log.warning("a remembered passage is lost: %s", error)
        return None
