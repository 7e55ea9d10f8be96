"""All that is said to the record's file in SQL: its tables, and each statement, made once from the names of columns and states.

A statement is a constant that is put together when this module is imported,
from the names in ``rows`` alone: nothing that comes from outside is ever part
of one. What differs from call to call is bound to its question marks.

The file has two partial indexes. SQLite uses one only for a query that
repeats the index's condition word for word with the numbers in it, so the
states that rows are looked for by stand in the text, and two conditions that
look redundant (``state = 3 AND state > 2``) are not.
"""
# ruff: noqa: S608  see above: the only parts are constants of this package, and the one place to look for others is this file

from __future__ import annotations

from typing import Final

from device.edges.record.rows import CLOCK_COLUMNS, EVENT_COLUMNS, RowKind, RowState

_BOOT_COLUMNS: Final = "boot_id, last_boot_ns, floor_ns, anchor_boot_ns, anchor_wall_ns, anchor_doubt_ms"

_WAITING: Final = f"state = {RowState.WAITING:d}"
_LEFT: Final = f"state > {RowState.WAITING:d}"
"""No longer waiting, in the words of the index ``event_done``."""
_CONFIRMED: Final = f"state = {RowState.CONFIRMED:d} AND {_LEFT}"
_ERASED: Final = f"state = {RowState.ERASED:d} AND {_LEFT}"
_READABLE: Final = f"state < {RowState.ERASED:d}"
"""With content: waiting, confirmed or dead."""
_NO_CHECKIN: Final = f"kind > {RowKind.CHECKIN:d}"
_WAITING_AUDIT: Final = f"kind = {RowKind.AUDIT:d} AND {_NO_CHECKIN} AND {_WAITING}"
_GROWING_GAP: Final = f"kind = {RowKind.GAP:d} AND {_WAITING} AND seq > ?"
"""A gap event above the number bound, which is that of the newest body: one that has none itself."""

