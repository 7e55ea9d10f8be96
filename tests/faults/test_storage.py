"""A card that fails under a whole gate: lamps go on within their budget, the state is told, and nothing is lost that could be kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from device.edges.record.rows import RowKind, RowState
from tests.faults.disturbed_disk import SYNCS, WRITES, disturbed
from tests.faults.oracle import audits, held_in, shown_in
from tests.faults.site import Site, say, site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

LONG: Final = pytest.mark.soak
"""Left to the long form: CI has so many minutes."""
ANSWERS: Final = 12
MOST: Final = 1000
FLIPS: Final = 3
ROWS_OF_A_PAGE: Final = 4
WAITING: Final = (RowState.WAITING.value, RowKind.CHECKIN.value)
BUDGET_S: Final = 0.15
LATE_S: Final = 0.35
"""A lamp comes so long after its event at the latest: the budget, and a busy laptop's slack."""


def files(one: Site) -> list[Path]:
    """The record's files."""
    record = one.stage.folder / "state" / "journal.sqlite"
    return [record, record.with_name(record.name + "-wal"), record.with_name(record.name + "-shm")]


def told_state(one: Site, states: set[str]) -> None:
    """The gate's status names the trouble."""
    one.wait(lambda: one.told("journal", "storage_state") in states and "storage" in (one.told("problems") or []), 10, "the trouble named")


def latest_lamps(one: Site, since: int) -> float:
    """The longest time from an event to its lamp among the answers since then, in seconds. For a steady clock."""
    events = [event for event in held_in(one.database) if event.sign is not None]
    shown = shown_in(one.witness)[since:]
    late = 0.0
    for answer in shown:
        nearest = max((event.at_s for event in events if event.at_s <= answer.at_s and event.sign == answer.sign), default=answer.at_s)
        late = max(late, answer.at_s - nearest)
    return late


@pytest.mark.parametrize(
    ("calls", "fault", "states"),
    [
        (SYNCS, "error=EIO", {"degraded"}),
        pytest.param(WRITES, "error=EIO", {"degraded"}, marks=LONG),
        (WRITES, "error=ENOSPC", {"degraded"}),
        pytest.param(WRITES, "error=EROFS", {"degraded"}, marks=LONG),
        (SYNCS, "delay_enter=5s", {"slow"}),
    ],
    ids=["fsync fails", "writes fail", "no room", "read-only", "fsync takes 5 s"],
)
def test_a_failing_card_stops_no_lamp_and_costs_no_event(tmp_path: Path, calls: str, fault: str, states: set[str]) -> None:
    """For a while each write or sync of the record fails or takes seconds; then the card is well again."""
    with site(tmp_path) as one:
        one.wait_answers(3)
        before = one.answers()
        assert one.gate is not None
        with disturbed(one.gate.pid, files(one), calls, fault) as trace:
            one.wait_answers(ANSWERS, limit_s=15)
            told_state(one, states)
            assert trace.stat().st_size > 0, "nothing was disturbed"
        one.wait(
            lambda: one.told("journal", "storage_state") in {"ok", "slow"} and one.told("journal", "in_memory") == 0, 30, "a well card"
        )
        one.stop()
        one.nobody()
        one.start()
        one.wait(lambda: one.told("journal", "waiting") == 0, 60, "an empty record")
        found, late = one.compare(), latest_lamps(one, before)
    say(f"{calls} {fault}: latest lamp {late * 1000:.0f} ms after its event; {found}")
    assert found.faults == (0, 0, 0, 0), found
    assert (found.unseen, found.epochs) == (0, 1), found
    assert late < LATE_S


