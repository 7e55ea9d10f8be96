"""Entries for the record, and what stands in the bodies that come of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from device.config import JournalSection
from device.core.types import Channel, Direction, Entry, Json, Passage, Receipt
from device.core.wire import body_digest, freeze_event
from device.edges.record.journal import SqliteJournal
from device.edges.record.schema import Connect, sqlite_connect
from device.edges.record.store import Freezer
from device.ports import Clock, Outgoing

FREEZE = partial(freeze_event, sign=None, gate="gate-01")
"""Bodies as a gate without a key makes them."""


def subject(number: int) -> str:
    """A keyed hash, as far as the record can tell."""
    return f"{number:064x}"


def checkin(clock: Clock, number: int, *, passage: bool = False) -> Entry:
    """A decision about person `number`, with the passage it made if asked for."""
    at = clock.reading()
    data: dict[str, Json] = {"decision": "accept", "reason": "accepted", "subject": subject(number), "n": number}
    return Entry(Channel.CHECKIN, data, at, Passage(subject(number), Direction.IN, at) if passage else None)


def audit(clock: Clock, number: int = 0) -> Entry:
    """Something about the gate itself."""
    return Entry(Channel.AUDIT, {"what": "stop", "n": number}, clock.reading())


def settle(futures: Iterable[Future[Receipt]]) -> list[int]:
    """Wait until all are durable; their sequence numbers."""
    return [future.result(10).seq for future in futures]


def parsed(out: Outgoing) -> Any:  # noqa: ANN401  JSON is what it is
    """A body as its reader sees it."""
    return json.loads(out.body)


def numbers(out: Iterable[Outgoing]) -> list[int]:
    """The `n` of check-ins and audits made here, in order; events of the journal's own are left out."""
    return [data["n"] for data in (parsed(one)["data"] for one in out) if "n" in data]


def chained(out: Sequence[Outgoing], start: str | None = None) -> bool:
    """Whether each body names the digest of the one before."""
    prev = start
    for one in out:
        if parsed(one)["data"]["prev"] != prev:
            return False
        prev = body_digest(one.body)
    return True


class Opener:
    """Opens journals on one file and closes what is left open. `settings` are those of the section, for each of them."""

    def __init__(self, path: Path, clock: Clock, **settings: object) -> None:
        self.path = path
        self._clock = clock
        self._settings = settings
        self._opened: list[SqliteJournal] = []

    def __call__(
        self,
        *,
        freeze: Freezer = FREEZE,
        keep_confirmed_s: float = 0.0,
        unsynced_grace_s: float = 0.0,
        connect: Connect = sqlite_connect,
        **settings: object,
    ) -> SqliteJournal:
        """One more."""
        journal = SqliteJournal(
            self.path,
            section(**self._settings, **settings),
            self._clock,
            freeze,
            keep_confirmed_s=keep_confirmed_s,
            unsynced_grace_s=unsynced_grace_s,
            connect=connect,
        )
        self._opened.append(journal)
        return journal

    def close(self) -> None:
        """Close them all."""
        for journal in self._opened:
            journal.close()


def section(**changes: object) -> JournalSection:
    """The record's settings with some of them changed."""
    return JournalSection.model_validate(changes)
