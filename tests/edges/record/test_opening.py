"""Whatever is found in the record's place: the gate starts, and says so."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from device.edges.record import opening
from device.edges.record.rows import RowState
from device.edges.record.schema import read_meta, sqlite_connect
from tests.edges.record.kit import Counting, an_event, asides, blank_leaf, make_file, opened, replaced
from tests.entries import Opener, chained, checkin, numbers, parsed, settle
from tests.fakes.clock import FakeClock
from tests.fakes.disk import FaultyDisk


def test_no_file_is_a_first_start(opener: Opener) -> None:
    """A new file is made, and nothing is said of it."""
    journal = opener()
    assert journal.previous_run == "first"
    assert replaced(journal) == []


@pytest.mark.parametrize(
    ("cause", "content"),
    [
        ("garbage", b"\x8f\x01garbage" * 1000),
        ("garbage", b"SQLite format 3\x01" + bytes(5000)),
        ("empty", b""),
        ("foreign", None),
    ],
    ids=["noise", "header-only", "empty", "foreign"],
)
def test_what_is_no_journal_is_set_aside(opener: Opener, clock: FakeClock, cause: str, content: bytes | None) -> None:
    """Noise, another program's database or nothing at all: kept as it was, told of, and the gate records."""
    if content is None:
        with closing(sqlite3.connect(opener.path)) as connection:
            connection.execute("CREATE TABLE other (x)")
            connection.commit()
        content = opener.path.read_bytes()
    else:
        opener.path.write_bytes(content)
    journal = opener()
    assert settle([journal.record(checkin(clock, 1))]) == [2]
    assert [(fact["cause"], fact.get("kept_as")) for fact in replaced(journal)] == [
        (cause, "journal.sqlite.corrupt-1" if content else None)
    ]
    assert asides(opener.path) == (["journal.sqlite.corrupt-1"] if content else [])
    if content:
        assert opener.path.with_name("journal.sqlite.corrupt-1").read_bytes() == content


def test_a_lost_wal_is_noticed(opener: Opener, clock: FakeClock) -> None:
    """A file copied or restored without its WAL may have numbers that were given to other events: it gets a new epoch."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
    journal.maintain()
    settle([journal.record(checkin(clock, number)) for number in range(11, 21)])
    content, epoch = opener.path.read_bytes(), journal.bounds().epoch
    journal.close()
    opener.path.write_bytes(content)
    journal = opener()
    assert journal.bounds().epoch != epoch
    assert [(fact["cause"], fact["salvaged"]) for fact in replaced(journal)] == [("wal_missing", 10)]
    assert numbers(journal.waiting(0, 100)) == list(range(1, 11))


def test_a_killed_gate_loses_no_wal(opener: Opener, clock: FakeClock, tmp_path: Path) -> None:
    """With its WAL beside it, the file of a gate that was killed is opened as it is."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 11)])
    other = tmp_path / "other"
    other.mkdir()
    for file in tmp_path.glob("journal.sqlite*"):
        (other / file.name).write_bytes(file.read_bytes())
    with closing(Opener(other / "journal.sqlite", clock)) as second:
        again = second()
        assert again.bounds() == journal.bounds()
        assert replaced(again) == []


def test_two_files_are_kept_aside_and_the_oldest_goes(opener: Opener) -> None:
    """The names count up, so a newer one is never taken for an older."""
    for number in range(1, 5):
        opener.path.write_bytes(b"rubbish %d " % number * 1000)
        opener().close()
    assert asides(opener.path) == ["journal.sqlite.corrupt-3", "journal.sqlite.corrupt-4"]


