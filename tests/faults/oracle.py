"""What a gate showed, beside what the province holds: lost, doubled, reordered, and gaps that nothing explains.

Independent of the product: what was shown is the pins' own history, written
by the witness; what is held is read from the collector's file with SQL and
JSON. Nothing here asks the gate, its record or the collector's own figures.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

CHECKIN: Final = "vn.gate.checkin.v1"
NEAR_S: Final = 5.0
"""A sign and its event belong together only within so many seconds, by the machine's clock: signs alone repeat too often."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer on the pins, and when it came by the machine's own clock."""

    sign: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """An event in the province."""

    epoch: str
    seq: int
    ident: str
    boot: str
    at_s: float
    sign: str | None
    """The answer that belongs to a check-in; None for what is none."""
    gap: tuple[int, int] | None
    repeats: bool = False
    """The province knows that it holds this event under another number too, and counts it once."""


@dataclass(frozen=True, slots=True)
class Findings:
    """The comparison. ``dropped`` are the events in gaps that the gate itself declared, ``unseen`` those without an answer on the pins.

    ``replaced`` are answers of which the gate itself said that a newer one took
    their place before a pin was written; they are not in ``unseen``.
    """

    shown: int
    held: int
    lost: int
    doubled: int
    reordered: int
    dropped: int
    unexplained: int
    unseen: int
    replaced: int
    epochs: int

    def __str__(self) -> str:
        """The line that every fault test prints."""
        return (
            f"shown {self.shown}, in the province {self.held}, lost {self.lost}, doubled {self.doubled}, reordered {self.reordered}, "
            f"declared dropped {self.dropped}, unexplained gaps {self.unexplained}, "
            f"without a lamp {self.unseen}, replaced before they were lit {self.replaced}, epochs {self.epochs}"
        )

    @property
    def faults(self) -> tuple[int, int, int, int]:
        """What must be zero: lost, doubled, reordered, unexplained."""
        return self.lost, self.doubled, self.reordered, self.unexplained


def compare(witness: Path, database: Path, *, replaced: int = 0, near_s: float = NEAR_S) -> Findings:
    """Compare what a witness wrote with what the province's file holds. ``near_s`` infinite: the gate's clock was wrong on purpose."""
    return judge(shown_in(witness), held_in(database), replaced=replaced, near_s=near_s)


def judge(shown: Sequence[Shown], held: Sequence[Held], *, replaced: int = 0, near_s: float = NEAR_S) -> Findings:
    """The comparison itself. ``held`` in the order of epochs, and of numbers within each."""
    checkins = [event for event in held if event.sign is not None and not event.repeats]
    dropped, unexplained = _holes(held)
    missed = _missed(shown, checkins, near_s)
    keys = Counter((event.epoch, event.seq) for event in held)
    idents = Counter(event.ident for event in held if not event.repeats)
    return Findings(
        shown=len(shown),
        held=len(checkins),
        lost=max(0, missed - dropped),
        doubled=sum(count - 1 for count in keys.values()) + sum(count - 1 for count in idents.values()),
        reordered=_reordered(held) if math.isfinite(near_s) else 0,
        dropped=dropped,
        unexplained=unexplained,
        unseen=len(checkins) - (len(shown) - missed) - replaced,
        replaced=replaced,
        epochs=len({event.epoch for event in held}),
    )


def replaced_in(log: Path) -> int:
    """Of how many answers the gate said that nobody saw them. Its count begins anew with each start."""
    total = before = 0
    for found in re.finditer(rb"a newer one took its place \((\d+) so far\)", log.read_bytes() if log.exists() else b""):
        count = int(found[1])
        total += count - before if count > before else count
        before = count
    return total


def shown_in(witness: Path) -> list[Shown]:
    """What the witness wrote: a line `nanoseconds sign` for each answer."""
    if not witness.exists():
        return []
    lines = (line.split() for line in witness.read_text().splitlines())
    return [Shown(sign, int(ns) / 1e9) for ns, sign in lines]


def held_in(database: Path) -> list[Held]:
    """What the province's file holds, epochs in the order in which they first came."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        repeated = "EXISTS (SELECT 1 FROM repeats WHERE repeats.epoch = events.epoch AND repeats.seq = events.seq)"
        rows = store.execute(f"SELECT epoch, seq, type, body, {repeated} FROM events ORDER BY rowid").fetchall()  # noqa: S608 - our own words
    order: dict[str, int] = {}
    for epoch, *_ in rows:
        order.setdefault(epoch, len(order))
    return sorted((_event(*row) for row in rows), key=lambda event: (order[event.epoch], event.seq))


def _event(epoch: str, seq: int, kind: str, body: bytes, repeats: int) -> Held:
    event: dict[str, Any] = json.loads(body)
    data = event["data"]
    gap = (int(data["first"]), int(data["last"])) if data.get("what") == "gap" else None
    at = datetime.fromisoformat(event["time"]).timestamp()
    return Held(epoch, seq, event["id"], event["bootid"], at, sign_of(data) if kind == CHECKIN else None, gap, bool(repeats))


def sign_of(data: dict[str, Any]) -> str:
    """The answer that belongs to a check-in's data."""
    if data["decision"] != "accept":
        return str(data["decision"])
    return f"accept_{data['direction']}" if "direction" in data else "already"


def _missed(shown: Sequence[Shown], checkins: Sequence[Held], near_s: float) -> int:
    """How many answers have no event, when as many as can be are paired with one in order.

    Both are in order, so a pairing is a rising sequence of places, and the
    longest is found as Hunt and Szymanski did (1977): ``ends`` holds for each
    length the first place at which a sequence of that length can end.
    """
    places: dict[str, list[int]] = {}
    for place, event in enumerate(checkins):
        places.setdefault(str(event.sign), []).append(place)
    ends: list[int] = []
    for one in shown:
        for place in reversed(places.get(one.sign, [])):
            if abs(checkins[place].at_s - one.at_s) <= near_s:
                at = bisect_left(ends, place)
                ends[at : at + 1] = [place]
    return len(shown) - len(ends)


def _holes(held: Sequence[Held]) -> tuple[int, int]:
    """How many numbers of each epoch are not held: those that a gap event declares, and those that nothing does."""
    declared = unexplained = 0
    for epoch in {event.epoch for event in held}:
        events = [event for event in held if event.epoch == epoch]
        missing = set(range(1, max(event.seq for event in events) + 1)) - {event.seq for event in events}
        told = {seq for event in events if event.gap is not None for seq in missing & set(range(event.gap[0], event.gap[1] + 1))}
        declared += len(told)
        unexplained += len(missing - told)
    return declared, unexplained


def _reordered(held: Sequence[Held]) -> int:
    """Neighbours of one epoch and boot whose numbers rise while their times fall."""
    return sum(
        later.at_s < earlier.at_s and (later.epoch, later.boot) == (earlier.epoch, earlier.boot) for earlier, later in pairwise(held)
    )


def audits(database: Path, what: str) -> list[dict[str, Any]]:
    """The data of the audit events of one kind that the province holds, in their order."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT body FROM events WHERE type = 'vn.gate.audit.v1' ORDER BY rowid").fetchall()
    found = [json.loads(body)["data"] for (body,) in rows]
    return [data for data in found if data["what"] == what]
