"""How the record's file is laid out, and the settings under which it is open."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.edges.record.kit import traces
from tests.entries import Opener, subject
from tests.fakes.disk import FaultyDisk


def test_the_settings_that_make_a_commit_durable_are_in_force(opener: Opener, path: Path) -> None:
    """WAL, a sync for each commit, overwriting deletes: asked of SQLite itself, since a misspelt pragma is silent."""
    disk = FaultyDisk()
    journal = opener(connect=disk)
    store = journal._file.store  # noqa: SLF001  the settings belong to this one connection
    values = {
        name: store.connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete", "auto_vacuum", "temp_store", "wal_autocheckpoint")
    }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "auto_vacuum": 2,
        "temp_store": 2,
        "wal_autocheckpoint": 0,
    }
    assert path.read_bytes()[68:72] == b"GATE"


def test_plain_deletes_would_leave_traces(tmp_path: Path) -> None:
    """The reason for the layout, kept as a test: in a table written as usual, deleted persons can be found in the raw bytes.

    Should this fail one day, SQLite has learned to overwrite what it moves.
    """
    chance, path = random.Random(1), tmp_path / "plain.sqlite"  # noqa: S311  as above
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, data TEXT, body BLOB)")
        living: list[int] = []
        for block in range(12):
            new = range(100 * block + 1, 100 * block + 101)
            living += new
            connection.executemany(
                "INSERT INTO event (seq, data) VALUES (?, ?)", [(n, subject(n) + "x" * chance.randrange(100, 600)) for n in new]
            )
            connection.executemany("UPDATE event SET body = ? WHERE seq = ?", [(b"y" * chance.randrange(200, 1200), n) for n in new])
            dead = [living.pop(chance.randrange(len(living))) for _ in range(70)]
            connection.executemany("DELETE FROM event WHERE seq = ?", [(n,) for n in dead])
    assert traces(path) - {subject(n) for n in living} != set()