SCHEMA: Final = f"""
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    state INTEGER NOT NULL,
    id TEXT NOT NULL,
    kind INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    mono_ns INTEGER NOT NULL,
    boot_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    trust INTEGER NOT NULL,
    doubt_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    crc BLOB NOT NULL,
    sheet BLOB NOT NULL
) STRICT;
CREATE INDEX event_done ON event (state, seq) WHERE {_LEFT};
CREATE INDEX event_audit ON event (kind, seq) WHERE {_NO_CHECKIN} AND {_WAITING};
CREATE TABLE passage (slot INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT;
CREATE TABLE boot (
    n INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE,
    last_boot_ns INTEGER NOT NULL,
    floor_ns INTEGER NOT NULL,
    anchor_boot_ns INTEGER,
    anchor_wall_ns INTEGER,
    anchor_doubt_ms INTEGER
) STRICT;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
"""The tables of a new file. To the letter what it was for every file in the field: a change is another ``SCHEMA_VERSION``."""


def _marks(columns: str) -> str:
    """As many question marks as there are columns."""
    return ", ".join("?" for _ in columns.split(", "))


def _renewed(columns: str) -> str:
    """Each column set to the value that could not be inserted."""
    return ", ".join(f"{column} = excluded.{column}" for column in columns.split(", "))


# ------------------------------------------------------------- events: one by its number

_NEW_COLUMNS: Final = f"{EVENT_COLUMNS}, state, sheet"
INSERT_EVENT: Final = f"INSERT INTO event ({_NEW_COLUMNS}) VALUES ({_marks(_NEW_COLUMNS)})"
SET_STATE: Final = "UPDATE event SET state = ? WHERE seq = ?"
SET_SHEET: Final = "UPDATE event SET sheet = ? WHERE seq = ?"
SET_DATA: Final = "UPDATE event SET data = ?, crc = ? WHERE seq = ?"
ERASE: Final = (
    f"UPDATE event SET state = {RowState.ERASED:d}, data = zeroblob(length(data)), sheet = zeroblob(length(sheet)) "
    f"WHERE seq = ? AND state <> {RowState.ERASED:d}"
)
DELETE: Final = "DELETE FROM event WHERE seq = ?"
STATE_OF: Final = "SELECT state FROM event WHERE seq = ?"
SHEET_OF: Final = "SELECT sheet FROM event WHERE seq = ?"
KIND_OF_WAITING: Final = f"SELECT kind FROM event WHERE seq = ? AND {_WAITING}"
CONTENT_BYTES_OF: Final = "SELECT length(data) + length(sheet) FROM event WHERE seq = ?"
READABLE_ONE: Final = f"SELECT state, {EVENT_COLUMNS} FROM event WHERE seq = ? AND {_READABLE}"

# ------------------------------------------------------------- events: several, by what has become of them

TO_FREEZE: Final = f"SELECT {EVENT_COLUMNS}, sheet FROM event WHERE seq > ? AND seq <= ? AND {_WAITING} ORDER BY seq LIMIT ?"
FIRST_GROWING_GAP: Final = f"SELECT min(seq) FROM event WHERE {_GROWING_GAP}"
GROWING_GAPS: Final = f"SELECT seq, id, {CLOCK_COLUMNS}, data FROM event WHERE {_GROWING_GAP} ORDER BY seq DESC"
ANY_WAITING_BETWEEN: Final = f"SELECT 1 FROM event WHERE seq BETWEEN ? AND ? AND {_WAITING} LIMIT 1"
WAITING_AFTER: Final = f"SELECT seq, kind, {CLOCK_COLUMNS}, sheet FROM event WHERE seq > ? AND {_WAITING} ORDER BY seq LIMIT ?"
WAITING_BETWEEN: Final = f"SELECT seq FROM event WHERE seq BETWEEN ? AND ? AND {_WAITING} ORDER BY seq LIMIT ?"
NEWEST_WAITING: Final = f"SELECT seq FROM event WHERE {_WAITING} ORDER BY seq DESC LIMIT ?"
CONFIRMED_BETWEEN: Final = f"SELECT seq FROM event WHERE state = {RowState.CONFIRMED:d} AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?"
COUNT_LEFT: Final = f"SELECT count(*) FROM event WHERE state = ? AND {_LEFT}"

_CANDIDATE: Final = f"SELECT seq, state, kind, {CLOCK_COLUMNS}, data, sheet FROM event"
"""The columns of ``gaps.Candidate``."""
OLDEST: Final = f"{_CANDIDATE} WHERE {_READABLE} ORDER BY seq LIMIT ?"
OLDEST_CONFIRMED: Final = f"{_CANDIDATE} WHERE {_CONFIRMED} ORDER BY seq LIMIT ?"
ALL_BETWEEN: Final = f"{_CANDIDATE} WHERE seq BETWEEN ? AND ? ORDER BY seq"
WAITING_AUDITS: Final = f"SELECT seq FROM event WHERE {_WAITING_AUDIT} ORDER BY seq LIMIT ?"
ERASED: Final = f"SELECT seq FROM event WHERE {_ERASED} ORDER BY seq LIMIT ?"
ANY_INSIDE: Final = "SELECT 1 FROM event WHERE seq > ? AND seq < ? LIMIT 1"
ANY_BEFORE: Final = "SELECT 1 FROM event WHERE seq < ? LIMIT 1"

_RECORDED: Final = f"SELECT state, sheet, {EVENT_COLUMNS} FROM event WHERE {_READABLE}"
READABLE: Final = f"{_RECORDED} ORDER BY seq"
READABLE_FROM: Final = f"{_RECORDED} AND seq >= ? ORDER BY seq"
NEWEST_READABLE: Final = f"SELECT seq FROM event WHERE {_READABLE} ORDER BY seq DESC LIMIT ?"
READABLE_AFTER: Final = f"SELECT state, {EVENT_COLUMNS} FROM event WHERE seq > ? AND {_READABLE} ORDER BY seq"
SHEETS_AFTER: Final = "SELECT seq, sheet FROM event WHERE seq > ? ORDER BY seq"
SHEETS_BACKWARDS: Final = "SELECT seq, sheet FROM event WHERE seq > ? ORDER BY seq DESC"
MOMENTS_BACKWARDS: Final = f"SELECT seq, {CLOCK_COLUMNS} FROM event ORDER BY seq DESC"
NEWEST_MOMENT: Final = f"SELECT {CLOCK_COLUMNS} FROM event ORDER BY seq DESC LIMIT 1"
NEWEST_IDS: Final = "SELECT id FROM event ORDER BY seq DESC LIMIT ?"
NEWEST_EVER: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'event'"
"""The newest number that was ever given, also when its row is gone."""

# ------------------------------------------------------------- passages

PASSAGES: Final = "SELECT slot, content FROM passage ORDER BY slot"
PASSAGE_IN: Final = "SELECT content FROM passage WHERE slot = ?"
SET_PASSAGE: Final = f"INSERT INTO passage (slot, content) VALUES (?, ?) ON CONFLICT (slot) DO UPDATE SET {_renewed('content')}"

# ------------------------------------------------------------- boots

BOOTS: Final = f"SELECT {_BOOT_COLUMNS} FROM boot ORDER BY n"
SET_BOOT: Final = (
    f"INSERT INTO boot ({_BOOT_COLUMNS}) VALUES ({_marks(_BOOT_COLUMNS)}) "
    f"ON CONFLICT (boot_id) DO UPDATE SET {_renewed(_BOOT_COLUMNS.removeprefix('boot_id, '))}"
)
BOOT_NUMBER: Final = "SELECT n FROM boot WHERE boot_id = ?"
BOOT_ID: Final = "SELECT boot_id FROM boot WHERE n = ?"
DELETE_BOOTS_BEFORE: Final = "DELETE FROM boot WHERE n < (SELECT n FROM boot WHERE boot_id = ?)"

# ------------------------------------------------------------- what the file says of itself

META: Final = "SELECT name, value FROM meta"
ANY_META: Final = "SELECT count(*) FROM meta"
SET_META: Final = f"INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET {_renewed('value')}"
