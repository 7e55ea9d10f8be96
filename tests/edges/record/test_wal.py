"""Rot in a write-ahead log is seen where SQLite would pass over it, and mended; what a power cut leaves is not taken for rot."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
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


# ------------------------------------------------------------- the format, to the byte


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_checksum_is_sqlites_in_either_order_of_bytes(order: str) -> None:
    """Added up word by word, as the format's description has it, it comes to the same; which order it is stands in the first word."""
    chance = random.Random(5)  # noqa: S311  numbers that can be repeated, nothing secret

    def slowly(data: bytes, s0: int, s1: int) -> tuple[int, int]:
        for x0, x1 in struct.iter_unpack(f"{order}2I", data):
            s0 = (s0 + x0 + s1) % 2**32
            s1 = (s1 + x1 + s0) % 2**32
        return s0, s1

    magic = 0x377F0683 if order == ">" else 0x377F0682
    head = struct.pack(">6I", magic, 3007000, PAGE, 9, 77, 88)
    log = head + struct.pack(">2I", *slowly(head, 0, 0))
    state = slowly(head, 0, 0)
    for number in range(1, 4):
        start, content = struct.pack(">2I", number, number), chance.randbytes(PAGE)
        state = slowly(start + content, *state)
        log += start + struct.pack(">4I", 77, 88, *state) + content
    assert wal.mended(log, PAGE) == log
    broken = bytearray(log)
    broken[32 + 16] ^= 1
    broken[24] ^= 1
    broken[4] ^= 1
    broken[11] ^= 1
    assert wal.mended(bytes(broken), PAGE) == log


def frames(*salts: tuple[int, int], commits: tuple[int, ...] | None = None, header: tuple[int, int] = (7, 8)) -> bytes:
    """A log of frames with these salts, each the end of a transaction unless said otherwise."""
    log = struct.pack(">8I", 0x377F0682, 3007000, PAGE, 0, *header, 0, 0)
    for place, pair in enumerate(salts):
        commit = 1 if commits is None else commits[place]
        log += struct.pack(">6I", 1, commit, *pair, 0, 0) + bytes(PAGE)
    return log


@pytest.mark.parametrize(
    ("ends", "rotten"),
    [((0, 0, 0), False), ((0, 0, 1), False), ((1, 0, 0), False), ((0, 1, 1), True), ((1, 1, 0), True)],
)
def test_two_transactions_behind_what_is_read_are_rot(ends: tuple[int, ...], rotten: bool) -> None:  # noqa: FBT001  a column
    """One may be the commit that a power cut has torn; of two the first was on the disk before the second began."""
    log = frames(*[(7, 8)] * 5, commits=(1, 1, *ends))
    assert wal.is_rotten(log, PAGE, 2) is rotten


def test_frames_of_another_round_do_not_count() -> None:
    """They lie behind the newest, and were brought into the file long ago."""
    assert not wal.is_rotten(frames((7, 8), (5, 6), (5, 6), (5, 6)), PAGE, 1)
    assert wal.is_rotten(frames((7, 8), (7, 8), (7, 8), (5, 6)), PAGE, 1)
    assert len(wal.mended(frames((7, 8), (7, 8), (5, 6)), PAGE)) == 32 + 2 * FRAME


def test_a_header_that_has_rotted_is_outvoted_by_the_first_frames() -> None:
    """By two of the first five; a single frame says nothing against the header, nor does a frame far behind."""
    assert wal.is_rotten(frames(*[(5, 6)] * 3), PAGE, 0)
    assert wal.is_rotten(frames((1, 1), (5, 6), (5, 6)), PAGE, 0)
    assert not wal.is_rotten(frames((1, 1), (2, 2), (3, 3)), PAGE, 0)
    assert wal.is_rotten(frames((1, 1), (2, 2), (7, 8), (7, 8)), PAGE, 0)
    assert not wal.is_rotten(frames((1, 1), (2, 2), (3, 3), (4, 4), (0, 1), (5, 6), (5, 6)), PAGE, 0)
    assert wal.mended(frames(*[(5, 6)] * 3), PAGE)[16:24] == struct.pack(">2I", 5, 6)


def test_a_frame_that_is_not_whole_is_none() -> None:
    """A byte short of one, and it was never written."""
    log = frames(*[(7, 8)] * 3)
    assert wal.is_rotten(log, PAGE, 1)
    assert not wal.is_rotten(log[:-1], PAGE, 1)
    assert wal.mended(log[:-1], PAGE) == wal.mended(frames(*[(7, 8)] * 2), PAGE)


@pytest.mark.parametrize("log", [b"", bytes(31), frames()])
def test_a_log_without_a_frame_is_mended_to_nothing(log: bytes) -> None:
    """There is nothing to be read from it."""
    assert wal.mended(log, PAGE) == b""
