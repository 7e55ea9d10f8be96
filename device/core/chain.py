"""Whether a record is whole: each body names the one before it by digest, so what was changed, moved, put in or taken out shows.

Pure. What a chain alone cannot show is the loss of its end and, on a gate, of
its beginning, which is erased once the province has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from device.core.wire import split_signature


class Fault(StrEnum):
    """What is wrong at a place of the record."""

    UNREADABLE = "unreadable"
    """What stands there is no event, or not what was written."""
    MISPLACED = "misplaced"
    """The event says another number or epoch than that under which it stands: moved, or put in."""
    CHANGED = "changed"
    """The event is not the one that the next one names, while it names the one before it as it is."""
    BROKEN = "broken"
    """It does not name the one before it: put in or changed, or something was taken out."""
    HOLE = "hole"
    """Numbers from here to ``last`` are not there, and nothing says why."""
    SIGNATURE = "signature"
    """The signature is not the gate's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault at an event, or at the events from ``seq`` to ``last``."""

    seq: int
    fault: Fault
    last: int


@dataclass(frozen=True, slots=True)
class ChainLink:
    """An event as the chain sees it. ``gap`` holds what it declares dropped: first, last, and the digest of the last dropped body."""

    seq: int
    digest: str
    prev: str | None
    placed: bool
    gap: tuple[int, int, str | None] | None


def link(epoch: str, seq: int, body: bytes) -> ChainLink | None:
    """The event that stands under ``seq``; None where it is none."""
    try:
        event = json.loads(body)
        data = event["data"]
        placed = int(event["sequence"]) == seq and event["epoch"] == epoch
        gap = (int(data["first"]), int(data["last"]), data.get("digest")) if data.get("what") == "gap" else None
        prev = data.get("prev")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return ChainLink(seq, hashlib.sha256(body).hexdigest(), prev if isinstance(prev, str) else None, placed, gap)


def examine_bodies(
    epoch: str, rows: Iterable[tuple[int, bytes | None]], *, holes: bool, is_ours: Callable[[bytes, str], bool] | None = None
) -> tuple[list[Finding], int]:
    """What is wrong with the events of one epoch, and how many were looked at. A row whose body is None is not what was written.

    ``is_ours`` says of signed bytes and a signature whether the gate made it;
    None where nobody knows its key.
    """
    links: list[ChainLink] = []
    found: list[Finding] = []
    for seq, body in rows:
        one = None if body is None else link(epoch, seq, body)
        if body is None or one is None:
            found.append(Finding(seq, Fault.UNREADABLE, seq))
            continue
        links.append(one)
        signed, signature = split_signature(body)
        if is_ours is not None and (signature is None or not is_ours(signed, signature)):
            found.append(Finding(seq, Fault.SIGNATURE, seq))
    found += examine(links, holes=holes)
    return sorted(found, key=lambda finding: (finding.seq, finding.fault)), len(links)


def examine(links: Sequence[ChainLink], *, holes: bool) -> list[Finding]:
    """What is wrong with the events of one epoch, in the order of their numbers. ``holes``: missing numbers are faults."""
    by_seq = {one.seq: one for one in links}
    gaps = [one.gap for one in links if one.gap is not None]
    broken = {one.seq for one in links if (before := _before(one.seq, by_seq, gaps)) is not None and one.prev != before}
    found = [Finding(one.seq, Fault.MISPLACED, one.seq) for one in links if not one.placed]
    for seq in sorted(broken):
        # One change breaks the link behind it, and the one before it too only where the changed event names another.
        alone = by_seq[seq].placed and seq - 1 in by_seq and seq - 1 not in broken and seq + 1 not in broken
        blamed = seq - 1 if alone else None
        found.append(Finding(seq, Fault.BROKEN, seq) if blamed is None else Finding(blamed, Fault.CHANGED, blamed))
    if holes:
        found += [Finding(first, Fault.HOLE, last) for first, last in _holes(by_seq, gaps)]
    return sorted(found, key=lambda finding: (finding.seq, finding.fault))


def _before(seq: int, by_seq: dict[int, ChainLink], gaps: Iterable[tuple[int, int, str | None]]) -> str | None:
    """The digest that the event must name; None where nobody knows it."""
    held = by_seq.get(seq - 1)
    if held is not None:
        return held.digest
    for first, last, digest in gaps:
        if last == seq - 1:
            ahead = by_seq.get(first - 1)
            return digest if digest is not None else None if ahead is None else ahead.digest
    return None


def _holes(by_seq: dict[int, ChainLink], gaps: Sequence[tuple[int, int, str | None]]) -> list[tuple[int, int]]:
    """Ranges that are neither held nor declared, from the first number of the epoch on."""
    told = {seq for first, last, _ in gaps for seq in range(first, last + 1)}
    holes: list[tuple[int, int]] = []
    for seq in range(1, max(by_seq, default=0)):
        if seq not in by_seq and seq not in told:
            if holes and holes[-1][1] == seq - 1:
                holes[-1] = (holes[-1][0], seq)
            else:
                holes.append((seq, seq))
    return holes


SENTENCES: dict[Fault, tuple[str, str]] = {
    Fault.UNREADABLE: ("không đọc được, hoặc không còn như lúc ghi", "cannot be read, or is not what was written"),
    Fault.MISPLACED: ("mang số thứ tự khác: bị chuyển chỗ hoặc chèn vào", "says another number: it was moved or put in"),
    Fault.CHANGED: ("đã bị sửa", "was changed"),
    Fault.BROKEN: (
        "không nối với sự kiện trước: bị chèn, bị sửa, hoặc có sự kiện bị xóa",
        "does not follow from the one before it: put in or changed, or something was taken out",
    ),
    Fault.HOLE: ("thiếu, không có lời giải thích", "missing, and nothing says why"),
    Fault.SIGNATURE: ("chữ ký không phải của cổng", "the signature is not the gate's"),
}


def sentence(finding: Finding) -> str:
    """A finding for people, in both languages."""
    where = str(finding.seq) if finding.seq == finding.last else f"{finding.seq}-{finding.last}"
    vietnamese, english = SENTENCES[finding.fault]
    return f"{where}: {vietnamese} · {english}"