def test_an_interrupted_replacement_is_finished_or_begun_again(opener: Opener, old: str) -> None:
    """A power cut between the two renames leaves the new file under its first name: it is taken, whole, or not at all."""
    fresh = opener.path.with_name("journal.sqlite.new")
    content = opener.path.read_bytes()
    opener.path.replace(fresh)
    journal = opener()
    assert journal.bounds().epoch == old
    journal.close()
    opener.path.unlink()
    fresh.write_bytes(content[: len(content) // 2])
    journal = opener()
    assert journal.bounds().epoch != old
    assert not fresh.exists()
    journal.close()
    fresh.write_bytes(content)
    assert opener().bounds().epoch == journal.stats()["epoch"]
    assert not fresh.exists()


def test_a_wal_without_its_file_is_not_taken_for_the_new_ones(opener: Opener, clock: FakeClock) -> None:
    """An old WAL beside a missing file would be played into the new one."""
    opener.path.with_name("journal.sqlite-wal").write_bytes(b"7\x7f\x06\x82" + bytes(100))
    journal = opener()
    assert settle([journal.record(checkin(clock, 1))]) == [1]


def killed(opener: Opener, clock: FakeClock, target: Path) -> str:
    """A record as a killed gate leaves it, at another place. Returns its epoch."""
    journal = opener()
    for number in range(1, 101):
        settle([journal.record(checkin(clock, number))])
    for ending in ("", "-wal"):
        shutil.copy(f"{opener.path}{ending}", f"{target}{ending}")
    return journal.bounds().epoch


@pytest.mark.parametrize("interrupted", [False, True], ids=["at once", "interrupted"])
def test_a_rotten_log_costs_no_event(
    opener: Opener,
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted: bool,  # noqa: FBT001 - a column
) -> None:
    """The record is begun anew with all that stands behind the rot, also when a power cut comes while it is mended."""
    path = tmp_path / "other" / "journal.sqlite"
    path.parent.mkdir()
    epoch = killed(opener, clock, path)
    wal = path.with_name("journal.sqlite-wal")
    log = bytearray(wal.read_bytes())
    log[len(log) // 2 + 40] ^= 2
    wal.write_bytes(log)
    other = Opener(path, clock)
    if interrupted:
        with monkeypatch.context() as patched:
            patched.setattr(opening, "_install_mended", fail)
            with pytest.raises(KeyboardInterrupt):
                opening.open_journal(path, sqlite_connect, clock.reading())
        assert not wal.exists()
    with closing(other):
        journal = other()
        out = journal.waiting(0, 1000)
        told = [parsed(one)["data"] for one in out if "what" in parsed(one)["data"]]
        assert [fact["cause"] for fact in told if fact["what"] == "journal_replaced"] == ["wal_damaged"]
        assert journal.bounds().epoch != epoch
        assert len(numbers(out)) >= 98
        assert chained(out)


def fail(_path: Path) -> None:
    """The power is cut here."""
    raise KeyboardInterrupt


# ------------------------------------------------------------- what is found, and what it is called


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("PRAGMA user_version = 2", "newer"),
        ("PRAGMA user_version = 0", "unfinished"),
        ("DELETE FROM meta WHERE name = 'epoch'", "damaged"),
        ("UPDATE meta SET value = 'no id' WHERE name = 'epoch'", "damaged"),
        ("INSERT INTO meta VALUES ('tally', 'no JSON') ON CONFLICT DO UPDATE SET value = excluded.value", "damaged"),
        ("INSERT INTO meta VALUES ('tally', '{\"other\": 1}') ON CONFLICT DO UPDATE SET value = excluded.value", "damaged"),
        ("INSERT INTO meta VALUES ('tally', '[1]') ON CONFLICT DO UPDATE SET value = excluded.value", "damaged"),
        ("DROP TABLE meta", "damaged"),
        ("DROP TABLE boot", "damaged"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_replaced(opener: Opener, clock: FakeClock, change: str, cause: str) -> None:
    """Its events are carried over, and the new file says why it was begun."""
    journal = opener()
    settle([journal.record(checkin(clock, 1))])
    journal.close()
    with closing(sqlite3.connect(opener.path)) as connection:
        connection.execute(change)
        connection.commit()
    journal = opener()
    (fact,) = replaced(journal)
    assert (fact["cause"], fact["kept_as"], fact["salvaged"]) == (cause, "journal.sqlite.corrupt-1", 1)
    assert numbers(journal.waiting(0, 10)) == [1]


def test_a_file_of_the_right_mark_in_the_header_alone_is_foreign(path: Path, clock: FakeClock) -> None:
    """A WAL may have changed the mark; what SQLite says counts in the end."""
    make_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA application_id = 1")
        content = path.read_bytes()
        wal = path.with_name("journal.sqlite-wal").read_bytes()
    path.write_bytes(content)
    path.with_name("journal.sqlite-wal").write_bytes(wal)
    assert content[68:72] == b"GATE"
    with closing(opening.open_journal(path, sqlite_connect, clock.reading()).connection) as connection:
        assert '"cause":"foreign"' in connection.execute("SELECT data FROM event").fetchone()[0].decode()


@pytest.mark.parametrize(("cut", "cause"), [(4096, "damaged"), (1, "truncated"), (4095, "truncated")])
def test_a_file_that_is_too_short_is_replaced(opener: Opener, clock: FakeClock, cut: int, cause: str) -> None:
    """By whole pages SQLite sees it itself; a part of the last page it would read as if it were there."""
    journal = opener()
    settle([journal.record(checkin(clock, number)) for number in range(1, 101)])
    journal.close()
    with opener.path.open("r+b") as file:
        file.truncate(opener.path.stat().st_size - cut)
    journal = opener()
    assert [fact["cause"] for fact in replaced(journal)] == [cause]
    assert len(numbers(journal.waiting(0, 200))) >= 90


def test_a_suspected_file_is_replaced_whatever_it_looks_like(path: Path, clock: FakeClock) -> None:
    """Damage met at work may not show again when the file is opened."""
    make_file(path)
    opened = opening.open_journal(path, sqlite_connect, clock.reading(), suspect="damaged")
    with closing(opened.connection) as connection:
        assert opened.first is False
        seq, state, data = connection.execute("SELECT seq, state, data FROM event").fetchone()
        assert (seq, state) == (1, RowState.WAITING)
        assert json.loads(data) == {
            "what": "journal_replaced",
            "cause": "damaged",
            "old_epoch": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "salvaged": 0,
            "unreadable": 0,
            "dropped": 0,
            "kept_as": "journal.sqlite.corrupt-1",
        }
        counts = json.loads(read_meta(connection)["tally"])
        assert (counts["newest"], counts["waiting"], counts["unfrozen"], counts["frozen"]) == (1, 1, 1, 0)


def test_only_damage_is_a_reason_to_replace_a_file() -> None:
    """An error of the disk or of the moment is not, nor one without a number."""
    expected = {
        sqlite3.SQLITE_CORRUPT: True,
        sqlite3.SQLITE_CORRUPT_INDEX: True,
        sqlite3.SQLITE_NOTADB: True,
        sqlite3.SQLITE_IOERR: False,
        sqlite3.SQLITE_FULL: False,
        sqlite3.SQLITE_BUSY: False,
        sqlite3.SQLITE_ERROR: False,
    }
    for code, damage in expected.items():
        error = sqlite3.DatabaseError("said SQLite")
        error.sqlite_errorcode = code
        assert opening.is_damage(error) is damage
    assert opening.is_damage(sqlite3.ProgrammingError("closed")) is False


@pytest.mark.parametrize("statement", ["PRAGMA quick_check", "SELECT name, value FROM meta", "PRAGMA wal_checkpoint"])
def test_a_disk_that_cannot_be_read_sets_no_file_aside(path: Path, clock: FakeClock, disk: FaultyDisk, statement: str) -> None:
    """The error is the caller's, the file stays, and no connection is left open."""
    make_file(path)
    disk.break_statements(statement, "io_error")
    with pytest.raises(sqlite3.OperationalError, match="I/O"):
        opening.open_journal(path, disk, clock.reading())
    assert opening.asides(path) == []
    with closing(opening.open_journal(path, disk, clock.reading()).connection) as connection:
        assert read_meta(connection)["epoch"] == "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.mark.parametrize("statement", ["INSERT INTO event", "COMMIT"])
def test_a_replacement_that_fails_touches_nothing(path: Path, clock: FakeClock, disk: FaultyDisk, statement: str) -> None:
    """The old file is set aside only when the new one is whole."""
    make_file(path)
    content = path.read_bytes()
    disk.break_statements(statement, "io_error")
    with pytest.raises(sqlite3.OperationalError):
        opening.open_journal(path, disk, clock.reading(), suspect="damaged")
    assert path.read_bytes() == content
    assert opening.asides(path) == []
    with closing(opening.open_journal(path, disk, clock.reading(), suspect="damaged").connection):
        assert not path.with_name("journal.sqlite.new").exists()


def test_files_set_aside_are_counted_by_number(tmp_path: Path) -> None:
    """The tenth comes after the ninth, and nothing else is taken for one."""
    path = tmp_path / "journal.sqlite"
    for name in ("journal.sqlite.corrupt-10", "journal.sqlite.corrupt-9", "journal.sqlite.corrupt-9-wal", "xjournal.sqlite.corrupt-1"):
        (tmp_path / name).touch()
    assert [aside.name for aside in opening.asides(path)] == ["journal.sqlite.corrupt-9", "journal.sqlite.corrupt-10"]


def test_a_file_is_set_aside_with_its_wal_and_goes_with_it(path: Path, clock: FakeClock, tmp_path: Path) -> None:
    """What is in the WAL alone would be lost else; and what is deleted must not live on in one."""
    for number in (1, 2, 3, 4):
        path.write_bytes(b"rubbish %d" % number * 1000)
        path.with_name("journal.sqlite-wal").write_bytes(b"wal %d" % number)
        opening.open_journal(path, sqlite_connect, clock.reading()).connection.close()
    names = sorted(file.name for file in tmp_path.iterdir() if "corrupt" in file.name)
    assert names == [f"journal.sqlite.corrupt-{number}{ending}" for number in (3, 4) for ending in ("", "-wal")]
    aside = path.with_name("journal.sqlite.corrupt-4")
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"wal 4"
    opening.remove_aside(aside)
    opening.remove_aside(aside)
    assert sorted(file.name for file in tmp_path.iterdir() if "corrupt" in file.name) == names[:2]


def test_of_an_empty_file_nothing_is_kept(path: Path, clock: FakeClock) -> None:
    """Nor of the WAL beside it, which would be played into the new one."""
    path.touch()
    path.with_name("journal.sqlite-wal").write_bytes(b"x" * 100)
    with closing(opening.open_journal(path, sqlite_connect, clock.reading()).connection) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (1,)
        fact = json.loads(connection.execute("SELECT data FROM event").fetchone()[0])
        assert fact == {"what": "journal_replaced", "cause": "empty", "salvaged": 0, "unreadable": 0, "dropped": 0}
    assert opening.asides(path) == []


def test_a_new_file_that_was_finished_is_taken_and_its_wal_is_not(path: Path, clock: FakeClock) -> None:
    """The power failed between two names: a WAL of the old file does not belong to the new one."""
    make_file(path.with_name("journal.sqlite.new"), "11111111-1111-4111-8111-111111111111")
    path.with_name("journal.sqlite-wal").write_bytes(b"7\x7f\x06\x82" + bytes(100))
    path.with_name("journal.sqlite-shm").write_bytes(b"x")
    opened = opening.open_journal(path, sqlite_connect, clock.reading())
    with closing(opened.connection) as connection:
        assert opened.first is False
        assert read_meta(connection)["epoch"] == "11111111-1111-4111-8111-111111111111"
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (0,)


@pytest.mark.parametrize("spoil", ["unfinished", "damaged"])
def test_a_new_file_that_is_not_whole_is_begun_again(path: Path, clock: FakeClock, spoil: str) -> None:
    """Without its version, or with a structure that does not hold together."""
    fresh = path.with_name("journal.sqlite.new")
    make_file(fresh)
    with closing(sqlite3.connect(fresh)) as connection:
        if spoil == "unfinished":
            connection.execute("PRAGMA user_version = 0")
        else:
            connection.executescript("PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 3 WHERE name = 'passage'")
        connection.commit()
    opened = opening.open_journal(path, sqlite_connect, clock.reading())
    with closing(opened.connection) as connection:
        assert opened.first is True
        assert read_meta(connection)["epoch"] != "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def test_names_are_on_the_disk_before_the_file_is_used(path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step that gives a file its name is followed by a sync of the folder: at the first start, and at a replacement."""
    synced: list[set[str]] = []
    monkeypatch.setattr(opening, "sync_folder", lambda folder: synced.append({file.name for file in folder.iterdir()}))
    opening.open_journal(path, sqlite_connect, clock.reading()).connection.close()
    assert "journal.sqlite" in synced[-1]
    assert "journal.sqlite.new" not in synced[-1]
    opening.open_journal(path, sqlite_connect, clock.reading(), suspect="damaged").connection.close()
    assert {"journal.sqlite", "journal.sqlite.corrupt-1"} <= synced[-1]
    opening.remove_aside(path.with_name("journal.sqlite.corrupt-1"))
    assert "journal.sqlite.corrupt-1" not in synced[-1]
    path.replace(path.with_name("journal.sqlite.new"))
    opening.open_journal(path, sqlite_connect, clock.reading()).connection.close()
    assert len(synced) == 4


def test_a_file_is_written_anew_from_what_is_still_open(path: Path, clock: FakeClock) -> None:
    """Whole, in its own epoch, and what lies in its place now is set aside; a failure leaves that alone."""
    with opened(path, clock) as store:
        store.append([an_event(1)])
        path.unlink()
        path.write_bytes(b"other")
        with pytest.raises(sqlite3.OperationalError):
            opening.restore(path, store.connection, Counting("PRAGMA user_version"))
        assert path.read_bytes() == b"other"
        opening.restore(path, store.connection, sqlite_connect)
    assert path.with_name("journal.sqlite.corrupt-1").read_bytes() == b"other"
    assert not path.with_name("journal.sqlite-wal").exists()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id FROM event").fetchall() == [("id-1",)]
        assert read_meta(connection)["epoch"] == "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    assert not path.with_name("journal.sqlite.new").exists()


def test_what_is_no_journal_is_not_changed_before_it_is_set_aside(path: Path, clock: FakeClock) -> None:
    """Nor are its permissions."""
    path.write_bytes(b"SQLite format 3\0" + bytes(200))
    path.chmod(0o640)
    opening.open_journal(path, sqlite_connect, clock.reading()).connection.close()
    aside = path.with_name("journal.sqlite.corrupt-1")
    assert aside.read_bytes() == b"SQLite format 3\0" + bytes(200)
    assert aside.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("size", "cause"), [(99, "garbage"), (100, "foreign")])
def test_a_header_is_a_hundred_bytes(path: Path, clock: FakeClock, size: int, cause: str) -> None:
    """One byte fewer is no database at all."""
    path.write_bytes((b"SQLite format 3\0" + bytes(100))[:size])
    with closing(opening.open_journal(path, sqlite_connect, clock.reading()).connection) as connection:
        fact = json.loads(connection.execute("SELECT data FROM event").fetchone()[0])
        assert (fact["cause"], fact["salvaged"], fact["unreadable"]) == (cause, 0, 0)


@pytest.mark.parametrize(("more", "found"), [(0, True), (-1, False)])
def test_a_file_up_to_the_limit_is_read_through_before_it_is_used(
    path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    more: int,
    found: bool,  # noqa: FBT001  a column
) -> None:
    """To the byte; a larger one is used at once, and read through beside the work."""
    with opened(path, clock) as store:
        store.append([an_event(number) for number in range(1, 301)])
        store.finish()
    blank_leaf(path, 30)
    monkeypatch.setattr(opening, "CHECK_BYTES", path.stat().st_size + more)
    opening.open_journal(path, sqlite_connect, clock.reading()).connection.close()
    assert bool(opening.asides(path)) is found
