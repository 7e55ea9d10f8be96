"""Rot in a write-ahead log is seen where SQLite would pass over it, and mended; what a power cut leaves is not taken for rot."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from device.edges.record import wal

PAGE = 4096


FRAME = PAGE + wal.FRAME_HEADER_BYTES


ROWS = 200


@dataclass
class Database:
    """A database whose newest rows are in its log alone, as a killed process leaves it."""

    path: Path

    def __post_init__(self) -> None:
        working = self.path.with_name("working")
        with closing(sqlite3.connect(working, isolation_level=None)) as db:
            for setting in ("page_size = 4096", "journal_mode = WAL", "wal_autocheckpoint = 0"):
                db.execute(f"PRAGMA {setting}")
            db.execute("CREATE TABLE t (n INTEGER, filler BLOB)")
            for number in range(ROWS):
                db.execute("INSERT INTO t VALUES (?, ?)", (number, bytes(300)))
            shutil.copy(working, self.path)
            shutil.copy(working.with_name("working-wal"), self.wal)

    @property
    def wal(self) -> Path:
        """The log."""
        return self.path.with_name(f"{self.path.name}-wal")

    def read(self) -> tuple[int, int]:
        """How many frames SQLite takes, and how many rows it then finds."""
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            taken = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
            return taken, db.execute("SELECT count(*) FROM t").fetchone()[0]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """One with two hundred rows."""
    return Database(tmp_path / "db")


def test_a_good_log_is_not_rotten_and_is_mended_to_itself(database: Database) -> None:
    """Byte for byte: so the checksums are SQLite's."""
    log = database.wal.read_bytes()
    taken, rows = database.read()
    assert (rows, taken) == (ROWS, len(log) // FRAME)
    assert not wal.is_rotten(log, PAGE, taken)
    assert wal.mended(log, PAGE) == log


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_anywhere_is_seen_and_mended(database: Database, seed: int) -> None:
    """SQLite alone would read up to it; mended, everything is read, but perhaps for what stands in that frame."""
    chance = random.Random(seed)  # noqa: S311  damage that can be repeated, nothing secret
    log = bytearray(database.wal.read_bytes())
    # In the last two transactions it cannot be told from a commit that a power cut has torn.
    log[chance.randrange(8 if seed else 16, len(log) - 6 * FRAME)] ^= 1 << chance.randrange(8)
    database.wal.write_bytes(log)
    taken, rows = database.read()
    assert rows < ROWS
    assert wal.is_rotten(bytes(log), PAGE, taken)
    database.wal.write_bytes(wal.mended(bytes(log), PAGE))
    taken, rows = database.read()
    assert (taken, rows) == (len(log) // FRAME, ROWS)


@pytest.mark.parametrize("cut", [1, 100, FRAME // 2, FRAME, FRAME + 10])
def test_a_log_that_a_power_cut_has_torn_is_not_rotten(database: Database, cut: int) -> None:
    """The last transaction was never promised; so much is gone from the end, or was never written."""
    log = database.wal.read_bytes()
    for torn in (log[:-cut], log[:-cut] + bytes(cut)):
        database.wal.write_bytes(torn)
        taken, _ = database.read()
        assert not wal.is_rotten(torn, PAGE, taken)


def test_the_frames_of_an_earlier_round_are_no_rot(database: Database) -> None:
    """A log is begun anew over its old frames, which stay behind the new ones."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA wal_checkpoint(RESTART)")
        db.execute("INSERT INTO t VALUES (1000, zeroblob(300))")
        log = database.wal.read_bytes()
        taken = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        assert taken < 10 < len(log) // FRAME
        assert not wal.is_rotten(log, PAGE, taken)
        assert wal.mended(log, PAGE) == log[: wal.HEADER_BYTES + taken * FRAME]


@pytest.mark.parametrize("log", [b"", b"x", bytes(32), bytes(32 + FRAME), bytes(32 + 9 * FRAME), b"\xff" * (32 + 3 * FRAME)])
def test_what_is_no_log_is_borne(log: bytes) -> None:
    """Nothing raises, and zeros are no transactions."""
    wal.mended(log, PAGE)
    if log[:1] != b"\xff":
        assert not wal.is_rotten(log, PAGE, 0)