@pytest.fixture
def small_card(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB for the record alone."""
    state = tmp_path / "gate" / "state"
    state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", str(state)], check=True)
    try:
        yield state
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


def fill(ballast: Path) -> None:
    """Write until there is no room left."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_card_that_is_full_and_is_emptied_again_costs_no_event(small_card: Path, tmp_path: Path) -> None:
    """Something else fills the card to its last byte while people pass."""
    with site(tmp_path) as one:
        one.wait_answers(3)
        ballast = small_card / "ballast"
        fill(ballast)
        one.wait_answers(ANSWERS, limit_s=15)
        told_state(one, {"degraded"})
        ballast.unlink()
        one.wait_answers(2)
        one.settle()
        found = one.compare()
    say(f"card full: {found}")
    assert found.faults == (0, 0, 0, 0), found
    assert found.unseen == 0


def test_a_card_that_turns_read_only_and_is_writable_again_costs_no_event(small_card: Path, tmp_path: Path) -> None:
    """As ext4 does at its first error. A process that has the file open for writing forbids it, so the mount alone is turned."""
    with site(tmp_path) as one:
        one.wait_answers(3)
        one.stop()
        subprocess.run(["mount", "-o", "remount,ro", str(small_card)], check=True)
        one.start()
        one.wait_answers(ANSWERS, limit_s=20)
        told_state(one, {"degraded"})
        subprocess.run(["mount", "-o", "remount,rw", str(small_card)], check=True)
        one.wait(lambda: one.told("journal", "storage_state") == "ok", 30, "a writable card")
        one.settle()
        found = one.compare()
    say(f"card read-only: {found}")
    assert found.faults == (0, 0, 0, 0), found


# ----------------------------------------------------------------- a damaged file


def readable(record: Path, aside: Path) -> int:
    """How many check-ins that wait can be read one by one from a copy of the file, whatever else is wrong with it."""
    aside.mkdir()
    for path in record.parent.glob(record.name + "*"):
        shutil.copy(path, aside)
    found = 0
    with closing(sqlite3.connect(aside / record.name)) as db:
        db.execute("PRAGMA writable_schema = ON")  # so that a part of a file is read as far as it goes
        for seq in range(1, MOST):
            with contextlib.suppress(sqlite3.Error):
                found += db.execute("SELECT count(*) FROM event WHERE seq = ? AND state = ? AND kind = ?", (seq, *WAITING)).fetchone()[0]
    return found


def flip(record: Path, one: Site) -> None:
    """One bit in each of three pages of the file at random."""
    whole(record)
    flip_bits(record, one, 4096)


def flip_wal(record: Path, one: Site) -> None:
    """The same in the write-ahead log, as a killed gate leaves it."""
    flip_bits(record.with_name(record.name + "-wal"), one, 0)


def truncate(record: Path, one: Site) -> None:
    """The last part is gone."""
    whole(record)
    os.truncate(record, record.stat().st_size * 3 // 4 + one.chance.randrange(4096))


def lose_wal(record: Path, _one: Site) -> None:
    """The write-ahead log is gone, with everything that was not yet in the main file."""
    record.with_name(record.name + "-wal").unlink()


def whole(record: Path) -> None:
    """Bring everything into the main file, so that it is what is damaged, and leave an empty log."""
    with closing(sqlite3.connect(record)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    record.with_name(record.name + "-wal").touch()


def flip_bits(path: Path, one: Site, above: int) -> None:
    """Flip bits at random places."""
    data = bytearray(path.read_bytes())
    for _ in range(FLIPS):
        data[one.chance.randrange(above, len(data))] ^= 1 << one.chance.randrange(8)
    path.write_bytes(data)


def garbage(record: Path, one: Site) -> None:
    """No database at all."""
    record.write_bytes(one.chance.randbytes(100_000))


def foreign(record: Path, _one: Site) -> None:
    """A database of somebody else."""
    record.unlink()
    with closing(sqlite3.connect(record)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
        db.commit()


def newer(record: Path, _one: Site) -> None:
    """Written by a later version of the program."""
    with closing(sqlite3.connect(record)) as db:
        db.execute("PRAGMA user_version = 999")
        db.commit()


@pytest.mark.parametrize(
    "damage",
    [flip_wal, truncate, garbage, *(pytest.param(damage, marks=LONG) for damage in (flip, lose_wal, foreign, newer))],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_record_is_replaced_and_what_can_be_read_reaches_the_province(
    tmp_path: Path, damage: Callable[[Path, Site], None]
) -> None:
    """People pass while the province is away; the gate is killed, its file damaged, and it is started again."""
    with site(tmp_path) as one:
        one.wait_answers(3)
        one.down({"broker", "collector"})
        one.wait_answers(40, limit_s=60)
        one.down({"gate"})
        record = files(one)[0]
        waiting = readable(record, one.stage.folder / "before")
        damage(record, one)
        left = readable(record, one.stage.folder / "after") if damage in {flip, truncate, lose_wal, newer} else 0
        shown = one.answers()
        one.up({"broker", "collector", "gate"})
        one.wait_answers(3, limit_s=30)
        one.settle()
        found = one.compare()
        replaced = audits(one.database, "journal_replaced")
    say(f"record damaged by {damage.__name__}: {waiting} events waiting, {left} readable after it; {replaced}; {found}")
    assert found.shown >= shown + 3
    assert found.doubled == 0
    if damage is flip_wal:
        # SQLite alone would have read up to the first wrong frame. A frame is a page, which holds a few rows.
        assert found.lost <= FLIPS * ROWS_OF_A_PAGE, found
    else:
        # A flipped bit may also lie in the body of a row that can still be read.
        assert found.lost <= waiting - left + (FLIPS if damage is flip else 0), found
    assert found.epochs == 2 or (damage in {flip, flip_wal} and found.lost == 0)
    if found.epochs == 2:
        assert [fact["cause"] for fact in replaced]
        assert list(record.parent.glob("*.corrupt-*")), "the damaged file was thrown away"
