"""How the record's file is laid out, and the settings under which it is open."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from device.core.timeline import Anchor, Boot, Timeline
from device.edges.record import schema
from tests.edges.record.kit import Counting, an_event, make_file, opened, traces
from tests.entries import Opener, subject
from tests.fakes.clock import FakeClock
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


EPOCH = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
LAYOUT = """CREATE TABLE event (
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
) STRICT
CREATE TABLE sqlite_sequence(name,seq)
CREATE INDEX event_done ON event (state, seq) WHERE state > 2
CREATE INDEX event_audit ON event (kind, seq) WHERE kind > 0 AND state = 2
CREATE TABLE passage (slot INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT
CREATE TABLE boot (
    n INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL UNIQUE,
    last_boot_ns INTEGER NOT NULL,
    floor_ns INTEGER NOT NULL,
    anchor_boot_ns INTEGER,
    anchor_wall_ns INTEGER,
    anchor_doubt_ms INTEGER
) STRICT
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID"""


def test_a_new_file_is_laid_out_as_every_file_in_the_field(path: Path) -> None:
    """To the letter: an older program must open what a newer one made, and the other way round, as long as the version is the same."""
    make_file(path, EPOCH)
    with closing(sqlite3.connect(path)) as connection:
        laid_out = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")]
        header = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version", "page_size")}
        assert connection.execute("SELECT name, value FROM meta").fetchall() == [("epoch", EPOCH)]
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert "\n".join(laid_out) == LAYOUT
    assert header == {"application_id": 0x47415445, "user_version": 1, "page_size": 4096}


def test_a_new_file_counts_only_when_it_is_finished(path: Path) -> None:
    """Its version is written last: what a power cut leaves before that is told from a whole file."""
    schema.create(path, schema.sqlite_connect, EPOCH).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (0,)


def test_a_new_file_takes_the_place_of_what_lies_there_and_is_its_owners_alone(path: Path) -> None:
    """Whatever the umask and whatever was there."""
    path.write_bytes(b"rubbish")
    path.chmod(0o666)
    before = os.umask(0)
    try:
        make_file(path, EPOCH)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_file_is_on_the_disk_when_it_is_finished(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is given afterwards, and must never stand for bytes that were still in memory."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    make_file(path, EPOCH)
    assert synced == [path.stat().st_ino]


@pytest.mark.parametrize("fails", ["PRAGMA journal_mode", "INSERT INTO meta", "PRAGMA user_version"])
def test_making_a_file_that_fails_leaves_no_connection(path: Path, fails: str) -> None:
    """A disk that is tried every few seconds for weeks must not use up the descriptors."""
    connect = Counting(fails)
    with pytest.raises(sqlite3.OperationalError):
        schema.finish(path, schema.create(path, connect, EPOCH))
    assert len(connect.made) == 1
    assert connect.all_closed()


def test_opening_that_fails_leaves_no_connection(path: Path) -> None:
    """The same for a file that is there."""
    make_file(path)
    connect = Counting("PRAGMA cache_size")
    for opener in (schema.open_for_writing, schema.open_for_reading):
        with pytest.raises(sqlite3.OperationalError):
            opener(path, connect)
    assert len(connect.made) == 2
    assert connect.all_closed()


def test_opening_makes_no_file(tmp_path: Path) -> None:
    """Neither to write nor to read: a file that is missing is for others to see."""
    for opener in (schema.open_for_writing, schema.open_for_reading):
        with pytest.raises(sqlite3.OperationalError):
            opener(tmp_path / "none", schema.sqlite_connect)
    assert list(tmp_path.iterdir()) == []


def settings(connection: sqlite3.Connection, *names: str) -> dict[str, object]:
    """What SQLite says of them."""
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


def test_who_writes_is_held_to_little_memory_and_distrusts_the_file(path: Path) -> None:
    """A megabyte of pages, the checks of each page, and no functions that a foreign schema might call."""
    make_file(path)
    with closing(schema.open_for_writing(path, schema.sqlite_connect)) as connection:
        assert settings(connection, "cache_size", "cell_size_check", "trusted_schema", "busy_timeout") == {
            "cache_size": -1024,
            "cell_size_check": 1,
            "trusted_schema": 0,
            "busy_timeout": 5000,
        }
        assert connection.isolation_level is None


def test_who_reads_cannot_write(path: Path) -> None:
    """And keeps a quarter of a megabyte at most."""
    make_file(path)
    with closing(schema.open_for_reading(path, schema.sqlite_connect)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM meta")
        wanted = {"query_only": 1, "trusted_schema": 0, "temp_store": 2, "cache_size": -256, "writable_schema": 0}
        assert settings(connection, *wanted) == wanted
    with closing(schema.open_for_reading(path, schema.sqlite_connect, damaged=True)) as connection:
        assert settings(connection, "writable_schema", "query_only") == {"writable_schema": 1, "query_only": 1}


def test_a_still_file_is_read_as_it_lies_there(path: Path, clock: FakeClock, tmp_path: Path) -> None:
    """Without its WAL, and without a file made beside it."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        store.checkpoint()
        store.append([an_event(2)])
        copy = tmp_path / "copy"
        copy.mkdir()
        (copy / "journal").write_bytes(path.read_bytes())
    with closing(schema.open_for_reading(copy / "journal", schema.sqlite_connect, still=True)) as connection:
        assert connection.execute("SELECT id FROM event").fetchall() == [("id-1",)]
    assert [file.name for file in copy.iterdir()] == ["journal"]


def test_a_connection_serves_several_threads_in_turn(path: Path) -> None:
    """The writer's is opened by whoever starts it, and used by its thread."""
    make_file(path)
    with closing(schema.open_for_writing(path, schema.sqlite_connect)) as connection:
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(schema.read_meta(connection)["epoch"]))
        thread.start()
        thread.join()
        assert found == [EPOCH]


def test_boots_are_remembered_in_order_with_what_ties_them_to_the_time(path: Path) -> None:
    """One without a trusted clock and one with; a boot that is known is brought up to date in its place."""
    make_file(path)
    one, two = Boot("boot-1", 10, 20), Boot("boot-2", 30, 40, Anchor(50, 60, 70))
    with closing(schema.open_for_writing(path, schema.sqlite_connect)) as connection:
        schema.write_boots(connection, (one, two))
        assert schema.read_timeline(connection) == Timeline((one, two))
        later = Boot("boot-1", 11, 21, Anchor(1, 2, 3))
        schema.write_boots(connection, (later,))
        assert schema.read_timeline(connection) == Timeline((later, two))
        schema.write_boots(connection, (one,))
        assert schema.read_timeline(connection) == Timeline((one, two))


def test_what_a_file_says_of_itself_can_be_said_anew(path: Path) -> None:
    """Each thing has one value."""
    make_file(path)
    with closing(schema.open_for_writing(path, schema.sqlite_connect)) as connection:
        schema.write_meta(connection, "running", "1")
        schema.write_meta(connection, "running", "0")
        assert schema.read_meta(connection) == {"epoch": EPOCH, "running": "0"}
