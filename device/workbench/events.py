"""`gate events`: what stands in the record and waits for the province, oldest of the newest first. Nothing personal is in it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from device.core.reasons import SENTENCES, Reason
from device.core.types import Channel
from device.core.wire import time_text
from device.edges.journal_rows import RECORD_COLUMNS, RowDamaged, State, record_of
from device.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from device.core.types import Json
    from device.edges.journal_rows import Record

_NEWEST: Final = f"SELECT {RECORD_COLUMNS} FROM event WHERE state <> ? ORDER BY seq DESC LIMIT ?"  # noqa: S608 - names of columns

SUBJECT_DIGITS: Final = 8
"""So much of a keyed hash is enough to see that it is the same person again."""


def print_events(path: Path, *, as_json: bool, limit: int) -> int:
    """Print the newest ``limit`` events (0 for all). Raises JournalError when there is no record to read."""
    for line in lines(path, limit):
        print(json.dumps(line, ensure_ascii=False) if as_json else _sentence(line))
    return 0


def lines(path: Path, limit: int) -> Iterator[dict[str, Json]]:
    """One object for each event that is still in the record; a damaged row says so."""
    if not path.exists():
        raise JournalError(f"{path}: no record here yet")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_NEWEST, (State.ERASED, limit or -1)).fetchall()
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    for row in reversed(rows):
        try:
            yield _line(*record_of(row))
        except RowDamaged as error:
            yield {"seq": int(row[0]), "error": str(error)}


def _line(seq: int, record: Record) -> dict[str, Json]:
    data = json.loads(record.data)
    line: dict[str, Json] = {
        "seq": seq,
        "time": time_text(record.at.wall_ns),
        "clock": "known" if record.at.trusted else "unknown",
        "channel": record.kind.channel.value,
    }
    if record.kind.channel is Channel.AUDIT:
        return line | {"what": data["what"]}
    told = {key: data.get(key) for key in ("decision", "reason", "direction", "kind", "variant", "assurance")}
    subject = data.get("subject")
    return line | told | {"subject": None if subject is None else subject[:SUBJECT_DIGITS]}


def _sentence(line: dict[str, Json]) -> str:
    head = f"{line['seq']:>8}"
    if "error" in line:
        return f"{head}  {line['error']}"
    doubt = "" if line["clock"] == "known" else "?"
    head += f"  {line['time']}{doubt:1}"
    if "what" in line:
        return f"{head}  {line['what']}"
    sentence = SENTENCES[Reason(str(line["reason"]))]
    who = f"{line['decision']:6} {line['direction'] or '-':3} {line['kind']:16} {line['subject'] or '-':8}"
    return f"{head}  {who}  {sentence.vi} · {sentence.en}"
