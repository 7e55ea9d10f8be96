"""Whatever is found in the record's place: the gate starts, and says so."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from device.edges.record import opening
from device.edges.record.schema import sqlite_connect
from tests.edges.record.kit import asides, replaced
from tests.entries import Opener, chained, checkin, numbers, parsed, settle
from tests.fakes.clock import FakeClock


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
